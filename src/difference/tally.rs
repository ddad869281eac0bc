//! [`Tally`]: the running statistics of a comparison, merged in any order to the same result.

use serde::{Deserialize, Serialize};

/// Buckets of the ULP histogram.
pub const BUCKETS: usize = 32;

/// Special elements of one tensor. A complex element counts once for either part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SpecialCounts {
    /// NaN.
    pub nan: u64,
    /// Infinity of either sign.
    pub infinite: u64,
    /// −0.
    pub negative_zero: u64,
}

impl SpecialCounts {
    pub(crate) fn add(&mut self, other: Self) {
        self.nan += other.nan;
        self.infinite += other.infinite;
        self.negative_zero += other.negative_zero;
    }
}

/// The greatest key offered and the first index that had it. Key 0 is never taken.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Best {
    pub key: u64,
    pub index: u64,
}

impl Best {
    pub(crate) fn offer(&mut self, other: Self) {
        if other.key > self.key || (other.key == self.key && other.index < self.index) {
            *self = other;
        }
    }
}

/// Statistics of a part of a tensor; indices count from the beginning of the tensor.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    pub differing: u64,
    pub mismatched: u64,
    pub signed_zero: u64,
    pub nan_payload: u64,
    pub reference: SpecialCounts,
    pub candidate: SpecialCounts,
    pub abs: Best,
    pub rel: Best,
    pub ulp: Best,
    pub first: Option<u64>,
    pub first_mismatch: Option<u64>,
    pub histogram: [u64; BUCKETS],
}

impl Tally {
    /// The statistics of both parts, whichever comes first in the tensor.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "rayon's reduce hands over values"
    )]
    pub(crate) fn merge(mut self, other: Self) -> Self {
        self.differing += other.differing;
        self.mismatched += other.mismatched;
        self.signed_zero += other.signed_zero;
        self.nan_payload += other.nan_payload;
        self.reference.add(other.reference);
        self.candidate.add(other.candidate);
        self.abs.offer(other.abs);
        self.rel.offer(other.rel);
        self.ulp.offer(other.ulp);
        self.first = earlier(self.first, other.first);
        self.first_mismatch = earlier(self.first_mismatch, other.first_mismatch);
        for (bucket, count) in self.histogram.iter_mut().zip(other.histogram) {
            *bucket += count;
        }
        self
    }
}

/// The lesser of the indices that are there.
pub(crate) fn earlier(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    one.into_iter().chain(other).min()
}
