//! One pair of tensors.

use rayon::prelude::*;

use super::excerpt::{excerpt, is_text};
use crate::compare::Status;
use crate::difference::{View, difference};
use crate::dtype::Dtype;
use crate::error::{Error, Result, plain};
use crate::evidence::{Content, Item, LONGEST_NAME};
use crate::report::tensors::{Outside, TensorReport};
use crate::rules::asked;
use crate::tolerance::Tolerance;

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
) -> Result<TensorReport> {
    let texts = is_text(ours) && is_text(theirs);
    let excerpt =
        |left: &[u8], right: &[u8]| texts.then(|| excerpt(left, right)).flatten().map(Box::new);
    if ours.shape != theirs.shape {
        let mut report = outsides_differ(key, Status::Shape, ours, theirs);
        if texts {
            report.text = excerpt(&ours.bytes()?, &theirs.bytes()?);
        }
        return Ok(report);
    }
    let same_dtype = ours.dtype == theirs.dtype;
    if ours.declared != theirs.declared || (!same_dtype && !any_dtype) {
        return Ok(outsides_differ(key, Status::Dtype, ours, theirs));
    }
    if matches!(ours.content, Content::Digest(_)) || matches!(theirs.content, Content::Digest(_)) {
        let equal = ours.digest()? == theirs.digest()?;
        let status = if equal {
            Status::Identical
        } else {
            Status::Diverged
        };
        return Ok(alone(key, ours, status));
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
        let found = difference(reference, candidate, tolerance)
            .map_err(|error| Error::Usage(format!("{}: {error}", plain(key, LONGEST_NAME))))?;
        let mut report = TensorReport::of(key, ours.dtype, &ours.shape, found);
        report.outside = outside(ours);
        report.text = excerpt(&left, &right);
        report
    };
    ours.check()?;
    theirs.check()?;
    Ok(report)
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
