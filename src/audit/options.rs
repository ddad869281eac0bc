//! What is asked of an audit, and what it needs from the world.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::dtype::Dtype;
use crate::knob::Mode;
use crate::process::Signals;
use crate::recorder::Ops;
use crate::spec::{Inject, Inputs, Isolation};
use crate::tolerance::Tolerance;

/// How to audit.
#[derive(Debug, Clone)]
pub struct Options {
    /// Runs, the reference included; at least 2.
    pub runs: usize,
    /// The seed of every run.
    pub seed: u64,
    /// Optimiser iterations, if not the workload's own number.
    pub steps: Option<u64>,
    /// Samples in a batch, if not the workload's own number.
    pub batch: Option<u64>,
    /// Floating-point type of the model.
    pub dtype: Dtype,
    /// `cpu`, `cuda` or `cuda:N`.
    pub device: String,
    /// Threads of one op on the CPU.
    pub threads: u32,
    /// What libtorch does at an op without a deterministic implementation.
    pub mode: Mode,
    /// Knobs set by hand.
    pub knobs: BTreeMap<String, String>,
    /// How runs are kept apart.
    pub isolation: Isolation,
    /// The longest that one run may take.
    pub timeout: Option<Duration>,
    /// When two values count as the same.
    pub tolerance: Tolerance,
    /// A bit to flip in every candidate.
    pub inject: Option<Inject>,
    /// Whether to prove that recording changes nothing, by one more run.
    pub prove_observer: bool,
    /// Where traces stay; otherwise they go when the verdict is there.
    pub keep: Option<PathBuf>,
    /// Files of the user's own.
    pub inputs: Inputs,
    /// Whether the op is to be named where runs part.
    pub ops: Option<Ops>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            runs: 2,
            seed: 0,
            steps: None,
            batch: None,
            dtype: Dtype::Float32,
            device: "cpu".into(),
            threads: std::thread::available_parallelism()
                .map_or(1, |n| u32::try_from(n.get()).unwrap_or(1)),
            mode: Mode::Strict,
            knobs: BTreeMap::new(),
            isolation: Isolation::Fresh,
            timeout: Some(Duration::from_hours(1)),
            tolerance: Tolerance::Bitwise,
            inject: None,
            prove_observer: false,
            keep: None,
            inputs: Inputs::default(),
            ops: None,
        }
    }
}

/// A workload by name, with the numbers used where the options give none.
#[derive(Debug, Clone)]
pub struct Named {
    /// Its name; children look it up.
    pub name: String,
    /// Optimiser iterations.
    pub steps: u64,
    /// Samples in a batch.
    pub batch: u64,
}

/// What an audit needs from the world: how to start a child that serves [`crate::child::Order`]s, signals, and an ear.
pub struct World<'a> {
    /// The command line of a child.
    pub argv: Vec<OsString>,
    /// Signals that end the audit.
    pub signals: Signals,
    /// Told what is going on, a line at a time.
    pub progress: &'a mut dyn FnMut(&str),
}
