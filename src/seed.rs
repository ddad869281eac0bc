//! [`Seed`]: the one number a person gives, and the named streams derived from it. Not: seeding libtorch (`device`).
//!
//! All data order and all synthetic data come from these streams, never from libtorch's generators, so that they are the
//! same on every platform. libtorch's own generators get the seed itself, as `torch.manual_seed(seed)` would.

use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

/// The one 64-bit number from which everything random in a run follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seed(pub u64);

impl Seed {
    /// The 32-byte `ChaCha` seed of the stream called `name`. Two names give the same key only if BLAKE3 collides.
    #[must_use]
    pub fn key(self, name: &str) -> [u8; 32] {
        // The seed has a fixed width and the name comes last, so no two pairs make the same input.
        let mut hasher = blake3::Hasher::new_derive_key("samebits 2026-11 seed stream v1");
        hasher.update(&self.0.to_le_bytes());
        hasher.update(name.as_bytes());
        *hasher.finalize().as_bytes()
    }

    /// The stream called `name`, at its start.
    #[must_use]
    pub fn stream(self, name: &str) -> Stream {
        Stream(ChaCha12Rng::from_seed(self.key(name)))
    }

    /// One number for a generator that takes a 64-bit seed: the first of the stream called `name`.
    #[must_use]
    pub fn number(self, name: &str) -> u64 {
        self.stream(name).bits()
    }
}

/// A stream of random numbers: `ChaCha` with 12 rounds. Everything drawn is exact arithmetic, equal on every platform.
#[derive(Debug, Clone)]
pub struct Stream(ChaCha12Rng);

impl Stream {
    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number in `0..bound`, every one equally likely.
    ///
    /// # Panics
    /// When `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "a number below 0 was asked for");
        // Numbers at or above the largest multiple of `bound` would favour small results: draw again.
        let limit = u64::MAX - u64::MAX % bound;
        loop {
            let number = self.bits();
            if number < limit {
                return number % bound;
            }
        }
    }

    /// A number in `0.0..1.0`, a multiple of 2^-53.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit a float64 exactly")]
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A number of mean 0 and variance 1, near enough to normal: the sum of twelve uniform ones, less 6. Logarithms and
    /// cosines would differ between platforms.
    pub fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }

    /// The numbers `0..count` in random order.
    pub fn permutation(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for last in (1..count).rev() {
            let other = usize::try_from(self.below(last as u64 + 1)).unwrap_or(last);
            order.swap(last, other);
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written down once. If one of these changes, every trace and reference made with samebits changes its meaning.
    const GOLDEN: &[(u64, &str, u64)] = &[
        (0, "preprocessing", 0x3d4e_a67a_f70f_0f8d),
        (0, "train_test_split", 0xb7f0_5116_aa31_562e),
        (42, "preprocessing", 0x468f_ff9b_ff76_34ae),
        (42, "replicate/3", 0x90c6_ae15_a00d_74f3),
        (42, "rank/7", 0x98d2_7173_2c44_2594),
        (u64::MAX, "", 0xa0d0_48bb_8e2c_7eb0),
    ];

    #[test]
    fn streams_match_the_committed_golden_vectors() {
        for &(seed, name, expected) in GOLDEN {
            assert_eq!(
                Seed(seed).number(name),
                expected,
                "seed {seed}, stream {name:?}"
            );
        }
    }

    #[test]
    fn another_seed_or_another_name_is_another_stream() {
        let mut keys = std::collections::BTreeSet::new();
        for seed in 0..50 {
            for name in 0..50 {
                assert!(keys.insert(Seed(seed).key(&format!("rank/{name}"))));
            }
        }
        assert_ne!(Seed(1).key("a"), Seed(1).key("a\0"));
    }

    #[test]
    fn a_permutation_holds_every_number_once() {
        let mut order = Seed(3).stream("order").permutation(1000);
        assert_ne!(order, (0..1000).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn normal_numbers_have_mean_0_and_variance_1() {
        let mut stream = Seed(5).stream("normal");
        let numbers: Vec<f64> = (0..100_000).map(|_| stream.normal()).collect();
        let mean = numbers.iter().sum::<f64>() / 1e5;
        let variance = numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 1e5;
        approx::assert_abs_diff_eq!(mean, 0.0, epsilon = 0.02);
        approx::assert_abs_diff_eq!(variance, 1.0, epsilon = 0.02);
    }
}
