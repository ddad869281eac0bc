//! [`Tolerance`]: when two elements count as the same. The arithmetic is in [`crate::difference`].

use crate::dtype::Dtype;
use crate::number::infinite_if_null;
use serde::{Deserialize, Serialize};

/// One row of torch's default tolerances.
struct Row {
    dtypes: &'static [Dtype],
    limits: Limits,
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "read by people and by the tests")
    )]
    reason: &'static str,
}

/// `torch.testing._comparison._DTYPE_PRECISIONS` of 2.11. A dtype without a row must be exactly equal.
const DEFAULTS: &[Row] = &[
    Row {
        dtypes: &[Dtype::Float16, Dtype::Complex32],
        limits: Limits {
            rtol: 1e-3,
            atol: 1e-5,
        },
        reason: "10 mantissa bits: one ULP is up to 9.8e-4 of the value",
    },
    Row {
        dtypes: &[Dtype::Bfloat16],
        limits: Limits {
            rtol: 1.6e-2,
            atol: 1e-5,
        },
        reason: "7 mantissa bits: one ULP is up to 7.8e-3 of the value",
    },
    Row {
        dtypes: &[Dtype::Float32, Dtype::Complex64],
        limits: Limits {
            rtol: 1.3e-6,
            atol: 1e-5,
        },
        reason: "23 mantissa bits: about eleven ULPs of 1.2e-7",
    },
    Row {
        dtypes: &[Dtype::Float64, Dtype::Complex128],
        limits: Limits {
            rtol: 1e-7,
            atol: 1e-7,
        },
        reason: "far above an ULP of 2.2e-16: room for results that went through f32",
    },
];

/// Relative and absolute tolerance: an element passes when `|candidate − reference| ≤ atol + rtol · |reference|`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Relative to the reference.
    #[serde(deserialize_with = "infinite_if_null")]
    pub rtol: f64,
    /// In the unit of the elements.
    #[serde(deserialize_with = "infinite_if_null")]
    pub atol: f64,
}

impl Limits {
    /// Nothing but equal values passes.
    pub const EXACT: Self = Self {
        rtol: 0.0,
        atol: 0.0,
    };

    /// True when only equal values pass; torch then says "equal" rather than "close".
    #[must_use]
    pub fn are_exact(self) -> bool {
        self == Self::EXACT
    }
}

/// What is asked of two tensors for them to agree.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tolerance {
    /// Every bit equal.
    #[default]
    Bitwise,
    /// As `torch.testing.assert_close`.
    Close(Close),
}

/// The conditions of [`Tolerance::Close`]; made by [`Tolerance::close`], which refuses impossible ones.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Close {
    /// None: torch's defaults by dtype.
    limits: Option<Limits>,
    equal_nan: bool,
    max_ulp: Option<u64>,
}

impl Close {
    /// Whether NaN passes where the reference has NaN.
    #[must_use]
    pub fn equal_nan(&self) -> bool {
        self.equal_nan
    }

    /// Floats at most this many ULPs apart pass even where `rtol` and `atol` refuse them.
    #[must_use]
    pub fn max_ulp(&self) -> Option<u64> {
        self.max_ulp
    }

    /// The limits for a pair of dtypes: those given, else the looser of each dtype's default.
    #[must_use]
    pub fn limits(&self, reference: Dtype, candidate: Dtype) -> Limits {
        self.limits.unwrap_or_else(|| {
            let (reference, candidate) = (defaults(reference), defaults(candidate));
            Limits {
                rtol: reference.rtol.max(candidate.rtol),
                atol: reference.atol.max(candidate.atol),
            }
        })
    }
}

/// Why a tolerance was refused, in torch's words.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ToleranceError {
    /// Only one of the two was given.
    #[error("Both 'rtol' and 'atol' must be either specified or omitted, but got no '{missing}'.")]
    OneMissing {
        /// `rtol` or `atol`.
        missing: &'static str,
    },
    /// Negative or NaN.
    #[error("{name} must be greater than or equal to zero, but got {value}")]
    OutOfRange {
        /// `rtol` or `atol`.
        name: &'static str,
        /// What was given.
        value: f64,
    },
}

impl Tolerance {
    /// `torch.testing.assert_close` with its defaults: limits by dtype, NaN never equal.
    #[must_use]
    pub fn torch_defaults() -> Self {
        Self::Close(Close {
            limits: None,
            equal_nan: false,
            max_ulp: None,
        })
    }

