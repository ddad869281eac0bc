//! [`Rule`]: a tolerance worked out for one dtype, and torch's promotion of a pair of dtypes to it.

use super::DifferenceError;
use crate::dtype::{Dtype, Kind};
use crate::tolerance::Tolerance;

/// What decides whether a pair of elements is accepted.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rule {
    pub rtol: f64,
    /// −∞, which no difference is within, when both limits are 0: torch then asks for equality alone.
    pub atol: f64,
    /// Equal bits, not equal values, are wanted.
    pub by_bits: bool,
    pub equal_nan: bool,
    /// Less than this is near enough: one more than `max_ulp`, 0 without it.
    pub ulp_limit: u64,
    /// Equal bits can be a mismatch: NaN is not equal to itself.
    pub nan_mismatches: bool,
}

impl Rule {
    /// The rule for two dtypes, and the dtype both are compared in.
    pub(crate) fn new(
        tolerance: &Tolerance,
        reference: Dtype,
        candidate: Dtype,
    ) -> Result<(Self, Dtype), DifferenceError> {
        let unpromotable = || DifferenceError::Unpromotable {
            reference,
            candidate,
        };
        let bits = Self {
            by_bits: true,
            atol: f64::NEG_INFINITY,
            ..Self::default()
        };
        let Tolerance::Close(close) = tolerance else {
            return if reference == candidate {
                Ok((bits, reference))
            } else {
                Err(unpromotable())
            };
        };
        let limits = close.limits(reference, candidate);
        let dtype = promote(reference, candidate).ok_or_else(unpromotable)?;
        let ulp_limit = close.max_ulp().map_or(0, |most| most.saturating_add(1));
        let bits = Self { ulp_limit, ..bits };
        // torch calls this comparison bitwise, and compares values: -0 equals +0, and NaN nothing unless asked.
        if dtype.kind() == Kind::Float && dtype.size() == 1 && !limits.are_exact() {
            return Err(DifferenceError::LowDimensional(limits));
        }
        let rule = Self {
            rtol: limits.rtol,
            atol: if limits.are_exact() {
                f64::NEG_INFINITY
            } else {
                limits.atol
            },
            by_bits: false,
            equal_nan: close.equal_nan(),
            nan_mismatches: !close.equal_nan(),
            ..bits
        };
        Ok((rule, dtype))
    }
}

/// The integers in order, then the floats: most pairs take the later one.
const ORDER: [Dtype; 13] = [
    Dtype::Bool,
    Dtype::Uint8,
    Dtype::Int8,
    Dtype::Int16,
    Dtype::Int32,
    Dtype::Int64,
    Dtype::Float16,
    Dtype::Bfloat16,
    Dtype::Float32,
    Dtype::Float64,
    Dtype::Complex32,
    Dtype::Complex64,
    Dtype::Complex128,
];

/// `torch.promote_types`, with uint16, uint32 and uint64 taken as int64 as `assert_close` does; None where torch
/// refuses.
fn promote(one: Dtype, other: Dtype) -> Option<Dtype> {
    if one == other {
        return Some(one);
    }
    let replace = |dtype| match dtype {
        Dtype::Uint16 | Dtype::Uint32 | Dtype::Uint64 => Dtype::Int64,
        dtype => dtype,
    };
    let rank = |dtype| ORDER.iter().position(|&row| row == dtype);
    let (one, other) = (replace(one), replace(other));
    let (low, high) = if rank(one)? <= rank(other)? {
        (one, other)
    } else {
        (other, one)
    };
    Some(match (low, high) {
        (Dtype::Uint8, Dtype::Int8) => Dtype::Int16,
        (Dtype::Float16, Dtype::Bfloat16) => Dtype::Float32,
        (Dtype::Bfloat16 | Dtype::Float32, Dtype::Complex32) => Dtype::Complex64,
        (Dtype::Float64, Dtype::Complex32 | Dtype::Complex64) => Dtype::Complex128,
        (_, high) => high,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dtypes_are_promoted_as_torch_does() {
        use Dtype as D;
        let table = [
            (D::Uint8, D::Int8, Some(D::Int16)),
            (D::Bool, D::Uint8, Some(D::Uint8)),
            (D::Uint16, D::Int8, Some(D::Int64)),
            (D::Uint64, D::Uint32, Some(D::Int64)),
            (D::Int64, D::Float16, Some(D::Float16)),
            (D::Float16, D::Bfloat16, Some(D::Float32)),
            (D::Float16, D::Complex32, Some(D::Complex32)),
            (D::Bfloat16, D::Complex32, Some(D::Complex64)),
            (D::Float32, D::Complex64, Some(D::Complex64)),
            (D::Float64, D::Complex64, Some(D::Complex128)),
            (D::Complex32, D::Complex128, Some(D::Complex128)),
            (D::Float8E5m2, D::Float32, None),
            (D::Float8E5m2, D::Float8E4m3fn, None),
            (D::Qint8, D::Int8, None),
        ];
        for (one, other, expected) in table {
            assert_eq!(promote(one, other), expected, "{one} and {other}");
            assert_eq!(promote(other, one), expected, "{other} and {one}");
        }
        assert!(Dtype::all().all(|dtype| promote(dtype, dtype) == Some(dtype)));
    }
}
