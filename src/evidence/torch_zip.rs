//! What `torch.save` and `torch.jit.save` write: a zip archive (before 1.6 none, see [`legacy`]) with a pickle and one record for each storage. The pickle
//! says which tensors there are; it is read, and nothing in it is ever called.
//!
//! Checkpoints that hold the same are equal whatever the archive is called, in which order dicts were filled, how records
//! are packed and where storages lay; [`Evidence::container`] keeps those.
//! Format: torch 2.11's `torch/serialization.py`, `torch/_utils.py` and `torch/csrc/jit/serialization/pickler.h`.

use std::path::Path;
use std::sync::Arc;

use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::evidence::{Content, Evidence};
use crate::ffi::map::Map;

mod exported;
mod graph;
mod known;
pub mod legacy;
mod names;
mod numpy;
mod objects;
mod pickle;
mod stack;
mod storages;
mod tensor;
mod walk;
mod zip;

use graph::{Pickle, Source};
use names::Named;
use storages::{Shared, Storages};
use walk::Walk;
use zip::{Archive, Record};

/// Largest pickle that is unpacked into memory; one that is stored may be larger.
const LARGEST_PICKLE: usize = 1 << 30;
/// What comparing may read for each byte of the file, and in any case: tied tensors are read once for each name.
const READS_PER_BYTE: u64 = 64;
const READS_AT_LEAST: u64 = 4 << 30;

/// Records and folders that torch puts at the top.
const TOP: &[&str] = &[
    "data.pkl",
    "data/",
    ".data/",
    "constants.pkl",
    "constants/",
    "code/",
    "version",
    "byteorder",
    ".format_version",
    ".storage_alignment",
    "extra/",
    "archive_format",
    "models/",
];

/// Whether these bytes, the whole file or its beginning, are an archive that torch writes.
#[must_use]
pub fn recognises(bytes: &[u8]) -> bool {
    zip::first_name(bytes).is_some_and(|name| {
        let record = name.split_once('/').map_or("", |(_, record)| record);
        name == exported::OLD
            || TOP
                .iter()
                .any(|top| record == *top || (top.ends_with('/') && record.starts_with(top)))
    })
}

/// Reads a mapped checkpoint or `TorchScript` archive.
///
/// # Errors
/// When the archive or a pickle is cut off or contradicts itself, a tensor is not in its storage, or a limit is reached.
pub fn read(path: &Path, map: &Arc<Map>) -> Result<Evidence> {
    let archive = Archive::open(path, map)?;
    let exported = exported::top_folder(&archive);
    let top = match exported {
        Some(top) => top.to_owned(),
        None => top_folder(path, &archive)?,
    };
    let record = |name: &str| archive.records.get(&format!("{top}/{name}"));
    let big = big_endian(path, record("byteorder"))?;
    let script = record("constants.pkl").is_some();
    let mut evidence = Evidence {
        format: match (exported, script) {
            (Some(_), _) => "torch.export",
            (None, true) => "TorchScript",
            (None, false) => "torch",
        },
        ..Evidence::default()
    };
    let mut found = Named::new(budget(map));
    let mut shared = Shared::default();
    for (name, folder, root) in [
        ("data.pkl", "data", ""),
        ("constants.pkl", "constants", "constants"),
    ] {
        let Some(record) = record(name) else { continue };
        let pickle = unpickle(path, record, &mut evidence.notes)?;
        let storages = Storages::new(&archive, format!("{top}/{folder}/"), big, &mut shared);
        Walk::new(&pickle, storages, &mut found, script)
            .all(root)
            .map_err(|what| Error::damaged(path, format!("record {top}/{name}: {what}")))?;
    }
    if exported.is_some() {
        exported::weights(&archive, &top, big, &mut shared, &mut found)
            .and_then(|()| exported::graphs(&archive, &top, &mut shared, &mut found))
            .map_err(|what| Error::damaged(path, what))?;
        evidence
            .notes
            .push("graphs are compared without the lines of code that they came from, and what is no weight as files".into());
    }
    files(
        path,
        &archive,
        &top,
        &shared,
        exported.is_some(),
        &mut found,
    )?;
    evidence.notes.extend(found.notes());
    say_shared(&shared, &mut found);
    evidence.container = found.container.split_off(0);
    let mut say = |key: &str, value: String| evidence.container.push((key.to_owned(), value));
    say("top folder", top);
    say("order and types of dict keys", found.order());
    say(
        "zip time stamps",
        format!("{:x?}", &archive.times[..archive.times.len().min(8)]),
    );
    evidence.container.sort();
    evidence.items = found.items.into_values().collect();
    map.check()?;
    Ok(evidence)
}

/// What comparing may read of a file.
fn budget(map: &Map) -> u64 {
    (map.len() as u64)
        .saturating_mul(READS_PER_BYTE)
        .saturating_add(READS_AT_LEAST)
}

