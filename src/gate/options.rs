//! What a gate is asked for.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::claim;
use crate::error::{Error, Result};
use crate::knob::Mode;
use crate::process::Signals;
use crate::recorder::Ops;
use crate::rules::Rules;

/// More runs than anybody waits for.
const MOST_RUNS: usize = 10_000;

/// How often the command runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Runs {
    /// This often, whatever comes out.
    Exactly(usize),
    /// As often as needed to see, with this confidence, at least one divergence of a command that diverges in this share of
    /// its runs; stops at the first.
    Planned {
        /// Between 0 and 1, such as 0.95.
        confidence: f64,
        /// Between 0 and 1, such as 0.01.
        rate: f64,
    },
}

impl Runs {
    /// How many runs that is.
    ///
    /// # Errors
    /// When the numbers make no sense or too many runs.
    pub fn count(self) -> Result<usize> {
        let count = match self {
            Self::Exactly(count) => count,
            Self::Planned { confidence, rate } => {
                for (name, value) in [("--confidence", confidence), ("--rate", rate)] {
                    if !(value > 0.0 && value < 1.0) {
                        return Err(Error::Usage(format!("{name} {value}: between 0 and 1")));
                    }
                }
                claim::runs_needed(confidence, rate)
            }
        };
        if (1..=MOST_RUNS).contains(&count) {
            Ok(count)
        } else {
            Err(Error::Usage(format!("{count} runs: from 2 to {MOST_RUNS}")))
        }
    }
}

/// Where the command runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workdir {
    /// In a fresh copy of the working folder each time, at the same path.
    Copy,
    /// In the working folder itself; what a run created is moved away before the next one.
    Inplace,
}

impl Workdir {
    /// The word used in flags and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Inplace => "inplace",
        }
    }
}

/// Everything a gate is asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// The command and its arguments; `{out}` in them stands for the run's output folder.
    pub command: Vec<OsString>,
    /// How often it runs.
    pub runs: Runs,
    /// Patterns of the files to compare, relative to the working folder or below `{out}`; none: all that the runs wrote.
    pub artifacts: Vec<String>,
    /// What is compared in them, and how closely.
    pub rules: Rules,
    /// Patterns of numbers in the standard output.
    pub metrics: Vec<String>,
    /// Whether the standard output is compared as a whole.
    pub stdout: bool,
    /// Whether the standard error is compared as a whole.
    pub stderr: bool,
    /// Where it runs.
    pub workdir: Workdir,
    /// Paths that copies of the working folder lead to by links: data sets.
    pub links: Vec<PathBuf>,
    /// What libtorch does at an op without a deterministic implementation; `None`: what the program itself sets.
    pub mode: Option<Mode>,
    /// Threads of one op on the CPU; `None`: left alone.
    pub threads: Option<u32>,
    /// A seed for every generator of a Python program; `None`: seeding is the program's business.
    pub seed: Option<u64>,
    /// Values of `--set`.
    pub knobs: BTreeMap<String, String>,
    /// The longest that one run may take.
    pub timeout: Option<Duration>,
    /// The longest that all runs together may take.
    pub total_timeout: Option<Duration>,
    /// The folder that keeps what the runs wrote; it must not hold anything yet.
    pub keep: Option<PathBuf>,
    /// A file that gets the digests of this gate's result, to compare with later.
    pub record: Option<PathBuf>,
    /// Such a file, to compare the result with.
    pub reference: Option<PathBuf>,
    /// Whether the op is to be named where runs part.
    pub ops: Option<Ops>,
}

/// What a gate needs from its surroundings.
pub struct World<'a> {
    /// The binary of samebits, which supervises the command.
    pub program: PathBuf,
    /// Termination signals.
    pub signals: Signals,
    /// Gets a line for people now and then.
    pub progress: &'a mut dyn FnMut(&str),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_planned_so_that_a_rate_is_seen() {
        let planned = |confidence, rate| Runs::Planned { confidence, rate }.count();
        assert_eq!(planned(0.95, 0.1).unwrap(), 30);
        assert_eq!(planned(0.95, 0.01).unwrap(), 300);
        assert_eq!(planned(0.95, 0.2).unwrap(), 15);
        assert_eq!(planned(0.5, 0.9).unwrap(), 2);
        for (confidence, rate) in [
            (0.0, 0.1),
            (1.0, 0.1),
            (0.9, 0.0),
            (0.9, 1.0),
            (f64::NAN, 0.1),
            (0.999_999, 1e-9),
        ] {
            assert!(planned(confidence, rate).is_err(), "{confidence} {rate}");
        }
        assert!(Runs::Exactly(0).count().is_err());
    }
}
