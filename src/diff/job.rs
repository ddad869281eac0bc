//! What is compared at once, and what is not.

use super::pairs::{alone, pair};
use crate::compare::Status;
use crate::error::Result;
use crate::evidence::{Content, Item};
use crate::report::tensors::TensorReport;
use crate::rules::Rules;

/// Unpacked tensors of this size and more, in bytes, are compared one after the other: two are in memory at a time.
const LARGE: u64 = 32 << 20;

/// Two tensors to compare, or one that is alone.
pub(super) struct Job<'a> {
    pub(super) key: String,
    pub(super) ours: &'a Item,
    pub(super) theirs: Option<&'a Item>,
    pub(super) exception: Option<usize>,
}

impl Job<'_> {
    pub(super) fn bytes(&self) -> u64 {
        self.ours
            .numel()
            .saturating_mul(self.ours.dtype.size() as u64)
    }

    pub(super) fn is_large(&self) -> bool {
        let unpacked = |item: &Item| matches!(item.content, Content::Lazy(_));
        self.bytes() >= LARGE && (unpacked(self.ours) || self.theirs.is_some_and(unpacked))
    }

    /// What was found, and whether its exception was needed for it.
    pub(super) fn compare(&self, rules: &Rules) -> Result<(TensorReport, bool)> {
        let Some(theirs) = self.theirs else {
            return Ok((alone(&self.key, self.ours, Status::Missing), true));
        };
        let under = |tolerance| pair(&self.key, self.ours, theirs, tolerance, rules.any_dtype);
        let plain = under(&rules.tolerance);
        let Some(exception) = self.exception.and_then(|at| rules.exceptions.get(at)) else {
            return Ok((plain?, false));
        };
        let needed = !plain.as_ref().is_ok_and(TensorReport::agrees);
        match &exception.tolerance {
            Some(tolerance) if needed => Ok((under(tolerance)?, true)),
            _ => Ok((plain?, needed)),
        }
    }
}
