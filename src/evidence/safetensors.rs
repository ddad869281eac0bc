//! Safetensors files: a JSON header, then the tensors' bytes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;

use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::evidence::{Content, Evidence, Item, length};
use crate::ffi::map::Map;

/// The format's own limit for headers.
const LONGEST_HEADER: u64 = 100_000_000;

/// The entry that is no tensor.
const METADATA: &str = "__metadata__";

#[derive(serde::Deserialize)]
struct Tensor {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

/// The whole header. One that names a tensor twice is refused: readers would disagree about which is meant.
#[derive(Default)]
struct Header {
    tensors: BTreeMap<String, Tensor>,
    metadata: Option<Value>,
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        from.deserialize_map(Header::default())
    }
}

impl<'de> Visitor<'de> for Header {
    type Value = Self;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> std::result::Result<Self, A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            let twice = if name == METADATA {
                self.metadata.replace(map.next_value()?).is_some()
            } else {
                self.tensors
                    .insert(name.clone(), map.next_value()?)
                    .is_some()
            };
            if twice {
                return Err(A::Error::custom(format!("{name} occurs twice")));
            }
        }
        Ok(self)
    }
}

/// Whether these bytes begin as a safetensors file does.
#[must_use]
pub fn recognises(bytes: &[u8]) -> bool {
    header_length(bytes)
        .is_some_and(|length| length <= LONGEST_HEADER && bytes.get(8) == Some(&b'{'))
}

fn header_length(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?))
}

/// Reads a mapped safetensors file.
///
/// # Errors
/// When the header is cut off, no JSON, or describes tensors that overlap, leave gaps or reach past the end.
pub fn read(path: &Path, map: &Arc<Map>) -> Result<Evidence> {
    let wrong = |what: String| Error::damaged(path, what);
    let long = header_length(map).ok_or_else(|| wrong("offset 0: no header length".into()))?;
    let end = long
        .checked_add(8)
        .filter(|&end| long <= LONGEST_HEADER && end <= map.len() as u64)
        .ok_or_else(|| {
            wrong(format!(
                "offset 0: a header of {long} bytes in a file of {}",
                map.len()
            ))
        })?;
    let start = usize::try_from(end).unwrap_or(usize::MAX);
    let header: Header = serde_json::from_slice(&map[8..start])
        .map_err(|e| wrong(format!("offset 8: the header: {e}")))?;
    let mut evidence = Evidence {
        format: "safetensors",
        ..Evidence::default()
    };
    let mut placed = Vec::new();
    if let Some(metadata) = header.metadata {
        let name = METADATA.to_owned();
        evidence.container.push((name, metadata.to_string()));
    }
    for (name, tensor) in header.tensors {
        placed.push((tensor.data_offsets, name.clone()));
        evidence.items.push(item(path, map, start, name, tensor)?);
    }
    check_places(path, placed, (map.len() - start) as u64)?;
    Ok(evidence)
}

fn item(path: &Path, map: &Arc<Map>, start: usize, name: String, tensor: Tensor) -> Result<Item> {
    let (from, to) = tensor.data_offsets;
    let wrong = |what: String| Error::damaged(path, format!("{name}: {what}"));
    let held = to
        .checked_sub(from)
        .ok_or_else(|| wrong(format!("offsets {from}..{to} run backwards")))?;
    if to > (map.len() - start) as u64 {
        return Err(wrong(format!(
            "offsets {from}..{to} reach past the end of the file"
        )));
    }
    let (dtype, declared, shape) = match known(&tensor.dtype) {
        Some(dtype) => {
            let needed = length(path, &name, dtype, &tensor.shape)?;
            if needed != held {
                return Err(wrong(format!(
                    "{} {:?} needs {needed} bytes and has {held}",
                    tensor.dtype, tensor.shape
                )));
            }
            (dtype, None, tensor.shape)
        }
        // Compared as bytes: nobody here knows its arithmetic, but equal bits are equal.
        None => (
            Dtype::Uint8,
            Some(format!("{} {:?}", tensor.dtype, tensor.shape)),
            vec![held],
        ),
    };
    let place = |offset: u64| start + usize::try_from(offset).unwrap_or(usize::MAX);
    Ok(Item {
        content: Content::Mapped(Arc::clone(map), place(from)..place(to)),
        name,
        dtype,
        declared,
        shape,
    })
}

