//! What a command printed, as it stands in a file, and how it failed.

use std::fs;
use std::path::Path;

use crate::error::{Error, Result};
use crate::process::supervise::Outcome;

/// Of what a failed command said, this much is shown.
const LAST_WORDS: usize = 2000;
/// Of what a command printed, this much is looked at.
const LONGEST_OUTPUT: u64 = 64 << 20;

/// All of it.
pub(super) fn bytes(path: &Path) -> Result<Vec<u8>> {
    let length = fs::metadata(path)
        .map_err(|e| Error::io("read", path, e))?
        .len();
    if length > LONGEST_OUTPUT {
        return Err(Error::input(
            path,
            format!(
                "the command printed {length} bytes, and at most {LONGEST_OUTPUT} are compared; let it write a file"
            ),
        ));
    }
    fs::read(path).map_err(|e| Error::io("read", path, e))
}

/// The last lines of a file, in one line.
fn last_words(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    let tail = &bytes[bytes.len().saturating_sub(LAST_WORDS)..];
    let text = String::from_utf8_lossy(tail);
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    lines[lines.len().saturating_sub(10)..].join(" | ")
}

/// How a command ended that did not end well. `ignored` are files that its copy of the working folder lacks.
pub(super) fn failed(run: usize, outcome: &Outcome, folder: &Path, ignored: &[String]) -> Error {
    let how = match (outcome.code, outcome.signal) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, signal) => format!("was ended by signal {}", signal.unwrap_or(0)),
    };
    let said = [folder.join("stderr"), folder.join("stdout")]
        .iter()
        .map(|path| last_words(path))
        .find(|text| !text.is_empty());
    if let Some(refusal) = said.as_deref().and_then(Error::refusal) {
        return refusal;
    }
    let said = said.map_or(String::new(), |text| format!("; its last words: {text}"));
    let hint = if ignored.is_empty() {
        String::new()
    } else {
        format!(
            " (its copy of the working folder has no files that git ignores: {}; --link PATH leads to one that it reads, --workdir inplace \
             to all, and a folder that it writes to is its own to make)",
            ignored
                .iter()
                .take(5)
                .cloned()
                .collect::<Vec<_>>()
                .join(", ")
        )
    };
    Error::Child {
        run,
        ended: format!("{how}{said}{hint}"),
    }
}
