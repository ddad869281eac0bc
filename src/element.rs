//! Elements as bits: loading them from unaligned bytes, their arithmetic, and the distance in ULPs.
//!
//! Everything here is branchless and inlined, so that the loops over it become vector instructions.

#![expect(
    clippy::inline_always,
    reason = "the loops over these must become vector instructions in every caller"
)]

mod format;

pub(crate) use format::{Bf16, E4m3fn, E4m3fnuz, E5m2, E5m2fnuz, E8m0, F16, F32, F64};

use std::ops::{Add, BitOr, Div, Mul, Sub};

/// Raw bits that can be read from bytes of any alignment, little endian.
pub(crate) trait Word: Copy + PartialEq {
    /// A flag as wide as the word, so that both share vector lanes.
    type Flag: Copy + Default + PartialEq + From<bool> + BitOr<Output = Self::Flag>;
    /// The words that fill `bytes`; an incomplete last word is left out.
    fn words(bytes: &[u8]) -> impl ExactSizeIterator<Item = Self> + Clone;
}

/// The bits of a float without its meaning.
pub(crate) trait Unsigned: Word {
    /// Distance of two sign-and-magnitude numbers; `sign` is the mask of the sign bit, zero where a format has none.
    fn distance(self, other: Self, sign: Self) -> Self;
}

/// An order-preserving stand-in for a quantity to be maximised; 0 means "does not count".
pub(crate) trait Key: Copy + Ord + Default + Into<u64> {
    /// `value`, or the greatest key where it does not fit.
    fn saturating(value: u64) -> Self;
    /// The key after this one.
    fn next(self) -> Self;
}

/// The arithmetic a format is computed in.
pub(crate) trait Real:
    Copy
    + PartialOrd
    + Default
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
{
    /// As wide as the number, so that both share vector lanes.
    type Key: Key;
    const INFINITY: Self;
    fn from_f64(value: f64) -> Self;
    fn abs(self) -> Self;
    /// The absolute value of a complex number.
    fn modulus(real: Self, imaginary: Self) -> Self;
    /// The key of a number that is not negative: NaN above infinity above the finite numbers, as in torch's `max`.
    fn key(self) -> Self::Key;
    /// The number whose key this is, from the key widened to 64 bits.
    fn from_key(key: u64) -> f64;
}

/// A floating-point format: its bits, and the arithmetic torch uses for it.
pub(crate) trait Format {
    type Bits: Unsigned + Into<KeyOf<Self>>;
    type Real: Real;
    /// Mask of the sign bit; zero for a format without sign.
    const SIGN: Self::Bits;
    fn decode(bits: Self::Bits) -> Self::Real;
    /// Rounds a result of the arithmetic to what the format can hold.
    fn round(value: Self::Real) -> Self::Real;
    fn is_nan(bits: Self::Bits) -> bool;
    fn is_infinite(bits: Self::Bits) -> bool;
    fn is_negative_zero(bits: Self::Bits) -> bool;
}

/// The key type of a format.
pub(crate) type KeyOf<F> = <<F as Format>::Real as Real>::Key;

macro_rules! words {
    ($($word:ident $flag:ident,)*) => {
        $(impl Word for $word {
            type Flag = $flag;

            #[inline(always)]
            fn words(bytes: &[u8]) -> impl ExactSizeIterator<Item = Self> + Clone {
                bytes.as_chunks::<{ size_of::<Self>() }>().0.iter().map(|&word| Self::from_le_bytes(word))
            }
        })*
    };
}
words! { i8 u8, i16 u16, i32 u32, i64 u64, u8 u8, u16 u16, u32 u32, u64 u64, }

macro_rules! unsigned {
    ($($word:ident)*) => {
        $(impl Unsigned for $word {
            #[inline(always)]
            fn distance(self, other: Self, sign: Self) -> Self {
                let (this, that) = (self & !sign, other & !sign);
                if (self ^ other) & sign == 0 { this.abs_diff(that) } else { this.wrapping_add(that) }
            }
        }

        /// The two parts of a complex number.
        impl Word for [$word; 2] {
            type Flag = $word;

            #[inline(always)]
            fn words(bytes: &[u8]) -> impl ExactSizeIterator<Item = Self> + Clone {
                const SIZE: usize = size_of::<$word>();
                bytes.as_chunks::<{ 2 * SIZE }>().0.iter().map(|pair| {
                    let (parts, _) = pair.as_chunks::<SIZE>();
                    [$word::from_le_bytes(parts[0]), $word::from_le_bytes(parts[1])]
                })
            }
        })*
    };
}
unsigned! { u8 u16 u32 u64 }

macro_rules! reals {
    ($($real:ident $key:ident $modulus:expr;)*) => {
        $(impl Key for $key {
            #[inline(always)]
            fn saturating(value: u64) -> Self {
                Self::try_from(value).unwrap_or(Self::MAX)
            }

            #[inline(always)]
            fn next(self) -> Self {
                self.wrapping_add(1)
            }
        }

        impl Real for $real {
            type Key = $key;
            const INFINITY: Self = $real::INFINITY;

            #[inline(always)]
            #[allow(clippy::cast_possible_truncation, reason = "torch rounds its f64 tolerances to the tensor's arithmetic")]
            fn from_f64(value: f64) -> Self {
                value as Self
            }

            #[inline(always)]
            fn abs(self) -> Self {
                self.abs()
            }

            #[inline(always)]
            fn modulus(real: Self, imaginary: Self) -> Self {
                $modulus(real, imaginary)
            }

            #[inline(always)]
            fn key(self) -> $key {
                // One key for all NaNs, so that the first of them wins.
                let key = self.to_bits().wrapping_add(1);
                if self.is_nan() { $real::INFINITY.to_bits() + 2 } else { key }
            }

            #[allow(clippy::cast_possible_truncation, reason = "the key was widened from this width")]
            fn from_key(key: u64) -> f64 {
                $real::from_bits(key as $key - 1).into()
            }
        })*
    };
}
reals! {
    f32 u32 modulus_f32;
    f64 u64 f64::hypot;
}

/// In f64 the squares of an f32 neither overflow nor lose anything that matters, and this vectorises.
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "rounding back to f32 is the point"
)]
fn modulus_f32(real: f32, imaginary: f32) -> f32 {
    let (real, imaginary) = (f64::from(real), f64::from(imaginary));
    (real * real + imaginary * imaginary).sqrt() as f32
}