/// The format wants the tensors one after another, without gaps or overlaps.
fn check_places(path: &Path, mut placed: Vec<((u64, u64), String)>, length: u64) -> Result<()> {
    placed.sort();
    let mut end = 0;
    for ((from, to), name) in placed {
        if from != end {
            let what = if from < end {
                "overlaps the tensor before it"
            } else {
                "leaves a gap before it"
            };
            return Err(Error::damaged(
                path,
                format!("{name}: its data at {from}..{to} {what}, which ends at {end}"),
            ));
        }
        end = to;
    }
    if end != length {
        return Err(Error::damaged(
            path,
            format!("{} bytes after the last tensor", length - end),
        ));
    }
    Ok(())
}

fn known(name: &str) -> Option<Dtype> {
    Some(match name {
        "BOOL" => Dtype::Bool,
        "U8" => Dtype::Uint8,
        "I8" => Dtype::Int8,
        "I16" => Dtype::Int16,
        "U16" => Dtype::Uint16,
        "F16" => Dtype::Float16,
        "BF16" => Dtype::Bfloat16,
        "I32" => Dtype::Int32,
        "U32" => Dtype::Uint32,
        "F32" => Dtype::Float32,
        "F64" => Dtype::Float64,
        "I64" => Dtype::Int64,
        "U64" => Dtype::Uint64,
        "C64" => Dtype::Complex64,
        "F8_E4M3" => Dtype::Float8E4m3fn,
        "F8_E5M2" => Dtype::Float8E5m2,
        "F8_E4M3FNUZ" => Dtype::Float8E4m3fnuz,
        "F8_E5M2FNUZ" => Dtype::Float8E5m2fnuz,
        "F8_E8M0" => Dtype::Float8E8m0fnu,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file.safetensors");
        let bytes = [
            &(header.len() as u64).to_le_bytes()[..],
            header.as_bytes(),
            data,
        ]
        .concat();
        std::fs::write(&path, bytes).unwrap();
        (folder, path)
    }

    fn open(header: &str, data: &[u8]) -> Result<Evidence> {
        let (_folder, path) = file(header, data);
        read(&path, &Arc::new(Map::open(&path)?))
    }

    #[test]
    fn tensors_are_found_with_their_bytes_and_unknown_types_are_bytes() {
        let header = r#"{"__metadata__":{"b":"1","a":"2"},"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"y":{"dtype":"F6_E2M3","shape":[4],"data_offsets":[8,11]}}"#;
        let evidence = open(header, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]).unwrap();
        assert_eq!(
            evidence.items[0].bytes().unwrap().as_ref(),
            [1, 2, 3, 4, 5, 6, 7, 8]
        );
        assert_eq!(evidence.items[1].declared.as_deref(), Some("F6_E2M3 [4]"));
        assert_eq!(
            (evidence.items[1].dtype, evidence.items[1].numel()),
            (Dtype::Uint8, 3)
        );
    }

    #[test]
    fn every_lie_of_a_header_is_refused() {
        for (header, data) in [
            ("", &[][..]),
            ("{", &[]),
            ("[]", &[]),
            (
                r#"{"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"x":{"dtype":"I8","shape":[4],"data_offsets":[0,4]}}"#,
                &[0; 4],
            ),
            (
                r#"{"x":{"dtype":"U8","dtype":"I8","shape":[4],"data_offsets":[0,4]}}"#,
                &[0; 4],
            ),
            (
                r#"{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#,
                &[0; 7],
            ),
            (
                r#"{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#,
                &[0; 9],
            ),
            (
                r#"{"x":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#,
                &[0; 8],
            ),
            (
                r#"{"x":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#,
                &[0; 8],
            ),
            (
                r#"{"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"y":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}"#,
                &[0; 6],
            ),
            (
                r#"{"x":{"dtype":"U8","shape":[18446744073709551615,2],"data_offsets":[0,4]}}"#,
                &[0; 4],
            ),
            (
                r#"{"x":{"dtype":"U8","shape":[-1],"data_offsets":[0,4]}}"#,
                &[0; 4],
            ),
        ] {
            assert!(
                matches!(open(header, data), Err(Error::Unreadable { .. })),
                "{header}"
            );
        }
        let (_folder, path) = file("{}", &[]);
        std::fs::write(&path, u64::MAX.to_le_bytes()).unwrap();
        assert!(read(&path, &Arc::new(Map::open(&path).unwrap())).is_err());
        std::fs::write(&path, [1, 2, 3]).unwrap();
        assert!(read(&path, &Arc::new(Map::open(&path).unwrap())).is_err());
    }
}
