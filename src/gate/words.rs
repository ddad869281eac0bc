//! The words of the command: with the output folder's path in them, and as a shell takes them.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use super::artifacts::OUT;
use crate::knob::{Mode, Request};

/// The variable that names a run's output folder.
pub(super) const OUT_VARIABLE: &str = "SAMEBITS_OUT";

/// Stands for the folder of the hook's answers in what it is told.
pub(super) const ANSWERS: &str = "{answers}";

/// Lines for a shell that repeat one run by hand, after those for the hook.
pub(super) fn script(
    folder: &Path,
    variables: &[Request],
    command: &[OsString],
    hook: Vec<String>,
) -> Vec<String> {
    let mut lines = hook;
    lines.push(format!("cd {}", quoted(folder.as_os_str())));
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

/// Lines that set a hook's variables, with a folder for its answers that each repetition makes for itself.
pub(super) fn hooked(variables: &[(String, Option<OsString>)]) -> Vec<String> {
    let set = |(name, value): &(String, Option<OsString>)| {
        let value = quoted(value.as_deref().unwrap_or_default());
        format!("export {name}={}", value.replace(ANSWERS, "'\"$answers\"'"))
    };
    std::iter::once("answers=$(mktemp -d)".into())
        .chain(variables.iter().map(set))
        .collect()
}

/// A comment that says what a repetition without the hook lacks.
pub(super) fn unhooked(mode: Option<Mode>, seed: Option<u64>) -> Vec<String> {
    let mode = mode.map(|mode| format!("--mode {}", mode.name()));
    let seed = seed.map(|seed| format!("--seed {seed}"));
    let asked: Vec<String> = mode.into_iter().chain(seed).collect();
    let lacks = |asked: String| {
        format!("# {asked} not repeated here: --keep DIR keeps the hook and a script that does it")
    };
    let asked = match asked.as_slice() {
        [] => None,
        [one] => Some(format!("{one} is")),
        _ => Some(format!("{} are", asked.join(" and "))),
    };
    asked.map(lacks).into_iter().collect()
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
