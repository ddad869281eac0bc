//! The table of built-in workloads: what they are called and how long they train. What they do is in `training`, which needs
//! libtorch; this table does not.

use crate::error::{Error, Result};

/// One row of the table of built-in workloads.
pub struct BuiltIn {
    /// Its name.
    pub name: &'static str,
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
        name: "mlp",
        summary: "two dense layers with dropout on 1,797 real handwritten digits, SGD with momentum",
        steps: 150,
        batch: 64,
        by_default: true,
    },
    BuiltIn {
        name: "cnn",
        summary: "convolutions with batch normalisation, max pooling and dropout on the same digits, Adam",
        steps: 300,
        batch: 64,
        by_default: true,
    },
    BuiltIn {
        name: "lstm",
        summary: "two recurrent layers that learn the next character of a real text, Adam",
        steps: 150,
        batch: 32,
        by_default: true,
    },
    BuiltIn {
        name: "transformer",
        summary: "a GPT of four blocks that learns the next character of a real text, AdamW",
        steps: 80,
        batch: 16,
        by_default: true,
    },
    BuiltIn {
        name: "gather",
        summary: "a table looked up by a million indices, whose gradient libtorch adds up in any order unless told not to, Adam",
        steps: 15,
        batch: 1_000_000,
        by_default: true,
    },
    BuiltIn {
        name: "torchscript",
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
    BUILT_IN.iter().find(|row| row.name == name).ok_or_else(|| {
        let names: Vec<_> = BUILT_IN.iter().map(|row| row.name).collect();
        Error::Usage(format!(
            "there is no workload called {name}; one of: {}",
            names.join(", ")
        ))
    })
}
