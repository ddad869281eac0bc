//! [`Digest`]: an order-sensitive hash of dtype, shape and logical bytes; equal digests are what *bitwise equal* means here.
//!
//! The bytes, in row-major order, are little-endian words `x[0], x[1], …`, the last one padded with zeros. Each word is
//! mixed with its position by a bijection, and the results are summed twice, modulo 2^64:
//!
//! ```text
//! z[i]     = mix(x[i] ^ (i + 1)·C)
//! sum      = Σ z[i]
//! weighted = Σ z[i]·(i + 1)
//! ```
//!
//! Integer addition is associative, so every thread count, chunking and GPU reduction order gives the same two numbers,
//! with one read of memory; the position inside the mix and the weights make them depend on order. Because the mix is a
//! bijection, a change inside one word always changes `sum`. The digest is BLAKE3 over both numbers, the dtype, the
//! shape and the length. It guards against accidents, not against somebody who wants two tensors to collide.

use std::sync::LazyLock;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::dtype::Dtype;

/// 2^64 divided by the golden ratio: spreads consecutive positions over all bits.
const POSITION: u64 = 0x9e37_79b9_7f4a_7c15;
/// The multipliers of splitmix64's finaliser.
const MULTIPLY_1: u64 = 0xbf58_476d_1ce4_e5b9;
const MULTIPLY_2: u64 = 0x94d0_49bb_1331_11eb;

/// Words of one stream handled side by side, so that compilers turn the inner loop into vector instructions.
const WIDTH: usize = 8;
/// Places of the input read in step: one stream alone leaves the memory bus idle at every page boundary.
const STREAMS: usize = 4;
const LINE: usize = WIDTH * 8;
/// Bytes given to one thread at a time. Below two of these, threads cost more than they save.
const CHUNK: usize = 4 << 20;

/// The two position-salted sums. The same formula, in tensor operations, runs on GPUs (`ffi/torch_shim.cpp`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lanes {
    /// Σ z\[i\] modulo 2^64.
    pub sum: u64,
    /// Σ z\[i\]·(i + 1) modulo 2^64.
    pub weighted: u64,
}

impl std::ops::Add for Lanes {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            sum: self.sum.wrapping_add(other.sum),
            weighted: self.weighted.wrapping_add(other.weighted),
        }
    }
}

impl Lanes {
    /// The sums over `bytes`, on all cores when there is enough to do.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        if bytes.len() < 2 * CHUNK {
            return Self::at(0, bytes);
        }
        bytes
            .par_chunks(CHUNK)
            .enumerate()
            .map(|(index, chunk)| Self::at((index * (CHUNK / 8)) as u64, chunk))
            .reduce(Self::default, |a, b| a + b)
    }

    /// The sums over `bytes` that start at word `first` of a longer tensor, on this thread.
    #[must_use]
    pub fn at(first: u64, bytes: &[u8]) -> Self {
        let (blocks, rest) = bytes.split_at(bytes.len() - bytes.len() % (STREAMS * LINE));
        let whole = pulp::Arch::new().dispatch(Blocks { first, blocks });
        let start = first + (blocks.len() / 8) as u64;
        rest.chunks(8)
            .enumerate()
            .fold(whole, |lanes, (offset, chunk)| {
                let mut word = [0; 8];
                word[..chunk.len()].copy_from_slice(chunk);
                let position = start.wrapping_add(offset as u64 + 1);
                let mixed = mix(u64::from_le_bytes(word), position.wrapping_mul(POSITION));
                lanes
                    + Self {
                        sum: mixed,
                        weighted: mixed.wrapping_mul(position),
                    }
            })
    }
}

#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "it must become part of the vectorised loop"
)]
fn mix(word: u64, salt: u64) -> u64 {
    let mut z = word ^ salt;
    z = (z ^ (z >> 30)).wrapping_mul(MULTIPLY_1);
    z = (z ^ (z >> 27)).wrapping_mul(MULTIPLY_2);
    z ^ (z >> 31)
}

/// The inner loop, compiled once for each instruction set and chosen at run time. `blocks` holds as many whole lines as
/// make [`STREAMS`] streams of equal length.
struct Blocks<'a> {
    first: u64,
    blocks: &'a [u8],
}