    /// A tolerance as `assert_close` takes it. Neither limit given means torch's defaults by dtype.
    ///
    /// # Errors
    /// If only one of `rtol` and `atol` is given, or one is negative or NaN.
    pub fn close(
        rtol: Option<f64>,
        atol: Option<f64>,
        equal_nan: bool,
        max_ulp: Option<u64>,
    ) -> Result<Self, ToleranceError> {
        let limits = match (rtol, atol) {
            (None, None) => None,
            (Some(rtol), Some(atol)) => Some(Limits { rtol, atol }),
            (None, Some(_)) => return Err(ToleranceError::OneMissing { missing: "rtol" }),
            (Some(_), None) => return Err(ToleranceError::OneMissing { missing: "atol" }),
        };
        for (name, value) in [("rtol", rtol), ("atol", atol)] {
            if let Some(value) = value
                && (value.is_nan() || value < 0.0)
            {
                return Err(ToleranceError::OutOfRange { name, value });
            }
        }
        Ok(Self::Close(Close {
            limits,
            equal_nan,
            max_ulp,
        }))
    }

    /// The limits for a pair of dtypes; exact when bits are compared.
    #[must_use]
    pub fn limits(&self, reference: Dtype, candidate: Dtype) -> Limits {
        match self {
            Self::Bitwise => Limits::EXACT,
            Self::Close(close) => close.limits(reference, candidate),
        }
    }
}

/// torch's default limits for one dtype.
///
/// Integers, bool and 8-bit floats have none. Quantised tensors are here without their scale, so that their integers
/// must be equal, where torch allows what f32 does on the dequantised values.
fn defaults(dtype: Dtype) -> Limits {
    DEFAULTS
        .iter()
        .find(|row| row.dtypes.contains(&dtype))
        .map_or(Limits::EXACT, |row| row.limits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dtype_has_at_most_one_default_and_every_default_a_reason() {
        for dtype in Dtype::all() {
            assert!(
                DEFAULTS
                    .iter()
                    .filter(|row| row.dtypes.contains(&dtype))
                    .count()
                    <= 1
            );
        }
        assert!(
            DEFAULTS
                .iter()
                .all(|row| !row.reason.is_empty() && !row.limits.are_exact())
        );
    }

    #[test]
    fn two_dtypes_take_the_looser_of_both_defaults() {
        let limits = Tolerance::torch_defaults().limits(Dtype::Bfloat16, Dtype::Float32);
        assert_eq!(
            limits,
            Limits {
                rtol: 1.6e-2,
                atol: 1e-5
            }
        );
        let limits = Tolerance::torch_defaults().limits(Dtype::Float64, Dtype::Float32);
        assert_eq!(
            limits,
            Limits {
                rtol: 1.3e-6,
                atol: 1e-5
            }
        );
        assert!(
            Tolerance::torch_defaults()
                .limits(Dtype::Int64, Dtype::Bool)
                .are_exact()
        );
        assert!(
            Tolerance::Bitwise
                .limits(Dtype::Float32, Dtype::Float32)
                .are_exact()
        );
    }

    #[test]
    fn one_limit_without_the_other_is_refused_in_torchs_words() {
        let error = Tolerance::close(None, Some(0.1), false, None).unwrap_err();
        let words =
            "Both 'rtol' and 'atol' must be either specified or omitted, but got no 'rtol'.";
        assert_eq!(error.to_string(), words);
        let error = Tolerance::close(Some(0.1), None, false, None).unwrap_err();
        assert_eq!(error.to_string(), words.replace("no 'rtol'", "no 'atol'"));
    }

    #[test]
    fn a_negative_limit_or_nan_is_refused() {
        for bad in [-1.0, f64::NAN, f64::NEG_INFINITY] {
            assert!(Tolerance::close(Some(bad), Some(0.0), false, None).is_err());
            assert!(Tolerance::close(Some(0.0), Some(bad), false, None).is_err());
        }
        assert!(Tolerance::close(Some(0.0), Some(f64::INFINITY), false, None).is_ok());
        let error = Tolerance::close(Some(-1.0), Some(0.0), false, None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "rtol must be greater than or equal to zero, but got -1"
        );
    }
}
