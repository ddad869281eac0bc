//! [`prepare`]: applies a run's knobs to libtorch, reads all of them back, seeds every generator, and returns the proof.
//! Not: deciding values (`knob`); describing hardware (`fingerprint`).

use crate::ffi;
use samebits::error::{Error, Result};
use samebits::knob::{KNOBS, Knob, Mode, Moment, Request, Setting};
use samebits::spec::Spec;

/// Proof that knobs were applied and read back and generators seeded. A run asks for one.
#[derive(Debug)]
pub struct Prepared {
    /// Where tensors live.
    pub device: tch::Device,
    /// Every knob, as read back.
    pub settings: Vec<Setting>,
}

impl Prepared {
    /// The CUDA device in use, if any.
    #[must_use]
    pub fn cuda(&self) -> Option<i64> {
        match self.device {
            tch::Device::Cuda(index) => i64::try_from(index).ok(),
            _ => None,
        }
    }
}

/// Prepares this process for the run that `spec` describes. Must come before the process's first tensor.
///
/// # Errors
/// When the device does not exist, a knob is refused, or one reads back as something else.
pub fn prepare(spec: &Spec) -> Result<Prepared> {
    let woken = ffi::wake_cuda();
    let device = find_device(&spec.device, woken)?;
    ffi::collect_warnings()?;
    check_launch(&spec.plan.launch)?;
    if spec.mode != Mode::Off {
        ffi::set_legacy_precision_ieee()?;
    }
    for request in &spec.plan.switches {
        // Interop threads can be set once in the life of a process; a second run in it finds them set.
        if ffi::knob(&request.name)? != request.value {
            ffi::set_knob(&request.name, &request.value)?;
        }
    }
    let settings = read_back(spec)?;
    seed(spec.seed, matches!(device, tch::Device::Cuda(_)))?;
    Ok(Prepared { device, settings })
}

fn find_device(name: &str, cuda: &ffi::Cuda) -> Result<tch::Device> {
    let index = match name {
        "cpu" => return Ok(tch::Device::Cpu),
        "cuda" => Some(0),
        other => other
            .strip_prefix("cuda:")
            .and_then(|index| index.parse::<usize>().ok()),
    };
    let Some(index) = index else {
        return Err(Error::Usage(format!(
            "there is no device {name}: cpu, cuda or cuda:N expected"
        )));
    };
    let count = ffi::cuda_devices()?;
    if i64::try_from(index).is_ok_and(|index| index < count) {
        return Ok(tch::Device::Cuda(index));
    }
    let why = match cuda {
        ffi::Cuda::Absent(reason) => format!("this libtorch is built for CPUs only ({reason})"),
        ffi::Cuda::Failed(reason) => {
            format!("libtorch's CUDA half could not be loaded ({reason})")
        }
        ffi::Cuda::Loaded => format!("libtorch sees {count} CUDA devices"),
    };
    Err(Error::Usage(format!(
        "there is no device {name}: {why}; `samebits doctor` says how to get it"
    )))
}

/// The parent put these into the environment; anything else there would be another experiment.
fn check_launch(requests: &[Request]) -> Result<()> {
    for request in requests {
        let found = std::env::var(&request.name).ok();
        if found.as_deref() != Some(&request.value) {
            return Err(Error::NotInForce {
                name: request.name.clone(),
                requested: request.value.clone(),
                in_force: found.unwrap_or_else(|| "(not set)".into()),
            });
        }
    }
    Ok(())
}

fn read_back(spec: &Spec) -> Result<Vec<Setting>> {
    let requests = || spec.plan.launch.iter().chain(&spec.plan.switches);
    KNOBS
        .iter()
        .filter(|knob| knob.moment != Moment::Program)
        .map(|knob| {
            let request = requests().find(|request| request.name == knob.name);
            let in_force = in_force(knob)?;
            if let Some(request) = request
                && in_force.as_ref() != Some(&request.value)
            {
                return Err(Error::NotInForce {
                    name: request.name.clone(),
                    requested: request.value.clone(),
                    in_force: in_force.unwrap_or_else(|| "(not set)".into()),
                });
            }
            Ok(Setting {
                name: knob.name.into(),
                requested: request.map(|request| request.value.clone()),
                in_force,
                origin: request.map(|request| request.origin),
            })
        })
        .collect()
}

fn in_force(knob: &Knob) -> Result<Option<String>> {
    match knob.moment {
        Moment::Launch | Moment::Program => Ok(std::env::var(knob.name).ok()),
        Moment::AnyTime => ffi::knob(knob.name).map(Some),
    }
}

fn seed(seed: u64, cuda: bool) -> Result<()> {
    ffi::manual_seed(seed)?;
    let devices = if cuda { ffi::cuda_devices()? } else { 0 };
    for generator in std::iter::once(None).chain((0..devices).map(Some)) {
        let found = ffi::generator_seed(generator)?;
        if found != seed {
            return Err(Error::NotInForce {
                name: generator.map_or("manual_seed".into(), |device| {
                    format!("cuda.manual_seed_all, device {device}")
                }),
                requested: seed.to_string(),
                in_force: found.to_string(),
            });
        }
    }
    Ok(())
}