impl pulp::WithSimd for Blocks<'_> {
    type Output = Lanes;

    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "it must be compiled into the caller's instruction set"
    )]
    fn with_simd<S: pulp::Simd>(self, _: S) -> Lanes {
        let length = self.blocks.len() / STREAMS;
        let lines = (length / LINE) as u64;
        // One more than the position of each lane's first word.
        let mut starts = [[0u64; WIDTH]; STREAMS];
        for (stream, starts) in starts.iter_mut().enumerate() {
            for (lane, start) in starts.iter_mut().enumerate() {
                *start = self
                    .first
                    .wrapping_add((stream * length / 8 + lane + 1) as u64);
            }
        }
        let mut salts = starts.map(|starts| starts.map(|start| start.wrapping_mul(POSITION)));
        let mut sums = [[0u64; WIDTH]; STREAMS];
        // After n lines, running is Σ (n − line)·z: the weights cost one addition a word instead of a product.
        let mut running = [[0u64; WIDTH]; STREAMS];
        let parts: [&[u8]; STREAMS] =
            std::array::from_fn(|stream| &self.blocks[stream * length..][..length]);
        for at in (0..length).step_by(LINE) {
            for stream in 0..STREAMS {
                let line = &parts[stream][at..at + LINE];
                for lane in 0..WIDTH {
                    let word: [u8; 8] = line[lane * 8..lane * 8 + 8].try_into().unwrap_or_default();
                    let z = mix(u64::from_le_bytes(word), salts[stream][lane]);
                    sums[stream][lane] = sums[stream][lane].wrapping_add(z);
                    running[stream][lane] = running[stream][lane].wrapping_add(sums[stream][lane]);
                    salts[stream][lane] =
                        salts[stream][lane].wrapping_add(POSITION.wrapping_mul(WIDTH as u64));
                }
            }
        }
        let mut total = Lanes::default();
        for stream in 0..STREAMS {
            for lane in 0..WIDTH {
                let sum = sums[stream][lane];
                // Σ line·z, then position + 1 = start + line·WIDTH.
                let by_line = sum.wrapping_mul(lines).wrapping_sub(running[stream][lane]);
                let weighted = by_line
                    .wrapping_mul(WIDTH as u64)
                    .wrapping_add(sum.wrapping_mul(starts[stream][lane]));
                total = total + Lanes { sum, weighted };
            }
        }
        total
    }
}

/// 128 bits that stand for one tensor: its dtype, shape and logical bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 16]);

impl Digest {
    /// The digest of a tensor whose logical row-major bytes are at hand.
    #[must_use]
    pub fn of(dtype: Dtype, shape: &[u64], bytes: &[u8]) -> Self {
        Self::from_lanes(dtype, shape, bytes.len() as u64, Lanes::of(bytes))
    }

    /// The digest of a tensor whose sums were computed elsewhere, for example on a GPU. `length` is in bytes.
    #[must_use]
    pub fn from_lanes(dtype: Dtype, shape: &[u64], length: u64, lanes: Lanes) -> Self {
        // Deriving the key costs as much as the rest; it is always the same.
        static KEYED: LazyLock<blake3::Hasher> =
            LazyLock::new(|| blake3::Hasher::new_derive_key("samebits 2026-11 tensor digest v1"));
        let mut hasher = KEYED.clone();
        hasher.update(dtype.name().as_bytes());
        // A name never holds a zero byte, so this ends it; every number after it has a fixed width.
        hasher.update(&[0]);
        hasher.update(&(shape.len() as u64).to_le_bytes());
        for size in shape {
            hasher.update(&size.to_le_bytes());
        }
        for number in [length, lanes.sum, lanes.weighted] {
            hasher.update(&number.to_le_bytes());
        }
        let mut digest = [0; 16];
        digest.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self(digest)
    }

    /// The digest of digests: what a whole sequence of entries amounts to.
    pub fn of_all<'a>(digests: impl Iterator<Item = (&'a str, Self)>) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("samebits 2026-11 digest of digests v1");
        for (name, digest) in digests {
            hasher.update(&(name.len() as u64).to_le_bytes());
            hasher.update(name.as_bytes());
            hasher.update(&digest.0);
        }
        let mut digest = [0; 16];
        digest.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self(digest)
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&to_hex(&self.0))
    }
}

