//! What `difference` finds, dtype by dtype and at the edges of its blocks.

use proptest::prelude::*;
use samebits::difference::{Difference, DifferenceError, Status, View, difference, unravel};
use samebits::dtype::{Dtype, Kind};
use samebits::tolerance::Tolerance;

/// As in the library; the tests look at sizes around it.
const BLOCK: usize = 64 * 1024;

fn compare(dtype: Dtype, reference: &[u8], candidate: &[u8], tolerance: &Tolerance) -> Difference {
    let shape = [(reference.len() / dtype.size()) as u64];
    let reference = View {
        dtype,
        shape: &shape,
        bytes: reference,
    };
    difference(
        reference,
        View {
            bytes: candidate,
            ..reference
        },
        tolerance,
    )
    .unwrap()
}

fn f32s(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

fn exact(equal_nan: bool, max_ulp: Option<u64>) -> Tolerance {
    Tolerance::close(Some(0.0), Some(0.0), equal_nan, max_ulp).unwrap()
}

/// Each float dtype with a positive number whose successor is finite.
const ONES: [(Dtype, u64); 9] = [
    (Dtype::Float16, 0x3c00),
    (Dtype::Bfloat16, 0x3f80),
    (Dtype::Float32, 0x3f80_0000),
    (Dtype::Float64, 0x3ff0_0000_0000_0000),
    (Dtype::Float8E5m2, 0x3c),
    (Dtype::Float8E4m3fn, 0x38),
    (Dtype::Float8E5m2fnuz, 0x40),
    (Dtype::Float8E4m3fnuz, 0x40),
    (Dtype::Float8E8m0fnu, 0x7f),
];

#[test]
fn every_dtype_agrees_with_itself_and_not_with_another_bit() {
    for dtype in Dtype::all() {
        let reference = vec![1u8; 3 * dtype.size()];
        for tolerance in [Tolerance::Bitwise, exact(false, None)] {
            let same = compare(dtype, &reference, &reference, &tolerance);
            assert_eq!(
                (same.status, same.numel, same.bits_differing),
                (Status::Identical, 3, 0),
                "{dtype}"
            );
            assert_eq!(
                (same.first, same.greatest_abs, same.max_ulp),
                (None, None, None),
                "{dtype}"
            );
        }
        let mut candidate = reference.clone();
        candidate[dtype.size()] ^= 2;
        let other = compare(dtype, &reference, &candidate, &Tolerance::Bitwise);
        assert_eq!(
            (other.status, other.bits_differing, other.mismatched),
            (Status::Mismatch, 1, 1),
            "{dtype}"
        );
        let first = other.first.unwrap();
        assert_eq!(first.index, 1, "{dtype}");
        assert_eq!(
            first.ulp.is_some(),
            matches!(dtype.kind(), Kind::Float | Kind::Complex),
            "{dtype}"
        );
        assert_eq!(
            first.reference.bits.replace("0x", "").replace(' ', ""),
            "01".repeat(dtype.size()),
            "{dtype}"
        );
    }
}

#[test]
fn the_values_are_shown_as_decimal_and_as_bits() {
    let shown = |dtype, reference: &[u8], candidate: &[u8]| {
        let first = compare(dtype, reference, candidate, &Tolerance::Bitwise)
            .first
            .unwrap();
        [
            first.reference.decimal,
            first.reference.bits,
            first.candidate.decimal,
            first.candidate.bits,
        ]
    };
    let one_and_next = ["1.0", "0x3f800000", "1.0000001", "0x3f800001"];
    assert_eq!(
        shown(
            Dtype::Float32,
            &0x3f80_0000u32.to_le_bytes(),
            &0x3f80_0001u32.to_le_bytes()
        ),
        one_and_next
    );
    assert_eq!(
        shown(Dtype::Float16, &[0, 0x7e], &[0, 0xfc]),
        ["nan", "0x7e00", "-inf", "0xfc00"]
    );
    assert_eq!(
        shown(Dtype::Int16, &[0xff, 0xff], &[0, 0x80]),
        ["-1", "0xffff", "-32768", "0x8000"]
    );
    assert_eq!(
        shown(Dtype::Bool, &[0], &[1]),
        ["false", "0x00", "true", "0x01"]
    );
    let complex = shown(Dtype::Complex64, &f32s(&[1.0, -2.5]), &f32s(&[-0.0, 3.0]));
    assert_eq!(
        complex,
        [
            "1.0-2.5j",
            "0x3f800000 0xc0200000",
            "-0.0+3.0j",
            "0x80000000 0x40400000"
        ]
    );
}

#[test]
fn zeros_of_other_sign_differ_in_bits_only() {
    let (reference, candidate) = (f32s(&[0.0, 1.0, -0.0]), f32s(&[-0.0, 1.0, 0.0]));
    let bitwise = compare(Dtype::Float32, &reference, &candidate, &Tolerance::Bitwise);
    assert_eq!(
        (
            bitwise.bits_differing,
            bitwise.mismatched,
            bitwise.signed_zero_only
        ),
        (2, 2, 2)
    );
    let (ulp, abs, rel) = (
        bitwise.max_ulp.unwrap(),
        bitwise.greatest_abs.unwrap(),
        bitwise.greatest_rel.unwrap(),
    );
    assert_eq!((ulp.value, ulp.index, abs.index, rel.index), (0, 0, 0, 0));
    assert_eq!((abs.value.to_bits(), rel.value.to_bits()), (0, 0));
    assert_eq!(bitwise.ulp_histogram[0], 2);
    assert_eq!(
        (
            bitwise.reference_special.negative_zero,
            bitwise.candidate_special.negative_zero
        ),
        (1, 1)
    );
    let close = compare(Dtype::Float32, &reference, &candidate, &exact(false, None));
    assert_eq!(
        (close.status, close.mismatched, close.bits_differing),
        (Status::Close, 0, 2)
    );
}

#[test]
fn nan_payloads_differ_in_bits_and_pass_only_if_nan_may_be_equal() {
    let (reference, candidate) = (0x7fc0_0000u32.to_le_bytes(), 0x7fc0_0001u32.to_le_bytes());
    let refused = compare(Dtype::Float32, &reference, &candidate, &exact(false, None));
    assert_eq!(
        (refused.status, refused.nan_payload_only),
        (Status::Mismatch, 1)
    );
    assert!(refused.greatest_abs.unwrap().value.is_nan());
    assert_eq!((refused.max_ulp, refused.first.unwrap().ulp), (None, None));
    let allowed = compare(Dtype::Float32, &reference, &candidate, &exact(true, None));
    assert_eq!((allowed.status, allowed.bits_differing), (Status::Close, 1));
    let same = compare(Dtype::Float32, &reference, &reference, &exact(false, None));
    assert_eq!(
        (same.status, same.bits_differing, same.first),
        (Status::Mismatch, 0, None)
    );
    assert_eq!(same.first_mismatch.unwrap().index, 0);
    assert_eq!(
        compare(Dtype::Float32, &reference, &reference, &Tolerance::Bitwise).status,
        Status::Identical
    );
}

#[test]
fn an_infinity_is_close_to_itself_alone_and_no_number_of_ulps_away() {
    let reference = f32s(&[f32::INFINITY, f32::INFINITY, f32::MAX, f32::NEG_INFINITY]);
    let candidate = f32s(&[f32::INFINITY, f32::MAX, f32::INFINITY, f32::INFINITY]);
    let loose = Tolerance::close(Some(1.0), Some(1e30), false, Some(u64::MAX)).unwrap();
    let found = compare(Dtype::Float32, &reference, &candidate, &loose);
    assert_eq!(
        (found.mismatched, found.max_ulp, found.ulp_histogram),
        (3, None, [0; 32])
    );
    assert_eq!(
        (
            found.reference_special.infinite,
            found.candidate_special.infinite
        ),
        (3, 3)
    );
    let text = serde_json::to_value(&found).unwrap();
    assert_eq!(
        (&text["greatest_abs"]["value"], &text["status"]),
        (&"inf".into(), &"mismatch".into())
    );
}

#[test]
fn max_ulp_accepts_what_the_limits_refuse() {
    let (reference, candidate) = (
        1f32.to_le_bytes(),
        f32::from_bits(0x3f80_0003).to_le_bytes(),
    );
    assert_eq!(
        compare(
            Dtype::Float32,
            &reference,
            &candidate,
            &exact(false, Some(2))
        )
        .status,
        Status::Mismatch
    );
    let close = compare(
        Dtype::Float32,
        &reference,
        &candidate,
        &exact(false, Some(3)),
    );
    assert_eq!(
        (close.status, close.max_ulp.unwrap().value),
        (Status::Close, 3)
    );
    let below_zero = compare(
        Dtype::Float32,
        &1u32.to_le_bytes(),
        &0x8000_0001u32.to_le_bytes(),
        &Tolerance::Bitwise,
    );
    assert_eq!(below_zero.max_ulp.unwrap().value, 2);
}

#[test]
fn eight_bit_floats_are_compared_as_bytes_and_take_no_limits() {
    let dtype = Dtype::Float8E5m2;
    let zeros = compare(
        dtype,
        &[0x00, 0x7f],
        &[0x80, 0x7f],
        &Tolerance::torch_defaults(),
    );
    assert_eq!((zeros.status, zeros.mismatched), (Status::Mismatch, 1));
    let shape = [1];
    let view = View {
        dtype,
        shape: &shape,
        bytes: &[0],
    };
    let error = difference(
        view,
        view,
        &Tolerance::close(Some(0.1), Some(0.0), false, None).unwrap(),
    )
    .unwrap_err();
    let words = "Rtol=0.1 and atol=0.0 are not supported for bitwise comparison of low dimensional floats. \
                 Please use rtol=0.0 and atol=0.0.";
    assert_eq!(error.to_string(), words);
}

#[test]
fn integers_and_complex_numbers_are_compared_as_torch_does() {
    let [reference, candidate] = [i64::MIN, i64::MAX].map(i64::to_le_bytes);
    let far = compare(Dtype::Int64, &reference, &candidate, &Tolerance::Bitwise);
    assert_eq!(
        (far.greatest_abs.unwrap().value.to_bits(), far.max_ulp),
        (2f64.powi(64).to_bits(), None)
    );
    let close = Tolerance::close(Some(0.0), Some(5.0), false, None).unwrap();
    let (reference, candidate) = (f32s(&[1.0, 1.0]), f32s(&[4.0, 5.0]));
    assert_eq!(
        compare(Dtype::Complex64, &reference, &candidate, &close).status,
        Status::Close
    );
    let found = compare(
        Dtype::Complex64,
        &reference,
        &candidate,
        &exact(false, None),
    );
    assert_eq!(found.greatest_abs.unwrap().value.to_bits(), 5f64.to_bits());
    assert_eq!(
        found.max_ulp.unwrap().value,
        u64::from(5f32.to_bits() - 1f32.to_bits())
    );
    assert_eq!(
        compare(Dtype::Bool, &[1], &[2], &exact(false, None)).status,
        Status::Close
    );
}

#[test]
fn other_dtypes_are_promoted_and_never_identical() {
    let (reference, candidate, shape) = ([1u8, 200], f32s(&[1.0, 200.5]), [2]);
    let reference = View {
        dtype: Dtype::Uint8,
        shape: &shape,
        bytes: &reference,
    };
    let candidate = View {
        dtype: Dtype::Float32,
        shape: &shape,
        bytes: &candidate,
    };
    let found = difference(reference, candidate, &exact(false, None)).unwrap();
    assert_eq!(
        (found.dtype, found.mismatched, found.bits_differing),
        (Dtype::Float32, 1, 1)
    );
    assert_eq!(found.first.unwrap().reference.decimal, "200");
    let whole = f32s(&[1.0, 200.0]);
    let found = difference(
        reference,
        View {
            bytes: &whole,
            ..candidate
        },
        &exact(false, None),
    )
    .unwrap();
    assert_eq!((found.status, found.bits_differing), (Status::Close, 0));
    assert!(difference(reference, candidate, &Tolerance::Bitwise).is_err());
}

#[test]
fn wrong_shapes_and_lengths_are_errors() {
    let view = |shape: &'static [u64], bytes: &'static [u8]| View {
        dtype: Dtype::Int16,
        shape,
        bytes,
    };
    let fails =
        |reference, candidate| difference(reference, candidate, &Tolerance::Bitwise).unwrap_err();
    let good = view(&[2], &[0; 4]);
    assert!(matches!(
        fails(good, view(&[1, 2], &[0; 4])),
        DifferenceError::Shape { .. }
    ));
    assert!(matches!(
        fails(good, view(&[2], &[0; 3])),
        DifferenceError::Length { bytes: 3, .. }
    ));
    assert!(matches!(
        fails(view(&[2], &[0; 5]), good),
        DifferenceError::Length { bytes: 5, .. }
    ));
    let huge = view(&[u64::MAX, u64::MAX], &[]);
    assert!(matches!(fails(huge, huge), DifferenceError::Length { .. }));
}

#[test]
fn empty_tensors_and_single_numbers_are_compared() {
    for shape in [&[0u64][..], &[u64::MAX, 0, u64::MAX], &[3, 0, 2]] {
        let view = View {
            dtype: Dtype::Float32,
            shape,
            bytes: &[],
        };
        let empty = difference(view, view, &Tolerance::torch_defaults()).unwrap();
        assert_eq!((empty.status, empty.numel), (Status::Identical, 0));
    }
    let (one, two) = (1f32.to_le_bytes(), 2f32.to_le_bytes());
    let view = |bytes| View {
        dtype: Dtype::Float32,
        shape: &[],
        bytes,
    };
    let found = difference(view(&one), view(&two), &Tolerance::torch_defaults()).unwrap();
    assert_eq!((found.numel, found.mismatched), (1, 1));
    assert_eq!(unravel(0, &[]), Vec::<u64>::new());
    assert_eq!(unravel(23, &[2, 3, 4]), [1, 2, 3]);
    assert_eq!(unravel(5, &[4, 1, 3]), [1, 0, 2]);
}

#[test]
fn a_difference_is_found_on_both_sides_of_every_block_border() {
    for dtype in [
        Dtype::Float32,
        Dtype::Float16,
        Dtype::Complex128,
        Dtype::Uint8,
    ] {
        let (size, per_block) = (dtype.size(), BLOCK / dtype.size());
        for numel in [per_block - 1, per_block, per_block + 1, 20 * per_block + 1] {
            let reference = vec![0x11u8; numel * size];
            for index in [0, 1023, 1024, per_block - 1, per_block, numel - 1] {
                let mut candidate = reference.clone();
                let Some(byte) = candidate.get_mut(index * size) else {
                    continue;
                };
                *byte ^= 1;
                let found = compare(dtype, &reference, &candidate, &Tolerance::Bitwise);
                let place = Some(index as u64);
                assert_eq!(
                    (found.bits_differing, found.first.map(|pair| pair.index)),
                    (1, place)
                );
                assert_eq!(found.greatest_abs.map(|greatest| greatest.index), place);
            }
        }
    }
}

#[test]
fn special_elements_of_equal_blocks_are_counted_too() {
    let mut values = vec![1f32; 3 * BLOCK];
    let last = values.len() - 1;
    (values[0], values[5], values[last]) = (f32::NAN, -0.0, f32::NEG_INFINITY);
    let reference = f32s(&values);
    values[BLOCK] = 2.0;
    let found = compare(
        Dtype::Float32,
        &reference,
        &f32s(&values),
        &Tolerance::Bitwise,
    );
    let special = found.reference_special;
    assert_eq!(
        (special.nan, special.infinite, special.negative_zero),
        (1, 1, 1)
    );
    assert_eq!(found.candidate_special, special);
}

/// Bytes that look random, the same each time.
fn noise(length: usize, mut state: u64) -> Vec<u8> {
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn the_result_does_not_depend_on_the_number_of_threads() {
    for dtype in Dtype::all() {
        let length = 40 * BLOCK + 16 * dtype.size();
        let (reference, candidate) = (noise(length, 1), noise(length, 2));
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            let found = pool.install(|| compare(dtype, &reference, &candidate, &exact(true, None)));
            serde_json::to_string(&found).unwrap()
        };
        let alone = with(1);
        assert!(
            [2, 3, 8].into_iter().all(|threads| with(threads) == alone),
            "{dtype}"
        );
    }
}

#[test]
fn equal_greatest_differences_go_to_the_first() {
    let reference = vec![0u8; 50 * BLOCK];
    let mut candidate = reference.clone();
    for index in [7 * BLOCK + 3, 30 * BLOCK, 49 * BLOCK + 9] {
        candidate[index] = 200;
    }
    let found = compare(Dtype::Uint8, &reference, &candidate, &exact(false, None));
    let index = (7 * BLOCK + 3) as u64;
    assert_eq!(
        (
            found.greatest_abs.unwrap().index,
            found.greatest_rel.unwrap().index
        ),
        (index, index)
    );
}

proptest! {
    #[test]
    fn one_ulp_is_found_wherever_it_is(which in 0..ONES.len(), numel in 1usize..40_000, place: proptest::sample::Index, up: bool) {
        let (dtype, one) = ONES[which];
        let size = dtype.size();
        let reference = one.to_le_bytes()[..size].repeat(numel);
        let index = place.index(numel);
        let mut candidate = reference.clone();
        let next = if up { one + 1 } else { one - 1 };
        candidate[index * size..(index + 1) * size].copy_from_slice(&next.to_le_bytes()[..size]);
        let found = compare(dtype, &reference, &candidate, &Tolerance::Bitwise);
        let first = found.first.unwrap();
        prop_assert_eq!((first.index, first.ulp), (index as u64, Some(1)));
        prop_assert_eq!(found.max_ulp.map(|ulp| (ulp.value, ulp.index)), Some((1, index as u64)));
        prop_assert_eq!((found.bits_differing, found.ulp_histogram[1]), (1, 1));
    }

    #[test]
    fn addresses_of_any_alignment_give_the_same_result(offset in 0usize..16, other in 0usize..16, seed: u64) {
        for dtype in Dtype::all() {
            let length = 3000 * dtype.size();
            let (reference, candidate) = (noise(length, seed), noise(length, !seed));
            let shift = |bytes: &[u8], by: usize| [vec![0; by], bytes.to_vec()].concat();
            let (left, right) = (shift(&reference, offset), shift(&candidate, other));
            let aligned = compare(dtype, &reference, &candidate, &exact(true, None));
            let shifted = compare(dtype, &left[offset..], &right[other..], &exact(true, None));
            prop_assert_eq!(serde_json::to_string(&aligned).unwrap(), serde_json::to_string(&shifted).unwrap());
        }
    }
}
