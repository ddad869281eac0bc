//! What the gathered files of a run hold: one digest for all, whether agreement on it would mean anything, and a control.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::diff;
use crate::digest::Digest;
use crate::error::Result;
use crate::evidence::folder::{Found, files};
use crate::evidence::open::open_any;
use crate::evidence::table::TableOptions;
use crate::evidence::{Content, Item};
use crate::report::Control;
use crate::rules::{Name, Rules};
use crate::substance::{Look, Substance};
use crate::verdict::Verdict;

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
    let mut substance = Substance::default();
    tensors(folder, rules, |_, _, item| {
        let look = match item.content {
            Content::Digest(_) => Look::Unseen,
            _ => diff::look_at(item, &item.bytes()?),
        };
        substance.add(look);
        Ok(())
    })?;
    Ok(substance.lack())
}

/// The reference's files against themselves, read again, must agree, and one changed place must be found.
pub(super) fn controls(folder: &Path, rules: &Rules) -> Vec<Control> {
    let itself = |observed: String, passed| Control {
        name: "itself".into(),
        what: "the reference's files against themselves, read again".into(),
        expected: "identical".into(),
        observed,
        passed,
    };
    match diff::compare(folder, folder, &rules.exact()) {
        Err(error) => vec![itself(error.to_string(), false)],
        Ok(found) => {
            let tally = found.tally();
            let observed = format!("{} of {} tensors differ", tally.differing, tally.compared);
            let mut controls = vec![itself(observed, tally.verdict() == Verdict::Identical)];
            // Its first one is the same for a single tensor.
            controls.extend(
                diff::controls(&found, rules)
                    .into_iter()
                    .filter(|one| one.name != "itself"),
            );
            controls
        }
    }
}
