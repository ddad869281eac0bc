//! The driver, the GPUs and cuDNN.

use super::{Check, Status, reason};
use crate::fingerprint::Fingerprint;

/// What the driver's library says when it cannot be used, whether that is a fault or an absence, and what to do.
/// Sources: NVIDIA container toolkit's troubleshooting page; nvidia-docker issues 1163 and 1711.
#[rustfmt::skip]
const DRIVER_REASONS: &[(&str, Status, &str)] = &[
    ("no NVML", Status::Missing, "build with the feature `nvml` to see GPUs"),
    ("libnvidia-ml.so.1 not found", Status::Missing,
     "on a machine with a GPU, install NVIDIA's driver; in a container, start it with \
      `--gpus all` and NVIDIA_DRIVER_CAPABILITIES=compute,utility (`utility` is what brings NVML)"),
    ("Driver Not Loaded", Status::Broken, "load the kernel module: `sudo modprobe nvidia`, or restart the machine"),
    ("Driver/library version mismatch", Status::Broken, "the driver was updated while it ran: restart the machine"),
    ("Insufficient Permissions", Status::Broken,
     "SELinux keeps the container from the GPU: with podman, `--security-opt=label=disable`"),
    ("blocked by the operating system/cgroups", Status::Broken, "the container lost access to the GPU: start it again"),
    ("Unknown Error", Status::Broken,
     "the container lost access to the GPU, as after `systemctl daemon-reload`: start it again; \
      pass /dev/nvidia* with `--device`, or use CDI, to keep it from happening"),
    ("GPU is lost", Status::Broken, "the GPU fell off the bus: restart the machine, and look for Xid in `dmesg`"),
];

/// CUDA 13.0, as the driver counts.
const CUDA_NEEDED: u32 = 13000;

/// The driver, by what its library answers.
pub fn driver(fingerprint: &Fingerprint) -> Check {
    let name = "NVIDIA driver";
    if let Some(version) = fingerprint.value("driver.version") {
        return Check::new(name, Status::Ok, version);
    }
    let reason = reason(fingerprint, "driver.version");
    let row = DRIVER_REASONS
        .iter()
        .find(|(words, ..)| reason.contains(words));
    let (status, remedy) = row.map_or(
        (Status::Broken, "`nvidia-smi` may say more"),
        |(_, status, remedy)| (*status, *remedy),
    );
    Check::new(name, status, reason).remedy(remedy)
}

/// Whether the driver can run the CUDA that libtorch 2.11 was built with.
pub fn driver_is_new_enough(fingerprint: &Fingerprint) -> Check {
    let name = "driver for CUDA 13.0";
    let Some(found) = fingerprint
        .value("driver.cuda")
        .and_then(|it| it.parse::<u32>().ok())
    else {
        return Check::new(name, Status::Missing, reason(fingerprint, "driver.cuda"));
    };
    let words = format!("runs CUDA up to {}.{}", found / 1000, found % 1000 / 10);
    if found >= CUDA_NEEDED {
        return Check::new(name, Status::Ok, words);
    }
    Check::new(name, Status::Broken, words)
        .remedy("install driver 580 or newer, or on data-centre GPUs the package cuda-compat-13-0")
}

/// Whether the cuDNN that runs is the one libtorch was compiled for.
pub fn cudnn(fingerprint: &Fingerprint) -> Check {
    let (compiled, running) = ("cudnn.compiled", "cudnn.running");
    match (fingerprint.value(compiled), fingerprint.value(running)) {
        (Some(compiled), Some(running)) if compiled == running => {
            Check::new("cuDNN", Status::Ok, running)
        }
        (Some(compiled), Some(running)) => {
            let detail = format!("{running} is running, libtorch was compiled for {compiled}");
            Check::new("cuDNN", Status::Broken, detail)
                .remedy("LD_LIBRARY_PATH leads to another cuDNN: unset it")
        }
        _ => Check::new("cuDNN", Status::Missing, reason(fingerprint, running)),
    }
}

