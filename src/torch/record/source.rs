//! Tensors on their way into a trace: their bytes, or the sums of their digests while these are on a GPU.

use tch::Tensor;

use crate::ffi::{self, Logical};
use samebits::digest::Digest;
use samebits::error::Result;
use samebits::trace::{Entry, INLINE, Key};

/// A tensor to record.
pub(super) struct Source {
    pub(super) key: Key,
    pub(super) description: ffi::Description,
    pub(super) content: Content,
    /// Whether its values go into the trace.
    pub(super) keep: bool,
}

pub(super) enum Content {
    Cpu(Logical),
    /// With the bit of `--inject` flipped.
    Altered(Vec<u8>),
    /// The sums of the digest, on their way.
    OnDevice(Tensor),
}

impl Source {
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        match &self.content {
            Content::Cpu(logical) => Some(logical.bytes()),
            Content::Altered(bytes) => Some(bytes),
            Content::OnDevice(_) => None,
        }
    }
}

/// The entries of those whose bytes are at hand, on all cores where there is enough to do.
pub(super) fn digest_all(sources: &[Source]) -> Result<Vec<Option<Entry>>> {
    /// Bytes below which waking other threads costs more than it saves.
    const WORTH: u64 = 64 << 10;
    // Tensors cannot be shared between threads, their bytes can.
    let jobs: Vec<_> = sources
        .iter()
        .map(|source| {
            (
                &source.key,
                &source.description,
                source.bytes(),
                source.keep,
            )
        })
        .collect();
    let digest = |at: usize| {
        let (key, description, bytes, keep) = jobs[at];
        let (key, dtype, shape) = (key.clone(), description.dtype, &description.shape);
        bytes.map(|bytes| {
            // A summary costs another look at every element: only where values are kept, as on a GPU.
            if keep || description.bytes <= INLINE {
                Entry::of(key, dtype, shape, bytes)
            } else {
                Entry::of_digest(key, dtype, shape, Digest::of(dtype, shape, bytes))
            }
        })
    };
    if sources
        .iter()
        .map(|source| source.description.bytes)
        .sum::<u64>()
        < WORTH
    {
        return Ok((0..jobs.len()).map(digest).collect());
    }
    ffi::on_all_threads(jobs.len(), digest)
}

/// Brings digests from the GPU: two numbers each.
pub(super) fn fetch(lanes: &[Tensor]) -> Result<Vec<i64>> {
    if lanes.is_empty() {
        return Ok(Vec::new());
    }
    Tensor::f_stack(lanes, 0)
        .and_then(|stacked| stacked.f_to_device(tch::Device::Cpu))
        .and_then(|stacked| stacked.f_view([-1]))
        .and_then(Vec::<i64>::try_from)
        .map_err(|e| ffi::tch_failure("fetching digests from the GPU", &e))
}
