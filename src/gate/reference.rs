//! References: the digests of a result, one for each stack, kept in a file to compare later results with. Another stack is
//! not comparable, which is not the same as different.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::content::Digested;
use super::options::Options;
use crate::error::{Error, Result};
use crate::fingerprint::Fingerprint;
use crate::knob::{Knob, Moment};
use crate::report::Report;
use crate::tolerance::Tolerance;
use crate::verdict::Verdict;

/// The version of the file.
const FORMAT: u32 = 1;

/// A file of references.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct References {
    format: u32,
    references: Vec<Reference>,
}

/// What a command wrote on one stack.
#[derive(Debug, Serialize, Deserialize)]
struct Reference {
    command: Vec<String>,
    /// Flags that decide a result: what the program is told, which no fingerprint knows.
    #[serde(default)]
    asked: Option<BTreeMap<String, String>>,
    fingerprint: Fingerprint,
    tensors: Vec<Digested>,
}

/// Reads a file of references.
///
/// # Errors
/// When it cannot be read or is none.
pub(super) fn load(path: &Path) -> Result<References> {
    let text = fs::read_to_string(path).map_err(|e| Error::io("read", path, e))?;
    let references: References = serde_json::from_str(&text)
        .map_err(|e| Error::damaged(path, format!("it is no file of references ({e})")))?;
    if references.format != FORMAT {
        return Err(Error::damaged(
            path,
            format!(
                "it has format {}, and this samebits reads {FORMAT}",
                references.format
            ),
        ));
    }
    Ok(references)
}

/// Compares the result with an earlier one, and records it, as far as that was asked for. Only a result that its own runs
/// agreed on is worth either.
pub(super) fn apply(
    report: &mut Report,
    earlier: Option<&References>,
    options: &Options,
    result: Vec<Digested>,
) {
    if !matches!(report.verdict, Verdict::Identical | Verdict::Close) {
        if let Some(path) = &options.record {
            let note = format!(
                "nothing was recorded in {}: the runs do not agree",
                path.display()
            );
            report.notes.push(note);
        }
        return;
    }
    let Some(here) = report.fingerprint.clone() else {
        return;
    };
    if let Some(earlier) = earlier {
        against(report, earlier, &here, options, &result);
    }
    if let Some(path) = &options.record
        && matches!(report.verdict, Verdict::Identical | Verdict::Close)
    {
        let reference = Reference {
            command: words(options),
            asked: Some(asked(options)),
            fingerprint: here,
            tensors: result,
        };
        match record(path, reference) {
            Ok(()) => report.notes.push(format!("recorded in {}", path.display())),
            // What was found out must not be lost with it.
            Err(error) => {
                let reason = format!("{error}; the verdict was {}", report.verdict);
                report.set_verdict(Verdict::Inconclusive, "io", reason);
            }
        }
    }
}

fn words(options: &Options) -> Vec<String> {
    let words = options.command.iter();
    words
        .map(|word| word.to_string_lossy().into_owned())
        .collect()
}

