//! Whether something that was computed was compared. Agreement on nothing, on constants, on NaN or on the word "done" proves
//! nothing, and no command may be green for it. [`Substance`] is the one rule, for files and runs alike; [`vacuous`] asks a
//! trace, which knows its steps and parameters, for more.

use std::collections::{BTreeMap, BTreeSet};

use crate::digest::Digest;
use crate::dtype::{Dtype, Kind};
use crate::summary::Summary;
use crate::trace::{Entry, Phase, Trace};

/// Bytes looked at before it is decided whether to look further: most tensors show two different numbers in the first few.
const GLANCE: usize = 16 << 10;

/// So many words may be a result without any number among them: a text that a model wrote, a list of labels. Fewer are a status:
/// "Training completed, model saved".
const ENOUGH_WORDS: usize = 20;

/// What one look at a value showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// No elements.
    Empty,
    /// More than one float.
    Floats {
        /// Whether any is a number.
        finite: bool,
        /// Whether there are two different ones.
        varied: bool,
    },
    /// One float: a loss, an accuracy.
    Float {
        /// Whether it is a number.
        finite: bool,
        /// Whether it is another number than 0.
        nonzero: bool,
    },
    /// Integers, truth values or bytes.
    Whole {
        /// Whether there are two different ones, or one that is not 0.
        says: bool,
    },
    /// A text.
    Words {
        /// Whether a number is in it.
        number: bool,
        /// How many words it has, counted up to [`ENOUGH_WORDS`].
        count: usize,
    },
    /// A value that differs between the two sides within the tolerance: something computed it.
    Differs,
    /// Only its digest is known.
    Unseen,
    /// No value of its own: where a link leads, where words end in a list of words.
    Frame,
}

/// A value as a look needs it.
#[derive(Debug, Clone, Copy)]
pub struct Value<'a> {
    /// Its name, which tells helpers such as `tag#end` from values.
    pub name: &'a str,
    /// Type of its elements.
    pub dtype: Dtype,
    /// The file's own word for the type, where there is one.
    pub declared: Option<&'a str>,
    /// Number of elements.
    pub numel: u64,
}

/// Looks at a value. Reads no further than to the first two different numbers.
#[must_use]
pub fn look(value: Value<'_>, bytes: &[u8]) -> Look {
    let helper = value
        .name
        .rsplit_once('#')
        .is_some_and(|(base, suffix)| !base.is_empty() && HELPERS.contains(&suffix));
    if helper {
        return Look::Frame;
    }
    if value.numel == 0 || bytes.is_empty() {
        return Look::Empty;
    }
    if value.declared.is_some() && value.dtype == Dtype::Uint8 {
        // Of a long text the beginning nearly always says it.
        for part in [&bytes[..bytes.len().min(GLANCE)], bytes] {
            let text = part.utf8_chunks().next().map_or("", |chunk| chunk.valid());
            let whole = text.len() + 3 >= part.len() && !text.contains('\0');
            let number = whole && holds_number(text);
            if number || (whole && text.len() == bytes.len()) {
                let count = text.split_whitespace().take(ENOUGH_WORDS).count();
                return Look::Words { number, count };
            }
        }
    }
    let float =
        value.declared.is_none() && matches!(value.dtype.kind(), Kind::Float | Kind::Complex);
    let (finite, varied, nonzero) = glance(value.dtype, bytes);
    match (float, value.numel) {
        (true, 1) => Look::Float { finite, nonzero },
        (true, _) => Look::Floats { finite, varied },
        (false, 1) => Look::Whole { says: nonzero },
        (false, _) => Look::Whole { says: varied },
    }
}

/// Suffixes of what readers add to say where values stand, and that is no result.
const HELPERS: &[&str] = &["end", "rows", "null"];

/// Whether any element is finite, whether two differ, and whether a finite one is not 0.
fn glance(dtype: Dtype, bytes: &[u8]) -> (bool, bool, bool) {
    let (mut finite, mut other, mut nonzero) = (false, false, false);
    let (mut least, mut greatest) = (f64::INFINITY, f64::NEG_INFINITY);
    for block in bytes.chunks(GLANCE) {
        let summary = Summary::of(dtype, block);
        finite |= summary.finite > 0;
        other |= summary.nan > 0 || summary.infinite > 0;
        if let (Some(min), Some(max)) = (summary.min, summary.max) {
            (least, greatest) = (least.min(min), greatest.max(max));
            nonzero |= min != 0.0 || max != 0.0;
        }
        if least < greatest || (finite && other) {
            return (true, true, true);
        }
    }
    (finite, false, nonzero)
}

