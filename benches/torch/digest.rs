//! How fast a tensor is digested, against a plain read of the same memory and against XXH3 and SHA-256.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rayon::prelude::*;
use samebits::digest::Lanes;
use sha2::Digest as _;

/// The least that anything which looks at every byte must do.
fn read(bytes: &[u8]) -> u64 {
    let mut sums = [0u64; 32];
    for chunk in bytes.chunks_exact(256) {
        for (sum, word) in sums.iter_mut().zip(chunk.chunks_exact(8)) {
            *sum = sum.wrapping_add(u64::from_le_bytes(word.try_into().unwrap_or_default()));
        }
    }
    sums.iter().fold(0, |total, sum| total.wrapping_add(*sum))
}

fn digest(criterion: &mut Criterion) {
    for (name, length) in [("1 MiB, in cache", 1usize << 20), ("1 GiB", 1 << 30)] {
        let bytes: Vec<u8> = (0..length).map(|at| (at * 31).to_le_bytes()[0]).collect();
        let mut group = criterion.benchmark_group("digest");
        group
            .throughput(Throughput::Bytes(length as u64))
            .sample_size(10);
        group
            .measurement_time(std::time::Duration::from_secs(3))
            .warm_up_time(std::time::Duration::from_millis(500));
        group.bench_function(BenchmarkId::new("plain read, one core", name), |b| {
            b.iter(|| read(black_box(&bytes)));
        });
        group.bench_function(BenchmarkId::new("plain read, all cores", name), |b| {
            b.iter(|| {
                black_box(&bytes)
                    .par_chunks(4 << 20)
                    .map(read)
                    .reduce(|| 0, u64::wrapping_add)
            });
        });
        group.bench_function(BenchmarkId::new("samebits, one core", name), |b| {
            b.iter(|| Lanes::at(0, black_box(&bytes)));
        });
        group.bench_function(BenchmarkId::new("samebits, all cores", name), |b| {
            b.iter(|| Lanes::of(black_box(&bytes)));
        });
        group.bench_function(BenchmarkId::new("XXH3-128, one core", name), |b| {
            b.iter(|| xxhash_rust::xxh3::xxh3_128(black_box(&bytes)));
        });
        if length == 1 << 20 {
            group.bench_function(BenchmarkId::new("SHA-256, one core", name), |b| {
                b.iter(|| sha2::Sha256::digest(black_box(&bytes)));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, digest);
criterion_main!(benches);
