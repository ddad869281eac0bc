//! [`compare`]: two traces into everything that differs between them. Structure before values, digests before values,
//! bits before tolerance. Total and without judgement: that is `verdict`'s.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::difference::{Difference, Status as ElementStatus, View, difference};
use crate::dtype::Dtype;
use crate::number::Number;
use crate::tolerance::Tolerance;
use crate::trace::{Entry, Key, Phase, Trace};

/// What was found for one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Equal bit for bit.
    Identical,
    /// Not equal, within the tolerance that was asked for.
    Close,
    /// Not equal, and outside the tolerance or with no values to try it on.
    Diverged,
    /// In the reference only.
    Missing,
    /// In the candidate only.
    Extra,
    /// Of another dtype.
    Dtype,
    /// Of another shape.
    Shape,
    /// Of another structure: a property beside the bytes differs.
    Structure,
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Identical => "identical",
            Self::Close => "close",
            Self::Diverged => "diverged",
            Self::Missing => "missing in the candidate",
            Self::Extra => "only in the candidate",
            Self::Dtype => "of another dtype",
            Self::Shape => "of another shape",
            Self::Structure => "of another structure",
        })
    }
}

/// One disagreeing pair.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mismatch {
    /// Which.
    #[serde(flatten)]
    pub key: Key,
    /// How.
    pub status: Status,
    /// dtype and shape in the reference, unless it is missing there.
    pub reference: Option<Outline>,
    /// dtype and shape in the candidate, unless it is missing there.
    pub candidate: Option<Outline>,
    /// Element by element, where both sides kept their values.
    pub difference: Option<Difference>,
}

/// A tensor's outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outline {
    /// Type of its elements.
    pub dtype: Dtype,
    /// Sizes, outermost first.
    pub shape: Vec<u64>,
}

impl Outline {
    fn of(entry: &Entry) -> Self {
        Self {
            dtype: entry.dtype,
            shape: entry.shape.clone(),
        }
    }
}

/// How far apart the runs are in one step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Growth {
    /// The step; entries after initialisation count to `None`.
    pub step: Option<u64>,
    /// Entries compared.
    pub entries: u64,
    /// Entries not identical.
    pub differing: u64,
    /// Greatest absolute difference seen, where values were kept.
    pub greatest_abs: Option<Number>,
    /// Greatest ULP distance seen, where values were kept.
    pub max_ulp: Option<u64>,
}

/// How much was compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Compared {
    /// Runs, the reference included.
    pub runs: u64,
    /// Steps with at least one entry.
    pub steps: u64,
    /// Pairs of entries.
    pub entries: u64,
    /// Bytes that the digests of these entries stand for, of one run.
    pub bytes: u64,
}

/// A number for people that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// In the reference.
    pub reference: Option<Number>,
    /// In the candidate.
    pub candidate: Option<Number>,
}

/// Everything found between two traces.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// How much was compared.
    pub compared: Compared,
    /// Pairs within the tolerance though not identical.
    pub close: u64,
    /// Pairs that disagree, in execution order.
    pub mismatches: Vec<Mismatch>,
    /// The last entry that agreed before the first mismatch.
    pub last_agreed: Option<Key>,
    /// Step by step, from the first that differs.
    pub growth: Vec<Growth>,
    /// Metrics outside the tolerance.
    pub metrics: Vec<Metric>,
}

impl Comparison {
    /// The first mismatch in execution order: the divergence.
    #[must_use]
    pub fn first(&self) -> Option<&Mismatch> {
        self.mismatches.first()
    }
}

/// Compares `candidate` with `reference`.
#[must_use]
pub fn compare(reference: &Trace, candidate: &Trace, tolerance: &Tolerance) -> Comparison {
    let mut found = Found::default();
    let aligned = reference.entries.len() == candidate.entries.len()
        && reference
            .entries
            .iter()
            .zip(&candidate.entries)
            .all(|(ours, theirs)| ours.key == theirs.key);
    if aligned {
        for (at, (entry, other)) in reference.entries.iter().zip(&candidate.entries).enumerate() {
            found.pair(
                (2 * at, 0),
                (reference, entry),
                (candidate, other),
                tolerance,
            );
        }
    } else {
        found.by_key(reference, candidate, tolerance);
    }
    let metrics = metrics(
        &reference.manifest.metrics,
        &candidate.manifest.metrics,
        tolerance,
    );
    found.finish(reference, metrics)
}

/// Mismatches with the places that order them.
#[derive(Default)]
struct Found {
    compared: Compared,
    close: u64,
    placed: Vec<((usize, usize), Mismatch)>,
    growth: BTreeMap<Option<u64>, Growth>,
    steps: std::collections::BTreeSet<u64>,
}

