//! One pair of elements: torch's arithmetic for its dtype, without branches.
//!
//! Follows `at::isclose` and `make_tensor_mismatch_msg` of torch 2.11: each step is rounded to the tensor's dtype.

#![expect(
    clippy::inline_always,
    clippy::needless_bitwise_bool,
    clippy::struct_excessive_bools,
    reason = "without branches, and inlined, this becomes vector instructions"
)]
#![allow(
    clippy::float_cmp,
    reason = "torch's isclose begins with exact equality"
)]

use super::rule::Rule;
use crate::element::{Format, Key, KeyOf, Real, Unsigned, Word};
use std::marker::PhantomData;

/// What one pair of elements contributes. The keys are 0 where the pair does not count.
pub(crate) struct Measure<K> {
    /// The bits differ.
    pub differs: bool,
    /// The tolerance refuses the pair.
    pub mismatch: bool,
    /// The bits differ, the values are equal zeros.
    pub signed_zero: bool,
    /// The bits differ, both are NaN (for a complex number: in the parts that differ).
    pub nan_payload: bool,
    /// Key of the absolute difference of a mismatch.
    pub abs: K,
    /// Key of the relative difference of a mismatch.
    pub rel: K,
    /// ULP distance of differing finite floats, plus one.
    pub ulp: K,
}

/// What is special about one element; for a complex number, about either part.
#[derive(Clone, Copy)]
pub(crate) struct Special {
    pub nan: bool,
    pub infinite: bool,
    pub negative_zero: bool,
}

/// An element type as the comparison sees it.
pub(crate) trait Element {
    type Bits: Word;
    type Key: Key;
    /// False where no element is ever special.
    const HAS_SPECIAL: bool;
    fn measure(reference: Self::Bits, candidate: Self::Bits, rule: &Rule) -> Measure<Self::Key>;
    fn special(bits: Self::Bits) -> Special;
    /// The absolute difference with this key.
    fn abs_value(key: u64) -> f64;
    /// The relative difference with this key.
    fn rel_value(key: u64) -> f64;
}

/// What distinguishes real from complex numbers; the conclusion is the same code.
struct Facts<R> {
    differs: bool,
    equal: bool,
    /// Each part equal or NaN on both sides.
    same: bool,
    /// NaN on both sides, in any part.
    nan: bool,
    finite: bool,
    difference: R,
    allowed: R,
    /// Of the reference.
    magnitude: R,
}

#[inline(always)]
fn conclude<F: Format>(facts: &Facts<F::Real>, ulp: KeyOf<F>, rule: &Rule) -> Measure<KeyOf<F>> {
    let zero = F::Real::default();
    let within = (facts.difference < F::Real::INFINITY) & (facts.difference <= facts.allowed);
    let by_value = facts.equal | (facts.nan & rule.equal_nan) | within;
    let by_bits = !facts.differs;
    let by_ulp = facts.finite & (ulp < KeyOf::<F>::saturating(rule.ulp_limit));
    let accepted = (by_bits & rule.by_bits) | (by_value & !rule.by_bits) | by_ulp;
    // −0 and +0, when bits are compared, are 0 apart, not 0/0.
    let relative = F::round(facts.difference / facts.magnitude);
    let relative = if facts.difference == zero {
        zero
    } else {
        relative
    };
    let none = KeyOf::<F>::default();
    Measure {
        differs: facts.differs,
        mismatch: !accepted,
        signed_zero: facts.differs & facts.equal,
        nan_payload: facts.differs & facts.same & !facts.equal,
        abs: if accepted {
            none
        } else {
            facts.difference.key()
        },
        rel: if accepted { none } else { relative.key() },
        ulp: if facts.differs & facts.finite {
            ulp.next()
        } else {
            none
        },
    }
}

/// Distance in ULPs, as if both were finite.
#[inline(always)]
fn distance<F: Format>(reference: F::Bits, candidate: F::Bits) -> KeyOf<F> {
    reference.distance(candidate, F::SIGN).into()
}

