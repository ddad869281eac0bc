//! Digests of tensors, computed on the CPU by Rust and by the tensor operations that GPUs run.

use samebits::digest::{Digest, Lanes};
use samebits::dtype::Dtype;
use samebits_torch::ffi::{Logical, describe, lanes_from, lanes_on_device};
use tch::{Device, Kind, Tensor};

/// A tensor of every dtype that libtorch can make, of this shape, with many different bit patterns.
fn tensors(shape: &[i64]) -> Vec<Tensor> {
    let numel: i64 = shape.iter().product();
    let bytes = |size: i64| {
        let data: Vec<u8> = (0..numel * size)
            .map(|i| (i * 37 % 251).to_le_bytes()[0])
            .collect();
        Tensor::from_slice(&data)
    };
    let typed = |kind: Kind, size: i64| {
        // An empty tensor of bytes cannot be viewed as anything wider.
        if numel == 0 {
            Tensor::zeros(shape, (kind, Device::Cpu))
        } else {
            bytes(size).view_dtype(kind).view(shape)
        }
    };
    let mut tensors: Vec<Tensor> = [
        (Kind::Uint8, 1),
        (Kind::Int8, 1),
        (Kind::Int16, 2),
        (Kind::Int, 4),
        (Kind::Int64, 8),
        (Kind::Half, 2),
        (Kind::Float, 4),
        (Kind::Double, 8),
        (Kind::ComplexHalf, 4),
        (Kind::ComplexFloat, 8),
        (Kind::ComplexDouble, 16),
        (Kind::BFloat16, 2),
        (Kind::Float8e5m2, 1),
        (Kind::Float8e4m3fn, 1),
        (Kind::Float8e5m2fnuz, 1),
        (Kind::Float8e4m3fnuz, 1),
    ]
    .into_iter()
    .map(|(kind, size)| typed(kind, size))
    .collect();
    tensors.push(typed(Kind::Uint8, 1).gt(100));
    tensors.push(
        typed(Kind::Float, 4)
            .nan_to_num(0.0, 1.0, -1.0)
            .clamp(-3.0, 3.0)
            .quantize_per_tensor(0.05, 3, Kind::QInt8),
    );
    tensors.push(
        typed(Kind::Float, 4)
            .nan_to_num(0.0, 1.0, -1.0)
            .clamp(-3.0, 3.0)
            .quantize_per_tensor(0.05, 3, Kind::QUInt8),
    );
    tensors.push(
        typed(Kind::Float, 4)
            .nan_to_num(0.0, 1.0, -1.0)
            .clamp(-3.0, 3.0)
            .quantize_per_tensor(0.05, 3, Kind::QInt32),
    );
    tensors
}

fn by_rust(tensor: &Tensor) -> Lanes {
    Lanes::of(Logical::of(tensor).unwrap().bytes())
}

fn by_tensor_operations(tensor: &Tensor) -> Lanes {
    let numbers = Vec::<i64>::try_from(lanes_on_device(tensor).unwrap()).unwrap();
    lanes_from([numbers[0], numbers[1]])
}

#[test]
fn the_digest_on_the_cpu_is_the_one_that_gpus_compute_for_every_dtype_and_layout() {
    for shape in [
        &[0][..],
        &[],
        &[1],
        &[3, 0, 2],
        &[7],
        &[5, 3],
        &[2, 3, 4, 5],
        &[1000, 33],
    ] {
        for tensor in tensors(shape) {
            let what = format!("{:?} {shape:?}", describe(&tensor).unwrap().dtype);
            assert_eq!(by_rust(&tensor), by_tensor_operations(&tensor), "{what}");
            if tensor.dim() == 2 && !what.starts_with(['Q']) {
                let transposed = tensor.transpose(0, 1);
                assert_eq!(
                    by_rust(&transposed),
                    by_tensor_operations(&transposed),
                    "{what} transposed"
                );
                assert_eq!(
                    by_rust(&transposed),
                    by_rust(&transposed.contiguous()),
                    "{what} transposed"
                );
                let strided = tensor.slice(1, 0, None, 2);
                assert_eq!(
                    by_rust(&strided),
                    by_tensor_operations(&strided),
                    "{what} strided"
                );
                let expanded = tensor.narrow(0, 1, 1).expand([9, tensor.size()[1]], false);
                assert_eq!(
                    by_rust(&expanded),
                    by_tensor_operations(&expanded),
                    "{what} expanded"
                );
                assert_eq!(
                    by_rust(&expanded),
                    by_rust(&expanded.contiguous()),
                    "{what} expanded"
                );
            }
        }
    }
    // More than one chunk of the tensor operations, and a length that fills no word.
    let large = Tensor::arange((17 << 20) + 5, (Kind::Int64, Device::Cpu)).to_kind(Kind::Int8);
    assert_eq!(by_rust(&large), by_tensor_operations(&large));
    // A conjugate and a sparse tensor stand for their logical content.
    let complex = Tensor::complex(
        &Tensor::from_slice(&[1f32, 2.0]),
        &Tensor::from_slice(&[3f32, -4.0]),
    );
    assert_eq!(
        by_rust(&complex.conj()),
        by_rust(&complex.conj().resolve_conj())
    );
    assert_ne!(by_rust(&complex.conj()), by_rust(&complex));
    let dense = Tensor::from_slice(&[0f32, 2.0, 0.0, 5.0]);
    assert_eq!(
        by_rust(&dense.to_sparse(None, None::<i64>, None)),
        by_rust(&dense)
    );
}

#[test]
fn a_changed_bit_or_swapped_elements_change_the_digest_in_both_forms() {
    let data: Vec<f32> = (0u16..97).map(f32::from).collect();
    let tensor = Tensor::from_slice(&data);
    let (rust, operations) = (by_rust(&tensor), by_tensor_operations(&tensor));
    for element in [0, 1, 50, 96] {
        for bit in 0..32 {
            let copy = tensor.copy();
            samebits_torch::ffi::flip_bit(&copy, element, bit).unwrap();
            assert_ne!(by_rust(&copy), rust, "element {element}, bit {bit}");
            assert_ne!(
                by_tensor_operations(&copy),
                operations,
                "element {element}, bit {bit}"
            );
        }
    }
    for (i, j) in [(0, 1), (0, 96), (13, 14), (31, 64)] {
        let mut swapped = data.clone();
        swapped.swap(i, j);
        let swapped = Tensor::from_slice(&swapped);
        assert_ne!(by_rust(&swapped), rust, "elements {i} and {j}");
        assert_ne!(
            by_tensor_operations(&swapped),
            operations,
            "elements {i} and {j}"
        );
    }
    let digest = |dtype, shape: &[u64]| Digest::from_lanes(dtype, shape, 388, rust);
    assert_ne!(digest(Dtype::Float32, &[97]), digest(Dtype::Int32, &[97]));
    assert_ne!(
        digest(Dtype::Float32, &[97]),
        digest(Dtype::Float32, &[97, 1])
    );
}