fn against(
    report: &mut Report,
    earlier: &References,
    here: &Fingerprint,
    options: &Options,
    found: &[Digested],
) {
    let (command, asked) = (words(options), asked(options));
    // A file may hold several commands; the same one is the better match.
    let mut known: Vec<&Reference> = earlier.references.iter().collect();
    known.sort_by_key(|one| one.command != command);
    let comparable = |one: &Reference| {
        one.fingerprint.comparable(here)?;
        unlike(one.asked.as_ref().unwrap_or(&asked), &asked).map_or(Ok(()), Err)
    };
    let Some(reference) = known.iter().find(|one| comparable(one).is_ok()) else {
        // Of the same command rather than of another.
        let nearest = known.iter().rev().max_by_key(|one| one.command == command);
        let why = nearest.map_or("not in the file: it holds none".into(), |nearest| {
            comparable(nearest).err().unwrap_or_default()
        });
        report.set_verdict(
            Verdict::Inconclusive,
            "not-comparable",
            format!("the reference is {why}"),
        );
        report.next.push(
            "record a reference on this stack too with --record: a file holds one for each".into(),
        );
        return;
    };
    let mut differ = Vec::new();
    for ours in &reference.tensors {
        let name = &ours.name;
        match found.iter().find(|one| one.name == *name) {
            None => differ.push(format!("{name} is missing")),
            Some(theirs) if theirs.dtype != ours.dtype || theirs.shape != ours.shape => {
                differ.push(format!(
                    "{name} is {} {:?} instead of {} {:?}",
                    theirs.dtype, theirs.shape, ours.dtype, ours.shape
                ));
            }
            Some(theirs) if theirs.digest != ours.digest => {
                differ.push(format!("{name} has other values"));
            }
            Some(_) => {}
        }
    }
    for new in found {
        if !reference.tensors.iter().any(|one| one.name == new.name) {
            differ.push(format!("{} is new", new.name));
        }
    }
    report.compared.entries = reference.tensors.len() as u64;
    if let Some(first) = differ.first() {
        let others = if report.compared.runs > 1 || report.runs.len() > 1 {
            "the runs agree with each other, but not with the reference"
        } else {
            "the run does not agree with the reference"
        };
        if options.rules.tolerance != Tolerance::Bitwise {
            report.set_verdict(
                Verdict::Inconclusive,
                "not-comparable",
                format!("a reference holds digests, which cannot tell near from far, and its bits differ: {first}"),
            );
            report.next.push(
                "without a tolerance the answer is `diverged`; `--keep DIR` and `samebits diff` compare values".into(),
            );
            return;
        }
        let reason = format!(
            "{others}: {first}{}",
            match differ.len() {
                1 => String::new(),
                more => format!(", and {} more", more - 1),
            }
        );
        report.set_verdict(Verdict::Diverged, "diverged-from-reference", reason);
        report
            .next
            .push("if the change is meant, record a new reference with --record".into());
    } else {
        report.reason = format!("{}, and the reference agrees", report.reason);
    }
}

/// What was asked of the program, but for its environment, which the fingerprint shows as it stands.
fn asked(options: &Options) -> BTreeMap<String, String> {
    let mode = options.mode.map(|mode| ("mode".into(), mode.name().into()));
    let seed = options.seed.map(|seed| ("seed".into(), seed.to_string()));
    let inside = |name: &str| Knob::find(name).is_none_or(|knob| knob.moment == Moment::AnyTime);
    let knobs = options.knobs.clone().into_iter();
    let knobs = knobs.filter(|(name, _)| inside(name));
    mode.into_iter().chain(seed).chain(knobs).collect()
}

/// The first thing that was asked for otherwise.
fn unlike(reference: &BTreeMap<String, String>, here: &BTreeMap<String, String>) -> Option<String> {
    let names = reference.keys().chain(here.keys());
    let said = |side: &BTreeMap<String, String>, name| {
        side.get(name)
            .map_or("not given".into(), |value: &String| value.clone())
    };
    names
        .into_iter()
        .find(|name| reference.get(*name) != here.get(*name))
        .map(|name| {
            let (ours, theirs) = (said(reference, name), said(here, name));
            format!(
                "not comparable, because {name} differs: {ours} for the reference, {theirs} here"
            )
        })
}

/// Whether a reference could be recorded there: better known before hours of runs than after.
///
/// # Errors
/// When the folder cannot be written to, or the file is none of references.
pub(super) fn can_record(path: &Path) -> Result<()> {
    if path.exists() {
        load(path)?;
    }
    let place = followed(path);
    tempfile::NamedTempFile::new_in(folder_of(&place))
        .map(drop)
        .map_err(|e| Error::io("write", path, e))
}

/// Where a link leads, so that what it leads to is replaced and not the link.
fn followed(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
}

fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Adds a reference, in the place of one for the same command and stack, and replaces the file at once.
fn record(path: &Path, reference: Reference) -> Result<()> {
    let mut references = if path.exists() {
        load(path)?
    } else {
        References::default()
    };
    references.format = FORMAT;
    references.references.retain(|one| {
        one.command != reference.command
            || one.asked != reference.asked
            || one.fingerprint.comparable(&reference.fingerprint).is_err()
    });
    references.references.push(reference);
    let text =
        serde_json::to_string_pretty(&references).map_err(|e| Error::Usage(e.to_string()))?;
    let wrong = |e| Error::io("write", path, e);
    let place = followed(path);
    // As any program makes a file, and not for its owner alone.
    let file = tempfile::Builder::new()
        .permissions(fs::Permissions::from_mode(0o666))
        .tempfile_in(folder_of(&place))
        .map_err(wrong)?;
    fs::write(file.path(), text).map_err(wrong)?;
    file.persist(place).map_err(|e| wrong(e.error))?;
    Ok(())
}
