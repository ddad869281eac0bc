//! [`Workload`]: a training program under test.

use super::record::Recorder;
use samebits::error::Result;

/// A training program: model, data and loop.
pub trait Workload {
    /// Its name, unique among the workloads of a program.
    fn name(&self) -> &str;

    /// One full run. Everything random comes from [`Recorder::stream`] or from libtorch's generators, which were seeded
    /// before; every tensor that matters is handed to the recorder, most simply by [`super::trainer::Trainer`].
    ///
    /// Panics of tch's are turned into errors by the caller.
    ///
    /// # Errors
    /// When data cannot be read, libtorch fails, or the trace cannot be written.
    fn train(&self, recorder: &mut Recorder) -> Result<()>;
}
