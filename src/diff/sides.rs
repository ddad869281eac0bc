//! Two files or folders, paired by path and by name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rayon::prelude::*;

use super::job::Job;
use super::pairs::alone;
use super::{events, moments};
use crate::compare::Status;
use crate::error::{Error, Result, plain};
use crate::evidence::folder::{self, files};
use crate::evidence::open::{open, open_any};
use crate::evidence::table::TableOptions;
use crate::evidence::{Evidence, Item, LONGEST_NAME, traces};
use crate::report::tensors::{Excepted, Outside, TensorReport};
use crate::rules::{Exception, Name, Rules};

/// Names shown to a person whose patterns let nothing through.
const SOME: usize = 5;

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
    /// Patterns of `--only` and `--ignore` that meant something here.
    met: BTreeSet<String>,
}

/// Compares what stands at two paths, without judging it.
///
/// # Errors
/// When one cannot be read or is damaged, or only one is a folder.
pub fn compare(reference: &Path, candidate: &Path, rules: &Rules) -> Result<Found> {
    let mut found = Found {
        exceptions: rules.exceptions.iter().map(excepted).collect(),
        ..Found::default()
    };
    let place = |path: &Path| path.canonicalize().ok();
    if place(reference).is_some() && place(reference) == place(candidate) {
        let note = "both paths lead to the same place";
        found.notes.push(note.into());
    }
    let folder = |path: &Path| path.is_dir() && !traces::recognises(path);
    match (folder(reference), folder(candidate)) {
        (false, false) => found.files(reference, candidate, "", rules)?,
        (true, true) => found.folders(reference, candidate, rules)?,
        (true, false) => return Err(one_folder(reference, candidate)),
        (false, true) => return Err(one_folder(candidate, reference)),
    }
    for (flag, patterns) in [("only", &rules.only), ("ignore", &rules.ignore)] {
        for pattern in patterns.iter().filter(|one| !found.met.contains(*one)) {
            let note = format!("--{flag} {pattern} means nothing that is here");
            found.notes.push(note);
        }
    }
    for exception in found.exceptions.iter().filter(|one| one.needed == 0) {
        let why = if exception.matched == 0 {
            "it is not the first to match any name that was compared"
        } else {
            "what it matches agrees without it"
        };
        found.notes.push(format!(
            "the override for {} is not needed: {why}",
            exception.name
        ));
    }
    Ok(found)
}

