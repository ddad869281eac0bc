//! [`Verdict`] and its exit codes, and [`judge`]: what a comparison amounts to. Not: comparing; wording of reports.

use serde::{Deserialize, Serialize};

use crate::compare::Comparison;

/// The four answers. `Identical` means that these runs agreed on this stack under these settings, and no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every entry bitwise equal.
    Identical,
    /// Not identical, all within a tolerance that was asked for.
    Close,
    /// Some entry, key, dtype or shape differs between the runs.
    Diverged,
    /// It could not be judged.
    Inconclusive,
}

/// One row of the table of exit codes.
pub struct ExitCode {
    /// The answer.
    pub verdict: Verdict,
    /// The process's exit code.
    pub code: u8,
    /// When it is given.
    pub when: &'static str,
}

/// As diff(1) has it: 0 same, 1 different, 2 trouble. The same in every format and every command.
pub const EXIT_CODES: &[ExitCode] = &[
    ExitCode {
        verdict: Verdict::Identical,
        code: 0,
        when: "every entry bitwise equal",
    },
    ExitCode {
        verdict: Verdict::Close,
        code: 0,
        when: "not identical, all within a tolerance that was asked for",
    },
    ExitCode {
        verdict: Verdict::Diverged,
        code: 1,
        when: "some entry, key, dtype or shape differs between the runs",
    },
    ExitCode {
        verdict: Verdict::Inconclusive,
        code: 2,
        when: "could not judge: usage, a run failed or timed out, nothing (or only constants) compared, damaged input, a control failed",
    },
];

impl Verdict {
    /// The process's exit code.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        EXIT_CODES
            .iter()
            .find(|row| row.verdict == self)
            .map_or(2, |row| row.code)
    }

    /// The word used in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Identical => "identical",
            Self::Close => "close",
            Self::Diverged => "diverged",
            Self::Inconclusive => "inconclusive",
        }
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// What comparisons counted: all that a verdict follows from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Pairs that were compared.
    pub compared: u64,
    /// Of them, those within the tolerance though not identical.
    pub close: u64,
    /// Of them, those that do not agree; one value that only one side has is one too.
    pub differing: u64,
    /// What was to be compared and was not, because it could not be read or is not there.
    pub unread: u64,
}

impl Tally {
    /// The only way to a verdict, for every command and every control. One difference is enough, whatever could not be read;
    /// agreement needs everything to have been read, and something to have been compared.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        if self.differing > 0 {
            Verdict::Diverged
        } else if self.unread > 0 || self.compared == 0 {
            Verdict::Inconclusive
        } else if self.close > 0 {
            Verdict::Close
        } else {
            Verdict::Identical
        }
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.compared += other.compared;
        self.close += other.close;
        self.differing += other.differing;
        self.unread += other.unread;
    }
}

impl From<&Comparison> for Tally {
    fn from(comparison: &Comparison) -> Self {
        let differing = comparison.mismatches.len() + comparison.metrics.len();
        Self {
            compared: comparison.compared.entries,
            close: comparison.close,
            differing: differing as u64,
            unread: 0,
        }
    }
}

/// What comparing two traces amounts to, if that means anything.
#[must_use]
pub fn judge(comparison: &Comparison) -> Verdict {
    Tally::from(comparison).verdict()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_outranks_what_could_not_be_read_and_that_outranks_agreement() {
        for (compared, close, differing, unread, verdict) in [
            (0, 0, 0, 0, Verdict::Inconclusive),
            (3, 0, 0, 0, Verdict::Identical),
            (3, 1, 0, 0, Verdict::Close),
            (3, 1, 0, 1, Verdict::Inconclusive),
            (3, 1, 1, 1, Verdict::Diverged),
            (0, 0, 1, 0, Verdict::Diverged),
        ] {
            let tally = Tally {
                compared,
                close,
                differing,
                unread,
            };
            assert_eq!(tally.verdict(), verdict, "{tally:?}");
        }
    }
}
