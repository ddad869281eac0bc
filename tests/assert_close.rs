//! Agreement with `torch.testing.assert_close` on 400 recorded cases.

use std::collections::BTreeSet;

use samebits::difference::{Greatest, View, difference, unravel};
use samebits::dtype::Dtype;
use samebits::tolerance::Tolerance;
use serde_json::Value;

/// Name, extents and bytes of each tensor of a file.
fn load(name: &str) -> Vec<(String, Dtype, Vec<u64>, Vec<u8>)> {
    let bytes = std::fs::read(format!(
        "{}/tests/assert_close/{name}",
        env!("CARGO_MANIFEST_DIR")
    ))
    .unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let tensors = tensors.iter().map(|(key, tensor)| {
        let dtype = match tensor.dtype() {
            safetensors::Dtype::BOOL => Dtype::Bool,
            safetensors::Dtype::U8 => Dtype::Uint8,
            safetensors::Dtype::I8 => Dtype::Int8,
            safetensors::Dtype::I16 => Dtype::Int16,
            safetensors::Dtype::I32 => Dtype::Int32,
            safetensors::Dtype::I64 => Dtype::Int64,
            safetensors::Dtype::F16 => Dtype::Float16,
            safetensors::Dtype::BF16 => Dtype::Bfloat16,
            safetensors::Dtype::F32 => Dtype::Float32,
            safetensors::Dtype::F64 => Dtype::Float64,
            other => panic!("{other:?} is not in these files"),
        };
        let shape = tensor.shape().iter().map(|&extent| extent as u64).collect();
        (key.to_owned(), dtype, shape, tensor.data().to_vec())
    });
    tensors.collect()
}

/// torch computes single numbers in Python, that is in f64; everything else in the dtype.
fn precision(dtype: Dtype, single: bool) -> f64 {
    match dtype {
        _ if !single => 0.0,
        Dtype::Float16 => 2f64.powi(-10),
        Dtype::Bfloat16 => 2f64.powi(-7),
        Dtype::Float64 => 2f64.powi(-52),
        _ => 2f64.powi(-23),
    }
}

fn check_greatest(key: &str, ours: Option<Greatest>, torch: &Value, shape: &[u64], precision: f64) {
    let ours = ours.unwrap_or_else(|| panic!("{key}: no greatest difference"));
    let value: f64 = torch["value"].as_str().unwrap().parse().unwrap();
    let agree = (ours.value - value).abs() <= precision * value.abs();
    assert!(
        agree || ours.value.to_bits() == value.to_bits() || (ours.value.is_nan() && value.is_nan()),
        "{key}: {ours:?}, torch {value}"
    );
    let index: Vec<u64> = torch["index"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| i.as_u64().unwrap())
        .collect();
    assert_eq!(unravel(ours.index, shape), index, "{key}");
}

#[test]
fn all_recorded_cases_agree_with_torch() {
    let text = include_str!("assert_close/cases.json");
    let cases: Value = serde_json::from_str(text).unwrap();
    let cases = cases["cases"].as_array().unwrap();
    let (expected, actual) = (load("expected.safetensors"), load("actual.safetensors"));
    let (mut attributes, mut mismatches) = (0, 0);
    for case in cases {
        let key = case["key"].as_str().unwrap();
        let find = |file: &[(String, Dtype, Vec<u64>, Vec<u8>)]| {
            file.iter().find(|entry| entry.0 == key).unwrap().clone()
        };
        let (reference, candidate) = (find(&expected), find(&actual));
        // Structure is the caller's to compare, in torch's order: shape, then dtype unless told not to.
        let attribute = if reference.2 != candidate.2 {
            Some("shape")
        } else if case["check_dtype"].as_bool().unwrap() && reference.1 != candidate.1 {
            Some("dtype")
        } else {
            None
        };
        assert_eq!(attribute, case["attribute"].as_str(), "{key}");
        if attribute.is_some() {
            attributes += 1;
            continue;
        }
        let equal_nan = case["equal_nan"].as_bool().unwrap();
        let tolerance = Tolerance::close(
            case["rtol"].as_f64(),
            case["atol"].as_f64(),
            equal_nan,
            None,
        )
        .unwrap();
        let view = |(_, dtype, shape, bytes): &'_ (String, Dtype, Vec<u64>, Vec<u8>)| {
            (*dtype, shape.clone(), bytes.clone())
        };
        let ((rd, shape, rb), (cd, _, cb)) = (view(&reference), view(&candidate));
        let reference = View {
            dtype: rd,
            shape: &shape,
            bytes: &rb,
        };
        let candidate = View {
            dtype: cd,
            shape: &shape,
            bytes: &cb,
        };
        let ours = difference(reference, candidate, &tolerance).unwrap();
        assert_eq!(
            ours.mismatched == 0,
            case["close"].as_bool().unwrap(),
            "{key}"
        );
        if ours.mismatched == 0 {
            assert_eq!(
                (ours.greatest_abs, ours.greatest_rel),
                (None, None),
                "{key}"
            );
            continue;
        }
        mismatches += 1;
        assert_eq!(
            ours.mismatched,
            case["mismatched"].as_u64().unwrap_or(1),
            "{key}"
        );
        assert_eq!(ours.numel, case["numel"].as_u64().unwrap_or(1), "{key}");
        let precision = precision(ours.dtype, shape.is_empty());
        check_greatest(
            key,
            ours.greatest_abs,
            &case["greatest_absolute"],
            &shape,
            precision,
        );
        check_greatest(
            key,
            ours.greatest_rel,
            &case["greatest_relative"],
            &shape,
            precision,
        );
    }
    assert_eq!((cases.len(), attributes, mismatches), (400, 18, 197));
}

/// Every pair of 8-bit floats there is, judged as torch judged it. torch calls this comparison bitwise and compares values.
#[test]
fn all_pairs_of_8_bit_floats_are_judged_as_torch_judges_them() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/assert_close/fp8.json");
    let recorded: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let answers = recorded["answers"].as_array().unwrap();
    assert_eq!(answers.len(), 10);
    for answer in answers {
        let dtype: Dtype = answer["dtype"].as_str().unwrap().parse().unwrap();
        let equal_nan = answer["equal_nan"].as_bool().unwrap();
        let tolerance = Tolerance::close(Some(0.0), Some(0.0), equal_nan, None).unwrap();
        let bits = |pair: &Value, at: usize| u8::try_from(pair[at].as_u64().unwrap()).unwrap();
        let otherwise: BTreeSet<(u8, u8)> = answer["otherwise"]
            .as_array()
            .unwrap()
            .iter()
            .map(|pair| (bits(pair, 0), bits(pair, 1)))
            .collect();
        for (ours, theirs) in (0..=u8::MAX).flat_map(|a| (0..=u8::MAX).map(move |b| (a, b))) {
            let view = |bytes| View {
                dtype,
                shape: &[1],
                bytes,
            };
            let found = difference(view(&[ours]), view(&[theirs]), &tolerance).unwrap();
            let expected = (ours == theirs) != otherwise.contains(&(ours, theirs));
            assert_eq!(
                found.mismatched == 0,
                expected,
                "{dtype} {ours:#04x} {theirs:#04x}, equal_nan {equal_nan}: {found:?}"
            );
        }
    }
}
