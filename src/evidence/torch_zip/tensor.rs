//! Tensors over records: storages, strided views of them, and their logical row-major little-endian bytes.

use std::sync::Arc;

use super::zip::Record;
use crate::dtype::{Dtype, Kind};
use crate::error::Result;
use crate::evidence::Content;

/// The largest tensor that repeats elements of its storage (`expand`) and is written out; the storage itself is compared
/// where a tensor would be larger.
pub const LARGEST_REPEATED: u64 = 1 << 28;

/// A run of bytes that tensors are views of.
#[derive(Debug, Clone)]
pub struct Storage {
    /// Where it is; `None` when it is empty.
    pub record: Option<Record>,
    /// The type it was saved as; `None` for types that samebits does not know.
    pub dtype: Option<Dtype>,
    /// The file's name for it.
    pub declared: String,
    /// Its elements; its bytes where the type is unknown.
    pub numel: u64,
    /// Whether its elements are big endian.
    pub big: bool,
    /// Whether only its tensors say of which type its elements are.
    pub untyped: bool,
}

/// Which elements of a storage a tensor has.
#[derive(Debug, Clone)]
pub struct View {
    /// First element.
    pub offset: u64,
    /// Sizes, outermost first.
    pub shape: Vec<u64>,
    /// Elements from one index to the next, for each dimension.
    pub strides: Vec<u64>,
}

/// Bits of a tensor that are not those of its storage.
#[derive(Debug, Clone, Copy, Default)]
pub struct Flips {
    /// All signs are the other way round (`Tensor.is_neg`).
    pub negative: bool,
    /// The signs of imaginary parts are the other way round (`Tensor.is_conj`).
    pub conjugate: bool,
}

/// What makes an item, but for its name.
#[derive(Debug)]
pub struct Made {
    /// Type of the elements.
    pub dtype: Dtype,
    /// The file's word, where that says more.
    pub declared: Option<String>,
    /// Sizes.
    pub shape: Vec<u64>,
    /// Bytes.
    pub content: Content,
    /// How many bytes reading it takes in all.
    pub cost: u64,
}

impl View {
    /// All of a storage.
    #[must_use]
    pub fn all(numel: u64) -> Self {
        Self {
            offset: 0,
            shape: vec![numel],
            strides: vec![1],
        }
    }

    fn is_empty(&self) -> bool {
        self.shape.contains(&0)
    }

    /// Number of elements, if that can be.
    fn numel(&self) -> Option<u64> {
        if self.is_empty() {
            return Some(0);
        }
        self.shape
            .iter()
            .try_fold(1u64, |n, &size| n.checked_mul(size))
    }

    /// One more than the last element it has.
    fn end(&self) -> Option<u64> {
        if self.is_empty() {
            return Some(0);
        }
        let dimensions = self.shape.iter().zip(&self.strides);
        dimensions
            .clone()
            .try_fold(self.offset, |end, (&size, &stride)| {
                end.checked_add((size - 1).checked_mul(stride)?)
            })?
            .checked_add(1)
    }

    /// Dimensions that matter, with those that lie row-major inside each other made one.
    fn merged(&self) -> Vec<(u64, u64)> {
        let mut merged: Vec<(u64, u64)> = Vec::new();
        for (&size, &stride) in self.shape.iter().zip(&self.strides) {
            match merged.last_mut() {
                _ if size == 1 => {}
                Some(last) if Some(last.1) == size.checked_mul(stride) => {
                    *last = (last.0.saturating_mul(size), stride);
                }
                _ => merged.push((size, stride)),
            }
        }
        merged
    }

    fn is_contiguous(&self) -> bool {
        self.is_empty() || matches!(self.merged()[..], [] | [(_, 1)])
    }

    /// The elements of this view in row-major order. The view has been checked against `bytes`.
    #[must_use]
    pub fn gather(&self, bytes: &[u8], width: usize) -> Vec<u8> {
        let mut gathered = Vec::new();
        if self.is_empty() {
            return gathered;
        }
        let place = |n: u64| {
            usize::try_from(n)
                .unwrap_or(usize::MAX)
                .saturating_mul(width)
        };
        gathered.reserve_exact(place(self.numel().unwrap_or(0)));
        let mut outer = self.merged();
        // The innermost run is copied at once where its elements are neighbours.
        let (run, stride) = match outer.last() {
            Some(&(_, 1)) => (outer.pop().map_or(1, |last| last.0), 1),
            Some(_) => outer.pop().unwrap_or((1, 1)),
            None => (1, 1),
        };
        let mut index = vec![0u64; outer.len()];
        let mut at = self.offset;
        loop {
            if stride == 1 {
                let run = bytes.get(place(at)..place(at + run));
                gathered.extend_from_slice(run.unwrap_or_default());
            } else {
                for n in 0..run {
                    let one = place(at + n * stride);
                    gathered.extend_from_slice(bytes.get(one..one + width).unwrap_or_default());
                }
            }
            let mut dimension = outer.len();
            loop {
                if dimension == 0 {
                    return gathered;
                }
                dimension -= 1;
                let (size, stride) = outer[dimension];
                index[dimension] += 1;
                at += stride;
                if index[dimension] < size {
                    break;
                }
                at -= stride * size;
                index[dimension] = 0;
            }
        }
    }
}