fn one_folder(folder: &Path, file: &Path) -> Error {
    Error::Usage(format!(
        "{} is a folder and {} is not; give two files or two folders",
        folder.display(),
        file.display()
    ))
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

impl Found {
    /// Tensors that do not agree.
    #[must_use]
    pub fn differing(&self) -> usize {
        self.tensors.iter().filter(|one| !one.agrees()).count()
    }

    /// Tensors with this status.
    #[must_use]
    pub fn with(&self, status: Status) -> usize {
        self.tensors
            .iter()
            .filter(|one| one.status == status)
            .count()
    }

    fn folders(&mut self, reference: &Path, candidate: &Path, rules: &Rules) -> Result<()> {
        use folder::Found::{File, Link, Special};
        let (ours, mut theirs) = (files(reference)?, files(candidate)?);
        self.notes.extend(events::pair(&ours, &mut theirs));
        if rules.of_runs {
            self.notes.extend(moments::pair(&ours, &mut theirs));
        }
        let names: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
        // Patterns that all mean files leave the other files unopened.
        let means_file = |pattern: &String| {
            let whole = |file| Name { file, tensor: "" }.is_file_of(pattern);
            names.iter().any(|file| whole(file.as_str()))
        };
        let only_files = !rules.only.is_empty() && rules.only.iter().all(means_file);
        for name in &names {
            let whole = Name {
                file: name,
                tensor: "",
            };
            let ignored = rules.ignore.iter().any(|pattern| whole.is_file_of(pattern));
            let wanted = rules.only.iter().any(|pattern| whole.is_file_of(pattern));
            self.meet(whole, rules);
            if ignored || (only_files && !wanted) {
                self.leave_out(name);
                continue;
            }
            let (ours, theirs) = (ours.get(*name), theirs.get(*name));
            match (ours, theirs) {
                (Some(File(ours)), Some(File(theirs))) => {
                    let silent = rules.exceptions.iter().position(|exception| {
                        exception.tolerance.is_none() && whole.is_file_of(&exception.name)
                    });
                    match silent {
                        Some(at) => self.excuse_file(at, ours, theirs)?,
                        None => self.files(ours, theirs, name, rules)?,
                    }
                }
                (Some(Link(ours)), Some(Link(theirs))) => {
                    let same = ours == theirs || (rules.of_runs && moments::same(ours, theirs));
                    self.oddity(name, "link", same, rules);
                }
                (Some(Special), Some(Special)) => self.notes.push(format!(
                    "{name} is a pipe, socket or device on both sides and was not read"
                )),
                (Some(_), Some(_)) => self.oddity(name, "another kind of file", false, rules),
                (Some(_), None) => self.one_side(name, Status::Missing, rules),
                _ => self.one_side(name, Status::Extra, rules),
            }
        }
        Ok(())
    }

    /// Two files whose difference does not decide.
    fn excuse_file(&mut self, at: usize, ours: &Path, theirs: &Path) -> Result<()> {
        use crate::ffi::map::Map;
        let same = !ours.is_dir() && {
            let (left, right) = (Map::open(ours)?, Map::open(theirs)?);
            left[..] == right[..]
        };
        self.exceptions[at].matched += 1;
        self.exceptions[at].needed += u64::from(!same);
        Ok(())
    }

    /// Compares two files; `file` is their name in a folder, empty where they stand alone.
    fn files(
        &mut self,
        reference: &Path,
        candidate: &Path,
        file: &str,
        rules: &Rules,
    ) -> Result<()> {
        let options = TableOptions {
            keys: rules.keys.clone(),
        };
        let open = if rules.of_runs { open_any } else { open };
        let (ours, theirs) = (open(reference, &options)?, open(candidate, &options)?);
        let by_name: BTreeMap<&str, &Item> = theirs
            .items
            .iter()
            .map(|item| (item.name.as_str(), item))
            .collect();
        let mut jobs = Vec::new();
        for item in &ours.items {
            let name = Name {
                file,
                tensor: &item.name,
            };
            if self.wants(name, rules) {
                jobs.push(Job {
                    key: name.full(),
                    ours: item,
                    theirs: by_name.get(item.name.as_str()).copied(),
                    exception: rules.exception(name),
                });
            }
        }
        self.jobs(&jobs, rules)?;
        let known: BTreeSet<&str> = ours.items.iter().map(|item| item.name.as_str()).collect();
        for item in &theirs.items {
            let name = Name {
                file,
                tensor: &item.name,
            };
            if !known.contains(item.name.as_str()) && self.wants(name, rules) {
                let report = alone(&name.full(), item, Status::Extra);
                self.record(report, rules.exception(name), true, rules);
            }
        }
        self.note(&ours, &theirs, file);
        Ok(())
    }

    fn jobs(&mut self, jobs: &[Job<'_>], rules: &Rules) -> Result<()> {
        let small: Vec<&Job> = jobs.iter().filter(|job| !job.is_large()).collect();
        let mut done: Vec<Option<(TensorReport, bool)>> = Vec::new();
        let mut compared = small
            .par_iter()
            .map(|job| job.compare(rules))
            .collect::<Result<Vec<_>>>()?
            .into_iter();
        for job in jobs {
            // One after the other, each on all cores: what must be unpacked is not held more than once.
            done.push(if job.is_large() {
                Some(job.compare(rules)?)
            } else {
                compared.next()
            });
        }
        for (job, outcome) in jobs.iter().zip(done) {
            if let Some((report, needed)) = outcome {
                self.bytes += job.bytes();
                self.record(report, job.exception, needed, rules);
            }
        }
        Ok(())
    }

    /// Keeps a result, or only counts it where an exception says that it does not decide.
    fn record(
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

    /// A file that one folder lacks.
    fn one_side(&mut self, name: &str, status: Status, rules: &Rules) {
        self.whole_file(name, status, "file", rules);
    }

    /// A link, or two things of different kinds.
    fn oddity(&mut self, name: &str, kind: &str, same: bool, rules: &Rules) {
        let status = if same {
            Status::Identical
        } else {
            Status::Diverged
        };
        self.whole_file(name, status, kind, rules);
    }

    fn whole_file(&mut self, name: &str, status: Status, kind: &str, rules: &Rules) {
        let whole = Name {
            file: name,
            tensor: "",
        };
        if self.wants(whole, rules) {
            let outside = Outside {
                dtype: kind.into(),
                shape: Vec::new(),
            };
            let report = TensorReport::outside(name, status, outside, 0);
            self.record(
                report,
                rules.exception(whole),
                status != Status::Identical,
                rules,
            );
        }
    }

    fn wants(&mut self, name: Name<'_>, rules: &Rules) -> bool {
        self.meet(name, rules);
        let wanted = rules.want(name);
        if !wanted {
            self.leave_out(&name.full());
        }
        wanted
    }

    /// Remembers the patterns that mean this name.
    fn meet(&mut self, name: Name<'_>, rules: &Rules) {
        for pattern in rules.only.iter().chain(&rules.ignore) {
            if !self.met.contains(pattern) && name.matches(pattern) {
                self.met.insert(pattern.clone());
            }
        }
    }

    fn leave_out(&mut self, name: &str) {
        self.left_out += 1;
        if self.some_left_out.len() < SOME {
            self.some_left_out.push(name.to_owned());
        }
    }

    /// What differs without mattering, and what the readers had to say.
    fn note(&mut self, ours: &Evidence, theirs: &Evidence, file: &str) {
        let whose = if file.is_empty() {
            String::new()
        } else {
            format!("{file}: ")
        };
        if ours.format != theirs.format {
            self.notes.push(format!(
                "{whose}the reference is {}, the candidate {}",
                ours.format, theirs.format
            ));
        } else if ours.container != theirs.container {
            let names: Vec<_> = ours
                .container
                .iter()
                .zip(&theirs.container)
                .filter(|(ours, theirs)| ours != theirs)
                .map(|((name, _), _)| plain(name, LONGEST_NAME))
                .take(SOME)
                .collect();
            let what = if names.is_empty() {
                String::new()
            } else {
                format!(" ({})", names.join(", "))
            };
            self.notes.push(format!(
                "{whose}packed differently{what}, which is not compared"
            ));
        }
        for note in ours.notes.iter().chain(&theirs.notes) {
            let note = format!("{whose}{note}");
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
    }
}
