//! [`Value`]: one element for people to read; and the slow, exact way from any dtype to the one it is promoted to.

use crate::dtype::{Dtype, Kind};
use crate::element::{Bf16, E4m3fn, E4m3fnuz, E5m2, E5m2fnuz, E8m0, F16, Format};
use serde::{Deserialize, Serialize};

/// One element, as number and as bits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Value {
    /// The shortest decimal that gives the element back; `nan`, `inf`, `true`; `1.0-2.0j` for a complex number.
    pub decimal: String,
    /// The bits, most significant digit first, as `0x3f800000`; both parts of a complex number, separated by a space.
    pub bits: String,
}

impl Value {
    /// The element of type `dtype` in these bytes, which are as many as it needs.
    pub(crate) fn new(dtype: Dtype, bytes: &[u8]) -> Self {
        let width = 2 * bytes.len();
        let bits = match Part::of(dtype) {
            Some(part) => {
                let (real, imaginary) = bytes.split_at(part.size());
                let width = width / 2;
                format!(
                    "0x{:0width$x} 0x{:0width$x}",
                    unsigned(real),
                    unsigned(imaginary)
                )
            }
            None => format!("0x{:0width$x}", unsigned(bytes)),
        };
        let wide = matches!(dtype, Dtype::Float64 | Dtype::Complex128);
        let decimal = match Number::read(dtype, bytes) {
            Number::Integer(integer) if dtype == Dtype::Bool => (integer != 0).to_string(),
            Number::Integer(integer) => integer.to_string(),
            Number::Real(real) => decimal(real, wide),
            Number::Complex(real, imaginary) => {
                let imaginary = decimal(imaginary, wide);
                let plus = if imaginary.starts_with('-') { "" } else { "+" };
                format!("{}{plus}{imaginary}j", decimal(real, wide))
            }
        };
        Self { decimal, bits }
    }
}

/// Shortest decimal in f64 if `wide`, else in f32, which holds all narrower formats exactly.
#[expect(clippy::cast_possible_truncation, reason = "came from f32")]
fn decimal(real: f64, wide: bool) -> String {
    let text = if wide {
        format!("{real:?}")
    } else {
        format!("{:?}", real as f32)
    };
    text.to_lowercase()
}

/// An element in a type that holds every element exactly.
#[derive(Debug, Clone, Copy)]
enum Number {
    Integer(i128),
    Real(f64),
    Complex(f64, f64),
}

impl Number {
    fn read(dtype: Dtype, bytes: &[u8]) -> Self {
        match (dtype.kind(), Part::of(dtype)) {
            (Kind::Bool, _) => Self::Integer(i128::from(unsigned(bytes) != 0)),
            (Kind::Signed, _) => {
                let unused = u64::BITS - u8::BITS * u32::try_from(bytes.len()).unwrap_or(8);
                Self::Integer(i128::from(
                    (unsigned(bytes) << unused).cast_signed() >> unused,
                ))
            }
            (Kind::Complex, Some(part)) => {
                let (left, right) = bytes.split_at(part.size());
                Self::Complex(real(part, left), real(part, right))
            }
            (Kind::Float, _) => Self::Real(real(dtype, bytes)),
            (Kind::Unsigned | Kind::Complex, _) => Self::Integer(i128::from(unsigned(bytes))),
        }
    }

    /// Appends this number as `dtype`, rounded as torch's `to` does.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "torch's casts are these"
    )]
    fn write(self, dtype: Dtype, bytes: &mut Vec<u8>) {
        let part = Part::of(dtype);
        let target = part.unwrap_or(dtype);
        let (real, imaginary) = match self {
            // uint64 beyond int64 wraps, as in torch.
            Self::Integer(integer) if target.kind() != Kind::Float => {
                return bytes.extend_from_slice(&integer.to_le_bytes()[..target.size()]);
            }
            // To f16 and bf16 through f32, as in torch; to f64 directly.
            Self::Integer(integer) if target == Dtype::Float64 => (integer as f64, 0.0),
            Self::Integer(integer) => (f64::from(integer as f32), 0.0),
            Self::Real(real) => (real, 0.0),
            Self::Complex(real, imaginary) => (real, imaginary),
        };
        for number in std::iter::once(real).chain(part.map(|_| imaginary)) {
            match target {
                Dtype::Float64 => bytes.extend(number.to_le_bytes()),
                Dtype::Float16 => bytes.extend(half::f16::from_f32(number as f32).to_le_bytes()),
                Dtype::Bfloat16 => bytes.extend(half::bf16::from_f32(number as f32).to_le_bytes()),
                _ => bytes.extend((number as f32).to_le_bytes()),
            }
        }
    }
}