/// A view of a storage, with elements of type `dtype`; an unknown type gives the storage's bytes.
///
/// # Errors
/// When the storage does not have the elements.
pub fn view(
    storage: &Storage,
    dtype: Option<Dtype>,
    declared: &str,
    view: &View,
    flips: Flips,
) -> std::result::Result<Made, String> {
    let held = storage
        .numel
        .saturating_mul(storage.dtype.map_or(1, |dtype| dtype.size() as u64));
    let (shape, strides) = (&view.shape, &view.strides);
    let words = || {
        format!(
            "{declared} {shape:?} strides {strides:?} offset {}",
            view.offset
        )
    };
    if shape.len() != strides.len() {
        return Err(format!("shape {shape:?} with strides {strides:?}"));
    }
    let end = view.end();
    let Some(dtype) = dtype else {
        return Ok(raw(storage, held, words()));
    };
    let width = dtype.size() as u64;
    let needed = end.and_then(|end| end.checked_mul(width));
    if needed.is_none_or(|needed| needed > held) {
        return Err(format!(
            "{} needs more than the {held} bytes of its storage",
            words()
        ));
    }
    let bytes = view.numel().and_then(|n| n.checked_mul(width));
    let bytes = bytes.filter(|&bytes| bytes <= held.max(LARGEST_REPEATED));
    let Some(bytes) = bytes else {
        return Ok(raw(storage, held, words()));
    };
    let content = content(storage, dtype, view, flips, bytes);
    Ok(Made {
        dtype,
        declared: None,
        shape: shape.clone(),
        cost: bytes + storage.record.as_ref().map_or(0, unpacked),
        content,
    })
}

/// Unpacking a record takes all of it, however little a view needs.
fn unpacked(record: &Record) -> u64 {
    if record.mapped().is_some() {
        0
    } else {
        record.size() as u64
    }
}

fn raw(storage: &Storage, held: u64, declared: String) -> Made {
    let plain = Storage {
        big: false,
        ..storage.clone()
    };
    Made {
        dtype: Dtype::Uint8,
        declared: Some(declared),
        shape: vec![held],
        content: content(
            &plain,
            Dtype::Uint8,
            &View::all(held),
            Flips::default(),
            held,
        ),
        cost: held + storage.record.as_ref().map_or(0, unpacked),
    }
}

fn content(storage: &Storage, dtype: Dtype, view: &View, flips: Flips, bytes: u64) -> Content {
    let Some(record) = storage.record.clone().filter(|_| bytes > 0) else {
        return Content::Owned(Vec::new());
    };
    let flips = Flips {
        conjugate: flips.conjugate && dtype.kind() == Kind::Complex,
        negative: flips.negative && matches!(dtype.kind(), Kind::Complex | Kind::Float),
    };
    let swapped = storage.big && part(dtype) > 1;
    let as_is = !swapped && !flips.negative && !flips.conjugate && view.is_contiguous();
    if let Some((map, place)) = record.mapped().filter(|_| as_is) {
        let at = |n: u64| place.start + usize::try_from(n).unwrap_or(usize::MAX);
        let from = view.offset * dtype.size() as u64;
        return Content::Mapped(Arc::clone(map), at(from)..at(from + bytes));
    }
    let view = view.clone();
    Content::Lazy(Box::new(move || {
        let mut gathered = view.gather(&record.bytes()?, dtype.size());
        record.check()?;
        if swapped {
            swap(&mut gathered, dtype);
        }
        flip(&mut gathered, dtype, flips);
        Ok::<_, crate::error::Error>(gathered)
    }) as Box<dyn Fn() -> Result<Vec<u8>> + Send + Sync>)
}

/// Bytes of one number: complex elements are two.
fn part(dtype: Dtype) -> usize {
    match dtype.kind() {
        Kind::Complex => dtype.size() / 2,
        _ => dtype.size(),
    }
}

/// Turns the bytes of each number round.
pub fn swap(bytes: &mut [u8], dtype: Dtype) {
    bytes
        .chunks_exact_mut(part(dtype))
        .for_each(<[u8]>::reverse);
}

/// Turns the signs round that `flips` says.
fn flip(bytes: &mut [u8], dtype: Dtype, flips: Flips) {
    let width = part(dtype);
    for (index, number) in bytes.chunks_exact_mut(width).enumerate() {
        let imaginary = dtype.kind() == Kind::Complex && index % 2 == 1;
        if flips.negative != (flips.conjugate && imaginary) {
            number[width - 1] ^= 0x80;
        }
    }
}
