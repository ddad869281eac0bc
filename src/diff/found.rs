//! [`Found`]: what a comparison of two files or folders found, before it is judged.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::pairs::Caution;
use crate::compare::Status;
use crate::error::{Error, plain};
use crate::evidence::LONGEST_NAME;
use crate::report::tensors::{Excepted, TensorReport, Unread};
use crate::rules::{Exception, Name, Rules};
use crate::substance::Substance;
use crate::verdict::Tally;

/// Names shown to a person as examples.
pub(super) const SOME: usize = 5;

/// Everything found, before it is judged.
#[derive(Debug, Default)]
pub struct Found {
    /// In the order of the reference; what only the candidate has, after its file.
    pub tensors: Vec<TensorReport>,
    /// What a person should know.
    pub notes: Vec<String>,
    /// Each exception of the rules, in their order.
    pub exceptions: Vec<Excepted>,
    /// Bytes compared, of one side.
    pub bytes: u64,
    /// How many names the rules left out.
    pub left_out: u64,
    /// Some of them.
    pub some_left_out: Vec<String>,
    /// What could not be read, and was therefore not compared.
    pub unread: Vec<Unread>,
    /// Patterns of `--only` that meant nothing here: what was asked for was not compared.
    pub only_nothing: Vec<String>,
    /// What the compared values showed: whether agreement on them means anything.
    pub substance: Substance,
    /// Patterns of `--only` and `--ignore` that meant something here.
    met: BTreeSet<String>,
    /// Notes that were taken already: of many files most say the same.
    noted: BTreeSet<String>,
    /// Where torch's arithmetic hides differences, with the first tensor and how many.
    pub(super) cautions: BTreeMap<Caution, (String, usize)>,
    /// Files of no known kind, which were compared as bytes.
    pub(super) as_bytes: BTreeSet<String>,
    /// Where the tensors come from: the reference's file, its name, and the number of its first tensor.
    pub(super) sources: Vec<(PathBuf, String, usize)>,
}

impl Found {
    /// Nothing yet.
    pub(super) fn new(rules: &Rules) -> Self {
        Self {
            exceptions: rules.exceptions.iter().map(excepted).collect(),
            ..Self::default()
        }
    }

    /// Says what can only be said when everything was compared.
    pub(super) fn finish(&mut self, rules: &Rules) {
        if !self.as_bytes.is_empty() {
            let some: Vec<&str> = self
                .as_bytes
                .iter()
                .take(SOME)
                .map(String::as_str)
                .collect();
            let more = self.as_bytes.len() - some.len();
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            let names = match some.join(", ") {
                names if names.is_empty() => String::new(),
                names => format!("{names}{more}: "),
            };
            self.notes.push(format!(
                "{names}compared as bytes, since the kind of file is not known"
            ));
        }
        let unmet = |patterns: &[String]| -> Vec<String> {
            let unmet = patterns.iter().filter(|one| !self.met.contains(*one));
            unmet.cloned().collect()
        };
        let (only, ignore) = (unmet(&rules.only), unmet(&rules.ignore));
        for pattern in ignore {
            self.notes
                .push(format!("--ignore {pattern} means nothing that is here"));
        }
        self.only_nothing = only;
        for (caution, (first, count)) in std::mem::take(&mut self.cautions) {
            let more = if count > 1 {
                format!(" and {} more", count - 1)
            } else {
                String::new()
            };
            let first = plain(&first, LONGEST_NAME);
            self.notes
                .push(format!("{first}{more}: {}", caution.words()));
        }
        for exception in self.exceptions.iter().filter(|one| one.needed == 0) {
            let why = if exception.matched == 0 {
                "it is not the first to match any name that was compared"
            } else {
                "what it matches agrees without it"
            };
            self.notes.push(format!(
                "the override for {} is not needed: {why}",
                exception.name
            ));
        }
    }

    /// Tensors that do not agree.
    #[must_use]
    pub fn differing(&self) -> usize {
        self.tensors.iter().filter(|one| !one.agrees()).count()
    }

    /// What was counted, for the verdict.
    #[must_use]
    pub fn tally(&self) -> Tally {
        Tally {
            compared: self.tensors.len() as u64,
            close: self.with(Status::Close) as u64,
            differing: self.differing() as u64,
            unread: (self.unread.len() + self.only_nothing.len()) as u64,
        }
    }

    /// Tensors with this status.
    #[must_use]
    pub fn with(&self, status: Status) -> usize {
        self.tensors
            .iter()
            .filter(|one| one.status == status)
            .count()
    }

    /// Keeps a result, or only counts it where an exception says that it does not decide.
    pub(super) fn record(
        &mut self,
        report: TensorReport,
        exception: Option<usize>,
        needed: bool,
        rules: &Rules,
    ) {
        let Some(at) = exception else {
            return self.tensors.push(report);
        };
        let counted = &mut self.exceptions[at];
        counted.matched += 1;
        counted.needed += u64::from(needed);
        if rules.exceptions[at].tolerance.is_some() {
            self.tensors.push(report);
        } else if self.some_left_out.len() < SOME {
            self.some_left_out.push(report.key);
        }
    }

    pub(super) fn wants(&mut self, name: Name<'_>, rules: &Rules) -> bool {
        self.meet(name, rules);
        let wanted = rules.want(name);
        if !wanted {
            self.leave_out(&name.full());
        }
        wanted
    }

    /// Remembers the patterns that mean this name.
    pub(super) fn meet(&mut self, name: Name<'_>, rules: &Rules) {
        for pattern in rules.only.iter().chain(&rules.ignore) {
            if !self.met.contains(pattern) && name.matches(pattern) {
                self.met.insert(pattern.clone());
            }
        }
    }

    pub(super) fn leave_out(&mut self, name: &str) {
        self.left_out += 1;
        if self.some_left_out.len() < SOME {
            self.some_left_out.push(name.to_owned());
        }
    }

    pub(super) fn note_once(&mut self, note: String) {
        if self.noted.insert(note.clone()) {
            self.notes.push(note);
        }
    }
}

/// What could not be read, for the report.
pub(super) fn unread(key: &str, error: &Error) -> Unread {
    Unread {
        key: key.to_owned(),
        code: error.code().to_owned(),
        what: error.to_string(),
        hint: error.hint(),
    }
}

fn excepted(exception: &Exception) -> Excepted {
    Excepted {
        name: exception.name.clone(),
        what: match &exception.tolerance {
            None => "ignored".into(),
            Some(_) => "another tolerance".into(),
        },
        reason: exception.reason.clone(),
        matched: 0,
        needed: 0,
    }
}
