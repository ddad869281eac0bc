//! Every way samebits can fail to judge. A divergence is a result, never an [`Error`].
//!
//! Messages are lower-case fragments that name the knob, file, op or run; [`Error::hint`] says what to do next. An error
//! crosses from a child process to its parent as [`Failure`], so the parent can report the child's own words.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What stopped samebits from judging. Every one of them ends in the verdict `inconclusive`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller asked for something that does not exist or does not fit.
    #[error("{0}")]
    Usage(String),
    /// Data handed to a workload (images, a model, a batch) is not what it must be.
    #[error("{path}: {what}")]
    Input {
        /// The file at fault.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The file of settings, or a variable that stands for a flag, says something that does not fit.
    #[error("{place}: {what}")]
    Config {
        /// The file and line, or the variable.
        place: String,
        /// What is wrong with it.
        what: String,
    },
    /// A knob was given a value that it does not accept.
    #[error("{name}={value} is not accepted: {reason}")]
    Knob {
        /// The knob's name in the table of `knob`.
        name: String,
        /// The value asked for, or found in the environment.
        value: String,
        /// What would be accepted.
        reason: String,
    },
    /// A knob was set, but reading it back gave something else.
    #[error("{name} was set to {requested} but reads back as {in_force}")]
    NotInForce {
        /// The knob's name.
        name: String,
        /// The value asked for.
        requested: String,
        /// The value read back.
        in_force: String,
    },
    /// libtorch has no deterministic implementation of an op and the mode is strict.
    #[error("libtorch refused {op}: it has no deterministic implementation here")]
    Refused {
        /// The op, as libtorch calls it.
        op: String,
    },
    /// libtorch failed in any other way.
    #[error("libtorch failed while {doing}: {message}")]
    Torch {
        /// What was being done.
        doing: String,
        /// libtorch's first line.
        message: String,
    },
    /// A workload's own code panicked.
    #[error("the workload {workload} panicked: {message}")]
    Panicked {
        /// The workload's name.
        workload: String,
        /// What it said, and where.
        message: String,
    },
    /// Reading or writing failed.
    #[error("cannot {doing} {path}: {source}")]
    Io {
        /// A verb: `read`, `write`, `create`.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// What a file holds could not be read, so that nothing can be said about it.
    #[error("{path}: {cause}: {what}")]
    Unreadable {
        /// The file at fault.
        path: PathBuf,
        /// Whose fault it is.
        cause: Cause,
        /// What does not hold.
        what: String,
    },
    /// A child process did not end well.
    #[error("run {run} {ended}")]
    Child {
        /// The run's number; 0 is the reference.
        run: usize,
        /// How it ended, with the end of what it said.
        ended: String,
    },
    /// A child process was still running when its time was up.
    #[error("run {run} was still going after {limit}; it and its children were ended")]
    Timeout {
        /// The run's number; 0 is the reference.
        run: usize,
        /// The limit, as people write durations.
        limit: String,
    },
    /// The time for all runs was up.
    #[error("the {limit} for all runs together were over at run {run}, which was not finished")]
    TotalTimeout {
        /// The run that was under way or next; 0 is the reference.
        run: usize,
        /// The limit, as people write durations.
        limit: String,
    },
    /// Ctrl-C or a termination signal.
    #[error("interrupted by signal {0}; the running child was ended")]
    Interrupted(i32),
    /// A child process reported its own failure.
    #[error("run {run}: {failure}")]
    Reported {
        /// The run's number; 0 is the reference.
        run: usize,
        /// What the child said.
        failure: Failure,
    },
}

/// Why the contents of a file could not be read. The four are told apart because a person does something else about each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// It was cut off, edited, or contradicts itself.
    Damaged,
    /// It is whole as far as anybody can tell, and this reader does not know its form.
    Unsupported,
    /// Reading it would go past a limit that guards against hostile files.
    Limit,
    /// There is not enough memory for it.
    OutOfMemory,
}

