//! What is compared at once, and what is not.

use super::pairs::{Paired, alone, pair};
use crate::compare::Status;
use crate::error::Result;
use crate::evidence::{Content, Item};
use crate::rules::Rules;
use crate::substance::Look;

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

    /// What was found under the tolerance that holds for it, and whether its exception made a difference.
    pub(super) fn compare(&self, rules: &Rules) -> Result<(Paired, bool)> {
        let Some(theirs) = self.theirs else {
            let report = alone(&self.key, self.ours, Status::Missing);
            let paired = Paired {
                report,
                look: Look::Unseen,
                caution: None,
            };
            return Ok((paired, true));
        };
        let under = |tolerance| pair(&self.key, self.ours, theirs, tolerance, rules.any_dtype);
        let Some(exception) = self.exception.and_then(|at| rules.exceptions.get(at)) else {
            return Ok((under(&rules.tolerance)?, false));
        };
        let Some(own) = &exception.tolerance else {
            // Ignored: only whether that was needed is asked.
            let paired = under(&rules.tolerance)?;
            let differs = !paired.report.agrees();
            return Ok((paired, differs));
        };
        // The exception decides, also where it is the tighter of the two.
        let paired = under(own)?;
        let bitwise = paired.report.status == Status::Identical;
        let agrees = |paired: &Paired| paired.report.agrees();
        let needed = !bitwise
            && !under(&rules.tolerance).is_ok_and(|plain| agrees(&plain) == agrees(&paired));
        Ok((paired, needed))
    }
}
