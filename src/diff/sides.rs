//! Two files or folders, paired by path and by name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;

use super::found::{Found, SOME, unread};
use super::job::Job;
use super::pairs::alone;
use super::{events, moments, properties};
use crate::compare::Status;
use crate::error::{Error, Result, plain};
use crate::evidence::folder::{self, files};
use crate::evidence::open::{open, open_any};
use crate::evidence::table::TableOptions;
use crate::evidence::{Evidence, Item, LONGEST_NAME, raw, traces};
use crate::ffi::map::Map;
use crate::report::tensors::{Outside, TensorReport};
use crate::rules::{Name, Rules};
use crate::substance::Look;

/// Compares what stands at two paths, without judging it.
///
/// # Errors
/// When one cannot be read or is damaged, or only one is a folder.
pub fn compare(reference: &Path, candidate: &Path, rules: &Rules) -> Result<Found> {
    let mut found = Found::new(rules);
    let place = |path: &Path| path.canonicalize().ok();
    if place(reference).is_some() && place(reference) == place(candidate) {
        let note = "both paths lead to the same place";
        found.notes.push(note.into());
    }
    let folder = |path: &Path| path.is_dir() && !traces::recognises(path);
    match (folder(reference), folder(candidate)) {
        (false, false) => found.files(reference, candidate, "", rules),
        (true, true) => found.folders(reference, candidate, rules)?,
        (true, false) => return Err(one_folder(reference, candidate)),
        (false, true) => return Err(one_folder(candidate, reference)),
    }
    found.finish(rules);
    Ok(found)
}

fn one_folder(folder: &Path, file: &Path) -> Error {
    Error::Usage(format!(
        "{} is a folder and {} is not; give two files or two folders",
        folder.display(),
        file.display()
    ))
}

impl Found {
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
                        Some(at) => self.excuse_file(at, ours, theirs),
                        None => self.files(ours, theirs, name, rules),
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
    fn excuse_file(&mut self, at: usize, ours: &Path, theirs: &Path) {
        self.exceptions[at].matched += 1;
        self.exceptions[at].needed += u64::from(!same_bytes(ours, theirs));
    }

    /// Compares two files; `file` is their name in a folder, empty where they stand alone.
    fn files(&mut self, reference: &Path, candidate: &Path, file: &str, rules: &Rules) {
        let options = TableOptions {
            keys: rules.keys.clone(),
        };
        let open = if rules.of_runs { open_any } else { open };
        let opened =
            open(reference, &options).and_then(|ours| Ok((ours, open(candidate, &options)?)));
        let source = (reference.to_path_buf(), file.to_owned(), self.tensors.len());
        self.sources.push(source);
        match opened {
            Ok((ours, theirs)) => self.evidence(&ours, &theirs, file, rules),
            Err(error) => self.unopened(&error, (reference, candidate), file, rules),
        }
    }

    /// Two files of which one at least cannot be opened. Equal bytes hold the same whatever they are.
    fn unopened(
        &mut self,
        error: &Error,
        (reference, candidate): (&Path, &Path),
        file: &str,
        rules: &Rules,
    ) {
        let both = (Map::open(reference), Map::open(candidate));
        if let (Ok(ours), Ok(theirs)) = both
            && ours[..] == theirs[..]
            && let Ok(ours) = raw::read(reference, &Arc::new(ours))
            && let Ok(theirs) = raw::read(candidate, &Arc::new(theirs))
        {
            self.note_once(format!("compared as bytes: {error}"));
            return self.evidence(&ours, &theirs, file, rules);
        }
        if rules.may_want_of(file) {
            self.unread.push(unread(file, error));
        } else {
            self.leave_out(file);
        }
    }

    /// Compares what two files hold.
    pub(super) fn evidence(
        &mut self,
        ours: &Evidence,
        theirs: &Evidence,
        file: &str,
        rules: &Rules,
    ) {
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
        self.jobs(&jobs, rules);
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
        for difference in properties::differences(ours, theirs) {
            let name = Name {
                file,
                tensor: difference.name,
            };
            if self.wants(name, rules) {
                let report = difference.report(&name.full());
                self.record(report, rules.exception(name), true, rules);
            }
        }
        self.note(ours, theirs, file);
    }

    fn jobs(&mut self, jobs: &[Job<'_>], rules: &Rules) {
        let small: Vec<&Job> = jobs.iter().filter(|job| !job.is_large()).collect();
        let compared: Vec<_> = small.par_iter().map(|job| job.compare(rules)).collect();
        let mut compared = compared.into_iter();
        for job in jobs {
            // One after the other, each on all cores: what must be unpacked is not held more than once.
            let outcome = if job.is_large() {
                Some(job.compare(rules))
            } else {
                compared.next()
            };
            match outcome {
                None => {}
                Some(Err(error)) => self.unread.push(unread(&job.key, &error)),
                Some(Ok((paired, needed))) => {
                    self.bytes += job.bytes();
                    if let Some(caution) = paired.caution {
                        let first = || (job.key.clone(), 0);
                        self.cautions.entry(caution).or_insert_with(first).1 += 1;
                    }
                    let counts = job
                        .exception
                        .is_none_or(|at| rules.exceptions[at].tolerance.is_some());
                    if counts && paired.report.agrees() {
                        let look = match paired.report.status {
                            Status::Close => Look::Differs,
                            _ => paired.look,
                        };
                        self.substance.add(look);
                    }
                    self.record(paired.report, job.exception, needed, rules);
                }
            }
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
            self.substance.add(Look::Frame);
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

    /// What differs without mattering, and what the readers had to say.
    fn note(&mut self, ours: &Evidence, theirs: &Evidence, file: &str) {
        let whose = if file.is_empty() {
            String::new()
        } else {
            format!("{file}: ")
        };
        if ours.format == "bytes" && theirs.format == "bytes" {
            self.as_bytes.insert(file.to_owned());
        }
        if ours.format != theirs.format {
            self.note_once(format!(
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
            self.note_once(format!(
                "{whose}packed differently{what}, which is not compared"
            ));
        }
        for note in ours.notes.iter().chain(&theirs.notes) {
            self.note_once(format!("{whose}{note}"));
        }
    }
}

fn same_bytes(ours: &Path, theirs: &Path) -> bool {
    match (Map::open(ours), Map::open(theirs)) {
        (Ok(ours), Ok(theirs)) => ours[..] == theirs[..],
        _ => false,
    }
}