/// How many GPUs libtorch sees, against how many there are.
pub fn count(fingerprint: &Fingerprint) -> Check {
    let number = |key: &str| {
        fingerprint
            .value(key)
            .and_then(|it| it.parse::<usize>().ok())
    };
    let (seen, there) = match (number("cuda.devices"), number("gpu.count")) {
        (Some(0) | None, Some(0) | None) => {
            return Check::new("GPUs", Status::Missing, "none: everything runs on the CPU");
        }
        (Some(seen), Some(there)) => (seen, there),
        (Some(seen), None) => {
            let why = reason(fingerprint, "gpu.count");
            return Check::new(
                "GPUs",
                Status::Ok,
                format!("libtorch sees {seen}; NVML: {why}"),
            );
        }
        (None, Some(there)) => {
            let why = reason(fingerprint, "cuda.devices");
            return Check::new(
                "GPUs",
                Status::Ok,
                format!("NVML sees {there}; libtorch: {why}"),
            );
        }
    };
    let visible = fingerprint.value("env.CUDA_VISIBLE_DEVICES");
    let mig =
        (0..there).any(|gpu| fingerprint.value(&format!("gpu.{gpu}.mig.enabled")) == Some("true"));
    let models: Vec<_> = (0..there)
        .filter_map(|gpu| fingerprint.value(&format!("gpu.{gpu}.name")))
        .collect();
    let detail = format!("libtorch sees {seen}, NVML {there}: {}", models.join(", "));
    if seen == there {
        return Check::new("GPUs", Status::Ok, detail);
    }
    if let Some(visible) = visible {
        let detail = format!("{detail}; CUDA_VISIBLE_DEVICES={visible:?} decides");
        return Check::new("GPUs", Status::Warning, detail)
            .remedy("unset CUDA_VISIBLE_DEVICES to use all");
    }
    if mig {
        return Check::new("GPUs", Status::Warning, format!("{detail}; MIG is on"))
            .remedy("name one slice in CUDA_VISIBLE_DEVICES: a process can use only one");
    }
    let remedy = match fingerprint.value("cuda.library") {
        Some(_) => "`nvidia-smi` may say why; the driver must be new enough for CUDA 13.0",
        None => "run `scripts/libtorch --cuda`",
    };
    Check::new("GPUs", Status::Broken, detail).remedy(remedy)
}

/// Signs that a GPU itself is at fault; one check for each GPU.
pub fn health(fingerprint: &Fingerprint) -> Vec<Check> {
    const SIGNS: &[(&str, &str)] = &[
        (
            "ecc.volatile.uncorrected",
            "memory errors since the driver was loaded that were not corrected",
        ),
        (
            "remapped_rows.pending",
            "memory rows wait for a reset to be remapped",
        ),
        ("remapped_rows.failure", "memory rows could not be remapped"),
        (
            "retired_pages.pending",
            "memory pages wait for a reset to be retired",
        ),
        ("clock.offset.graphics", "overclocked cores"),
        ("clock.offset.memory", "overclocked memory"),
    ];
    let there = fingerprint
        .value("gpu.count")
        .and_then(|it| it.parse().ok())
        .unwrap_or(0);
    let examined = |gpu: usize| {
        let name = format!("GPU {gpu}");
        let fact = |key: &str| fingerprint.value(&format!("gpu.{gpu}.{key}"));
        let shows = |key: &str| fact(key).is_some_and(|value| value != "0" && value != "false");
        let mut signs: Vec<String> = SIGNS
            .iter()
            .filter(|(key, _)| shows(key))
            .map(|(key, meaning)| format!("{meaning} ({key}: {})", fact(key).unwrap_or_default()))
            .collect();
        if fact("throttled_by")
            .is_some_and(|it| it.contains("hw_slowdown") || it.contains("thermal"))
        {
            signs.push(format!(
                "slowed down by {}",
                fact("throttled_by").unwrap_or_default()
            ));
        }
        if signs.is_empty() {
            return Check::new(&name, Status::Ok, "no sign of a hardware fault");
        }
        Check::new(&name, Status::Warning, signs.join("; ")).remedy(
            "suspect the hardware before the software: reset the GPU, or compare on another one",
        )
    };
    (0..there).map(examined).collect()
}
