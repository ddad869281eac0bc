//! [`Recorder`]: what a workload is given, and the one place where a tensor becomes bytes, digest and summary. Not:
//! deciding what is interesting (the workload and `train` do).

use std::collections::BTreeMap;

use tch::{Kind, Tensor};

use crate::device::Prepared;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::ffi::torch;
use crate::fingerprint::Fingerprint;
use crate::knob::Setting;
use crate::number::Number;
use crate::seed::{Seed, Stream};
use crate::spec::{Capture, Inputs, Spec};
use crate::trace::{Ending, Key, Phase, Writer};

/// A digest still on its way from a GPU.
#[derive(Debug)]
struct Pending {
    key: Key,
    description: torch::Description,
    lanes: Tensor,
}

/// Hands a workload its device, seed and limits, and takes its tensors.
#[derive(Debug)]
pub struct Recorder<'a> {
    spec: &'a Spec,
    prepared: &'a Prepared,
    /// Absent where nothing is recorded: the bare loop that recording is measured against.
    writer: Option<Writer>,
    step: u64,
    occurrences: BTreeMap<(Phase, String), u32>,
    pending: Vec<Pending>,
    metrics: BTreeMap<String, Number>,
    injected: bool,
}

impl<'a> Recorder<'a> {
    /// A recorder that writes the trace `spec.out`.
    ///
    /// # Errors
    /// When the trace cannot be begun.
    pub fn new(spec: &'a Spec, prepared: &'a Prepared) -> Result<Self> {
        Ok(Self {
            writer: Some(Writer::new(&spec.out)?),
            ..Self::bare(spec, prepared)
        })
    }

    /// A recorder that records nothing.
    #[must_use]
    pub fn bare(spec: &'a Spec, prepared: &'a Prepared) -> Self {
        Self {
            spec,
            prepared,
            writer: None,
            step: 0,
            occurrences: BTreeMap::new(),
            pending: Vec::new(),
            metrics: BTreeMap::new(),
            injected: false,
        }
    }

    /// Where tensors must live.
    #[must_use]
    pub fn device(&self) -> tch::Device {
        self.prepared.device
    }

    /// The floating-point type that the model must have.
    ///
    /// # Errors
    /// When tch has no such type.
    pub fn kind(&self) -> Result<Kind> {
        use crate::dtype::Dtype;
        match self.spec.dtype {
            Dtype::Float32 => Ok(Kind::Float),
            Dtype::Float64 => Ok(Kind::Double),
            Dtype::Bfloat16 => Ok(Kind::BFloat16),
            Dtype::Float16 => Ok(Kind::Half),
            other => Err(Error::Usage(format!(
                "--dtype {other}: models train in float32, float64, bfloat16 or float16"
            ))),
        }
    }

    /// The same type under the name it has in a trace.
    #[must_use]
    pub fn dtype(&self) -> crate::dtype::Dtype {
        self.spec.dtype
    }

    /// The steps to train for.
    #[must_use]
    pub fn steps(&self) -> std::ops::Range<u64> {
        0..self.spec.steps
    }

    /// Samples in a batch.
    #[must_use]
    pub fn batch(&self) -> usize {
        usize::try_from(self.spec.batch).unwrap_or(usize::MAX)
    }

    /// The random stream called `name`. Use these, not libtorch's generators, for data and its order.
    #[must_use]
    pub fn stream(&self, name: &str) -> Stream {
        Seed(self.spec.seed).stream(name)
    }

    /// Files of the user's own.
    #[must_use]
    pub fn inputs(&self) -> &Inputs {
        &self.spec.inputs
    }

    /// Says which step the entries to come belong to.
    pub fn begin(&mut self, step: u64) {
        self.step = step;
        self.occurrences.clear();
    }

    /// Records one tensor. Call it in execution order; tensors may live anywhere and have any strides.
    ///
    /// # Errors
    /// When the tensor cannot be read or the trace cannot be written.
    pub fn record(&mut self, phase: Phase, name: &str, tensor: &Tensor) -> Result<()> {
        let last = self.spec.steps.saturating_sub(1);
        let wanted = match self.spec.capture {
            Capture::Final => phase == Phase::Update && self.step == last,
            _ => true,
        };
        if self.writer.is_none() || !wanted {
            return Ok(());
        }
        let count = self
            .occurrences
            .entry((phase, name.to_owned()))
            .or_default();
        let key = Key {
            step: self.step,
            phase,
            name: name.to_owned(),
            occurrence: *count,
        };
        *count += 1;
        let description = torch::describe(tensor)?;
        let keep = self.spec.capture.keeps_values(self.step, last);
        let flip = self.injection(&key, tensor, &description)?;
        if description.device.is_some() && !keep && flip.is_none() && description.bytes > 64 {
            // Nothing waits for the GPU here: the numbers are fetched together at the end of the step.
            let lanes = torch::lanes_on_device(tensor)?;
            self.pending.push(Pending {
                key,
                description,
                lanes,
            });
            return Ok(());
        }
        self.fetch()?;
        let Some(writer) = &mut self.writer else {
            return Ok(());
        };
        let (dtype, shape) = (description.dtype, &description.shape);
        torch::with_bytes(tensor, |bytes| match flip {
            Some(at) => {
                let mut changed = bytes.to_vec();
                changed[at] ^= 1;
                writer.entry(key, dtype, shape, &changed, keep)
            }
            None => writer.entry(key, dtype, shape, bytes, keep),
        })?
    }