/// Namespace for the parts of complex dtypes.
struct Part;

impl Part {
    /// What the real and the imaginary part of a complex dtype are.
    fn of(dtype: Dtype) -> Option<Dtype> {
        match dtype {
            Dtype::Complex32 => Some(Dtype::Float16),
            Dtype::Complex64 => Some(Dtype::Float32),
            Dtype::Complex128 => Some(Dtype::Float64),
            _ => None,
        }
    }
}

/// At most eight bytes as one number.
fn unsigned(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |bits, &byte| bits << 8 | u64::from(byte))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "there are only so many bytes"
)]
fn real(dtype: Dtype, bytes: &[u8]) -> f64 {
    let bits = unsigned(bytes);
    match dtype {
        Dtype::Float64 => f64::from_bits(bits),
        Dtype::Float32 => f32::from_bits(bits as u32).into(),
        Dtype::Float16 => F16::decode(bits as u16).into(),
        Dtype::Bfloat16 => Bf16::decode(bits as u16).into(),
        Dtype::Float8E5m2 => E5m2::decode(bits as u8).into(),
        Dtype::Float8E4m3fn => E4m3fn::decode(bits as u8).into(),
        Dtype::Float8E5m2fnuz => E5m2fnuz::decode(bits as u8).into(),
        Dtype::Float8E4m3fnuz => E4m3fnuz::decode(bits as u8).into(),
        Dtype::Float8E8m0fnu => E8m0::decode(bits as u8).into(),
        other => unreachable!("{other} is not a float"),
    }
}

/// An element of type `dtype` that no tolerance worth its name accepts in place of this one: changed by its own size and by at
/// least 1; NaN and infinities become 2.
#[must_use]
pub fn changed(dtype: Dtype, element: &[u8]) -> Vec<u8> {
    let real = |real: f64| {
        if real.is_finite() {
            real + real.abs().max(1.0)
        } else {
            2.0
        }
    };
    let number = match Number::read(dtype, element) {
        Number::Integer(integer) if dtype == Dtype::Bool => Number::Integer(1 - integer),
        Number::Integer(integer) => {
            let step = integer.abs().max(1);
            let bits = 8 * dtype.size() - usize::from(dtype.kind() == Kind::Signed);
            let fits = integer + step < 1 << bits;
            Number::Integer(if fits { integer + step } else { integer - step })
        }
        // These are compared exactly, and have no way from f64 here.
        Number::Real(_) if dtype.size() == 1 => return vec![element[0] ^ 0x40],
        Number::Real(value) => Number::Real(real(value)),
        Number::Complex(value, imaginary) => Number::Complex(real(value), imaginary),
    };
    let mut bytes = Vec::new();
    number.write(dtype, &mut bytes);
    bytes
}

/// The elements of `bytes` as `promoted`; a slow path, for tensors whose dtypes differ.
pub(crate) fn convert(bytes: &[u8], dtype: Dtype, promoted: Dtype) -> Vec<u8> {
    let mut converted = Vec::with_capacity(bytes.len() / dtype.size() * promoted.size());
    for element in bytes.chunks_exact(dtype.size()) {
        Number::read(dtype, element).write(promoted, &mut converted);
    }
    converted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::difference::{Status, View, difference};

    #[test]
    fn a_changed_element_is_another_under_the_tolerances_of_torch_whatever_it_was() {
        let tolerance = crate::tolerance::Tolerance::torch_defaults();
        for dtype in Dtype::all() {
            let patterns = [[0; 16], [0xFF; 16], [0x7F; 16], [0x3C; 16], [1; 16]];
            for bytes in patterns.map(|pattern| pattern[..dtype.size()].to_vec()) {
                let changed = changed(dtype, &bytes);
                let view = |bytes| View {
                    dtype,
                    shape: &[1],
                    bytes,
                };
                let found = difference(view(&bytes), view(&changed), &tolerance).unwrap();
                assert_eq!(
                    found.status,
                    Status::Mismatch,
                    "{dtype} {bytes:?} {changed:?}"
                );
            }
        }
    }
}
