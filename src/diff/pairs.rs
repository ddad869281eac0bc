//! One pair of tensors.

use rayon::prelude::*;

use std::path::Path;

use super::excerpt::{excerpt, is_text};
use crate::compare::Status;
use crate::difference::{DifferenceError, View, difference};
use crate::dtype::{Dtype, Kind};
use crate::error::{Error, Refusal, Result, plain};
use crate::evidence::{Content, Item, LONGEST_NAME};
use crate::report::tensors::{Outside, TensorReport};
use crate::rules::asked;
use crate::substance::{Look, Value, look};
use crate::tolerance::Tolerance;

/// What comparing one pair gave.
#[derive(Debug)]
pub struct Paired {
    /// For the report.
    pub report: TensorReport,
    /// Whether its agreement would mean anything.
    pub look: Look,
    /// What a person must know of how the values were compared, such as torch's own loss of precision.
    pub caution: Option<Caution>,
}

/// Where torch, and so we, call values equal that are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Caution {
    /// Unsigned 64-bit integers were compared as signed ones: `2^64 - 1` is `-1`.
    Unsigned,
    /// Integers under a tolerance were compared in float32, which holds them exactly only up to 2^24.
    Float32,
}

impl Caution {
    /// In words, after the name of the first tensor that it is about.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Unsigned => {
                "torch compares uint64 with another dtype as int64, where values from 2^63 on become negative (2^64 - 1 equals -1), and so it was done here"
            }
            Self::Float32 => {
                "under a tolerance torch compares integers in float32, which cannot tell neighbours beyond 2^24 apart, and so it was done here"
            }
        }
    }
}

/// Compares two tensors of one name.
///
/// # Errors
/// When one cannot be read, or the tolerance does not fit its dtype.
pub fn pair(
    key: &str,
    ours: &Item,
    theirs: &Item,
    tolerance: &Tolerance,
    any_dtype: bool,
) -> Result<Paired> {
    let unlooked = |report| {
        Ok(Paired {
            report,
            look: Look::Unseen,
            caution: None,
        })
    };
    let texts = is_text(ours) && is_text(theirs);
    let excerpt =
        |left: &[u8], right: &[u8]| texts.then(|| excerpt(left, right)).flatten().map(Box::new);
    if ours.shape != theirs.shape {
        let mut report = outsides_differ(key, Status::Shape, ours, theirs);
        if texts {
            report.text = excerpt(&ours.bytes()?, &theirs.bytes()?);
        }
        return unlooked(report);
    }
    let same_dtype = ours.dtype == theirs.dtype;
    if ours.declared != theirs.declared || (!same_dtype && !any_dtype) {
        return unlooked(outsides_differ(key, Status::Dtype, ours, theirs));
    }
    if matches!(ours.content, Content::Digest(_)) || matches!(theirs.content, Content::Digest(_)) {
        let equal = ours.digest()? == theirs.digest()?;
        let status = if equal {
            Status::Identical
        } else {
            Status::Diverged
        };
        return unlooked(alone(key, ours, status));
    }
    let (left, right) = (ours.bytes()?, theirs.bytes()?);
    // Words, and numbers that nobody here can read, are the same bytes or something else: there is no nearness in them.
    let words = ours.declared.is_some() && ours.dtype == Dtype::Uint8;
    let tolerance = if words {
        &Tolerance::Bitwise
    } else {
        tolerance
    };
    let bitwise = *tolerance == Tolerance::Bitwise;
    let mut caution = None;
    let report = if bitwise && same_dtype && same_bytes(&left, &right) {
        alone(key, ours, Status::Identical)
    } else {
        let reference = View {
            dtype: ours.dtype,
            shape: &ours.shape,
            bytes: &left,
        };
        let candidate = View {
            dtype: theirs.dtype,
            shape: &theirs.shape,
            bytes: &right,
        };
        // Bits of different types cannot be compared, but values can be, and must then be equal.
        let equal = asked(false, None, None, false, None).unwrap_or_default();
        let tolerance = if bitwise && !same_dtype {
            &equal
        } else {
            tolerance
        };
        let found =
            difference(reference, candidate, tolerance).map_err(|error| refused(key, &error))?;
        caution = caution_of(reference, candidate, tolerance);
        let mut report = TensorReport::of(key, ours.dtype, &ours.shape, found);
        report.outside = outside(ours);
        report.text = excerpt(&left, &right);
        report
    };
    ours.check()?;
    theirs.check()?;
    let look = look_at(ours, &left);
    Ok(Paired {
        report,
        look,
        caution,
    })
}

/// What a look at an item's bytes shows.
#[must_use]
pub fn look_at(item: &Item, bytes: &[u8]) -> Look {
    let value = Value {
        name: &item.name,
        dtype: item.dtype,
        declared: item.declared.as_deref(),
        numel: item.numel(),
    };
    look(value, bytes)
}

/// A pair that torch does not compare either under this tolerance.
fn refused(key: &str, error: &DifferenceError) -> Error {
    Refusal::unsupported(error.to_string()).of(Path::new(&*plain(key, LONGEST_NAME)))
}

/// What a person must know of this comparison.
fn caution_of(reference: View<'_>, candidate: View<'_>, tolerance: &Tolerance) -> Option<Caution> {
    /// The first integer that float32 does not hold.
    const BEYOND: u64 = (1 << 24) + 1;
    let Tolerance::Close(close) = tolerance else {
        return None;
    };
    let (ours, theirs) = (reference.dtype, candidate.dtype);
    let whole = |dtype: Dtype| matches!(dtype.kind(), Kind::Signed | Kind::Unsigned);
    if ours != theirs && [ours, theirs].contains(&Dtype::Uint64) {
        return Some(Caution::Unsigned);
    }
    let inexact = !close.limits(ours, theirs).are_exact();
    let large = |view: View<'_>| {
        let size = view.dtype.size();
        let number = |bytes: &[u8]| {
            bytes
                .iter()
                .rev()
                .fold(0u64, |all, &byte| all << 8 | u64::from(byte))
        };
        size >= 4
            && view.bytes.chunks_exact(size).any(|element| {
                let bits = number(element);
                let negative = view.dtype.kind() == Kind::Signed && element[size - 1] & 0x80 != 0;
                let magnitude = if negative {
                    (!bits).wrapping_add(1) & (u64::MAX >> (64 - 8 * size))
                } else {
                    bits
                };
                magnitude >= BEYOND
            })
    };
    (inexact && whole(ours) && whole(theirs) && (large(reference) || large(candidate)))
        .then_some(Caution::Float32)
}

/// A tensor that was not compared element by element.
pub(super) fn alone(key: &str, item: &Item, status: Status) -> TensorReport {
    TensorReport::outside(key, status, outside(item), item.numel())
}

fn outsides_differ(key: &str, status: Status, ours: &Item, theirs: &Item) -> TensorReport {
    TensorReport {
        candidate: Some(Box::new(outside(theirs))),
        ..alone(key, ours, status)
    }
}

fn outside(item: &Item) -> Outside {
    Outside {
        dtype: item
            .declared
            .clone()
            .unwrap_or_else(|| item.dtype.to_string()),
        shape: item.shape.clone(),
    }
}

/// Whether two contents are the same, read once, on all cores.
fn same_bytes(left: &[u8], right: &[u8]) -> bool {
    const CHUNK: usize = 1 << 20;
    left.len() == right.len()
        && left
            .par_chunks(CHUNK)
            .zip(right.par_chunks(CHUNK))
            .all(|(left, right)| left == right)
}