/// Which tensors share a storage, and where storages were.
fn say_shared(shared: &Shared, found: &mut Named) {
    for users in shared.users.values().filter(|users| users.len() > 1) {
        let tied = users[1..].join(", ");
        found
            .container
            .push((format!("storage of {}", users[0]), tied));
    }
    let devices: Vec<_> = shared.locations.iter().take(64).cloned().collect();
    found.container.push(("devices".into(), devices.join(", ")));
}

fn top_folder(path: &Path, archive: &Archive) -> Result<String> {
    let tops: Vec<_> = archive
        .records
        .keys()
        .filter_map(|name| {
            name.strip_suffix("/data.pkl")
                .filter(|top| !top.contains('/'))
        })
        .collect();
    match tops[..] {
        [top] => Ok(top.to_owned()),
        [] => Err(Error::damaged(
            path,
            "no record data.pkl in the top folder of the archive",
        )),
        _ => Err(Error::damaged(
            path,
            "records data.pkl in more than one top folder",
        )),
    }
}

fn big_endian(path: &Path, record: Option<&Record>) -> Result<bool> {
    // Archives without the record are older than it, and little endian.
    let Some(record) = record.filter(|record| record.size() <= 16) else {
        return Ok(false);
    };
    match record.bytes()?.as_ref() {
        b"little" => Ok(false),
        b"big" => Ok(true),
        other => Err(Error::damaged(
            path,
            format!(
                "record {}: {:?} is no byte order",
                record.name(),
                String::from_utf8_lossy(other)
            ),
        )),
    }
}

fn unpickle(path: &Path, record: &Record, notes: &mut Vec<String>) -> Result<Pickle> {
    let wrong = |what: String| Error::damaged(path, format!("record {}: {what}", record.name()));
    let source = match record.mapped() {
        Some((map, place)) => Source::Mapped(Arc::clone(map), place),
        None if record.size() > LARGEST_PICKLE => {
            return Err(wrong(format!(
                "a packed pickle of more than {LARGEST_PICKLE} bytes"
            )));
        }
        None => Source::Owned(record.bytes()?.into_owned().into()),
    };
    if !record.checks(source.bytes()) {
        notes.push(format!(
            "record {}: not the checksum that the archive says",
            record.name()
        ));
    }
    let graph = pickle::run(source.bytes()).map_err(wrong)?;
    if graph.end != source.bytes().len() {
        notes.push(format!(
            "record {}: more after the end of the pickle",
            record.name()
        ));
    }
    Ok(Pickle { graph, source })
}

/// The records that are no pickle or storage: code and extra files are evidence, the rest tells of the container.
fn files(
    path: &Path,
    archive: &Archive,
    top: &str,
    shared: &Shared,
    exported: bool,
    found: &mut Named,
) -> Result<()> {
    let mut unused = 0;
    for (full, record) in &archive.records {
        let name = full
            .strip_prefix(top)
            .and_then(|name| name.strip_prefix('/'));
        let name = name.unwrap_or(full);
        let wrong = |what: String| Error::damaged(path, format!("record {full}: {what}"));
        match name {
            "data.pkl" | "constants.pkl" => {}
            _ if name.ends_with('/') && record.size() == 0 => {}
            "version"
            | "byteorder"
            | ".format_version"
            | ".storage_alignment"
            | ".data/serialization_id"
            | ".data/version"
            | "archive_version"
                if record.size() <= 1024 =>
            {
                let text = String::from_utf8_lossy(&record.bytes()?).trim().to_owned();
                found.container(name.to_owned(), text).map_err(wrong)?;
            }
            _ if name.ends_with(".debug_pkl") => {
                // Told by the directory: not worth unpacking.
                let told = format!("{} bytes, checksum {:08x}", record.size(), record.crc());
                found.container(name.to_owned(), told).map_err(wrong)?;
            }
            _ if shared.users.contains_key(full) => {}
            _ if !exported && (name.starts_with("data/") || name.starts_with("constants/")) => {
                unused += 1;
            }
            _ => {
                let size = record.size() as u64;
                let content = if let Some((map, place)) = record.mapped() {
                    Content::Mapped(Arc::clone(map), place)
                } else {
                    let record = record.clone();
                    Content::Lazy(Box::new(move || Ok(record.bytes()?.into_owned())))
                };
                found.spend(size).map_err(wrong)?;
                found
                    .item(name, Dtype::Uint8, Some("file".into()), vec![size], content)
                    .map_err(wrong)?;
            }
        }
    }
    if unused > 0 {
        let what = format!("{unused} records that no tensor uses");
        found
            .container("unused".into(), what)
            .map_err(|what| Error::damaged(path, what))?;
    }
    Ok(())
}
