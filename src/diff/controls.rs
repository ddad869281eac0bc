//! Controls: cases whose outcome is known beforehand, tried with the reference's own values under the user's own rules. A
//! tolerance that accepts anything, and a pattern that hides what it should not, fail them.

use std::path::Path;

use super::found::Found;
use crate::difference::changed;
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::evidence::open::open_any;
use crate::evidence::table::TableOptions;
use crate::evidence::{Content, Evidence, Item};
use crate::report::Control;
use crate::rules::{Name, Rules};
use crate::seed::{Seed, Stream};
use crate::tolerance::Tolerance;

/// Tensors drawn before it is said that none has a value to change; nearly all have.
const MOST_DRAWS: usize = 1_000;

/// One tensor of the reference, drawn at random, against itself and against a copy with one place changed. None where no value
/// was compared: two traces of which only digests were kept, or files that differ in their structure throughout.
#[must_use]
pub fn controls(found: &Found, rules: &Rules) -> Vec<Control> {
    let mut stream = Seed(0).stream("control/one-bit");
    match draw(found, rules, &mut stream) {
        Ok(Some(drawn)) => vec![drawn.itself(rules), drawn.changed(rules, &mut stream)],
        Ok(None) => Vec::new(),
        Err(error) => vec![Control {
            name: "itself".into(),
            what: "a tensor of the reference, drawn at random, read again".into(),
            expected: "read".into(),
            observed: error.to_string(),
            passed: false,
        }],
    }
}

/// A tensor of the reference.
struct Drawn {
    path: std::path::PathBuf,
    file: String,
    /// Its name in the file.
    tensor: String,
    tolerance: Tolerance,
}

/// Draws one of the tensors that were compared. Those with a tolerance of their own come last: such a tolerance was given a
/// reason, and may be as wide as it likes.
fn draw(found: &Found, rules: &Rules, stream: &mut Stream) -> Result<Option<Drawn>> {
    let mut opened: Option<(usize, Evidence)> = None;
    let mut excepted = None;
    for _ in 0..MOST_DRAWS.min(4 * found.tensors.len()) {
        let at = usize::try_from(stream.below(found.tensors.len() as u64)).unwrap_or(0);
        // The last source that begins at or before it; an empty one begins where the next does.
        let source = found.sources.partition_point(|source| source.2 <= at);
        let Some(source) = source.checked_sub(1) else {
            continue;
        };
        let (path, file, _) = &found.sources[source];
        if opened.as_ref().is_none_or(|(number, _)| *number != source) {
            opened = Some((source, open(path, rules)?));
        }
        let key = &found.tensors[at].key;
        let item = opened
            .iter()
            .flat_map(|(_, evidence)| &evidence.items)
            .find(|item| {
                let name = Name {
                    file,
                    tensor: &item.name,
                };
                name.full() == *key
            });
        let Some(item) =
            item.filter(|item| item.numel() > 0 && !matches!(item.content, Content::Digest(_)))
        else {
            continue;
        };
        let exception = rules.exception(Name {
            file,
            tensor: &item.name,
        });
        let own = exception.and_then(|at| rules.exceptions[at].tolerance);
        let drawn = Drawn {
            path: path.clone(),
            file: file.clone(),
            tensor: item.name.clone(),
            tolerance: own.unwrap_or(rules.tolerance),
        };
        if exception.is_none() {
            return Ok(Some(drawn));
        }
        excepted = Some(drawn);
    }
    Ok(excepted)
}

fn open(path: &Path, rules: &Rules) -> Result<Evidence> {
    open_any(
        path,
        &TableOptions {
            keys: rules.keys.clone(),
        },
    )
}

impl Drawn {
    fn full(&self) -> String {
        let name = Name {
            file: &self.file,
            tensor: &self.tensor,
        };
        name.full()
    }

    /// The tensor alone, read from its file once more.
    fn read(&self, rules: &Rules) -> Result<Evidence> {
        let mut evidence = open(&self.path, rules)?;
        evidence.items.retain(|item| item.name == self.tensor);
        evidence.properties.clear();
        if evidence.items.is_empty() {
            let what = format!("{} is not there any more", self.tensor);
            return Err(Error::input(&self.path, what));
        }
        Ok(evidence)
    }

    fn itself(&self, rules: &Rules) -> Control {
        let expected = format!("{} agrees", self.full());
        // By its bits: under a tolerance NaN is not equal to itself.
        let rules = &rules.exact();
        let observed = self
            .read(rules)
            .and_then(|ours| Ok((ours, self.read(rules)?)))
            .map(|(ours, theirs)| self.compared(&ours, &theirs, rules));
        control(
            "itself",
            "a tensor of the reference, drawn at random, against itself, read again",
            expected,
            observed,
        )
    }

    /// Under exact rules one bit is changed. A tolerance has to accept small changes, so that under one a value is changed by its
    /// own size, and by at least 1.
    fn changed(&self, rules: &Rules, stream: &mut Stream) -> Control {
        let mut exact = true;
        let observed = self.read(rules).and_then(|ours| {
            let mut theirs = self.read(rules)?;
            let item = &mut theirs.items[0];
            exact = self.tolerance == Tolerance::Bitwise || is_words(item);
            let mut bytes = item.bytes()?.into_owned();
            let size = if exact { 1 } else { item.dtype.size() };
            let at = usize::try_from(stream.below((bytes.len() / size) as u64)).unwrap_or(0) * size;
            let new = if exact {
                vec![bytes[at] ^ 1]
            } else {
                changed(item.dtype, &bytes[at..at + size])
            };
            bytes[at..at + size].copy_from_slice(&new);
            item.content = Content::Owned(bytes);
            Ok(self.compared(&ours, &theirs, rules))
        });
        let (name, what) = if exact {
            (
                "one-bit",
                "the same tensor with one bit changed at a random place",
            )
        } else {
            (
                "one-value",
                "the same tensor with a value at a random place changed by its own size, and by at least 1",
            )
        };
        control(name, what, format!("{} differs", self.full()), observed)
    }

    fn compared(&self, ours: &Evidence, theirs: &Evidence, rules: &Rules) -> String {
        let mut found = Found::new(rules);
        found.evidence(ours, theirs, &self.file, rules);
        let differing: Vec<&str> = found
            .tensors
            .iter()
            .filter(|tensor| !tensor.agrees())
            .map(|tensor| tensor.key.as_str())
            .collect();
        match (found.unread.first(), differing.as_slice()) {
            (Some(unread), _) => unread.what.clone(),
            (None, []) if found.tensors.is_empty() => "nothing was compared".into(),
            (None, []) => format!("{} agrees", self.full()),
            (None, names) => format!("{} differs", names.join(", ")),
        }
    }
}

fn control(name: &str, what: &str, expected: String, observed: Result<String>) -> Control {
    let observed = observed.unwrap_or_else(|error| error.to_string());
    Control {
        name: name.into(),
        what: what.into(),
        passed: observed == expected,
        expected,
        observed,
    }
}

/// Words and unknown types are compared as they are, whatever the tolerance.
fn is_words(item: &Item) -> bool {
    item.declared.is_some() && item.dtype == Dtype::Uint8
}