/// Whether a text holds a number: a word that is one, or a long hexadecimal one such as a digest. `3.11.2` is none, so that a
/// program that only says its version says nothing.
fn holds_number(text: &str) -> bool {
    let apart = |c: char| c.is_whitespace() || "=:,;()[]{}<>|\"'`/".contains(c);
    text.split(apart).any(|word| {
        let word = word.trim_end_matches(['.', '%', '!', '?']);
        let digest = word.len() >= 16 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        let starts = word.bytes().find(|byte| !b"+-.".contains(byte));
        digest || (starts.is_some_and(|byte| byte.is_ascii_digit()) && is_number(word))
    })
}

/// A number, alone or before the letters of a unit: `3.2s`, `12ms`.
fn is_number(word: &str) -> bool {
    let number = word.trim_end_matches(|c: char| c.is_alphabetic() && !matches!(c, 'e' | 'E'));
    word.len() - number.len() <= 3 && number.parse::<f64>().is_ok()
}

/// What all looks together showed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Substance {
    floats: u64,
    without_number: u64,
    varied: u64,
    single: u64,
    single_finite: u64,
    words: usize,
    differs: bool,
    /// Values that a computation could have changed.
    computed: u64,
    any: bool,
}

impl Substance {
    /// Takes one look into account.
    pub fn add(&mut self, look: Look) {
        self.any |= !matches!(look, Look::Empty | Look::Frame);
        match look {
            Look::Empty | Look::Frame => {}
            Look::Floats { finite, varied } => {
                self.floats += 1;
                self.without_number += u64::from(!finite);
                self.varied += u64::from(varied);
            }
            Look::Float { finite, nonzero } => {
                self.single += 1;
                self.single_finite += u64::from(finite);
                self.computed += u64::from(nonzero);
            }
            Look::Whole { says } => self.computed += u64::from(says),
            Look::Words { number, count } => {
                self.words += count;
                self.computed += u64::from(number);
            }
            Look::Differs => {
                self.computed += 1;
                self.differs = true;
            }
            Look::Unseen => self.computed += 1,
        }
    }

    /// The reason why agreement on all of it would prove nothing, if there is one.
    #[must_use]
    pub fn lack(&self) -> Option<String> {
        if !self.any {
            return Some(
                "there is nothing that can be compared: no values, or only empty ones".into(),
            );
        }
        if self.differs {
            return None;
        }
        if self.floats > 0 {
            // Weights of NaN beside one buffer that is whole: the training broke down, and any two such end alike.
            return if 2 * self.without_number > self.floats {
                Some(format!(
                    "{} of {} arrays of floats hold nothing but NaN or infinities",
                    self.without_number, self.floats
                ))
            } else if self.varied == 0 {
                Some("every array of floats is constant, NaN or infinite".into())
            } else {
                None
            };
        }
        if self.single > 0 && self.single_finite == 0 {
            return Some("every float is NaN or infinite".into());
        }
        if self.computed > 0 || self.words >= ENOUGH_WORDS {
            None
        } else if self.words > 0 {
            Some(
                "there are only a few words, and no number that a computation could have changed"
                    .into(),
            )
        } else {
            Some("there is nothing but zeros and constants".into())
        }
    }
}

/// Names of entries that would vary even if no training took place: the generators and the data.
const NOT_TRAINING: &[&str] = &["rng.", "batch."];

/// The reason why agreement with this trace would prove nothing, if there is one.
#[must_use]
pub fn vacuous(trace: &Trace) -> Option<String> {
    if trace.entries.is_empty() {
        return Some("nothing was recorded".into());
    }
    if trace.entries.iter().map(Entry::bytes).sum::<u64>() == 0 {
        return Some("every recorded tensor is empty".into());
    }
    if trace
        .entries
        .iter()
        .all(|entry| entry.key.phase == Phase::Init)
    {
        return Some("no step was trained".into());
    }
    let training: Vec<&Entry> = trace
        .entries
        .iter()
        .filter(|entry| {
            !NOT_TRAINING
                .iter()
                .any(|start| entry.key.name.starts_with(start))
        })
        .collect();
    if !varies(&training) {
        return Some("nothing but constants or NaN was recorded".into());
    }
    let last = training.iter().map(|entry| entry.key.step).max();
    let state: Vec<&Entry> = parameters(&training, last);
    if !state.is_empty()
        && state
            .iter()
            .all(|entry| entry.summary.is_some_and(|summary| summary.finite == 0))
    {
        return Some("after the last step every parameter is NaN or infinite".into());
    }
    if never_changed(&training, &state) {
        return Some("no parameter changed from initialisation to the last step".into());
    }
    None
}