    /// If this is the entry of `--inject`: flips the bit in the tensor itself where it is floating-point, so that the
    /// change takes its course; returns the byte to flip in the recorded copy where it is not (a label or an index one
    /// off would stop the run instead of altering it).
    fn injection(
        &mut self,
        key: &Key,
        tensor: &Tensor,
        description: &torch::Description,
    ) -> Result<Option<usize>> {
        let Some(inject) = &self.spec.inject else {
            return Ok(None);
        };
        let here = match inject.step {
            None => key.phase == Phase::Init,
            Some(step) => key.phase != Phase::Init && step == key.step,
        };
        if !here || self.injected || inject.name != key.name {
            return Ok(None);
        }
        let size = description.dtype.size() as u64;
        if inject.index >= description.bytes / size {
            return Err(Error::Usage(format!(
                "--inject {inject}: {} has {} elements",
                key.name,
                description.bytes / size
            )));
        }
        self.injected = true;
        if description.dtype.kind() == crate::dtype::Kind::Float {
            torch::flip_bit(tensor, inject.index, 0)?;
            return Ok(None);
        }
        Ok(usize::try_from(inject.index * size).ok())
    }

    /// Takes the digests that are still on a GPU, with one wait for all of them.
    fn fetch(&mut self) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let pending = std::mem::take(&mut self.pending);
        let lanes: Vec<_> = pending
            .iter()
            .map(|one| one.lanes.shallow_clone())
            .collect();
        let numbers = Tensor::f_stack(&lanes, 0)
            .and_then(|stacked| stacked.f_to_device(tch::Device::Cpu))
            .and_then(|stacked| stacked.f_view([-1]))
            .and_then(Vec::<i64>::try_from)
            .map_err(|e| torch::tch_failure("fetching digests from the GPU", &e))?;
        let Some(writer) = &mut self.writer else {
            return Ok(());
        };
        for (one, pair) in pending.into_iter().zip(numbers.chunks_exact(2)) {
            let Pending {
                key, description, ..
            } = one;
            let lanes = torch::lanes_from([pair[0], pair[1]]);
            let digest = Digest::from_lanes(
                description.dtype,
                &description.shape,
                description.bytes,
                lanes,
            );
            writer.digest(key, description.dtype, &description.shape, digest)?;
        }
        Ok(())
    }

    /// Records the state of the CPU's generator and, on a GPU, of that of its device.
    ///
    /// # Errors
    /// When a state cannot be read.
    pub fn generators(&mut self, phase: Phase) -> Result<()> {
        if self.writer.is_none() {
            return Ok(());
        }
        let cpu = torch::generator_state(None)?;
        self.record(phase, "rng.cpu", &cpu)?;
        if self.prepared.cuda().is_some() {
            for device in 0..torch::cuda_devices()? {
                let state = torch::generator_state(Some(device))?;
                self.record(phase, &format!("rng.cuda:{device}"), &state)?;
            }
        }
        Ok(())
    }

    /// Notes a number for people, the last loss or the accuracy. It is compared, but never alone decides.
    pub fn metric(&mut self, name: &str, value: f64) {
        self.metrics.insert(name.to_owned(), Number(value));
    }

    /// Notes the loss of the first and of the last step; between them nothing waits for a GPU.
    ///
    /// # Errors
    /// When the loss is not one number.
    pub fn loss(&mut self, step: u64, loss: &Tensor) -> Result<()> {
        let name = match step {
            0 => "loss.first",
            last if last + 1 == self.spec.steps => "loss.last",
            _ => return Ok(()),
        };
        let value = loss
            .f_double_value(&[])
            .map_err(|e| torch::tch_failure("reading the loss", &e))?;
        self.metric(name, value);
        Ok(())
    }

    /// The numbers noted so far.
    #[must_use]
    pub fn metrics(&self) -> &BTreeMap<String, Number> {
        &self.metrics
    }

    /// Ends the trace.
    ///
    /// # Errors
    /// When it cannot be written, or the place of `--inject` never came.
    pub fn finish(mut self) -> Result<()> {
        self.fetch()?;
        if let Some(device) = self.prepared.cuda() {
            torch::synchronize(device)?;
        }
        let Some(writer) = self.writer.take() else {
            return Ok(());
        };
        if let Some(inject) = &self.spec.inject
            && !self.injected
        {
            return Err(Error::Usage(format!(
                "--inject {inject}: no entry of that step and name was recorded; `--keep DIR` and {} list them",
                "DIR/…/entries.jsonl"
            )));
        }
        let mut warnings = torch::take_warnings()?;
        warnings.sort_unstable();
        warnings.dedup();
        let mut fingerprint = Fingerprint::collect();
        let in_force = |setting: &Setting| Some((setting.name.clone(), setting.in_force.clone()?));
        fingerprint.with_settings(self.prepared.settings.iter().filter_map(in_force));
        writer.finish(Ending {
            spec: self.spec.clone(),
            settings: self.prepared.settings.clone(),
            fingerprint,
            metrics: std::mem::take(&mut self.metrics),
            warnings,
        })
    }
}
