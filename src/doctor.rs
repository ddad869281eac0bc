//! What works here, what is missing and how to get it. Pure data out; [`text`] shows it to people.
//!
//! Nearly everything is read off the [`Fingerprint`], so that what the doctor says and what a report records agree.

mod gpu;
mod host;

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use crate::fingerprint::{CudaHalf, Fingerprint, Libtorch};

/// How a part of the stack is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Works.
    Ok,
    /// Works, but changes results or speed in a way that one should know about.
    Warning,
    /// Not there. Some commands do without it.
    Missing,
    /// There, but not working.
    Broken,
    /// Nobody has seen it work yet.
    Untried,
}

impl Status {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Missing => "missing",
            Self::Broken => "broken",
            Self::Untried => "untried",
        }
    }
}

/// One part of the stack, examined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Which part.
    pub name: String,
    /// How it is doing.
    pub status: Status,
    /// What was seen.
    pub detail: String,
    /// What to do about it, if anything.
    pub remedy: Option<String>,
}

impl Check {
    fn new(name: &str, status: Status, detail: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            status,
            detail: detail.into(),
            remedy: None,
        }
    }

    fn remedy(self, remedy: impl Into<String>) -> Self {
        Self {
            remedy: Some(remedy.into()),
            ..self
        }
    }
}

/// Examines everything, in the order in which parts depend on each other. `found` is what libtorch says of itself, or why there
/// is none.
#[must_use]
pub fn examine(found: &Result<Libtorch, String>) -> Vec<Check> {
    let fingerprint = Fingerprint::collect(found);
    let mut checks = vec![
        libtorch(&fingerprint),
        cuda_half(found.as_ref().map(|libtorch| &libtorch.cuda)),
        gpu::driver(&fingerprint),
        gpu::driver_is_new_enough(&fingerprint),
        gpu::cudnn(&fingerprint),
        gpu::count(&fingerprint),
    ];
    checks.extend(gpu::health(&fingerprint));
    checks.extend([
        host::capability(&fingerprint),
        host::threads(&fingerprint),
        host::openmp(&fingerprint),
        host::environment(&fingerprint),
        host::temporary_folder(&std::env::temp_dir()),
        host::compiler(std::env::var_os("CXX"), std::env::var_os("PATH")),
        Check::new(
            "CUDA",
            Status::Untried,
            "this project's tests have not run on a GPU yet",
        )
        .remedy("check a verdict on a GPU with `samebits audit` against a run of your own"),
    ]);
    checks
}

/// The libtorch that tch 0.24 and the shim are written for.
const LIBTORCH: &str = "2.11.";

fn libtorch(fingerprint: &Fingerprint) -> Check {
    let Some(version) = fingerprint.value("libtorch.version") else {
        return Check::new(
            "libtorch",
            Status::Missing,
            reason(fingerprint, "libtorch.version"),
        )
        .remedy(
            "run `scripts/libtorch` and build with default features; every command but `audit` works without",
        );
    };
    if version.starts_with(LIBTORCH) {
        Check::new("libtorch", Status::Ok, version)
    } else {
        Check::new(
            "libtorch",
            Status::Broken,
            format!("{version} is loaded, {LIBTORCH}x is needed"),
        )
        .remedy("unset LIBTORCH and LD_LIBRARY_PATH, then run `scripts/libtorch`")
    }
}

fn cuda_half(cuda: Result<&CudaHalf, &String>) -> Check {
    let name = "libtorch for CUDA";
    match cuda {
        Err(reason) => Check::new(name, Status::Missing, reason),
        Ok(CudaHalf::Loaded) => Check::new(name, Status::Ok, "libtorch_cuda.so is loaded"),
        Ok(CudaHalf::Absent(reason)) => Check::new(name, Status::Missing, reason)
            .remedy("run `scripts/libtorch --cuda`, nothing has to be built again; of the Docker image, take the target `cuda`"),
        Ok(CudaHalf::Failed(reason)) => Check::new(name, Status::Broken, reason)
            .remedy("run `scripts/libtorch --cuda`, which brings the libraries it needs"),
    }
}

/// Why a fact is absent.
fn reason(fingerprint: &Fingerprint, key: &str) -> String {
    match fingerprint.facts.get(key) {
        Some(crate::fingerprint::Fact::Absent { absent }) => absent.clone(),
        Some(crate::fingerprint::Fact::Value(value)) => value.clone(),
        None => "not asked".into(),
    }
}

/// One line a check, with the remedy below it.
#[must_use]
pub fn text(checks: &[Check]) -> String {
    let widest = checks
        .iter()
        .map(|check| check.name.len())
        .max()
        .unwrap_or(0);
    let mut out = String::new();
    for check in checks {
        let (word, name, detail) = (check.status.word(), &check.name, &check.detail);
        for (number, line) in detail.lines().enumerate() {
            let (word, name) = if number == 0 {
                (word, name.as_str())
            } else {
                ("", "")
            };
            let _ = writeln!(out, "{word:7}  {name:widest$}  {line}");
        }
        if let Some(remedy) = &check.remedy {
            let _ = writeln!(out, "{:7}  {:widest$}  → {remedy}", "", "");
        }
    }
    out
}

#[cfg(test)]
mod tests;
