//! The software stack from this program down to the GPUs, as facts.

use serde::{Deserialize, Serialize};

use super::{Fact, Facts, fact};
use crate::ffi::nvml;

/// This program.
pub fn own() -> Facts {
    let version = env!("CARGO_PKG_VERSION");
    Facts::from([("samebits.version".into(), version.into())])
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

/// Answers by name, each a value or the reason why there is none.
pub type Answers = Vec<(String, std::result::Result<String, String>)>;

/// What libtorch says of itself, as a process that links it answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Libtorch {
    /// The answers, or the reason why nothing was answered.
    pub answers: std::result::Result<Answers, String>,
    /// What became of its CUDA half.
    pub cuda: CudaHalf,
    /// The builds of the libraries that its process has loaded.
    pub libraries: Facts,
}

/// What became of the attempt to load libtorch's CUDA half.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CudaHalf {
    /// Loaded; whether there is a GPU is another question.
    Loaded,
    /// This libtorch is built for CPUs only.
    Absent(String),
    /// There, but the dynamic linker refused it, for this reason.
    Failed(String),
}

/// libtorch, its threads and the CUDA libraries it brings.
pub fn torch(libtorch: &std::result::Result<Libtorch, String>) -> Facts {
    let ask = |name: &str| -> std::result::Result<String, String> {
        let libtorch = libtorch.as_ref().map_err(Clone::clone)?;
        let answers = libtorch.answers.as_ref().map_err(Clone::clone)?;
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
    let cuda = match libtorch {
        Err(reason) => Err(reason.clone()),
        Ok(libtorch) => match &libtorch.cuda {
            CudaHalf::Loaded => Ok("loaded".into()),
            CudaHalf::Absent(reason) | CudaHalf::Failed(reason) => Err(reason.clone()),
        },
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