impl Found {
    /// Pairs entries by key where the two traces do not hold the same keys in the same order.
    fn by_key(&mut self, reference: &Trace, candidate: &Trace, tolerance: &Tolerance) {
        let theirs: BTreeMap<&Key, &Entry> = candidate
            .entries
            .iter()
            .map(|entry| (&entry.key, entry))
            .collect();
        let places = reference.entries.iter().enumerate();
        let ours: BTreeMap<&Key, usize> = places.map(|(at, entry)| (&entry.key, at)).collect();
        for (at, entry) in reference.entries.iter().enumerate() {
            let place = (2 * at, 0);
            match theirs.get(&entry.key) {
                None => self.push(place, entry, Status::Missing, Some(entry), None, None),
                Some(other) => self.pair(place, (reference, entry), (candidate, other), tolerance),
            }
        }
        // An extra entry stands after the one it follows in the candidate.
        let mut after = 0;
        for (at, entry) in candidate.entries.iter().enumerate() {
            match ours.get(&entry.key) {
                Some(before) => after = 2 * before + 1,
                None => self.push((after, at), entry, Status::Extra, None, Some(entry), None),
            }
        }
    }

    fn pair(
        &mut self,
        place: (usize, usize),
        (reference, entry): (&Trace, &Entry),
        (candidate, other): (&Trace, &Entry),
        tolerance: &Tolerance,
    ) {
        self.compared.entries += 1;
        self.compared.bytes += entry.bytes();
        if entry.key.phase != Phase::Init {
            self.steps.insert(entry.key.step);
        }
        self.growth(&entry.key).entries += 1;
        if entry.dtype != other.dtype || entry.shape != other.shape {
            let status = if entry.dtype == other.dtype {
                Status::Shape
            } else {
                Status::Dtype
            };
            return self.push(place, entry, status, Some(entry), Some(other), None);
        }
        if entry.digest == other.digest {
            return;
        }
        let elements = match (reference.value(entry), candidate.value(other)) {
            (Some(ours), Some(theirs)) => {
                let view = |bytes| View {
                    dtype: entry.dtype,
                    shape: &entry.shape,
                    bytes,
                };
                difference(view(&ours), view(&theirs), tolerance).ok()
            }
            _ => None,
        };
        if let Some(elements) = &elements {
            let growth = self.growth(&entry.key);
            growth.greatest_abs = greater(
                growth.greatest_abs,
                elements.greatest_abs.map(|greatest| Number(greatest.value)),
            );
            growth.max_ulp = growth
                .max_ulp
                .max(elements.max_ulp.map(|greatest| greatest.value));
        }
        let status = match &elements {
            Some(elements) if elements.status == ElementStatus::Close => Status::Close,
            _ => Status::Diverged,
        };
        self.push(place, entry, status, Some(entry), Some(other), elements);
    }

    fn growth(&mut self, key: &Key) -> &mut Growth {
        let step = (key.phase != Phase::Init).then_some(key.step);
        let fresh = Growth {
            step,
            entries: 0,
            differing: 0,
            greatest_abs: None,
            max_ulp: None,
        };
        self.growth.entry(step).or_insert(fresh)
    }

    fn push(
        &mut self,
        place: (usize, usize),
        entry: &Entry,
        status: Status,
        reference: Option<&Entry>,
        candidate: Option<&Entry>,
        difference: Option<Difference>,
    ) {
        self.growth(&entry.key).differing += 1;
        if status == Status::Close {
            self.close += 1;
            return;
        }
        let outline = |entry: Option<&Entry>| entry.map(Outline::of);
        let (reference, candidate) = (outline(reference), outline(candidate));
        self.placed.push((
            place,
            Mismatch {
                key: entry.key.clone(),
                status,
                reference,
                candidate,
                difference,
            },
        ));
    }

    fn finish(mut self, reference: &Trace, metrics: Vec<Metric>) -> Comparison {
        self.placed.sort_by_key(|(place, _)| *place);
        let last_agreed = match self.placed.first() {
            Some(((place, _), _)) => {
                // Everything before the first mismatch agreed: the entry just before it in the reference.
                let before = place.div_ceil(2);
                before
                    .checked_sub(1)
                    .map(|at| reference.entries[at].key.clone())
            }
            None => reference.entries.last().map(|entry| entry.key.clone()),
        };
        self.compared.runs = 2;
        self.compared.steps = self.steps.len() as u64;
        Comparison {
            compared: self.compared,
            close: self.close,
            mismatches: self
                .placed
                .into_iter()
                .map(|(_, mismatch)| mismatch)
                .collect(),
            last_agreed,
            growth: self
                .growth
                .into_values()
                .skip_while(|growth| growth.differing == 0)
                .collect(),
            metrics,
        }
    }
}

fn greater(a: Option<Number>, b: Option<Number>) -> Option<Number> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if b.0 > a.0 || b.0.is_nan() { b } else { a }),
        (a, b) => a.or(b),
    }
}

fn metrics(
    reference: &BTreeMap<String, Number>,
    candidate: &BTreeMap<String, Number>,
    tolerance: &Tolerance,
) -> Vec<Metric> {
    let mut names: Vec<&String> = reference.keys().chain(candidate.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let same = |a: Number, b: Number| match tolerance {
        Tolerance::Bitwise => a == b,
        Tolerance::Close(_) => {
            let limits = tolerance.limits(Dtype::Float32, Dtype::Float32);
            approx::relative_eq!(b.0, a.0, epsilon = limits.atol, max_relative = limits.rtol)
        }
    };
    names
        .into_iter()
        .map(|name| Metric {
            name: name.clone(),
            reference: reference.get(name).copied(),
            candidate: candidate.get(name).copied(),
        })
        .filter(|metric| !matches!((metric.reference, metric.candidate), (Some(a), Some(b)) if same(a, b)))
        .collect()
}
