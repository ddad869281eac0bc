//! [`Difference`]: the result of a comparison, as a value to report.

use super::tally::{BUCKETS, SpecialCounts};
use super::value::Value;
use crate::dtype::Dtype;
use crate::number::Number;
use crate::tolerance::Limits;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The outcome for one pair of tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Same dtype, every bit equal, nothing refused by the tolerance.
    Identical,
    /// Not identical, nothing refused by the tolerance.
    Close,
    /// The tolerance refuses at least one element. Equal bits are refused where both are NaN and that is not allowed.
    Mismatch,
}

/// A greatest difference.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Greatest {
    /// The difference, not negative; in JSON a string where it is `nan` or `inf`.
    #[serde(serialize_with = "number_or_text", deserialize_with = "text_or_number")]
    pub value: f64,
    /// Flat index of the first element with it.
    pub index: u64,
}

/// A greatest ULP distance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GreatestUlp {
    /// Steps from one float of the dtype to the next that lie between the two.
    pub value: u64,
    /// Flat index of the first element with it.
    pub index: u64,
}

/// One pair of elements.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// Flat index.
    pub index: u64,
    /// Element of the reference.
    pub reference: Value,
    /// Element of the candidate.
    pub candidate: Value,
    /// ULP distance; none where the bits are equal, and unless both are finite floats.
    pub ulp: Option<u64>,
}

/// What is different between two tensors.
///
/// "Differing" is about bits, "mismatched" about the tolerance; for [`Tolerance::Bitwise`](crate::tolerance::Tolerance::Bitwise) they are the same. Where the
/// dtypes differ, everything is about the elements promoted as torch does. Absolute and relative differences are those of
/// mismatched elements, as torch computes them: each step rounded to the dtype, relative to the reference, integers
/// relative in f32, complex numbers by modulus; infinite where the reference is 0, NaN greater than everything, the first
/// greatest wins. ULP distances are those of differing elements; −0 and +0 are 0 apart; a pair with NaN or an infinity has
/// none; that of a complex pair is the greater of its parts'.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// The verdict.
    pub status: Status,
    /// dtype the elements were compared in.
    pub dtype: Dtype,
    /// Limits that were in force.
    pub limits: Limits,
    /// Number of elements.
    pub numel: u64,
    /// Elements whose bits differ.
    pub bits_differing: u64,
    /// Elements the tolerance refuses.
    pub mismatched: u64,
    /// Greatest absolute difference of mismatched elements.
    pub greatest_abs: Option<Greatest>,
    /// Greatest relative difference of mismatched elements.
    pub greatest_rel: Option<Greatest>,
    /// Greatest ULP distance of differing elements.
    pub max_ulp: Option<GreatestUlp>,
    /// First element whose bits differ.
    pub first: Option<Pair>,
    /// First element the tolerance refuses.
    pub first_mismatch: Option<Pair>,
    /// Special elements of the whole reference.
    pub reference_special: SpecialCounts,
    /// Special elements of the whole candidate.
    pub candidate_special: SpecialCounts,
    /// Differing elements that are −0 on one side and +0 on the other.
    pub signed_zero_only: u64,
    /// Differing elements that are NaN on both sides.
    pub nan_payload_only: u64,
    /// Differing elements by ULP distance: 0, 1, 2–3, 4–7, …; the last bucket holds all from 2³⁰ on.
    pub ulp_histogram: [u64; BUCKETS],
}

/// JSON has no NaN and no infinity.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn number_or_text<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if value.is_finite() {
        serializer.serialize_f64(*value)
    } else {
        serializer.serialize_str(&value.to_string().to_lowercase())
    }
}

fn text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Number::deserialize(deserializer).map(|number| number.0)
}
