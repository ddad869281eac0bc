//! What an audit and the processes that train for it say to each other: the order on standard input, the answer on standard
//! output. Pipes, not files, so that a full disk cannot hide the reason.

use serde::{Deserialize, Serialize};

use crate::error::Failure;
use crate::spec::Spec;

/// Set to the workload's name in the environment of children, and nowhere else.
pub const VARIABLE: &str = "SAMEBITS_CHILD";
/// The first argument of a child of the command line's.
pub const WORD: &str = "audit-run";
/// What the child's answer starts with, after anything the workload itself printed.
pub const MARK: &str = "samebits-answer: ";

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
pub enum Answer {
    /// It trained to the end.
    Done,
    /// It did not, and why.
    Failed(Failure),
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
