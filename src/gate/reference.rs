//! References: the digests of a result, one for each stack, kept in a file to compare later results with. Another stack is
//! not comparable, which is not the same as different.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::content::Digested;
use super::options::Options;
use crate::error::{Error, Result};
use crate::fingerprint::Fingerprint;
use crate::report::Report;
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
) -> Result<()> {
    if !matches!(report.verdict, Verdict::Identical | Verdict::Close) {
        return Ok(());
    }
    let Some(here) = report.fingerprint.clone() else {
        return Ok(());
    };
    if let Some(earlier) = earlier {
        against(report, earlier, &here, &words(options), &result);
    }
    if let Some(path) = &options.record
        && matches!(report.verdict, Verdict::Identical | Verdict::Close)
    {
        let reference = Reference {
            command: words(options),
            fingerprint: here,
            tensors: result,
        };
        record(path, reference)?;
        report.notes.push(format!("recorded in {}", path.display()));
    }
    Ok(())
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
    command: &[String],
    found: &[Digested],
) {
    // A file may hold several commands; the same one is the better match.
    let mut known: Vec<&Reference> = earlier.references.iter().collect();
    known.sort_by_key(|one| one.command != command);
    let Some(reference) = known
        .iter()
        .find(|one| one.fingerprint.comparable(here).is_ok())
    else {
        let why = earlier
            .references
            .last()
            .map_or("the file holds none".into(), |nearest| {
                nearest
                    .fingerprint
                    .comparable(here)
                    .err()
                    .unwrap_or_default()
            });
        report.set_verdict(
            Verdict::Inconclusive,
            "not-comparable",
            format!("not comparable with the reference, because {why}"),
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
        let reason = format!(
            "the runs agree with each other, but not with the reference: {first}{}",
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
            || one.fingerprint.comparable(&reference.fingerprint).is_err()
    });
    references.references.push(reference);
    let text =
        serde_json::to_string_pretty(&references).map_err(|e| Error::Usage(e.to_string()))?;
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let wrong = |e| Error::io("write", path, e);
    let file = tempfile::NamedTempFile::new_in(folder).map_err(wrong)?;
    fs::write(file.path(), text).map_err(wrong)?;
    file.persist(path).map_err(|e| wrong(e.error))?;
    Ok(())
}
