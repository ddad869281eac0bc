//! The words of the command: with the output folder's path in them, and as a shell takes them.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use super::artifacts::OUT;
use crate::knob::Request;

/// The variable that names a run's output folder.
pub(super) const OUT_VARIABLE: &str = "SAMEBITS_OUT";

/// Lines for a shell that repeat one run by hand.
pub(super) fn script(folder: &Path, variables: &[Request], command: &[OsString]) -> Vec<String> {
    let mut lines = vec![format!("cd {}", quoted(folder.as_os_str()))];
    for request in variables {
        let value = quoted(OsStr::new(&request.value));
        lines.push(format!("export {}={value}", request.name));
    }
    lines.push(format!("export {OUT_VARIABLE}=$(mktemp -d)"));
    let words: Vec<String> = command
        .iter()
        .map(|word| quoted(word).replace(OUT, &format!("'\"${OUT_VARIABLE}\"'")))
        .collect();
    lines.push(words.join(" "));
    lines
}

/// A word of the command with the output folder's path in it.
pub(super) fn with_out(word: &OsStr, out: &Path) -> OsString {
    let (bytes, mark) = (word.as_bytes(), OUT.as_bytes());
    let mut made = Vec::new();
    let mut rest = bytes;
    while let Some(at) = rest.windows(mark.len()).position(|part| part == mark) {
        made.extend_from_slice(&rest[..at]);
        made.extend_from_slice(out.as_os_str().as_bytes());
        rest = &rest[at + mark.len()..];
    }
    made.extend_from_slice(rest);
    OsString::from_vec(made)
}

/// A word as a shell takes it.
fn quoted(word: &OsStr) -> String {
    let text = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.into_owned();
    }
    let mut quoted = String::from("'");
    for c in text.chars() {
        if c == '\'' {
            quoted.push_str("'\\''");
        } else {
            // Writing to a String cannot fail.
            let _ = write!(quoted, "{c}");
        }
    }
    quoted.push('\'');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_folder_is_put_into_the_command_wherever_it_is_named() {
        let out = Path::new("/o");
        for (word, expected) in [
            ("{out}", "/o"),
            ("--dir={out}/a:{out}", "--dir=/o/a:/o"),
            ("{ou}", "{ou}"),
            ("", ""),
        ] {
            assert_eq!(with_out(OsStr::new(word), out), OsStr::new(expected));
        }
    }

    #[test]
    fn words_are_quoted_for_a_shell() {
        for (word, expected) in [
            ("a-b", "a-b"),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's", "'it'\\''s'"),
            ("$x", "'$x'"),
        ] {
            assert_eq!(quoted(OsStr::new(word)), expected);
        }
    }
}
