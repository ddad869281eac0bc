//! The child's side of an audit: reads what to run from standard input, runs it, and says on standard output how it went.
//! Pipes, not files, so that a full disk cannot hide the reason.

use std::io::{Read, Write};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Failure, Result};
use crate::process::{Signal, die_with_parent};
use crate::run::run;
use crate::spec::Spec;
use crate::workload::Workload;

/// Set to the workload's name in the environment of children, and nowhere else.
pub const VARIABLE: &str = "SAMEBITS_CHILD";
/// The first argument of a child of the command line's.
pub const WORD: &str = "audit-run";
/// What the child's answer starts with, after anything the workload itself printed.
const MARK: &str = "samebits-answer: ";

/// What a child is to do.
#[derive(Debug, Serialize, Deserialize)]
pub struct Order {
    /// The parent's process id.
    pub parent: u32,
    /// The runs, one after another in this process.
    pub specs: Vec<Spec>,
}

/// How it went.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Done,
    Failed(Failure),
}

/// The workload that this process was started to run, if it was started as a child.
#[must_use]
pub fn asked_for() -> Option<String> {
    std::env::var(VARIABLE).ok()
}

/// Does what the order on `input` says, with workloads found by `find`, and writes the answer to `output`. Returns the
/// exit code.
pub fn serve<'a>(
    find: impl Fn(&str) -> Result<&'a dyn Workload>,
    mut input: impl Read,
    mut output: impl Write,
) -> u8 {
    let mut text = String::new();
    let done = input
        .read_to_string(&mut text)
        .map_err(|e| Error::Usage(format!("the order could not be read: {e}")))
        .and_then(|_| {
            serde_json::from_str(&text).map_err(|e| {
                Error::Usage(format!(
                    "not an order ({e}): {VARIABLE} marks children of samebits; unset it"
                ))
            })
        })
        .and_then(|order: Order| {
            die_with_parent(order.parent, Signal::SIGKILL)?;
            order
                .specs
                .iter()
                .try_for_each(|spec| run(find(&spec.workload)?, spec))
        });
    let (answer, code) = match done {
        Ok(()) => (Answer::Done, 0),
        Err(error) => (Answer::Failed(error.to_failure()), 2),
    };
    let line = serde_json::to_string(&answer).unwrap_or_default();
    // If the parent is gone there is nobody to tell.
    let _ = writeln!(output, "\n{MARK}{line}").and_then(|()| output.flush());
    code
}

/// Reads a child's answer out of its standard output: `None` when it gave none, because it died.
#[must_use]
pub fn answer(stdout: &[u8]) -> Option<std::result::Result<(), Failure>> {
    let text = String::from_utf8_lossy(stdout);
    let line = text
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix(MARK))?;
    match serde_json::from_str(line).ok()? {
        Answer::Done => Some(Ok(())),
        Answer::Failed(failure) => Some(Err(failure)),
    }
}
