//! [`difference`]: what is different between two tensors of one shape, bit by bit and as
//! `torch.testing.assert_close` sees it.
//!
//! Both are read once, in blocks and in parallel. A block whose bytes are equal is only searched for NaN, infinities and
//! −0; the others go through the loops in `block`. The result does not depend on the number of threads.

mod block;
mod measure;
mod outcome;
mod rule;
mod tally;
mod value;

use crate::dtype::Dtype;
use crate::element;
use crate::tolerance::{Limits, Tolerance};
use measure::{Element, with_element};
use rayon::prelude::*;
use rule::Rule;
use std::ops::Range;
use tally::{Best, Tally};

pub use outcome::{Difference, Greatest, GreatestUlp, Pair, Status};
pub use tally::{BUCKETS, SpecialCounts};
pub use value::{Value, changed};

/// Bytes of a block: both sides fit into a second-level cache.
const BLOCK: usize = 64 * 1024;

/// Blocks that are worth another thread.
const BLOCKS_PER_THREAD: usize = 8;

/// A tensor: contiguous, row-major, little endian, at any address.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// Type of the elements.
    pub dtype: Dtype,
    /// Extents, outermost first; empty for a single number.
    pub shape: &'a [u64],
    /// The elements.
    pub bytes: &'a [u8],
}

/// Why two tensors could not be compared.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DifferenceError {
    /// The caller compares shapes first: other shapes are a result, not an error.
    #[error("cannot compare elements of shapes {reference:?} and {candidate:?}")]
    Shape {
        /// Shape of the reference.
        reference: Vec<u64>,
        /// Shape of the candidate.
        candidate: Vec<u64>,
    },
    /// Too few or too many bytes for shape and dtype.
    #[error("a {dtype} tensor of shape {shape:?} does not have {bytes} bytes")]
    Length {
        /// Type of the elements.
        dtype: Dtype,
        /// Extents.
        shape: Vec<u64>,
        /// Bytes there are.
        bytes: usize,
    },
    /// torch has no common dtype for these, or bits of different dtypes were to be compared.
    #[error("cannot compare {reference} with {candidate}: no common dtype")]
    Unpromotable {
        /// dtype of the reference.
        reference: Dtype,
        /// dtype of the candidate.
        candidate: Dtype,
    },
    /// torch's refusal of a tolerance for 8-bit floats, in its words.
    #[error(
        "Rtol={:?} and atol={:?} are not supported for bitwise comparison of low dimensional floats. \
         Please use rtol=0.0 and atol=0.0.", .0.rtol, .0.atol
    )]
    LowDimensional(Limits),
}

/// Compares the elements of two tensors of one shape; the reference is torch's `expected`, the candidate its `actual`.
///
/// # Errors
/// If the shapes differ, the bytes do not fit them, or the dtypes cannot be compared under this tolerance.
pub fn difference(
    reference: View<'_>,
    candidate: View<'_>,
    tolerance: &Tolerance,
) -> Result<Difference, DifferenceError> {
    if reference.shape != candidate.shape {
        let (reference, candidate) = (reference.shape.to_vec(), candidate.shape.to_vec());
        return Err(DifferenceError::Shape {
            reference,
            candidate,
        });
    }
    let numel = numel(reference)?;
    self::numel(candidate)?;
    let (rule, dtype) = Rule::new(tolerance, reference.dtype, candidate.dtype)?;
    let sides = Sides {
        reference,
        candidate,
        dtype,
        rule,
        numel,
    };
    Ok(
        with_element!(dtype, E => sides.difference::<E>(tolerance.limits(reference.dtype, candidate.dtype))),
    )
}

/// The number of elements, if the bytes are as many as they need.
fn numel(view: View<'_>) -> Result<usize, DifferenceError> {
    let numel = view
        .shape
        .iter()
        .try_fold(1u64, |numel, &extent| numel.checked_mul(extent));
    // An extent of 0 makes a tensor empty however great the others are.
    let numel = if view.shape.contains(&0) {
        Some(0)
    } else {
        numel
    };
    numel
        .and_then(|numel| usize::try_from(numel).ok())
        .filter(|numel| numel.checked_mul(view.dtype.size()) == Some(view.bytes.len()))
        .ok_or_else(|| DifferenceError::Length {
            dtype: view.dtype,
            shape: view.shape.to_vec(),
            bytes: view.bytes.len(),
        })
}