impl<F: Format> Element for F {
    type Bits = F::Bits;
    type Key = KeyOf<F>;
    const HAS_SPECIAL: bool = true;

    #[inline(always)]
    fn measure(reference: F::Bits, candidate: F::Bits, rule: &Rule) -> Measure<Self::Key> {
        let (expected, actual) = (F::decode(reference), F::decode(candidate));
        let (rtol, atol) = (F::Real::from_f64(rule.rtol), F::Real::from_f64(rule.atol));
        let nan = F::is_nan(reference) & F::is_nan(candidate);
        let odd = |bits| F::is_nan(bits) | F::is_infinite(bits);
        let equal = expected == actual;
        let facts = Facts {
            differs: reference != candidate,
            equal,
            same: equal | nan,
            nan,
            finite: !(odd(reference) | odd(candidate)),
            difference: F::round(actual - expected).abs(),
            allowed: F::round(F::round(rtol * expected).abs() + atol),
            magnitude: expected.abs(),
        };
        conclude::<F>(&facts, distance::<F>(reference, candidate), rule)
    }

    #[inline(always)]
    fn special(bits: F::Bits) -> Special {
        Special {
            nan: F::is_nan(bits),
            infinite: F::is_infinite(bits),
            negative_zero: F::is_negative_zero(bits),
        }
    }

    fn abs_value(key: u64) -> f64 {
        F::Real::from_key(key)
    }

    fn rel_value(key: u64) -> f64 {
        F::Real::from_key(key)
    }
}

/// Two numbers of format `F`, real part first.
pub(crate) struct Complex<F>(PhantomData<F>);

impl<F: Format> Element for Complex<F>
where
    [F::Bits; 2]: Word,
{
    type Bits = [F::Bits; 2];
    type Key = KeyOf<F>;
    const HAS_SPECIAL: bool = true;

    #[inline(always)]
    fn measure(reference: Self::Bits, candidate: Self::Bits, rule: &Rule) -> Measure<Self::Key> {
        let (expected, actual) = (reference.map(F::decode), candidate.map(F::decode));
        let (rtol, atol) = (F::Real::from_f64(rule.rtol), F::Real::from_f64(rule.atol));
        let modulus = |real, imaginary| F::round(F::Real::modulus(real, imaginary));
        let minus = |part: usize| F::round(actual[part] - expected[part]);
        let scaled = |part: usize| F::round(rtol * expected[part]);
        let nan = |bits: Self::Bits| F::is_nan(bits[0]) | F::is_nan(bits[1]);
        let odd = |bits: Self::Bits| nan(bits) | F::is_infinite(bits[0]) | F::is_infinite(bits[1]);
        let equal = |part: usize| expected[part] == actual[part];
        let same =
            |part: usize| equal(part) | (F::is_nan(reference[part]) & F::is_nan(candidate[part]));
        let facts = Facts {
            differs: reference != candidate,
            equal: equal(0) & equal(1),
            same: same(0) & same(1),
            nan: nan(reference) & nan(candidate),
            finite: !(odd(reference) | odd(candidate)),
            difference: modulus(minus(0), minus(1)),
            allowed: F::round(modulus(scaled(0), scaled(1)) + atol),
            magnitude: modulus(expected[0], expected[1]),
        };
        let ulp = distance::<F>(reference[0], candidate[0])
            .max(distance::<F>(reference[1], candidate[1]));
        conclude::<F>(&facts, ulp, rule)
    }

    #[inline(always)]
    fn special(bits: Self::Bits) -> Special {
        let [real, imaginary] = bits.map(<F as Element>::special);
        Special {
            nan: real.nan | imaginary.nan,
            infinite: real.infinite | imaginary.infinite,
            negative_zero: real.negative_zero | imaginary.negative_zero,
        }
    }

    fn abs_value(key: u64) -> f64 {
        F::Real::from_key(key)
    }

    fn rel_value(key: u64) -> f64 {
        F::Real::from_key(key)
    }
}

