//! The software stack from this program down to the GPUs, as facts.

use super::{Fact, Facts, fact};
use crate::error::Error;
use crate::ffi::{nvml, torch};

/// This program, and which of its parts it was built with.
pub fn own() -> Facts {
    let version = env!("CARGO_PKG_VERSION");
    let features = [
        ("torch", cfg!(feature = "torch")),
        ("nvml", cfg!(feature = "nvml")),
    ];
    let features = features.map(|(name, on)| (format!("samebits.{name}"), on.to_string().into()));
    let mut facts = Facts::from(features);
    facts.insert("samebits.version".into(), version.into());
    facts
}

/// What libtorch calls a fact, and what it is called here.
const TORCH_FACTS: &[(&str, &str)] = &[
    ("version", "libtorch.version"),
    ("show_config", "libtorch.build"),
    ("mkl", "libtorch.mkl"),
    ("mkldnn", "libtorch.mkldnn"),
    ("openmp", "libtorch.openmp"),
    ("cpu_capability", "cpu.capability"),
    ("has_cuda", "cuda.available"),
    ("cuda_devices", "cuda.devices"),
    ("cudart", "cuda.runtime"),
    ("cudnn_compiled", "cudnn.compiled"),
    ("cudnn_running", "cudnn.running"),
];

/// Lines of `at::get_parallel_info()`, and what they are called here.
const THREAD_FACTS: &[(&str, &str)] = &[
    ("at::get_num_threads()", "threads.intraop"),
    ("at::get_num_interop_threads()", "threads.interop"),
    ("omp_get_max_threads()", "threads.openmp"),
    ("mkl_get_max_threads()", "threads.mkl"),
    ("std::thread::hardware_concurrency()", "threads.hardware"),
    ("ATen parallel backend", "threads.backend"),
];

/// libtorch, its threads and the CUDA libraries it brings.
pub fn torch() -> Facts {
    let answers = torch::facts().map_err(|error| match error {
        Error::Torch { message, .. } => message,
        other => other.to_string(),
    });
    let ask = |name: &str| -> std::result::Result<String, String> {
        let answers = answers.as_ref().map_err(Clone::clone)?;
        let found = answers.iter().find(|(found, _)| found == name);
        let (_, answer) = found.ok_or("libtorch was not asked")?;
        // libtorch explains itself at length; the first sentence is the reason.
        let brief = |reason: &String| reason.split(". ").next().unwrap_or_default().to_owned();
        answer.clone().map_err(|reason| brief(&reason))
    };
    let parallel = ask("parallel_info");
    let threads = |line: &str| -> std::result::Result<String, String> {
        let lines = parallel.as_ref().map_err(Clone::clone)?.lines();
        let mut pairs = lines.filter_map(|it| it.rsplit_once(':'));
        let found = pairs.find(|(name, _)| name.trim() == line);
        Ok(found
            .ok_or("not part of this libtorch")?
            .1
            .trim()
            .to_owned())
    };
    let mut facts = Facts::new();
    for (name, key) in TORCH_FACTS {
        let answer = ask(name).map(|value| without_capability(value.trim()));
        facts.insert((*key).into(), fact(answer));
    }
    for (line, key) in THREAD_FACTS {
        facts.insert((*key).into(), fact(threads(line)));
    }
    let cuda = match torch::wake_cuda() {
        torch::Cuda::Loaded => Ok("loaded".into()),
        torch::Cuda::Absent(reason) | torch::Cuda::Failed(reason) => Err(reason.clone()),
    };
    facts.insert("cuda.library".into(), fact(cuda));
    facts
}

/// The NVIDIA driver and its GPUs, sorted by PCI bus id.
pub fn driver(driver: std::result::Result<nvml::Driver, String>) -> Facts {
    let mut facts = Facts::new();
    let driver = match driver {
        Ok(driver) => driver,
        Err(reason) => {
            let keys = ["driver.version", "driver.cuda", "gpu.count"];
            return keys
                .map(|key| (key.into(), Fact::absent(reason.clone())))
                .into();
        }
    };
    for (name, answer) in driver.facts {
        facts.insert(format!("driver.{name}"), fact(answer));
    }
    facts.insert("gpu.count".into(), driver.gpus.len().to_string().into());
    for (index, gpu) in driver.gpus.into_iter().enumerate() {
        match gpu {
            Err(reason) => {
                facts.insert(format!("gpu.{index}.name"), Fact::absent(reason));
            }
            Ok(gpu) => {
                facts.insert(format!("gpu.{index}.bus_id"), fact(gpu.bus_id));
                facts.insert(format!("gpu.{index}.uuid"), fact(gpu.uuid));
                for (name, answer) in gpu.facts {
                    facts.insert(format!("gpu.{index}.{name}"), fact(answer));
                }
            }
        }
    }
    facts
}

/// libtorch's description of its build without the line that repeats `cpu.capability`, which is not part of the build.
fn without_capability(text: &str) -> String {
    let lines = text.lines();
    let kept: Vec<_> = lines
        .filter(|line| !line.contains("CPU capability usage"))
        .collect();
    kept.join("\n")
}
