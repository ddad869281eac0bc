//! [`Contents`]: what a comparison of files found, tensor by tensor and layer by layer.

use serde::{Deserialize, Serialize};

use crate::compare::Status;
use crate::difference::{
    BUCKETS, Difference, Greatest, Pair, SpecialCounts, Status as ElementStatus, unravel,
};
use crate::dtype::Dtype;
use crate::number::{Number, infinite_if_null};

/// Everything found in two files or folders.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Contents {
    /// Tensors in the order of the reference; of very many only the first, and those that are not identical before the others.
    pub tensors: Vec<TensorReport>,
    /// Tensors that were compared but are not listed.
    pub tensors_not_listed: u64,
    /// How many of each kind.
    pub counts: Counts,
    /// Names up to their last dot with something that is not identical, the greatest difference first.
    pub layers: Vec<Layer>,
    /// Layers with a difference that are not listed.
    pub layers_not_listed: u64,
    /// What could not be read on one side or both, and was therefore not compared.
    #[serde(default)]
    pub unread: Vec<Unread>,
}

/// A file, or one tensor of a file, that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unread {
    /// Its name, as in the list of tensors; empty where a single file was given.
    pub key: String,
    /// A stable word for the reason: `damaged`, `unsupported`, `limit`, `out-of-memory`, `io`.
    pub code: String,
    /// The reason, with the path.
    pub what: String,
    /// What to do about it.
    pub hint: String,
}

/// How many tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Equal bit for bit.
    pub identical: u64,
    /// Within the tolerance.
    pub close: u64,
    /// Outside it, of another dtype or shape, or on one side only.
    pub differing: u64,
    /// Left out by `--only` and `--ignore`.
    pub left_out: u64,
    /// Not compared, because it could not be read.
    #[serde(default)]
    pub unread: u64,
}

impl Counts {
    /// Those that are close and those that differ.
    #[must_use]
    pub fn not_identical(&self) -> u64 {
        // A saved report may say anything.
        self.close.saturating_add(self.differing)
    }
}

/// One layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    /// Its name.
    pub name: String,
    /// Tensors in it.
    pub tensors: u64,
    /// Of them, not identical.
    pub differing: u64,
    /// Elements in those.
    pub numel: u64,
    /// Elements whose bits differ.
    pub elements: u64,
    /// Greatest absolute difference.
    pub greatest_abs: Option<Number>,
    /// Greatest relative difference.
    pub greatest_rel: Option<Number>,
    /// Greatest ULP distance.
    pub max_ulp: Option<u64>,
}

/// An exception to the rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excepted {
    /// Pattern of the names.
    pub name: String,
    /// What it does.
    pub what: String,
    /// Why.
    pub reason: String,
    /// Tensors it applied to.
    pub matched: u64,
    /// Of them, those that would have differed without it.
    pub needed: u64,
}

/// A greatest difference, and where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// The difference.
    pub value: Number,
    /// The position in each dimension; empty for a single number.
    pub index: Vec<u64>,
}

/// A tensor's outside, in the file's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outside {
    /// Type of the elements.
    pub dtype: String,
    /// Sizes, outermost first.
    pub shape: Vec<u64>,
}

/// What was found for one tensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TensorReport {
    /// Its name, after the file's in a folder.
    pub key: String,
    /// How the two relate.
    pub status: Status,
    /// dtype and shape, in the reference where both have it.
    #[serde(flatten)]
    pub outside: Outside,
    /// dtype and shape of the candidate, where they are others.
    pub candidate: Option<Box<Outside>>,
    /// Elements.
    pub numel: u64,
    /// Elements that the tolerance refuses.
    pub mismatched: u64,
    /// Elements whose bits differ.
    pub differing: u64,
    /// Greatest absolute difference of the mismatched elements.
    pub greatest_abs: Option<Place>,
    /// Greatest relative difference of the mismatched elements.
    pub greatest_rel: Option<Place>,
    /// Greatest ULP distance of the differing elements.
    pub max_ulp: Option<u64>,
    /// Relative tolerance in force.
    #[serde(deserialize_with = "infinite_if_null")]
    pub rtol: f64,
    /// Absolute tolerance in force.
    #[serde(deserialize_with = "infinite_if_null")]
    pub atol: f64,
    /// For texts, where they part.
    pub text: Option<Box<Excerpt>>,
    /// More, where the elements were looked at one by one.
    #[serde(flatten)]
    pub detail: Option<Box<Detail>>,
}

/// The first place where two texts differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excerpt {
    /// Line, from 1.
    pub line: u64,
    /// Character in the line, from 1.
    pub column: u64,
    /// That line of the reference, shortened around the place.
    pub reference: String,
    /// That line of the candidate, likewise.
    pub candidate: String,
}

/// What is said of tensors that are not identical.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Detail {
    /// The first element that differs, or that the tolerance refuses although its bits are equal (NaN).
    pub first: Option<Pair>,
    /// Special elements of the reference.
    pub reference_special: SpecialCounts,
    /// Special elements of the candidate.
    pub candidate_special: SpecialCounts,
    /// Differing elements by ULP distance: 0, 1, 2–3, 4–7, …
    pub ulp_histogram: [u64; BUCKETS],
}

impl TensorReport {
    /// A tensor whose elements were not looked at one by one.
    #[must_use]
    pub fn outside(key: &str, status: Status, outside: Outside, numel: u64) -> Self {
        Self {
            key: key.into(),
            status,
            outside,
            candidate: None,
            numel,
            mismatched: 0,
            differing: 0,
            greatest_abs: None,
            greatest_rel: None,
            max_ulp: None,
            rtol: 0.0,
            atol: 0.0,
            text: None,
            detail: None,
        }
    }

    /// A pair of tensors compared element by element.
    #[must_use]
    pub fn of(key: &str, dtype: Dtype, shape: &[u64], found: Difference) -> Self {
        let status = match found.status {
            ElementStatus::Identical => Status::Identical,
            ElementStatus::Close => Status::Close,
            ElementStatus::Mismatch => Status::Diverged,
        };
        let place = |greatest: Greatest| Place {
            value: Number(greatest.value),
            index: unravel(greatest.index, shape),
        };
        let outside = Outside {
            dtype: dtype.to_string(),
            shape: shape.to_vec(),
        };
        Self {
            mismatched: found.mismatched,
            differing: found.bits_differing,
            greatest_abs: found.greatest_abs.map(place),
            greatest_rel: found.greatest_rel.map(place),
            max_ulp: found.max_ulp.map(|greatest| greatest.value),
            rtol: found.limits.rtol,
            atol: found.limits.atol,
            detail: (status != Status::Identical).then(|| {
                Box::new(Detail {
                    first: found.first.or(found.first_mismatch),
                    reference_special: found.reference_special,
                    candidate_special: found.candidate_special,
                    ulp_histogram: found.ulp_histogram,
                })
            }),
            ..Self::outside(key, status, outside, found.numel)
        }
    }

    /// Whether the two agree as far as they were asked to.
    #[must_use]
    pub fn agrees(&self) -> bool {
        matches!(self.status, Status::Identical | Status::Close)
    }
}