macro_rules! integers {
    ($($(#[$doc:meta])* $name:ident $bits:ident $value:expr;)*) => {
        $($(#[$doc])*
        pub(crate) enum $name {}

        impl Element for $name {
            type Bits = $bits;
            type Key = u64;
            const HAS_SPECIAL: bool = false;

            #[inline(always)]
            #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_lossless,
                reason = "torch compares integers in f32 as soon as a tolerance is given")]
            fn measure(reference: $bits, candidate: $bits, rule: &Rule) -> Measure<u64> {
                let (expected, actual): ($bits, $bits) = ($value(reference), $value(candidate));
                let error = (actual as f32 - expected as f32).abs();
                let allowed = (rule.rtol as f32 * expected as f32).abs() + rule.atol as f32;
                let differs = reference != candidate;
                let by_value = (expected == actual) | (error <= allowed);
                let accepted = (!differs & rule.by_bits) | (by_value & !rule.by_bits);
                let distance = u64::from(actual.abs_diff(expected));
                let relative = distance as f32 / expected.abs_diff(0) as f32;
                let relative = if distance == 0 { 0.0 } else { relative };
                Measure {
                    differs,
                    mismatch: !accepted,
                    signed_zero: false,
                    nan_payload: false,
                    // Not wrapping, unlike torch's int64.
                    abs: if accepted { 0 } else { distance.saturating_add(1) },
                    rel: if accepted { 0 } else { relative.key().into() },
                    ulp: 0,
                }
            }

            #[inline(always)]
            fn special(_: $bits) -> Special {
                Special { nan: false, infinite: false, negative_zero: false }
            }

            #[expect(clippy::cast_precision_loss, reason = "reported as f64")]
            fn abs_value(key: u64) -> f64 {
                (key - 1) as f64
            }

            fn rel_value(key: u64) -> f64 {
                f32::from_key(key)
            }
        })*
    };
}

integers! {
    /// A byte that is true unless it is 0.
    Bool u8 |bits: u8| u8::from(bits != 0);
    /// 8 bits with sign.
    Int8 i8 |bits| bits;
    /// 16 bits with sign.
    Int16 i16 |bits| bits;
    /// 32 bits with sign.
    Int32 i32 |bits| bits;
    /// 64 bits with sign.
    Int64 i64 |bits| bits;
    /// 8 bits without sign.
    Uint8 u8 |bits| bits;
    /// 16 bits without sign.
    Uint16 u16 |bits| bits;
    /// 32 bits without sign.
    Uint32 u32 |bits| bits;
    /// 64 bits without sign.
    Uint64 u64 |bits| bits;
}

/// Evaluates an expression for the element type of a dtype: `with_element!(dtype, E => f::<E>())`.
macro_rules! with_element {
    ($dtype:expr, $element:ident => $body:expr) => {
        with_element!(@rows $dtype, $element, $body,
            Bool => measure::Bool, Int8 | Qint8 => measure::Int8, Int16 => measure::Int16,
            Int32 | Qint32 => measure::Int32, Int64 => measure::Int64, Uint8 | Quint8 => measure::Uint8,
            Uint16 => measure::Uint16, Uint32 => measure::Uint32, Uint64 => measure::Uint64,
            Float16 => element::F16, Bfloat16 => element::Bf16, Float32 => element::F32, Float64 => element::F64,
            Complex32 => measure::Complex<element::F16>, Complex64 => measure::Complex<element::F32>,
            Complex128 => measure::Complex<element::F64>,
            Float8E5m2 => element::E5m2, Float8E4m3fn => element::E4m3fn, Float8E5m2fnuz => element::E5m2fnuz,
            Float8E4m3fnuz => element::E4m3fnuz, Float8E8m0fnu => element::E8m0)
    };
    (@rows $dtype:expr, $element:ident, $body:expr, $($($variant:ident)|+ => $type:ty),*) => {
        match $dtype {
            $($(crate::dtype::Dtype::$variant)|+ => {
                type $element = $type;
                $body
            })*
        }
    };
}
pub(crate) use with_element;