impl Cause {
    /// A stable word for scripts.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Damaged => "damaged",
            Self::Unsupported => "unsupported",
            Self::Limit => "limit",
            Self::OutOfMemory => "out-of-memory",
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(self) -> &'static str {
        match self {
            Self::Damaged => "make the file again; a damaged one is never compared",
            Self::Unsupported => {
                "save it in a form that is read (safetensors, npz, a checkpoint of plain tensors, JSON, CSV), or leave it out with --ignore"
            }
            Self::Limit => "split the file, or leave it out with --ignore",
            Self::OutOfMemory => {
                "raise the limit on memory, split the file, or save it without compression so that it can be read in place"
            }
        }
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Damaged => "damaged",
            Self::Unsupported => "not supported",
            Self::Limit => "past a limit",
            Self::OutOfMemory => "out of memory",
        })
    }
}

/// Why a reader gave up, before it is known of which file: most readers work on bytes and know no path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Whose fault it is.
    pub cause: Cause,
    /// What does not hold.
    pub what: String,
}

impl Refusal {
    /// The bytes contradict themselves.
    pub fn damaged(what: impl Into<String>) -> Self {
        Self::new(Cause::Damaged, what)
    }

    /// The bytes may be whole, and nobody here can read them.
    pub fn unsupported(what: impl Into<String>) -> Self {
        Self::new(Cause::Unsupported, what)
    }

    /// Reading on would take more than anybody means to give.
    pub fn limit(what: impl Into<String>) -> Self {
        Self::new(Cause::Limit, what)
    }

    /// There is not enough memory.
    pub fn out_of_memory(what: impl Into<String>) -> Self {
        Self::new(Cause::OutOfMemory, what)
    }

    fn new(cause: Cause, what: impl Into<String>) -> Self {
        let what = what.into();
        Self { cause, what }
    }

    /// The same with a place before its words: `record data.pkl: …`.
    #[must_use]
    pub fn at(mut self, place: impl std::fmt::Display) -> Self {
        self.what = format!("{place}: {}", self.what);
        self
    }

    /// The error for the file at `path`.
    #[must_use]
    pub fn of(self, path: &Path) -> Error {
        Error::Unreadable {
            path: path.to_path_buf(),
            cause: self.cause,
            what: plain(&self.what, LONGEST_REASON).into_owned(),
        }
    }
}

/// Most checks of readers find bytes that contradict themselves, so that words alone mean that.
impl From<String> for Refusal {
    fn from(what: String) -> Self {
        Self::damaged(what)
    }
}

impl From<&str> for Refusal {
    fn from(what: &str) -> Self {
        Self::damaged(what)
    }
}

/// Longer reasons are of no use to a person.
const LONGEST_REASON: usize = 1_000;

