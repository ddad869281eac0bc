//! What the gathered files of a run hold: one digest for all, whether agreement on it would mean anything, and a control.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::diff;
use crate::digest::Digest;
use crate::dtype::Kind;
use crate::error::{Error, Result};
use crate::evidence::folder::{Found, files};
use crate::evidence::open::open_any;
use crate::evidence::table::TableOptions;
use crate::evidence::{Content, Item};
use crate::report::Control;
use crate::rules::{Name, Rules};
use crate::seed::Seed;
use crate::summary::Summary;
use crate::tolerance::Tolerance;

/// Files copied for the control are no larger than this.
const LARGEST_COPY: u64 = 256 << 20;

/// Calls `each` for every tensor that the rules let through, file by file.
fn tensors(
    folder: &Path,
    rules: &Rules,
    mut each: impl FnMut(&Path, Name<'_>, &Item) -> Result<()>,
) -> Result<()> {
    let options = TableOptions {
        keys: rules.keys.clone(),
    };
    for (file, found) in files(folder)? {
        let Found::File(path) = found else { continue };
        let whole = Name {
            file: &file,
            tensor: "",
        };
        if rules.ignore.iter().any(|pattern| whole.is_file_of(pattern)) {
            continue;
        }
        for item in &open_any(&path, &options)?.items {
            let name = Name {
                file: &file,
                tensor: &item.name,
            };
            let silent = rules
                .exception(name)
                .is_some_and(|at| rules.exceptions[at].tolerance.is_none());
            if rules.want(name) && !silent {
                each(&path, name, item)?;
            }
        }
    }
    Ok(())
}

/// One tensor without its values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Digested {
    pub(super) name: String,
    pub(super) dtype: String,
    pub(super) shape: Vec<u64>,
    pub(super) digest: Digest,
}

