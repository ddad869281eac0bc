//! What a recorder is told, as lines of text in a variable of its process.

use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The variable that a recorder reads when it is loaded.
pub const VARIABLE: &str = "SAMEBITS_RECORD";

/// Which steps are recorded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Steps {
    /// Those around the first divergence where that is known, else all.
    #[default]
    Auto,
    /// Every step.
    All,
    /// From the first to the last of them.
    Range(u64, u64),
    /// At least this many before the end, and at most twice as many: for long runs.
    Last(u64),
}

/// What is asked of the recorder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ops {
    /// The steps to record.
    pub steps: Steps,
    /// The named range whose end is the end of a step, in place of the optimisers' announcement.
    pub marker: Option<String>,
}

impl FromStr for Steps {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let step = |text: &str| text.parse().ok();
        let steps = match (text, text.split_once("..")) {
            // A file of settings says `true`.
            ("auto" | "true", _) => Some(Self::Auto),
            ("all", _) => Some(Self::All),
            (_, Some((from, to))) => step(from)
                .zip(step(to))
                .filter(|(from, to)| from <= to)
                .map(|(from, to)| Self::Range(from, to)),
            _ => match text.strip_prefix("last:") {
                Some(count) => step(count).filter(|&count| count > 0).map(Self::Last),
                None => step(text).map(|step| Self::Range(step, step)),
            },
        };
        let wrong = "`all`, one step as in --ops=3, the first and the last as in --ops=3..5, or those before the end as in --ops=last:5";
        steps.ok_or(wrong.into())
    }
}

/// What one recorder is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Where it writes; the folder must exist.
    pub folder: PathBuf,
    /// What is asked for.
    pub ops: Ops,
    /// The op of the first thread whose values are kept too.
    pub keep: Option<u64>,
}

impl Order {
    /// The value of [`VARIABLE`].
    #[must_use]
    pub fn text(&self) -> String {
        let mut lines = vec![format!("folder={}", Path::display(&self.folder))];
        match self.ops.steps {
            Steps::Auto | Steps::All => {}
            Steps::Range(from, to) => lines.extend([format!("from={from}"), format!("to={to}")]),
            Steps::Last(count) => lines.push(format!("last={count}")),
        }
        lines.extend(self.ops.marker.iter().map(|name| format!("marker={name}")));
        if let Some(index) = self.keep {
            lines.push(format!("keep={index}"));
            // Once more with nothing trusted: memory that changed though no op wrote to it shows only so.
            lines.push("full=1".into());
        }
        lines.join("\n")
    }
}
