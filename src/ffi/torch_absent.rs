//! Twin of `torch.rs` for builds without the feature `torch`: those of its functions that the torch-free part calls.

use crate::error::{Error, Result};

const REASON: &str = "this build has no libtorch";

/// What became of the attempt to load libtorch's CUDA half.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cuda {
    /// Loaded; whether there is a GPU is another question.
    Loaded,
    /// This libtorch is built for CPUs only.
    Absent(String),
    /// There, but the dynamic linker refused it, for this reason.
    Failed(String),
}

/// Loads libtorch's CUDA half: absent, here.
pub fn wake_cuda() -> &'static Cuda {
    static STATE: std::sync::OnceLock<Cuda> = std::sync::OnceLock::new();
    STATE.get_or_init(|| Cuda::Absent(REASON.into()))
}

/// libtorch's versions and build, by name.
///
/// # Errors
/// Always: there is no libtorch to ask.
pub fn facts() -> Result<Vec<(String, std::result::Result<String, String>)>> {
    Err(failure("asking for versions"))
}

/// How many CUDA devices libtorch sees.
///
/// # Errors
/// Always: there is no libtorch to ask.
pub fn cuda_devices() -> Result<i64> {
    Err(failure("counting CUDA devices"))
}

fn failure(doing: &str) -> Error {
    Error::Torch {
        doing: doing.into(),
        message: REASON.into(),
    }
}
