//! The float formats of torch: what their bits mean and how results are rounded to them.

#![expect(
    clippy::inline_always,
    reason = "the loops over these must become vector instructions in every caller"
)]

use super::Format;

macro_rules! formats {
    ($($(#[$doc:meta])* $name:ident $bits:ident $real:ident sign $sign:literal decode $decode:expr; round $round:expr;
       nan $nan:expr; infinite $infinite:expr;)*) => {
        $($(#[$doc])*
        pub(crate) enum $name {}

        impl Format for $name {
            type Bits = $bits;
            type Real = $real;
            const SIGN: $bits = $sign;

            #[inline(always)]
            fn decode(bits: $bits) -> $real {
                $decode(bits)
            }

            #[inline(always)]
            fn round(value: $real) -> $real {
                $round(value)
            }

            #[inline(always)]
            fn is_nan(bits: $bits) -> bool {
                $nan(bits, bits & !$sign)
            }

            #[inline(always)]
            fn is_infinite(bits: $bits) -> bool {
                $infinite(bits & !$sign)
            }

            #[inline(always)]
            fn is_negative_zero(bits: $bits) -> bool {
                Self::SIGN != 0 && bits == Self::SIGN && !Self::is_nan(bits)
            }
        })*
    };
}

// `nan` gets the bits with and without sign, `infinite` those without. torch has no arithmetic on 8-bit floats; their
// differences are given in f32, unrounded.
formats! {
    /// IEEE double precision.
    F64 u64 f64 sign 0x8000_0000_0000_0000 decode f64::from_bits; round |x| x;
        nan |_, m| m > 0x7ff0_0000_0000_0000; infinite |m| m == 0x7ff0_0000_0000_0000;
    /// IEEE single precision.
    F32 u32 f32 sign 0x8000_0000 decode f32::from_bits; round |x| x;
        nan |_, m| m > 0x7f80_0000; infinite |m| m == 0x7f80_0000;
    /// IEEE half precision.
    F16 u16 f32 sign 0x8000 decode decode_f16; round round_f16;
        nan |_, m| m > 0x7c00; infinite |m| m == 0x7c00;
    /// The upper half of an f32.
    Bf16 u16 f32 sign 0x8000 decode |bits| f32::from_bits(u32::from(bits) << 16); round round_bf16;
        nan |_, m| m > 0x7f80; infinite |m| m == 0x7f80;
    /// 5 exponent bits, with infinities.
    E5m2 u8 f32 sign 0x80 decode |bits| E5M2[usize::from(bits)]; round |x| x;
        nan |_, m| m > 0x7c; infinite |m| m == 0x7c;
    /// 4 exponent bits, no infinity, one NaN of each sign.
    E4m3fn u8 f32 sign 0x80 decode |bits| E4M3FN[usize::from(bits)]; round |x| x;
        nan |_, m| m == 0x7f; infinite |_| false;
    /// As `E5m2`, but what would be −0 is the only NaN.
    E5m2fnuz u8 f32 sign 0x80 decode |bits| E5M2FNUZ[usize::from(bits)]; round |x| x;
        nan |bits, _| bits == 0x80; infinite |_| false;
    /// As `E4m3fn`, but what would be −0 is the only NaN.
    E4m3fnuz u8 f32 sign 0x80 decode |bits| E4M3FNUZ[usize::from(bits)]; round |x| x;
        nan |bits, _| bits == 0x80; infinite |_| false;
    /// Powers of two from 2⁻¹²⁷: no sign, no zero, no infinity.
    E8m0 u8 f32 sign 0 decode |bits| E8M0[usize::from(bits)]; round |x| x;
        nan |bits, _| bits == 0xff; infinite |_| false;
}

/// An f16 as f32, without branches and without f32 subnormals, which are slow on many CPUs.
#[inline(always)]
fn decode_f16(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let magnitude = u32::from(bits & 0x7fff) << 13;
    let exponent = magnitude & 0x0f80_0000;
    let normal = f32::from_bits(magnitude + (112 << 23));
    let special = f32::from_bits(magnitude + (224 << 23));
    // 2⁻¹⁴ with the mantissa behind it, less 2⁻¹⁴.
    let subnormal = f32::from_bits(magnitude + (113 << 23)) - f32::from_bits(113 << 23);
    let value = if exponent == 0 { subnormal } else { normal };
    let value = if exponent == 0x0f80_0000 {
        special
    } else {
        value
    };
    f32::from_bits(value.to_bits() | sign)
}

/// The nearest f16, ties to even, as f32.
#[inline(always)]
fn round_f16(value: f32) -> f32 {
    let sign = value.to_bits() & 0x8000_0000;
    let bits = value.to_bits() & 0x7fff_ffff;
    // Between 0.5 and 1 the f32 lie as dense as the f16 below 2⁻¹⁴: the addition does the rounding.
    let subnormal = (f32::from_bits(bits) + 0.5 - 0.5).to_bits();
    let normal = (bits + 0xfff + ((bits >> 13) & 1)) & !0x1fff;
    let rounded = if bits < 0x3880_0000 {
        subnormal
    } else {
        normal
    };
    let rounded = if bits >= 0x477f_f000 {
        0x7f80_0000
    } else {
        rounded
    };
    let rounded = if bits > 0x7f80_0000 {
        0x7fc0_0000
    } else {
        rounded
    };
    f32::from_bits(rounded | sign)
}

/// The nearest bf16, ties to even, as f32.
#[inline(always)]
fn round_bf16(value: f32) -> f32 {
    let sign = value.to_bits() & 0x8000_0000;
    let bits = value.to_bits() & 0x7fff_ffff;
    let rounded = (bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff_0000;
    let rounded = if bits > 0x7f80_0000 {
        0x7fc0_0000
    } else {
        rounded
    };
    f32::from_bits(rounded | sign)
}

/// What the greatest codes of an 8-bit format mean.
#[derive(Clone, Copy)]
enum Top {
    InfinityAndNan,
    OneNan,
    Finite,
}

static E5M2: [f32; 256] = table(5, 15, Top::InfinityAndNan);
static E4M3FN: [f32; 256] = table(4, 7, Top::OneNan);
static E5M2FNUZ: [f32; 256] = table(5, 16, Top::Finite);
static E4M3FNUZ: [f32; 256] = table(4, 8, Top::Finite);
static E8M0: [f32; 256] = powers_of_two();

/// All values of an 8-bit float with sign.
const fn table(exponent_bits: u32, bias: u32, top: Top) -> [f32; 256] {
    let mantissa_bits = 7 - exponent_bits;
    let mut values = [0.0; 256];
    let mut code = 0u8;
    while code < 128 {
        let (exponent, mantissa) = (code >> mantissa_bits, code & ((1 << mantissa_bits) - 1));
        let last = exponent == (1 << exponent_bits) - 1;
        let (significand, scale) = if exponent == 0 {
            (mantissa, 1)
        } else {
            (mantissa | (1 << mantissa_bits), exponent)
        };
        let power = f32::from_bits((127 + scale as u32 - bias - mantissa_bits) << 23);
        let value = match top {
            Top::InfinityAndNan if last && mantissa == 0 => f32::INFINITY,
            Top::InfinityAndNan if last => f32::NAN,
            Top::OneNan if code == 127 => f32::NAN,
            _ => significand as f32 * power,
        };
        values[code as usize] = value;
        values[code as usize + 128] = -value;
        code += 1;
    }
    if matches!(top, Top::Finite) {
        values[128] = f32::NAN;
    }
    values
}

/// All values of `E8m0`.
const fn powers_of_two() -> [f32; 256] {
    // 2⁻¹²⁷ is below the normal f32.
    let mut values = [f32::from_bits(1 << 22); 256];
    let mut code = 1u8;
    while code < 255 {
        values[code as usize] = f32::from_bits((code as u32) << 23);
        code += 1;
    }
    values[255] = f32::NAN;
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_f16_and_bf16_decodes_as_in_the_half_crate_and_rounds_to_itself() {
        for bits in 0..=u16::MAX {
            let (ours, theirs) = (F16::decode(bits), half::f16::from_bits(bits).to_f32());
            assert!(
                ours.to_bits() == theirs.to_bits() || (ours.is_nan() && theirs.is_nan()),
                "{bits:#06x}"
            );
            assert!(
                F16::round(ours).to_bits() == ours.to_bits() || ours.is_nan(),
                "{bits:#06x}"
            );
            assert_eq!(F16::is_nan(bits), ours.is_nan());
            assert_eq!(F16::is_infinite(bits), ours.is_infinite());
            let (ours, theirs) = (Bf16::decode(bits), half::bf16::from_bits(bits).to_f32());
            assert!(
                ours.to_bits() == theirs.to_bits() || (ours.is_nan() && theirs.is_nan()),
                "{bits:#06x}"
            );
            assert!(
                Bf16::round(ours).to_bits() == ours.to_bits() || ours.is_nan(),
                "{bits:#06x}"
            );
            assert_eq!(Bf16::is_nan(bits), ours.is_nan());
        }
    }

    #[test]
    fn the_8_bit_floats_have_the_values_of_their_definitions() {
        let largest = |values: [f32; 256]| {
            values
                .into_iter()
                .filter(|value| value.is_finite())
                .fold(0.0, f32::max)
        };
        assert_eq!(largest(E5M2).to_bits(), 57344f32.to_bits());
        assert_eq!(largest(E4M3FN).to_bits(), 448f32.to_bits());
        assert_eq!(largest(E5M2FNUZ).to_bits(), 57344f32.to_bits());
        assert_eq!(largest(E4M3FNUZ).to_bits(), 240f32.to_bits());
        assert_eq!(largest(E8M0).to_bits(), 2f32.powi(127).to_bits());
        let smallest = [E5M2[1], E4M3FN[1], E5M2FNUZ[1], E4M3FNUZ[1], E8M0[1]];
        let powers = [-16, -9, -17, -10, -126].map(|power| 2f32.powi(power).to_bits());
        assert_eq!(smallest.map(f32::to_bits), powers);
        for bits in 0..=u8::MAX {
            assert_eq!(E5m2::is_nan(bits), E5m2::decode(bits).is_nan());
            assert_eq!(E5m2::is_infinite(bits), E5m2::decode(bits).is_infinite());
            assert_eq!(E4m3fn::is_nan(bits), E4m3fn::decode(bits).is_nan());
            assert_eq!(E5m2fnuz::is_nan(bits), E5m2fnuz::decode(bits).is_nan());
            assert_eq!(E4m3fnuz::is_nan(bits), E4m3fnuz::decode(bits).is_nan());
            assert_eq!(E8m0::is_nan(bits), E8m0::decode(bits).is_nan());
        }
    }

    proptest! {
        #[test]
        fn rounding_agrees_with_the_half_crate(bits: u32) {
            let value = f32::from_bits(bits);
            prop_assume!(!value.is_nan());
            prop_assert_eq!(F16::round(value).to_bits(), half::f16::from_f32(value).to_f32().to_bits());
            prop_assert_eq!(Bf16::round(value).to_bits(), half::bf16::from_f32(value).to_f32().to_bits());
        }
    }
}