/// Every tensor, in the order of names. Those of files that are named after a moment are without it.
pub(super) fn digests(folder: &Path, rules: &Rules) -> Result<Vec<Digested>> {
    let mut found = Vec::new();
    let aliases = diff::timeless(files(folder)?.keys());
    tensors(folder, rules, |_, name, item| {
        let name = Name {
            file: aliases.get(name.file).map_or(name.file, String::as_str),
            ..name
        };
        found.push(Digested {
            name: name.full(),
            dtype: item
                .declared
                .clone()
                .unwrap_or_else(|| item.dtype.to_string()),
            shape: item.shape.clone(),
            digest: item.digest()?,
        });
        item.check()
    })?;
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

/// One digest for all.
pub(super) fn digest(found: &[Digested]) -> Digest {
    Digest::of_all(found.iter().map(|one| (one.name.as_str(), one.digest)))
}

/// The reason why agreement on these files would prove nothing, if there is one.
pub(super) fn vacuous(folder: &Path, rules: &Rules) -> Result<Option<String>> {
    let (mut weights, mut varied, mut other, mut any) = (0u64, false, false, false);
    tensors(folder, rules, |_, _, item| {
        if item.numel() == 0 || (varied && weights > 0) {
            return Ok(());
        }
        any = true;
        let words =
            item.declared.as_deref() == Some("str") || item.declared.as_deref() == Some("json");
        let summary = Summary::of(item.dtype, &item.bytes()?);
        let says = summary.finite > 0 && !summary.is_constant();
        let float =
            item.declared.is_none() && matches!(item.dtype.kind(), Kind::Float | Kind::Complex);
        if float && item.numel() > 1 {
            weights += 1;
            varied |= says;
        } else {
            let number = item.numel() == 1 && summary.min.is_some_and(|value| value != 0.0);
            other |= says || words || number;
        }
        Ok(())
    })?;
    Ok(match (any, weights) {
        (false, _) => Some("the files hold nothing that can be compared".into()),
        (true, 0) if other => None,
        (true, 0) => Some("the files hold nothing but zeros, constants or NaN".into()),
        _ if varied => None,
        _ => Some("every array of floats in the files is constant, NaN or infinite".into()),
    })
}

/// A copy of one file with one bit changed at a random place must be found out, and nothing else with it.
pub(super) fn one_bit(folder: &Path, rules: &Rules, scratch: &Path) -> Result<Control> {
    let mut places = Vec::new();
    tensors(folder, rules, |path, name, item| {
        if item.numel() > 0 && !matches!(item.content, Content::Digest(_)) {
            places.push((path.to_path_buf(), name.full(), item.name.clone()));
        }
        Ok(())
    })?;
    let mut stream = Seed(0).stream("control/one-bit");
    let mut below = |bound: usize| usize::try_from(stream.below(bound.max(1) as u64)).unwrap_or(0);
    let Some((path, full, tensor)) = places.get(below(places.len())) else {
        return Ok(control("there was nothing to change", "found", false));
    };
    let options = TableOptions {
        keys: rules.keys.clone(),
    };
    let evidence = open_any(path, &options)?;
    let Some(item) = evidence.items.iter().find(|item| item.name == *tensor) else {
        return Ok(control("the file changed meanwhile", "found", false));
    };
    let bytes = item.bytes()?;
    let at = below(bytes.len());
    let small = fs::metadata(path).is_ok_and(|metadata| metadata.len() <= LARGEST_COPY);
    let observed = match &item.content {
        // Where the content is in the file as it is, the file itself is changed.
        Content::Mapped(_, range) if small => {
            let copy = scratch.join(path.file_name().unwrap_or_default());
            fs::create_dir_all(scratch).map_err(|e| Error::io("create", scratch, e))?;
            fs::copy(path, &copy).map_err(|e| Error::io("copy", path, e))?;
            flip(&copy, (range.start + at) as u64)?;
            let observed = of_files(path, &copy, &options);
            fs::remove_dir_all(scratch).map_err(|e| Error::io("remove", scratch, e))?;
            observed
        }
        _ => {
            let mut changed = bytes.into_owned();
            changed[at] ^= 1;
            of_tensors(item, changed)?
        }
    };
    let expected = format!("found at {full} alone");
    let passed = match &observed {
        Observed::Differs(names) => names == std::slice::from_ref(tensor),
        Observed::Refused(_) => true,
    };
    Ok(control(&observed.words(full), &expected, passed))
}

/// What a comparison with the changed copy came to.
enum Observed {
    Differs(Vec<String>),
    /// A checksum of the container's notices it even before the comparison.
    Refused(String),
}

impl Observed {
    fn words(&self, full: &str) -> String {
        match self {
            Self::Differs(names) if names.is_empty() => "not found".into(),
            Self::Differs(names) if full.ends_with(names.join(", ").as_str()) => {
                format!("found at {full} alone")
            }
            Self::Differs(names) => format!("found at {}", names.join(", ")),
            Self::Refused(why) => format!("found: {why}"),
        }
    }
}

fn of_files(path: &Path, copy: &Path, options: &TableOptions) -> Observed {
    let rules = Rules {
        keys: options.keys.clone(),
        of_runs: true,
        ..Rules::default()
    };
    match diff::compare(path, copy, &rules) {
        Ok(found) => Observed::Differs(
            found
                .tensors
                .iter()
                .filter(|tensor| !tensor.agrees())
                .map(|tensor| tensor.key.clone())
                .collect(),
        ),
        Err(error) => Observed::Refused(error.to_string()),
    }
}

fn of_tensors(item: &Item, changed: Vec<u8>) -> Result<Observed> {
    let altered = Item {
        name: item.name.clone(),
        dtype: item.dtype,
        declared: item.declared.clone(),
        shape: item.shape.clone(),
        content: Content::Owned(changed),
    };
    let report = diff::pair(&item.name, item, &altered, &Tolerance::Bitwise, false)?;
    let found = (!report.agrees()).then(|| item.name.clone());
    Ok(Observed::Differs(found.into_iter().collect()))
}

fn flip(path: &Path, at: u64) -> Result<()> {
    let wrong = |e| Error::io("change", path, e);
    let file = fs::File::options()
        .read(true)
        .write(true)
        .open(path)
        .map_err(wrong)?;
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).map_err(wrong)?;
    file.write_all_at(&[byte[0] ^ 1], at).map_err(wrong)
}

fn control(observed: &str, expected: &str, passed: bool) -> Control {
    Control {
        name: "one-bit".into(),
        what: "a copy of one file of the reference with one bit changed at a random place".into(),
        expected: expected.into(),
        observed: observed.into(),
        passed,
    }
}

/// The reference's files against themselves, read again, must agree.
pub(super) fn itself(folder: &Path, rules: &Rules) -> Control {
    let (observed, passed) = match diff::compare(folder, folder, rules) {
        Ok(found) => (
            format!(
                "{} of {} tensors differ",
                found.differing(),
                found.tensors.len()
            ),
            found.differing() == 0 && !found.tensors.is_empty(),
        ),
        Err(error) => (error.to_string(), false),
    };
    Control {
        name: "itself".into(),
        what: "the reference's files against themselves, read again".into(),
        expected: "identical".into(),
        observed,
        passed,
    }
}