/// Two tensors that can be compared.
struct Sides<'a> {
    reference: View<'a>,
    candidate: View<'a>,
    /// What both are promoted to.
    dtype: Dtype,
    rule: Rule,
    numel: usize,
}

impl Sides<'_> {
    fn difference<E: Element>(&self, limits: Limits) -> Difference {
        let tally = self.tally::<E>();
        let same_dtype = self.reference.dtype == self.candidate.dtype;
        let found = |best: Best| (best.key > 0).then_some(best);
        let greatest = |best, value: fn(u64) -> f64| {
            found(best).map(|best| Greatest {
                value: value(best.key),
                index: best.index,
            })
        };
        Difference {
            status: if tally.mismatched > 0 {
                Status::Mismatch
            } else if tally.differing > 0 || !same_dtype {
                Status::Close
            } else {
                Status::Identical
            },
            dtype: self.dtype,
            limits,
            numel: self.numel as u64,
            bits_differing: tally.differing,
            mismatched: tally.mismatched,
            greatest_abs: greatest(tally.abs, E::abs_value),
            greatest_rel: greatest(tally.rel, E::rel_value),
            max_ulp: found(tally.ulp).map(|best| GreatestUlp {
                value: best.key - 1,
                index: best.index,
            }),
            first: tally.first.map(|index| self.pair::<E>(index)),
            first_mismatch: tally.first_mismatch.map(|index| self.pair::<E>(index)),
            reference_special: tally.reference,
            candidate_special: tally.candidate,
            signed_zero_only: tally.signed_zero,
            nan_payload_only: tally.nan_payload,
            ulp_histogram: tally.histogram,
        }
    }

    fn tally<E: Element>(&self) -> Tally {
        let arch = pulp::Arch::new();
        let widest = self.reference.dtype.size().max(self.candidate.dtype.size());
        let per_block = BLOCK / widest;
        let blocks = self.numel.div_ceil(per_block);
        let add = |mut tally: Tally, block: usize| {
            let range = block * per_block..self.numel.min((block + 1) * per_block);
            self.block::<E>(arch, range, &mut tally);
            tally
        };
        if blocks <= BLOCKS_PER_THREAD {
            return (0..blocks).fold(Tally::default(), add);
        }
        (0..blocks)
            .into_par_iter()
            .with_min_len(BLOCKS_PER_THREAD)
            .fold(Tally::default, add)
            .reduce(Tally::default, Tally::merge)
    }

    fn block<E: Element>(&self, arch: pulp::Arch, range: Range<usize>, tally: &mut Tally) {
        let start = range.start as u64;
        let (reference, candidate) = (
            slice(self.reference, range.clone()),
            slice(self.candidate, range),
        );
        if self.reference.dtype == self.candidate.dtype {
            return block::compare::<E>(arch, reference, candidate, start, &self.rule, tally);
        }
        let reference = value::convert(reference, self.reference.dtype, self.dtype);
        let candidate = value::convert(candidate, self.candidate.dtype, self.dtype);
        block::compare::<E>(arch, &reference, &candidate, start, &self.rule, tally);
    }

    /// The elements at one index. The values are in the tensors' own dtypes, the distance in the common one.
    fn pair<E: Element>(&self, index: u64) -> Pair {
        let at = usize::try_from(index).expect("an index into a tensor in memory");
        let value = |view: View<'_>| Value::new(view.dtype, slice(view, at..at + 1));
        let mut alone = Tally::default();
        self.block::<E>(pulp::Arch::new(), at..at + 1, &mut alone);
        let ulp = alone.ulp.key.checked_sub(1);
        Pair {
            index,
            reference: value(self.reference),
            candidate: value(self.candidate),
            ulp,
        }
    }
}

/// The bytes of these elements.
fn slice(view: View<'_>, elements: Range<usize>) -> &[u8] {
    &view.bytes[elements.start * view.dtype.size()..elements.end * view.dtype.size()]
}

/// The position in each dimension of the element with this flat index; empty for a single number.
#[must_use]
pub fn unravel(index: u64, shape: &[u64]) -> Vec<u64> {
    let mut rest = index;
    let mut position: Vec<u64> = shape
        .iter()
        .rev()
        .map(|&extent| {
            let extent = extent.max(1);
            let here = rest % extent;
            rest /= extent;
            here
        })
        .collect();
    position.reverse();
    position
}