/// Bytes in hexadecimal. Once for every recorded tensor, so not by way of `format!`.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Digest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no digest: 32 hexadecimal digits expected");
        if text.len() != 32 || !text.is_ascii() {
            return Err(wrong());
        }
        let mut digest = [0; 16];
        for (index, byte) in digest.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[index * 2..index * 2 + 2], 16).map_err(|_| wrong())?;
        }
        Ok(Self(digest))
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition at the top of this file, word by word.
    fn by_definition(bytes: &[u8]) -> Lanes {
        let mut lanes = Lanes::default();
        for (index, chunk) in bytes.chunks(8).enumerate() {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            let z = mix(
                u64::from_le_bytes(word),
                (index as u64 + 1).wrapping_mul(POSITION),
            );
            lanes = lanes
                + Lanes {
                    sum: z,
                    weighted: z.wrapping_mul(index as u64 + 1),
                };
        }
        lanes
    }

    #[test]
    fn the_fast_loop_equals_the_definition_at_every_length() {
        let bytes: Vec<u8> = (0..2000u32)
            .map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()[2])
            .collect();
        for length in 0..bytes.len() {
            assert_eq!(
                Lanes::of(&bytes[..length]),
                by_definition(&bytes[..length]),
                "{length} bytes"
            );
        }
    }

    #[test]
    fn threads_and_chunks_do_not_change_the_sums() {
        let bytes: Vec<u8> = (0..3 * CHUNK + 13)
            .map(|i| (i * 31 % 251).to_le_bytes()[0])
            .collect();
        assert_eq!(Lanes::of(&bytes), by_definition(&bytes));
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            assert_eq!(
                pool.install(|| Lanes::of(&bytes)),
                by_definition(&bytes),
                "{threads} threads"
            );
        }
    }

    #[test]
    fn dtype_and_shape_are_part_of_the_digest() {
        let bytes = [7; 24];
        let digest = Digest::of(Dtype::Float32, &[2, 3], &bytes);
        assert_ne!(digest, Digest::of(Dtype::Int32, &[2, 3], &bytes));
        assert_ne!(digest, Digest::of(Dtype::Float32, &[3, 2], &bytes));
        assert_ne!(digest, Digest::of(Dtype::Float32, &[6], &bytes));
        assert_ne!(
            Digest::of(Dtype::Uint8, &[0], &[]),
            Digest::of(Dtype::Uint8, &[], &[0])
        );
        assert_eq!(digest, digest.to_string().parse().unwrap());
    }

    #[test]
    fn the_digest_of_a_known_tensor_never_changes() {
        // A trace written today must still compare equal to one written by a later release.
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(
            Digest::of(Dtype::Uint8, &[256], &bytes).to_string(),
            "6de9d7e644e7ec38928f289f2457d17f"
        );
    }

    proptest! {
        #[test]
        fn any_single_bit_changes_the_digest(mut bytes in prop::collection::vec(any::<u8>(), 1..900), at in any::<prop::sample::Index>(), bit in 0..8) {
            let shape = [bytes.len() as u64];
            let before = Digest::of(Dtype::Uint8, &shape, &bytes);
            let at = at.index(bytes.len());
            bytes[at] ^= 1u8 << bit;
            prop_assert_ne!(before, Digest::of(Dtype::Uint8, &shape, &bytes));
        }

        #[test]
        fn any_swap_of_two_unequal_elements_changes_the_digest(mut values in prop::collection::vec(any::<u16>(), 2..500), i in any::<prop::sample::Index>(), j in any::<prop::sample::Index>()) {
            let (i, j) = (i.index(values.len()), j.index(values.len()));
            prop_assume!(values[i] != values[j]);
            let digest = |values: &[u16]| {
                let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
                Digest::of(Dtype::Uint16, &[values.len() as u64], &bytes)
            };
            let before = digest(&values);
            values.swap(i, j);
            prop_assert_ne!(before, digest(&values));
        }
    }
}
