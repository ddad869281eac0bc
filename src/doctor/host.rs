//! Processor, threads, environment, and what else the commands need of the machine.

use std::ffi::OsString;
use std::path::Path;

use super::{Check, Status, reason};
use crate::fingerprint::{Fingerprint, rule};

/// Free space below which traces of ordinary workloads may not fit.
const ENOUGH_SPACE: u64 = 1 << 30;

/// Variables that change results while every switch of libtorch reads as if nothing were the matter, each with the
/// values that change nothing or are the safe choice, in lower case.
#[rustfmt::skip]
const SILENT: &[(&str, &[&str])] = &[
    ("NVIDIA_TF32_OVERRIDE", &[]),
    ("TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", &["0"]),
    ("PYTORCH_TUNABLEOP_ENABLED", &["0"]),
    ("PYTORCH_TUNABLEOP_TUNING", &["0"]),
    ("DISABLE_ADDMM_CUDA_LT", &["0"]),
    ("ATEN_CPU_CAPABILITY", &[]),
    ("MKL_CBWR", &["auto", "off"]),
    ("MKL_ENABLE_INSTRUCTIONS", &[]),
    ("MKL_DYNAMIC", &["false", "0"]),
    ("OMP_DYNAMIC", &["false", "0"]),
    ("ONEDNN_DEFAULT_FPMATH_MODE", &["strict"]),
    ("DNNL_DEFAULT_FPMATH_MODE", &["strict"]),
    ("ONEDNN_MAX_CPU_ISA", &["all", "default"]),
    ("DNNL_MAX_CPU_ISA", &["all", "default"]),
    ("GLIBC_TUNABLES", &[]),
    ("LD_PRELOAD", &[]),
];

/// Which kernels libtorch uses on this processor.
pub fn capability(fingerprint: &Fingerprint) -> Check {
    let name = "CPU capability";
    let Some(found) = fingerprint.value("cpu.capability") else {
        return Check::new(name, Status::Missing, reason(fingerprint, "cpu.capability"));
    };
    match fingerprint.value("env.ATEN_CPU_CAPABILITY") {
        Some(asked) if !asked.eq_ignore_ascii_case(found) => {
            let detail = format!("{found}, although ATEN_CPU_CAPABILITY={asked}");
            Check::new(name, Status::Broken, detail)
                .remedy("this processor or libtorch does not know that value: unset it")
        }
        Some(_) => Check::new(
            name,
            Status::Ok,
            format!("{found}, as ATEN_CPU_CAPABILITY asks"),
        ),
        None => Check::new(name, Status::Ok, found),
    }
}

/// Whether the threads fit what the control group and the affinity allow.
pub fn threads(fingerprint: &Fingerprint) -> Check {
    let number = |key: &str| fingerprint.value(key).and_then(|it| it.parse::<f64>().ok());
    let usable = number("cpu.usable").unwrap_or(f64::INFINITY);
    let allowed = number("cgroup.cpu_limit")
        .unwrap_or(f64::INFINITY)
        .min(usable);
    let threads = number("threads.intraop")
        .or_else(|| number("cpu.usable"))
        .unwrap_or(0.0);
    let limit = |key: &str| match fingerprint.value(key) {
        Some(value) => value.to_owned(),
        None => reason(fingerprint, key),
    };
    let detail = format!(
        "{threads} threads, {usable} CPUs; limits of the control group: CPUs {}, memory {}",
        limit("cgroup.cpu_limit"),
        limit("cgroup.memory_limit")
    );
    if threads <= allowed.ceil() {
        return Check::new("threads", Status::Ok, detail);
    }
    let fitting = allowed.ceil().max(1.0);
    Check::new("threads", Status::Warning, detail).remedy(format!(
        "slow, not wrong; {fitting} would fit, but another number gives other bits: change it in all runs alike"
    ))
}

/// Two OpenMP runtimes in one process each bring their threads, and which one serves a loop depends on load order.
pub fn openmp(fingerprint: &Fingerprint) -> Check {
    let runtimes: Vec<&str> = ["libgomp.so", "libiomp5.so", "libomp.so"]
        .iter()
        .filter_map(|name| fingerprint.value(&format!("path.{name}")))
        .flat_map(|paths| paths.split(' '))
        .collect();
    match runtimes.as_slice() {
        [] => Check::new("OpenMP", Status::Missing, "no runtime is loaded"),
        [one] => Check::new("OpenMP", Status::Ok, *one),
        several => Check::new("OpenMP", Status::Warning, several.join(" and "))
            .remedy("load one only: look at LD_PRELOAD and LD_LIBRARY_PATH"),
    }
}

/// Variables that change bits behind libtorch's back.
pub fn environment(fingerprint: &Fingerprint) -> Check {
    let mut set = Vec::new();
    for (name, harmless) in SILENT {
        match fingerprint.value(&format!("env.{name}")) {
            Some(value) if !harmless.contains(&value.to_lowercase().as_str()) => {
                set.push((*name, value));
            }
            _ => {}
        }
    }
    let lines: Vec<_> = set
        .iter()
        .map(|(name, value)| format!("{name}={value}: {}", rule(&format!("env.{name}")).1))
        .collect();
    if lines.is_empty() {
        return Check::new(
            "environment",
            Status::Ok,
            "no variable is set that changes bits unseen",
        );
    }
    let names: Vec<_> = set.iter().map(|(name, _)| *name).collect();
    Check::new("environment", Status::Warning, lines.join("\n")).remedy(format!(
        "unset {}, unless you mean it: it is the same in all runs then",
        names.join(" ")
    ))
}

/// Whether traces can be written.
pub fn temporary_folder(folder: &Path) -> Check {
    let name = "temporary folder";
    let remedy = "set TMPDIR to a folder with space in which you may write";
    if let Err(error) = tempfile::tempfile_in(folder) {
        let detail = format!("{}: {}", folder.display(), error.kind());
        return Check::new(name, Status::Broken, detail).remedy(remedy);
    }
    match nix::sys::statvfs::statvfs(folder) {
        Ok(found) => {
            let free = found.blocks_available() * found.fragment_size();
            let detail = format!("{}: {} MiB free", folder.display(), free >> 20);
            if free >= ENOUGH_SPACE {
                return Check::new(name, Status::Ok, detail);
            }
            Check::new(name, Status::Warning, detail).remedy(remedy)
        }
        Err(error) => Check::new(
            name,
            Status::Warning,
            format!("{}: {error}", folder.display()),
        ),
    }
}

/// A C++ compiler, which the per-op recorder needs for programs with a libtorch of their own.
pub fn compiler(asked: Option<OsString>, path: Option<OsString>) -> Check {
    let name = "C++ compiler";
    let names: Vec<OsString> = match asked {
        Some(asked) => vec![asked],
        None => ["c++", "g++", "clang++"].map(OsString::from).to_vec(),
    };
    let path = path.unwrap_or_default();
    let folders: Vec<_> = std::env::split_paths(&path).collect();
    let mut candidates = names
        .iter()
        .flat_map(|name| folders.iter().map(move |it| it.join(name)));
    match candidates.find(|file| file.is_file()) {
        Some(found) => Check::new(name, Status::Ok, found.display().to_string()),
        None => Check::new(name, Status::Missing, "none of c++, g++, clang++ is on the PATH")
            .remedy("install one (`apt install g++`) to name the op where other programs part; nothing else needs it"),
    }
}
