//! What libtorch says of itself, for fingerprints.

use crate::ffi::{self, Cuda};
use samebits::error::Error;
use samebits::fingerprint::{self, CudaHalf, Libtorch};

/// libtorch's versions, build and threads, and what became of its CUDA half.
#[must_use]
pub fn libtorch() -> Libtorch {
    // First: whoever asks about CUDA before it is loaded is told that there is none, for the life of the process.
    let cuda = match ffi::wake_cuda() {
        Cuda::Loaded => CudaHalf::Loaded,
        Cuda::Absent(reason) => CudaHalf::Absent(reason.clone()),
        Cuda::Failed(reason) => CudaHalf::Failed(reason.clone()),
    };
    let answers = ffi::facts().map_err(|error| match error {
        Error::Torch { message, .. } => message,
        other => other.to_string(),
    });
    Libtorch {
        answers,
        cuda,
        libraries: fingerprint::libraries(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_build_id_of_our_own_libtorch_is_found() {
        let facts = libtorch().libraries;
        let id = facts["library.libtorch_cpu.so"]
            .value()
            .expect("libtorch_cpu has a build id");
        assert!(
            id.len() >= 16 && id.chars().all(|c| c.is_ascii_hexdigit()),
            "{id}"
        );
    }
}
