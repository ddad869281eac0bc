//! What `torch.save` wrote before 1.6 and still does when asked: five pickles (a magic number, a version, the machine, the
//! value, the keys of its storages), then for each storage its number of elements and its bytes, always little endian.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::graph::{Id, Node, Pickle, Source};
use super::storages::width;
use super::zip::{Archive, Record};
use super::{Shared, Storages, Walk, budget, pickle, say_shared};
use crate::error::{Error, Result};
use crate::evidence::Evidence;
use crate::evidence::torch_zip::names::Named;
use crate::ffi::map::Map;

/// The magic number: ten bytes in a `LONG1`.
const MAGIC: &[u8] = &[
    0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, b'.',
];

/// Whether these bytes, the whole file or its beginning, begin with the magic number, in a pickle of any protocol.
#[must_use]
pub fn recognises(bytes: &[u8]) -> bool {
    let framed = bytes.get(2) == Some(&0x95);
    let at = if framed { 11 } else { 2 };
    bytes.first() == Some(&0x80) && bytes.get(at..at + MAGIC.len()) == Some(MAGIC)
}

/// Reads a mapped file without an archive.
///
/// # Errors
/// When a pickle or a storage is cut off or contradicts itself, a tensor is not in its storage, or a limit is reached.
pub fn read(path: &Path, map: &Arc<Map>) -> Result<Evidence> {
    let wrong = |what: String| Error::damaged(path, what);
    let mut at = 0;
    let mut next = |what: &str| -> Result<Pickle> {
        let rest = at..map.len();
        let graph = pickle::run(&map[rest.clone()])
            .map_err(|error| wrong(format!("the pickle of {what}, from byte {at}: {error}")))?;
        let source = Source::Mapped(Arc::clone(map), rest);
        at += graph.end;
        Ok(Pickle { graph, source })
    };
    for what in ["the magic number", "the version", "the machine"] {
        next(what)?;
    }
    let value = next("the value")?;
    let keys = next("the storages' keys")?;
    let archive = records(path, map, &value, &keys, at).map_err(wrong)?;
    let mut found = Named::new(budget(map));
    let mut shared = Shared::default();
    sources(&value, &mut found).map_err(wrong)?;
    let storages = Storages::new(&archive, String::new(), false, &mut shared);
    Walk::new(&value, storages, &mut found, false)
        .all("")
        .map_err(wrong)?;
    let mut evidence = Evidence {
        format: "torch without an archive",
        notes: found.notes(),
        ..Evidence::default()
    };
    say_shared(&shared, &mut found);
    evidence.container = std::mem::take(&mut found.container);
    evidence
        .container
        .push(("order and types of dict keys".into(), found.order()));
    evidence.container.sort();
    evidence.items = found.items.into_values().collect();
    map.check()?;
    Ok(evidence)
}

/// The storages behind the pickles, as if they were the records of an archive. Their keys are addresses in the memory of
/// the process that saved them, so nothing else is made of those.
fn records(
    path: &Path,
    map: &Arc<Map>,
    value: &Pickle,
    keys: &Pickle,
    mut at: usize,
) -> std::result::Result<Archive, String> {
    let mut widths: BTreeMap<&str, usize> = BTreeMap::new();
    for node in &value.graph.nodes {
        if let Some(&[_, kind, key, _, _, ref view @ ..]) = persistent(value, node, "storage")
            && let (Some((_, kind)), Some(key)) = (value.global(kind), value.str(key))
        {
            if view.iter().any(|&id| !matches!(value.node(id), Node::None)) {
                return Err(format!(
                    "storage {key} is a part of another one, as torch wrote before 0.4"
                ));
            }
            let width =
                width(kind).ok_or_else(|| format!("storage {key} is {kind}, of no known size"))?;
            widths.insert(key, width);
        }
    }
    let mut archive = Archive::default();
    let list = keys
        .seq(keys.graph.root)
        .ok_or("the storages' keys are no list")?;
    for &key in list {
        let key = keys.str(key).ok_or("a storage's key is no text")?;
        let shown = key.escape_debug();
        let width = *widths
            .get(key)
            .ok_or_else(|| format!("storage {shown} belongs to no tensor"))?;
        let count = map.get(at..).and_then(|rest| rest.first_chunk());
        let count =
            u64::from_le_bytes(*count.ok_or_else(|| format!("storage {shown} is cut off"))?);
        let start = at + 8;
        let end = usize::try_from(count)
            .ok()
            .and_then(|count| count.checked_mul(width)?.checked_add(start))
            .filter(|&end| end <= map.len())
            .ok_or_else(|| format!("storage {shown} of {count} elements is cut off"))?;
        let record = Record::stored(map, path, key, start..end);
        if archive.records.insert(key.to_owned(), record).is_some() {
            return Err(format!("storage {shown} is there twice"));
        }
        at = end;
    }
    if at < map.len() {
        return Err(format!("{} bytes after the last storage", map.len() - at));
    }
    Ok(archive)
}

/// The parts of a persistent id of this kind.
fn persistent<'a>(pickle: &'a Pickle, node: &Node, kind: &str) -> Option<&'a [Id]> {
    let Node::Persistent(of) = node else {
        return None;
    };
    let parts = pickle.seq(*of)?;
    (pickle.str_at(parts, 0) == Some(kind)).then_some(parts)
}

/// The source code that was saved with a module's class is no evidence: what was saved of the module is.
fn sources(pickle: &Pickle, found: &mut Named) -> std::result::Result<(), String> {
    for node in &pickle.graph.nodes {
        if let Some(&[_, class, _, source]) = persistent(pickle, node, "module") {
            let source = pickle.text(source);
            found.copy(source.len())?;
            let source = blake3::hash(source.as_bytes()).to_hex()[..16].to_owned();
            found.container(format!("source of {}", pickle.dotted(class)), source)?;
        }
    }
    Ok(())
}
