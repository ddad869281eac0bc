//! [`Summary`]: what people want to know of a tensor at a glance. It decides nothing but whether there was anything to
//! compare: a tensor of one repeated value, or of NaN only, proves little.

use serde::{Deserialize, Serialize};

use crate::dtype::{Dtype, Kind};

/// Counts and extremes of a tensor's elements; of complex ones, real and imaginary parts count as elements.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Summary {
    /// Elements that are neither NaN nor infinite.
    pub finite: u64,
    /// Elements that are NaN.
    pub nan: u64,
    /// Elements that are infinite.
    pub infinite: u64,
    /// The least finite element.
    pub min: Option<f64>,
    /// The greatest finite element.
    pub max: Option<f64>,
    /// Square root of the sum of squares of the finite elements.
    pub l2: Option<f64>,
}

/// Elements handled side by side, for the sake of vector instructions.
const WIDTH: usize = 16;

impl Summary {
    /// Summarises little-endian bytes. 8-bit floats are summarised by their bit patterns.
    #[must_use]
    pub fn of(dtype: Dtype, bytes: &[u8]) -> Self {
        let arch = pulp::Arch::new();
        let kernel = |decode: fn(&[u8]) -> f64, size: usize| scalar(bytes, size, decode);
        match dtype {
            Dtype::Float32 | Dtype::Complex64 => arch.dispatch(Lanes32 { bytes, size: 4 }),
            Dtype::Bfloat16 => arch.dispatch(Lanes32 { bytes, size: 2 }),
            Dtype::Float64 | Dtype::Complex128 => kernel(|b| f64::from_le_bytes(fixed(b)), 8),
            Dtype::Float16 | Dtype::Complex32 => {
                kernel(|b| half::f16::from_le_bytes(fixed(b)).to_f64(), 2)
            }
            #[expect(clippy::cast_precision_loss, reason = "a summary is for people")]
            _ => match (dtype.kind(), dtype.size()) {
                (Kind::Signed, 1) => kernel(|b| f64::from(i8::from_le_bytes(fixed(b))), 1),
                (Kind::Signed, 2) => kernel(|b| f64::from(i16::from_le_bytes(fixed(b))), 2),
                (Kind::Signed, 4) => kernel(|b| f64::from(i32::from_le_bytes(fixed(b))), 4),
                (Kind::Signed, _) => kernel(|b| i64::from_le_bytes(fixed(b)) as f64, 8),
                (_, 1) => kernel(|b| f64::from(b[0]), 1),
                (_, 2) => kernel(|b| f64::from(u16::from_le_bytes(fixed(b))), 2),
                (_, 4) => kernel(|b| f64::from(u32::from_le_bytes(fixed(b))), 4),
                _ => kernel(|b| u64::from_le_bytes(fixed(b)) as f64, 8),
            },
        }
    }

    /// Whether every element has the same value, or none is a number. An empty tensor is constant.
    #[must_use]
    pub fn is_constant(&self) -> bool {
        match (self.min, self.max) {
            (Some(min), Some(max)) => {
                self.nan == 0 && self.infinite == 0 && min.to_bits() == max.to_bits()
            }
            _ => true,
        }
    }

    fn add(&mut self, value: f64, squares: &mut f64) {
        if value.is_nan() {
            self.nan += 1;
        } else if value.is_infinite() {
            self.infinite += 1;
        } else {
            self.finite += 1;
            self.min = Some(self.min.map_or(value, |min| min.min(value)));
            self.max = Some(self.max.map_or(value, |max| max.max(value)));
            *squares += value * value;
        }
    }

    fn finish(mut self, squares: f64) -> Self {
        // An overflow has no JSON number; the extremes still tell.
        self.l2 = (self.finite > 0 && squares.is_finite()).then(|| squares.sqrt());
        self
    }
}

fn fixed<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[..N]);
    array
}

fn scalar(bytes: &[u8], size: usize, decode: fn(&[u8]) -> f64) -> Summary {
    let mut summary = Summary::default();
    let mut squares = 0.0;
    for element in bytes.chunks_exact(size) {
        summary.add(decode(element), &mut squares);
    }
    summary.finish(squares)
}

/// The vectorised loop for float32 (`size` 4) and bfloat16 (`size` 2, the upper half of a float32).
struct Lanes32<'a> {
    bytes: &'a [u8],
    size: usize,
}