/// The parameters after the last step: what has a gradient, where gradients were recorded, and everything but integers
/// where not. Running statistics and counters move even when nothing is learned.
fn parameters<'a>(entries: &[&'a Entry], last: Option<u64>) -> Vec<&'a Entry> {
    let gradients: BTreeSet<&str> = entries
        .iter()
        .filter(|entry| entry.key.phase == Phase::Backward)
        .filter_map(|entry| entry.key.name.strip_suffix(".grad"))
        .collect();
    entries
        .iter()
        .filter(|entry| entry.key.phase == Phase::Update && Some(entry.key.step) == last)
        .filter(|entry| {
            let trained = gradients.contains(entry.key.name.as_str());
            trained || (gradients.is_empty() && entry.dtype.kind() != Kind::Signed)
        })
        .copied()
        .collect()
}

/// Whether any tensor holds two different numbers, or changes from step to step without being NaN throughout.
fn varies(entries: &[&Entry]) -> bool {
    let mut seen: BTreeMap<(Phase, &str), Digest> = BTreeMap::new();
    entries.iter().any(|entry| {
        if entry.summary.is_some_and(|summary| summary.finite == 0) {
            return false;
        }
        let inside = entry.summary.is_some_and(|summary| !summary.is_constant());
        let before = seen.insert((entry.key.phase, &entry.key.name), entry.digest);
        inside || before.is_some_and(|before| before != entry.digest)
    })
}

/// Whether every parameter recorded after initialisation still is what it was.
fn never_changed(entries: &[&Entry], state: &[&Entry]) -> bool {
    let initial: BTreeMap<&str, Digest> = entries
        .iter()
        .filter(|entry| entry.key.phase == Phase::Init)
        .map(|entry| (entry.key.name.as_str(), entry.digest))
        .collect();
    let mut pairs = state
        .iter()
        .filter_map(|entry| Some((initial.get(entry.key.name.as_str())?, entry.digest)))
        .peekable();
    pairs.peek().is_some() && pairs.all(|(initial, now)| *initial == now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(values: &[f32]) -> Look {
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        look_at("w", Dtype::Float32, None, &bytes)
    }

    fn look_at(name: &str, dtype: Dtype, declared: Option<&str>, bytes: &[u8]) -> Look {
        let numel = (bytes.len() / dtype.size()) as u64;
        look(
            Value {
                name,
                dtype,
                declared,
                numel,
            },
            bytes,
        )
    }

    fn lack(looks: &[Look]) -> Option<String> {
        let mut substance = Substance::default();
        for look in looks {
            substance.add(*look);
        }
        substance.lack()
    }

    fn text(text: &str) -> Look {
        look_at("bytes", Dtype::Uint8, Some("text"), text.as_bytes())
    }

    #[test]
    fn what_a_computation_could_have_changed_counts_and_constants_nan_and_words_do_not() {
        let (nan, inf) = (f32::NAN, f32::INFINITY);
        let long = |last: f32| floats(&[vec![0.5; 100_000], vec![last]].concat());
        for looks in [
            &[floats(&[1.0, 2.0])][..],
            &[floats(&[nan, 1.0, 2.0]), floats(&[nan, nan])],
            &[floats(&[0.25])],
            &[long(0.25)],
            &[text("loss 0.25")],
            &[text("sha256:e3b0c44298fc1c149afbf4c8996fb924")],
            &[text("took 3.2s")],
            &[text(&"once upon a time ".repeat(5))],
            &[floats(&[0.0, 0.0]), Look::Differs],
            &[look_at("n", Dtype::Int64, None, &7i64.to_le_bytes())],
            &[Look::Unseen],
            &[floats(&[nan]), floats(&[1.0, 2.0])],
        ] {
            assert_eq!(lack(looks), None, "{looks:?}");
        }
        for looks in [
            &[][..],
            &[floats(&[])],
            &[
                floats(&[nan, nan]),
                floats(&[nan, inf]),
                floats(&[1.0, 2.0]),
            ],
            &[floats(&[1.5, 1.5])],
            &[long(0.5)],
            &[floats(&[nan])],
            &[
                floats(&[nan]),
                look_at("epoch", Dtype::Int64, None, &7i64.to_le_bytes()),
            ],
            &[floats(&[0.0])],
            &[text("Training done.")],
            &[text("Python 3.11.2"), text("gcc (Debian 12.2.0-14) 12.2.0")],
            &[look_at(
                "words#end",
                Dtype::Int64,
                None,
                &[1, 0, 0, 0, 0, 0, 0, 0],
            )],
            &[Look::Frame],
            &[look_at("data", Dtype::Uint8, Some("bytes"), &[0; 1000])],
        ] {
            assert!(lack(looks).is_some(), "{looks:?}");
        }
    }
}
