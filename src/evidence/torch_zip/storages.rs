//! From persistent ids to records of the archive.

use std::collections::{BTreeMap, BTreeSet};

use super::graph::{Id, Node, Pickle};
use super::tensor::{Flips, Made, Storage, View, view};
use super::zip::Archive;
use crate::dtype::Dtype;

/// The storages of one pickle.
pub struct Storages<'a> {
    archive: &'a Archive,
    /// Folder of the records, with the slash.
    folder: String,
    big: bool,
    /// By persistent id: a second look is only that.
    known: BTreeMap<Id, Storage>,
    notes: &'a mut Shared,
}

/// What is told of storages beside their content.
#[derive(Debug, Default)]
pub struct Shared {
    /// Names of tensors by record.
    pub users: BTreeMap<String, Vec<String>>,
    /// Devices that storages were on.
    pub locations: BTreeSet<String>,
}

impl<'a> Storages<'a> {
    /// The storages under `folder`.
    pub fn new(archive: &'a Archive, folder: String, big: bool, notes: &'a mut Shared) -> Self {
        Self {
            archive,
            folder,
            big,
            known: BTreeMap::new(),
            notes,
        }
    }

    /// The storage that `('storage', type, key, location, numel)` stands for.
    ///
    /// # Errors
    /// When it is something else, or the archive has no such record or a shorter one.
    pub fn storage(&mut self, pickle: &Pickle, id: Id) -> Result<&Storage, String> {
        let Node::Persistent(of) = *pickle.node(id) else {
            return Err("its storage is none".into());
        };
        if !self.known.contains_key(&id) {
            let storage = self.find(pickle, of)?;
            self.known.insert(id, storage);
        }
        self.known
            .get(&id)
            .ok_or_else(|| "its storage is none".into())
    }

    fn find(&mut self, pickle: &Pickle, of: Id) -> Result<Storage, String> {
        let parts = pickle.seq(of).unwrap_or_default();
        let &[_, kind, key, location, numel, ..] = parts else {
            return Err("its storage has other parts than torch's".into());
        };
        if pickle.str(parts[0]) != Some("storage") {
            return Err("its storage is none".into());
        }
        let (_, kind) = pickle.global(kind).ok_or("its storage has no type")?;
        let key = pickle.str(key).ok_or("its storage has no key")?;
        let numel = pickle
            .int(numel)
            .and_then(|numel| u64::try_from(numel).ok());
        let numel = numel.ok_or("its storage has no size")?;
        if let Some(location) = pickle.str(location) {
            self.notes
                .locations
                .insert(location.chars().take(64).collect());
        }
        let (dtype, untyped) = match kind {
            "UntypedStorage" => (Some(Dtype::Uint8), true),
            _ => (typed(kind), false),
        };
        let width = dtype.map_or(1, Dtype::size) as u64;
        let name = format!("{}{key}", self.folder);
        let record = self.archive.records.get(&name);
        let shown = name.escape_debug();
        let Some(record) = record else {
            if numel > 0 {
                return Err(format!("record {shown} is not in the archive"));
            }
            return Ok(Storage {
                record: None,
                dtype,
                declared: kind.chars().take(64).collect(),
                numel,
                big: self.big,
                untyped,
            });
        };
        let held = record.size() as u64;
        let needed = numel.checked_mul(width);
        if needed.is_none_or(|needed| needed > held) {
            return Err(format!(
                "record {shown} has {held} bytes, fewer than {numel} elements of {kind}"
            ));
        }
        Ok(Storage {
            record: Some(record.clone()),
            declared: kind.chars().take(64).collect(),
            // Of an unknown type the bytes are all that can be counted.
            numel: if dtype.is_some() { numel } else { held },
            dtype,
            big: self.big,
            untyped,
        })
    }

    /// A storage that is there for its own sake.
    ///
    /// # Errors
    /// Never, for a storage that was found.
    pub fn whole(&mut self, storage: &Storage, name: &str) -> Result<Made, String> {
        self.used(storage, name);
        let all = View::all(storage.numel);
        view(
            storage,
            storage.dtype,
            &storage.declared,
            &all,
            Flips::default(),
        )
    }

    /// Remembers that a tensor of this name is in the storage.
    pub fn used(&mut self, storage: &Storage, name: &str) {
        if let Some(record) = &storage.record {
            let users = self
                .notes
                .users
                .entry(record.name().to_owned())
                .or_default();
            // Enough to say that they are tied.
            if users.len() < 8 {
                users.push(name.to_owned());
            }
        }
    }
}

/// Bytes of an element of a storage of this type.
pub fn width(kind: &str) -> Option<usize> {
    match kind {
        "UntypedStorage" | "QUInt4x2Storage" | "QUInt2x4Storage" => Some(1),
        _ => typed(kind).map(Dtype::size),
    }
}

fn typed(kind: &str) -> Option<Dtype> {
    Some(match kind {
        "DoubleStorage" => Dtype::Float64,
        "FloatStorage" => Dtype::Float32,
        "HalfStorage" => Dtype::Float16,
        "BFloat16Storage" => Dtype::Bfloat16,
        "LongStorage" => Dtype::Int64,
        "IntStorage" => Dtype::Int32,
        "ShortStorage" => Dtype::Int16,
        "CharStorage" => Dtype::Int8,
        "ByteStorage" => Dtype::Uint8,
        "BoolStorage" => Dtype::Bool,
        "ComplexDoubleStorage" => Dtype::Complex128,
        "ComplexFloatStorage" => Dtype::Complex64,
        "QInt8Storage" => Dtype::Qint8,
        "QUInt8Storage" => Dtype::Quint8,
        "QInt32Storage" => Dtype::Qint32,
        _ => return None,
    })
}
