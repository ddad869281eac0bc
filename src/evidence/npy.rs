//! Numpy's array files: a header that is a Python literal, then the array's bytes. Several arrays may stand in one file.

use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::evidence::{Content, Evidence, Item};
use crate::ffi::map::Map;

mod layout;
mod literal;

use layout::{Layout, Leaf, layout, whole_numbers};
use literal::Value;

const MAGIC: &[u8] = b"\x93NUMPY";

/// Longer headers describe no array that anybody has.
pub(super) const LONGEST_HEADER: usize = 1 << 20;

/// As many as numpy allows, and few enough to walk.
const MOST_AXES: usize = 64;

/// Whether these bytes begin as an npy file does.
#[must_use]
pub fn recognises(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// Reads a mapped npy file. The array is called `array`; further ones in the same file are `array[1]` and so on.
///
/// # Errors
/// When a header is cut off or no such header, the data has another length than it says, or holds Python objects.
pub fn read(path: &Path, map: &Arc<Map>) -> Result<Evidence> {
    let mut evidence = Evidence {
        format: "npy",
        ..Evidence::default()
    };
    let mut start = 0;
    let mut count = 0;
    while start < map.len() || count == 0 {
        let wrong = |what: String| Error::damaged(path, format!("offset {start}: {what}"));
        let array = header(&map[start..]).map_err(wrong)?;
        let name = match count {
            0 => "array".to_owned(),
            _ => format!("array[{count}]"),
        };
        let data = start + array.start;
        let end = usize::try_from(array.length)
            .ok()
            .and_then(|length| data.checked_add(length))
            .filter(|&end| end <= map.len())
            .ok_or_else(|| {
                wrong(format!(
                    "an array of {} bytes in the {} that are left",
                    array.length,
                    map.len() - data
                ))
            })?;
        evidence
            .items
            .extend(array.items(path, &name, &Source::Mapped(Arc::clone(map), data))?);
        start = end;
        count += 1;
    }
    Ok(evidence)
}

/// What a header says.
#[derive(Debug)]
pub(super) struct Array {
    layout: Layout,
    shape: Vec<u64>,
    /// Whether the first index runs fastest.
    fortran: bool,
    /// Where the data begins, counted from the first byte of the header.
    pub(super) start: usize,
    /// Bytes of data.
    pub(super) length: u64,
}

/// Where an array's bytes are.
pub(super) enum Source {
    /// In a mapped file, from this offset.
    Mapped(Arc<Map>, usize),
    /// To be unpacked: header and data.
    Packed(Arc<dyn Fn() -> Result<Vec<u8>> + Send + Sync>),
}

/// Reads the header that these bytes begin with.
pub(super) fn header(bytes: &[u8]) -> std::result::Result<Array, String> {
    let cut = || "the header is cut off".to_owned();
    if !bytes.starts_with(MAGIC) {
        return Err("no npy header".into());
    }
    let version = *bytes.get(6).ok_or_else(cut)?;
    let (from, long) = match version {
        1 => {
            let long = bytes.get(8..10).ok_or_else(cut)?;
            (10, usize::from(u16::from_le_bytes([long[0], long[1]])))
        }
        2 | 3 => {
            let long = bytes.get(8..12).ok_or_else(cut)?;
            let long = u32::from_le_bytes([long[0], long[1], long[2], long[3]]);
            (12, usize::try_from(long).unwrap_or(usize::MAX))
        }
        _ => return Err(format!("npy version {version} is not known")),
    };
    if long > LONGEST_HEADER {
        return Err(format!("a header of {long} bytes"));
    }
    let start = from + long;
    let text = bytes.get(from..start).ok_or_else(cut)?;
    let text = if version == 3 {
        std::str::from_utf8(text)
            .map_err(|e| format!("the header is no UTF-8 at its byte {}", e.valid_up_to()))?
            .to_owned()
    } else {
        text.iter().copied().map(char::from).collect()
    };
    let header = literal::parse(&text)
        .map_err(|(offset, what)| format!("the header at its character {offset}: {what}"))?;
    let lacks = |key: &str| format!("the header has no usable '{key}'");
    let descr = header.get("descr").ok_or_else(|| lacks("descr"))?;
    let Some(Value::Flag(fortran)) = header.get("fortran_order") else {
        return Err(lacks("fortran_order"));
    };
    let shape = match header.get("shape") {
        Some(Value::Tuple(sizes)) => whole_numbers(sizes),
        _ => None,
    };
    let shape = shape
        .filter(|shape| shape.len() <= MOST_AXES)
        .ok_or_else(|| lacks("shape"))?;
    let layout = layout(descr)?;
    let length = product(layout.size, &shape)?;
    let empty = layout.size == 0 || shape.contains(&0);
    Ok(Array {
        layout,
        shape,
        fortran: *fortran,
        start,
        length: if empty { 0 } else { length },
    })
}

/// Of all that is not 0: an axis of size 0 does not excuse the others, since products of some of them are taken later.
fn product(size: u64, shape: &[u64]) -> std::result::Result<u64, String> {
    shape
        .iter()
        .filter(|&&size| size != 0)
        .try_fold(size.max(1), |n, &size| n.checked_mul(size))
        .filter(|&length| i64::try_from(length).is_ok())
        .ok_or_else(|| format!("an array of shape {shape:?} is larger than any memory"))
}

impl Array {
    /// The tensors in it: one, or one for each field.
    pub(super) fn items(self, path: &Path, name: &str, source: &Source) -> Result<Vec<Item>> {
        let array = Arc::new(self);
        let mut items: Vec<Item> = Vec::with_capacity(array.layout.leaves.len());
        for leaf in &array.layout.leaves {
            let name = format!("{name}{}", leaf.name);
            if items.iter().any(|item| item.name == name) {
                return Err(Error::damaged(
                    path,
                    format!("two fields are called {name}"),
                ));
            }
            let shape: Vec<u64> = array.shape.iter().chain(&leaf.shape).copied().collect();
            product(leaf.dtype.size() as u64, &shape).map_err(|what| Error::damaged(path, what))?;
            items.push(Item {
                content: content(path, &array, leaf, source),
                name,
                dtype: leaf.dtype,
                declared: leaf.declared.clone(),
                shape,
            });
        }
        Ok(items)
    }

    /// Whether the bytes of `leaf` already stand in the file as they are wanted.
    fn in_order(&self, leaf: &Leaf) -> bool {
        let axes = self.shape.iter().filter(|&&size| size != 1).count();
        leaf.bytes == self.layout.size && leaf.swap == 1 && (!self.fortran || axes <= 1)
    }

    /// The bytes of `leaf` in every element, row by row and little-endian. Nothing when `data` is too short.
    fn gather(&self, data: &[u8], leaf: &Leaf) -> Option<Vec<u8>> {
        let size = usize::try_from(self.layout.size).ok()?;
        let offset = usize::try_from(leaf.offset).ok()?;
        let bytes = usize::try_from(leaf.bytes).ok()?;
        // Without a byte to each element, their number is not bounded by the file.
        if bytes == 0 || self.length == 0 {
            return Some(Vec::new());
        }
        let sizes: Vec<usize> = self
            .shape
            .iter()
            .map(|&size| usize::try_from(size).ok())
            .collect::<Option<_>>()?;
        let strides = strides(&sizes, self.fortran);
        let elements: usize = sizes.iter().product();
        if data.len() < elements * size {
            return None;
        }
        let mut out = Vec::with_capacity(elements * bytes);
        let mut index = vec![0; sizes.len()];
        let mut element = 0;
        for _ in 0..elements {
            let from = element * size + offset;
            out.extend_from_slice(data.get(from..from + bytes)?);
            for axis in (0..sizes.len()).rev() {
                index[axis] += 1;
                element += strides[axis];
                if index[axis] < sizes[axis] {
                    break;
                }
                index[axis] = 0;
                element -= strides[axis] * sizes[axis];
            }
        }
        if leaf.swap > 1 {
            out.chunks_exact_mut(leaf.swap).for_each(<[u8]>::reverse);
        }
        Some(out)
    }
}

/// How many elements further the next index of each axis is.
fn strides(sizes: &[usize], fortran: bool) -> Vec<usize> {
    let mut strides = vec![0; sizes.len()];
    let mut stride = 1;
    for place in 0..sizes.len() {
        let axis = if fortran {
            place
        } else {
            sizes.len() - 1 - place
        };
        strides[axis] = stride;
        stride *= sizes[axis];
    }
    strides
}

fn content(path: &Path, array: &Arc<Array>, leaf: &Leaf, source: &Source) -> Content {
    let (path, array, leaf) = (path.to_path_buf(), Arc::clone(array), leaf.clone());
    let long = usize::try_from(array.length).unwrap_or(usize::MAX);
    let short = move || Error::damaged(&path, "it became shorter while it was being read");
    match source {
        Source::Mapped(map, start) if array.in_order(&leaf) => {
            Content::Mapped(Arc::clone(map), *start..start + long)
        }
        Source::Mapped(map, start) => {
            let (map, range) = (Arc::clone(map), *start..start + long);
            Content::Lazy(Box::new(move || {
                let data = map.get(range.clone()).ok_or_else(&short)?;
                let bytes = array.gather(data, &leaf).ok_or_else(&short)?;
                map.check()?;
                Ok(bytes)
            }))
        }
        Source::Packed(unpack) => {
            let unpack = Arc::clone(unpack);
            Content::Lazy(Box::new(move || {
                let mut bytes = unpack()?;
                if array.in_order(&leaf) {
                    bytes.drain(..array.start.min(bytes.len()));
                    return Ok(bytes);
                }
                let data = bytes.get(array.start..).ok_or_else(&short)?;
                array.gather(data, &leaf).ok_or_else(&short)
            }))
        }
    }
}