/// A text from a file as a terminal may be given it: what a terminal would obey is spelled out, and of more than `most`
/// characters only the first and the last are left, since names come first and reasons last.
#[must_use]
pub fn plain(text: &str, most: usize) -> Cow<'_, str> {
    // Signs that turn the direction of writing round make a text look like another one.
    let obeyed =
        |c: char| c.is_control() || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    let mut text = Cow::Borrowed(text);
    if text.contains(obeyed) {
        let mut spelled = String::new();
        for c in text.chars() {
            if obeyed(c) {
                spelled.extend(c.escape_default());
            } else {
                spelled.push(c);
            }
        }
        text = spelled.into();
    }
    let long = if text.len() > most {
        text.chars().count()
    } else {
        0
    };
    if long > most {
        let first = text.chars().take(most / 2);
        let last = text.chars().skip(long - (most - most / 2));
        text = first.chain(['…']).chain(last).collect();
    }
    text
}

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// An [`Error`] flattened to words, as it crosses from a child process to its parent and into reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// A stable word for scripts, see [`Error::code`].
    pub code: String,
    /// The message.
    pub message: String,
    /// What to do next.
    pub hint: String,
    /// The op that libtorch refused, if that is what happened.
    pub op: Option<String>,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error {
    /// An I/O error that names the file. `doing` is a verb.
    #[must_use]
    pub fn io(doing: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::Io {
            doing,
            path: path.to_path_buf(),
            source,
        }
    }

    /// libtorch's refusal of an op in the mode strict, if these words hold one.
    #[must_use]
    pub fn refusal(words: &str) -> Option<Self> {
        let at = words.find(" does not have a deterministic implementation, but you set")?;
        let op = words[..at].rsplit(['\n', ':']).next().unwrap_or_default();
        Some(Self::Refused {
            op: op.trim().into(),
        })
    }

    /// A damaged file.
    pub fn damaged(path: &Path, what: impl Into<String>) -> Self {
        Refusal::damaged(what).of(path)
    }

    /// Bad input data in a file of the user's.
    pub fn input(path: &Path, what: impl Into<String>) -> Self {
        Self::Input {
            path: path.to_path_buf(),
            what: plain(&what.into(), LONGEST_REASON).into_owned(),
        }
    }

    /// A stable word for scripts: the `reason_code` of reports.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Usage(_) => "usage",
            Self::Input { .. } => "input",
            Self::Config { .. } => "config",
            Self::Knob { .. } => "knob-not-accepted",
            Self::NotInForce { .. } => "knob-not-in-force",
            Self::Refused { .. } => "refused",
            Self::Torch { .. } => "libtorch",
            Self::Panicked { .. } => "panicked",
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
                "disk-full"
            }
            Self::Io { .. } => "io",
            Self::Unreadable { cause, .. } => cause.code(),
            Self::Child { .. } => "run-failed",
            Self::Timeout { .. } | Self::TotalTimeout { .. } => "timeout",
            Self::Interrupted(_) => "interrupted",
            Self::Reported { failure, .. } => &failure.code,
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Usage(_) => "see `samebits --help` and `samebits list`".into(),
            Self::Input { .. } => "give a file of the kind that the command's --help describes".into(),
            Self::Config { .. } => {
                "`samebits gate --help` describes every setting; `--no-config` leaves the file out".into()
            }
            Self::Knob { name, .. } => {
                format!("unset {name} or give it an accepted value; `samebits list knobs` shows them")
            }
            Self::NotInForce { name, .. } => {
                format!("this build of libtorch ignores {name}; leave it out with `--set {name}=default`")
            }
            Self::Refused { .. } => {
                "replace the op, or run with `--mode warn` to see whether this workload diverges because of it".into()
            }
            Self::Torch { .. } => "`samebits doctor` checks the installation; a smaller --batch helps if memory ran out".into(),
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
                "free some space, or put the traces elsewhere with --keep DIR or TMPDIR".into()
            }
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::AlreadyExists => {
                "choose another folder, or remove that one: nothing is ever overwritten".into()
            }
            Self::Panicked { .. } => "mend the workload: this is its own code, not libtorch's".into(),
            Self::Io { .. } => "check that the path exists and may be read or written".into(),
            Self::Unreadable { cause, .. } => cause.hint().into(),
            Self::Child { ended, .. } => {
                let signs = ["signal 9", "exit code 137", "memory", "bad_alloc"];
                let memory = if signs.iter().any(|sign| ended.contains(sign)) {
                    ", and a smaller batch or model helps if memory ran out"
                } else {
                    ""
                };
                format!("look at its last words; `--keep DIR` keeps what the runs wrote{memory}")
            }
            Self::Timeout { .. } => "raise --timeout, or look at why the workload hangs".into(),
            Self::TotalTimeout { .. } => "raise --total-timeout, or ask for fewer runs".into(),
            Self::Interrupted(_) => "start it again to get a verdict".into(),
            Self::Reported { failure, .. } => failure.hint.clone(),
        }
    }

    /// The op that libtorch refused, if that is what happened.
    #[must_use]
    pub fn op(&self) -> Option<&str> {
        match self {
            Self::Refused { op } => Some(op),
            Self::Reported { failure, .. } => failure.op.as_deref(),
            _ => None,
        }
    }

    /// This error as words.
    #[must_use]
    pub fn to_failure(&self) -> Failure {
        Failure {
            code: self.code().to_owned(),
            message: self.to_string(),
            hint: self.hint(),
            op: self.op().map(str::to_owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_would_obey_is_left_in_a_text_and_long_ones_are_cut() {
        for (text, most, expected) in [
            ("a.ü", 3, "a.ü"),
            ("", 0, ""),
            ("\u{1b}[2J\n", 12, "\\u{1b}[2J\\n"),
            ("\u{202e}a\u{9b}", 15, "\\u{202e}a\\u{9b}"),
            ("üüüü", 4, "üüüü"),
            ("name: üüüreason", 11, "name:…reason"),
        ] {
            assert_eq!(plain(text, most), expected);
        }
        let what = "\u{1b}".repeat(5_000) + "reason";
        let error = Error::damaged(Path::new("f"), what).to_string();
        assert!(error.len() < 1_100 && error.ends_with("reason"), "{error}");
    }
}