impl Lanes32<'_> {
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "it must become part of the vectorised loop"
    )]
    fn bits(&self, element: &[u8]) -> u32 {
        if self.size == 4 {
            u32::from_le_bytes(fixed(element))
        } else {
            u32::from(u16::from_le_bytes(fixed(element))) << 16
        }
    }
}

impl pulp::WithSimd for Lanes32<'_> {
    type Output = Summary;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) -> Summary {
        const EXPONENT: u32 = 0x7f80_0000;
        let mut min = [f32::INFINITY; WIDTH];
        let mut max = [f32::NEG_INFINITY; WIDTH];
        let mut squares = [0f64; WIDTH];
        let mut special = [0u32; WIDTH];
        let mut nan = [0u32; WIDTH];
        let mut chunks = self.bytes.chunks_exact(WIDTH * self.size);
        let mut total = Summary::default();
        for chunk in chunks.by_ref() {
            for lane in 0..WIDTH {
                let bits = self.bits(&chunk[lane * self.size..(lane + 1) * self.size]);
                let value = f32::from_bits(bits);
                let finite = bits & EXPONENT != EXPONENT;
                special[lane] += u32::from(!finite);
                nan[lane] += u32::from(bits & 0x7fff_ffff > EXPONENT);
                min[lane] = if finite && value < min[lane] {
                    value
                } else {
                    min[lane]
                };
                max[lane] = if finite && value > max[lane] {
                    value
                } else {
                    max[lane]
                };
                let square = f64::from(value) * f64::from(value);
                squares[lane] += if finite { square } else { 0.0 };
            }
        }
        let counted = (self.bytes.len() / (WIDTH * self.size) * WIDTH) as u64;
        let specials: u64 = special.iter().map(|&n| u64::from(n)).sum();
        total.nan = nan.iter().map(|&n| u64::from(n)).sum();
        total.infinite = specials - total.nan;
        total.finite = counted - specials;
        if total.finite > 0 {
            total.min = Some(f64::from(min.into_iter().fold(f32::INFINITY, f32::min)));
            total.max = Some(f64::from(max.into_iter().fold(f32::NEG_INFINITY, f32::max)));
        }
        let mut sum = squares.iter().sum();
        for element in chunks.remainder().chunks_exact(self.size) {
            total.add(f64::from(f32::from_bits(self.bits(element))), &mut sum);
        }
        total.finish(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(values: &[f32]) -> Vec<u8> {
        values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect()
    }

    #[test]
    fn the_vectorised_loop_counts_as_the_plain_one_does() {
        for length in [0, 1, 15, 16, 17, 100] {
            let mut values: Vec<f32> = (0..length)
                .map(|i: u16| (f32::from(i) - 7.5) * 0.25)
                .collect();
            if length > 20 {
                values[3] = f32::NAN;
                values[18] = f32::NEG_INFINITY;
                values[99] = f32::NAN;
            }
            let plain = scalar(&bytes(&values), 4, |b| {
                f64::from(f32::from_le_bytes(fixed(b)))
            });
            let fast = Summary::of(Dtype::Float32, &bytes(&values));
            assert_eq!(
                (fast.finite, fast.nan, fast.infinite, fast.min, fast.max),
                (
                    plain.finite,
                    plain.nan,
                    plain.infinite,
                    plain.min,
                    plain.max
                )
            );
            approx::assert_relative_eq!(
                fast.l2.unwrap_or(0.0),
                plain.l2.unwrap_or(0.0),
                max_relative = 1e-12
            );
        }
    }

    #[test]
    fn one_repeated_value_and_nan_alone_are_constant_and_two_values_are_not() {
        assert!(Summary::of(Dtype::Float32, &bytes(&[2.5; 40])).is_constant());
        assert!(Summary::of(Dtype::Float32, &bytes(&[f32::NAN; 40])).is_constant());
        assert!(Summary::of(Dtype::Float32, &[]).is_constant());
        assert!(!Summary::of(Dtype::Float32, &bytes(&[0.0, 1.0])).is_constant());
        assert!(!Summary::of(Dtype::Bool, &[0, 1]).is_constant());
        assert!(Summary::of(Dtype::Int64, &[0; 16]).is_constant());
    }
}
