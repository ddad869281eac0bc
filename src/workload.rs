//! [`Workload`]: a training program under test, and the table of those built in. Not: models (one file each below).

use crate::error::{Error, Result};
use crate::record::Recorder;

pub mod cnn;
mod digits;
pub mod gather;
pub mod loss;
pub mod lstm;
pub mod mlp;
mod text;
pub mod torchscript;
pub mod transformer;

/// A training program: model, data and loop.
pub trait Workload {
    /// Its name, unique among the workloads of a program.
    fn name(&self) -> &str;

    /// One full run. Everything random comes from [`Recorder::stream`] or from libtorch's generators, which were seeded
    /// before; every tensor that matters is handed to the recorder, most simply by [`crate::train::Trainer`].
    ///
    /// Panics of tch's are turned into errors by the caller.
    ///
    /// # Errors
    /// When data cannot be read, libtorch fails, or the trace cannot be written.
    fn train(&self, recorder: &mut Recorder) -> Result<()>;
}

/// One row of the table of built-in workloads.
pub struct BuiltIn {
    /// The workload.
    pub workload: &'static (dyn Workload + Sync),
    /// What it is, in one line.
    pub summary: &'static str,
    /// Steps when nobody asks for another number.
    pub steps: u64,
    /// Samples in a batch when nobody asks for another number.
    pub batch: u64,
    /// Whether `samebits audit` runs it when no workload is named.
    pub by_default: bool,
}

/// Every built-in workload.
pub const BUILT_IN: &[BuiltIn] = &[
    BuiltIn {
        workload: &mlp::Mlp,
        summary: "two dense layers with dropout on 1,797 real handwritten digits, SGD with momentum",
        steps: 150,
        batch: 64,
        by_default: true,
    },
    BuiltIn {
        workload: &cnn::Cnn,
        summary: "convolutions with batch normalisation, max pooling and dropout on the same digits, Adam",
        steps: 300,
        batch: 64,
        by_default: true,
    },
    BuiltIn {
        workload: &lstm::Lstm,
        summary: "two recurrent layers that learn the next character of a real text, Adam",
        steps: 150,
        batch: 32,
        by_default: true,
    },
    BuiltIn {
        workload: &transformer::Transformer,
        summary: "a GPT of four blocks that learns the next character of a real text, AdamW",
        steps: 80,
        batch: 16,
        by_default: true,
    },
    BuiltIn {
        workload: &gather::Gather,
        summary: "a table looked up by a million indices, whose gradient libtorch adds up in any order unless told not to, Adam",
        steps: 15,
        batch: 1_000_000,
        by_default: true,
    },
    BuiltIn {
        workload: &torchscript::TorchScript,
        summary: "a TorchScript model of your own (--model, --batch-file, --loss), Adam",
        steps: 50,
        batch: 1,
        by_default: false,
    },
];

/// The built-in workload called `name`.
///
/// # Errors
/// When there is none.
pub fn find(name: &str) -> Result<&'static BuiltIn> {
    BUILT_IN
        .iter()
        .find(|row| row.workload.name() == name)
        .ok_or_else(|| {
            let names: Vec<_> = BUILT_IN.iter().map(|row| row.workload.name()).collect();
            Error::Usage(format!(
                "there is no workload called {name}; one of: {}",
                names.join(", ")
            ))
        })
}
