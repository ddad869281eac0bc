//! Numpy's archives: a zip file of npy files. Their order, dates and compression are no evidence.

use std::path::Path;
use std::sync::Arc;

use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::evidence::npy::{self, Source};
use crate::evidence::{Content, Evidence, Item, LARGEST_UNPACKED};
use crate::ffi::map::Map;

mod archive;

use archive::Member;

/// Whether these bytes, of a whole file, are a zip file with an npy file in it.
#[must_use]
pub fn recognises(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04")
        && archive::members(bytes).is_ok_and(|members| {
            members
                .iter()
                .any(|member| array_name(&member.name).is_some())
        })
}

/// Reads a mapped npz file. Arrays are called as numpy calls them, without `.npy`; other members are bytes.
///
/// # Errors
/// When the archive is damaged, its members overlap or are packed or encrypted in a way that numpy does not write, or an
/// array in it is damaged.
pub fn read(path: &Path, map: &Arc<Map>) -> Result<Evidence> {
    let wrong = |what: String| Error::damaged(path, what);
    let mut members = archive::members(map).map_err(wrong)?;
    let mut evidence = Evidence {
        format: "npz",
        ..Evidence::default()
    };
    let order: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
    evidence
        .container
        .push(("order of members".into(), order.join(", ")));
    members.sort_by(|a, b| a.name.cmp(&b.name));
    let mut names = std::collections::BTreeSet::new();
    for member in members {
        let name = array_name(&member.name).unwrap_or(&member.name).to_owned();
        let items = read_member(path, map, &name, &member)?;
        for item in &items {
            if !names.insert(item.name.clone()) {
                return Err(wrong(format!("two arrays are called {}", item.name)));
            }
        }
        evidence.items.extend(items);
        evidence.container.push((member.name, member.packing));
    }
    Ok(evidence)
}

/// The array's name, if the member is one. Numpy wants small letters.
fn array_name(member: &str) -> Option<&str> {
    member.strip_suffix(".npy")
}

fn read_member(path: &Path, map: &Arc<Map>, name: &str, member: &Member) -> Result<Vec<Item>> {
    let wrong = |what: String| Error::damaged(path, format!("{}: {what}", member.name));
    if member.size > LARGEST_UNPACKED && !member.stored {
        return Err(wrong(format!("{} bytes when unpacked", member.size)));
    }
    if member.stored {
        archive::check(map, member).map_err(wrong)?;
    }
    let unpack: Arc<dyn Fn() -> Result<Vec<u8>> + Send + Sync> = {
        let (path, map, member) = (path.to_path_buf(), Arc::clone(map), member.clone());
        Arc::new(move || {
            let bytes = archive::unpack(&map, &member, usize::MAX);
            map.check()?;
            bytes.map_err(|what| Error::damaged(&path, format!("{}: {what}", member.name)))
        })
    };
    if array_name(&member.name).is_none() {
        return Ok(vec![Item {
            name: name.to_owned(),
            dtype: Dtype::Uint8,
            declared: Some("bytes".into()),
            shape: vec![member.size],
            content: if member.stored {
                Content::Mapped(Arc::clone(map), member.data.clone())
            } else {
                Content::Lazy(Box::new(move || unpack()))
            },
        }]);
    }
    let begin = archive::unpack(map, member, npy::LONGEST_HEADER + 12).map_err(wrong)?;
    let array = npy::header(&begin).map_err(wrong)?;
    if (array.start as u64).checked_add(array.length) != Some(member.size) {
        return Err(wrong(format!(
            "an array of {} bytes in the {} after its header",
            array.length,
            member.size.saturating_sub(array.start as u64)
        )));
    }
    let source = if member.stored {
        Source::Mapped(Arc::clone(map), member.data.start + array.start)
    } else {
        Source::Packed(unpack)
    };
    array.items(path, name, &source)
}
