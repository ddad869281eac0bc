//! The child's side of an audit: reads what to run from standard input, runs it, and says on standard output how it went.

use std::io::{Read, Write};

use super::run::run;
use super::workload::Workload;
use samebits::child::{Answer, MARK, Order, VARIABLE};
use samebits::error::{Error, Result};
use samebits::process::{Signal, die_with_parent};

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
