//! [`Spec`]: everything that decides one run, as it crosses from the parent to the child process. Not: doing anything.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::knob::{Mode, Plan};

/// One run of one workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// The workload's name.
    pub workload: String,
    /// The seed.
    pub seed: u64,
    /// Optimiser iterations.
    pub steps: u64,
    /// Samples in a batch.
    pub batch: u64,
    /// Floating-point type of the model.
    pub dtype: Dtype,
    /// Where tensors live: `cpu`, `cuda`, `cuda:0`.
    pub device: String,
    /// Threads of one op on the CPU.
    pub threads: u32,
    /// What libtorch does at an op without a deterministic implementation.
    pub mode: Mode,
    /// The knobs.
    pub plan: Plan,
    /// Files of the user's own.
    pub inputs: Inputs,
    /// What is recorded.
    pub capture: Capture,
    /// A bit to flip, if a person wants to see the alarm.
    pub inject: Option<Inject>,
    /// What the op recorder is told, if it is to record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorder: Option<String>,
    /// The trace's folder. It must not exist yet.
    pub out: PathBuf,
}

/// Files of the user's own that some workloads read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Inputs {
    /// A folder of IDX files, as MNIST has them.
    pub data: Option<PathBuf>,
    /// A `TorchScript` module.
    pub model: Option<PathBuf>,
    /// A safetensors file with `input` (or `input0`, `input1`, …) and `target`.
    pub batch: Option<PathBuf>,
    /// The loss between the model's output and the target, by name.
    pub loss: Option<String>,
}

/// What a run records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Capture {
    /// Digests everywhere, values at the last step.
    Digests,
    /// Digests everywhere, values from the first to the second step, both included, and at the last.
    Window(u64, u64),
    /// Digests and values everywhere.
    Values,
    /// Only the state after the last step: for proving that recording changes nothing.
    Final,
}

impl Capture {
    /// Whether values are kept at `step`; `last` is the last step's number.
    #[must_use]
    pub fn keeps_values(self, step: u64, last: u64) -> bool {
        match self {
            Self::Digests => step == last,
            Self::Window(from, to) => step == last || (from..=to).contains(&step),
            Self::Values | Self::Final => true,
        }
    }
}

/// How runs are kept apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    /// A process of its own for each run.
    Fresh,
    /// One process for all runs: a different experiment, with warm caches and a used allocator.
    Shared,
}

impl Isolation {
    /// The word used in flags and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Shared => "shared",
        }
    }
}

/// The lowest bit of one element, flipped in the candidate. `STEP:NAME:INDEX`, where STEP is a number or `init`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inject {
    /// `None` is the state after initialisation.
    pub step: Option<u64>,
    /// The entry's name.
    pub name: String,
    /// The element, counted in row-major order.
    pub index: u64,
}

impl std::str::FromStr for Inject {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::Usage(format!(
                "--inject {text}: STEP:NAME:INDEX expected, for example 3:conv1.weight:17"
            ))
        };
        let (step, rest) = text.split_once(':').ok_or_else(wrong)?;
        let (name, index) = rest.rsplit_once(':').ok_or_else(wrong)?;
        let step = if step == "init" {
            None
        } else {
            Some(step.parse().map_err(|_| wrong())?)
        };
        if name.is_empty() {
            return Err(wrong());
        }
        Ok(Self {
            step,
            name: name.into(),
            index: index.parse().map_err(|_| wrong())?,
        })
    }
}

impl std::fmt::Display for Inject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.step {
            Some(step) => write!(f, "{step}:{}:{}", self.name, self.index),
            None => write!(f, "init:{}:{}", self.name, self.index),
        }
    }
}
