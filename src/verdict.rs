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

/// What one comparison amounts to, if it compared anything that means something.
#[must_use]
pub fn judge(comparison: &Comparison) -> Verdict {
    if !comparison.mismatches.is_empty() || !comparison.metrics.is_empty() {
        Verdict::Diverged
    } else if comparison.compared.entries == 0 {
        Verdict::Inconclusive
    } else if comparison.close > 0 {
        Verdict::Close
    } else {
        Verdict::Identical
    }
}
