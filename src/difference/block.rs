//! The loops over elements, compiled for several instruction sets and chosen at run time by `pulp`.

#![expect(
    clippy::inline_always,
    reason = "only what is inlined into `Arch::dispatch` uses its instruction set"
)]

use super::measure::{Element, Measure};
use super::rule::Rule;
use super::tally::{BUCKETS, Best, SpecialCounts, Tally};
use crate::element::{Key, Word};
use pulp::{Arch, NullaryFnOnce};
use std::marker::PhantomData;

/// Elements measured at once; their keys stay in the first-level cache.
const CHUNK: usize = 1024;

/// Adds what `reference` and `candidate`, the elements from `start` on, have to say. Both are equally many whole
/// elements.
pub(crate) fn compare<E: Element>(
    arch: Arch,
    reference: &[u8],
    candidate: &[u8],
    start: u64,
    rule: &Rule,
    tally: &mut Tally,
) {
    let equal = reference == candidate;
    let special = count_special::<E>(arch, reference);
    tally.reference.add(special);
    tally.candidate.add(if equal {
        special
    } else {
        count_special::<E>(arch, candidate)
    });
    if !equal || (rule.nan_mismatches && special.nan > 0) {
        arch.dispatch(Compare::<E> {
            reference,
            candidate,
            start,
            rule,
            tally,
            element: PhantomData,
        });
    }
}

/// How many NaN, infinities and −0 there are.
fn count_special<E: Element>(arch: Arch, bytes: &[u8]) -> SpecialCounts {
    if E::HAS_SPECIAL {
        arch.dispatch(CountSpecial::<E>(bytes, PhantomData))
    } else {
        SpecialCounts::default()
    }
}

struct CountSpecial<'a, E>(&'a [u8], PhantomData<E>);

impl<E: Element> NullaryFnOnce for CountSpecial<'_, E> {
    type Output = SpecialCounts;

    #[inline(always)]
    fn call(self) -> SpecialCounts {
        let mut counts = SpecialCounts::default();
        for chunk in self.0.chunks(CHUNK * size_of::<E::Bits>()) {
            // Most chunks have none, and this is several times faster than counting.
            let no = <E::Bits as Word>::Flag::default();
            let any = E::Bits::words(chunk).fold(no, |any, bits| {
                let special = E::special(bits);
                any | (special.nan | special.infinite | special.negative_zero).into()
            });
            if any != no {
                for special in E::Bits::words(chunk).map(E::special) {
                    counts.nan += u64::from(special.nan);
                    counts.infinite += u64::from(special.infinite);
                    counts.negative_zero += u64::from(special.negative_zero);
                }
            }
        }
        counts
    }
}

struct Compare<'a, E: Element> {
    reference: &'a [u8],
    candidate: &'a [u8],
    start: u64,
    rule: &'a Rule,
    tally: &'a mut Tally,
    element: PhantomData<E>,
}

/// The keys of one chunk.
struct Columns<K> {
    abs: [K; CHUNK],
    rel: [K; CHUNK],
    ulp: [K; CHUNK],
}

impl<E: Element> NullaryFnOnce for Compare<'_, E> {
    type Output = ();

    #[inline(always)]
    fn call(mut self) {
        let none = [E::Key::default(); CHUNK];
        let mut columns = Columns {
            abs: none,
            rel: none,
            ulp: none,
        };
        let size = CHUNK * size_of::<E::Bits>();
        for (reference, candidate) in self.reference.chunks(size).zip(self.candidate.chunks(size)) {
            self.chunk(reference, candidate, &mut columns);
            self.start += CHUNK as u64;
        }
    }
}

impl<E: Element> Compare<'_, E> {
    #[inline(always)]
    fn chunk(&mut self, reference: &[u8], candidate: &[u8], columns: &mut Columns<E::Key>) {
        let rule = *self.rule;
        // 32 bits are enough for a chunk and as wide as most keys.
        let (mut differing, mut mismatched, mut signed_zero, mut nan_payload) =
            (0u32, 0u32, 0u32, 0u32);
        let pairs = E::Bits::words(reference).zip(E::Bits::words(candidate));
        let count = pairs.len();
        let Columns { abs, rel, ulp } = columns;
        let (abs, rel, ulp) = (&mut abs[..count], &mut rel[..count], &mut ulp[..count]);
        for ((((reference, candidate), abs), rel), ulp) in
            pairs.zip(&mut *abs).zip(&mut *rel).zip(&mut *ulp)
        {
            let measure = E::measure(reference, candidate, &rule);
            differing += u32::from(measure.differs);
            mismatched += u32::from(measure.mismatch);
            signed_zero += u32::from(measure.signed_zero);
            nan_payload += u32::from(measure.nan_payload);
            *abs = measure.abs;
            *rel = measure.rel;
            *ulp = measure.ulp;
        }
        let tally = &mut *self.tally;
        tally.differing += u64::from(differing);
        tally.mismatched += u64::from(mismatched);
        tally.signed_zero += u64::from(signed_zero);
        tally.nan_payload += u64::from(nan_payload);
        offer(&mut tally.abs, abs, self.start);
        offer(&mut tally.rel, rel, self.start);
        if offer(&mut tally.ulp, ulp, self.start) {
            count_ulps(ulp, &mut tally.histogram);
        }
        if differing > 0 && self.tally.first.is_none() {
            self.tally.first = self.find(reference, candidate, |measure| measure.differs);
        }
        if mismatched > 0 && self.tally.first_mismatch.is_none() {
            self.tally.first_mismatch = self.find(reference, candidate, |measure| measure.mismatch);
        }
    }

    /// The first element of the chunk that is wanted.
    #[inline(always)]
    fn find(
        &self,
        reference: &[u8],
        candidate: &[u8],
        wanted: fn(&Measure<E::Key>) -> bool,
    ) -> Option<u64> {
        E::Bits::words(reference)
            .zip(E::Bits::words(candidate))
            .position(|(reference, candidate)| wanted(&E::measure(reference, candidate, self.rule)))
            .map(|position| self.start + position as u64)
    }
}

/// Offers the greatest key of a chunk and says whether there is one. Chunks come in ascending order, so that only a
/// greater key can win: the search for its place is rare.
#[inline(always)]
fn offer<K: Key>(best: &mut Best, column: &[K], start: u64) -> bool {
    let key = column.iter().fold(K::default(), |most, &key| most.max(key));
    let wide: u64 = key.into();
    if wide > best.key {
        let position = column.iter().position(|&other| other == key).unwrap_or(0);
        best.offer(Best {
            key: wide,
            index: start + position as u64,
        });
    }
    wide > 0
}

/// Counts ULP distances by their number of bits: how many have more than so many, until none has.
#[inline(always)]
fn count_ulps<K: Key>(column: &[K], histogram: &mut [u64; BUCKETS]) {
    let above = |limit: u64| {
        let limit = K::saturating(limit);
        u64::from(
            column
                .iter()
                .fold(0u32, |count, &key| count + u32::from(key > limit)),
        )
    };
    // A key is the distance plus one.
    let mut rest = above(0);
    let (last, buckets) = histogram.split_last_mut().expect("there are buckets");
    for (bits, bucket) in buckets.iter_mut().enumerate() {
        if rest == 0 {
            return;
        }
        let longer = above(1 << bits);
        *bucket += rest - longer;
        rest = longer;
    }
    *last += rest;
}
