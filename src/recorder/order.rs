//! What a recorder is told, as lines of text in a variable of its process.

use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The variable that a recorder reads when it is loaded.
pub const VARIABLE: &str = "SAMEBITS_RECORD";

/// What is asked of the recorder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ops {
    /// The first and last step to record; all of them where it is not given.
    pub window: Option<(u64, u64)>,
    /// The named range whose end is the end of a step, in place of the optimisers' announcement.
    pub marker: Option<String>,
}

/// Steps to record, as a flag gives them: `all`, one, or the first and the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window(pub Option<(u64, u64)>);

impl FromStr for Window {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let step = |text: &str| text.parse().ok();
        // A file of settings says `true`.
        if ["all", "true"].contains(&text) {
            return Ok(Self(None));
        }
        let window = match text.split_once("..") {
            Some((from, to)) => step(from).zip(step(to)).filter(|(from, to)| from <= to),
            None => step(text).map(|step| (step, step)),
        };
        let wrong = "`all`, one step as in --ops=3, or the first and the last as in --ops=3..5";
        window.map(|window| Self(Some(window))).ok_or(wrong.into())
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
        if let Some((from, to)) = self.ops.window {
            lines.extend([format!("from={from}"), format!("to={to}")]);
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
