//! [`Trace`]: opened, and found intact.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use rayon::prelude::*;

use crate::digest::{Digest, to_hex};
use crate::error::{Error, Result};
use crate::ffi::map::Map;
use crate::summary::Summary;
use crate::trace::{
    ENTRIES, Entry, FORMAT, Key, MANIFEST, Manifest, VALUES, from_hex, stored_name,
};

/// An entry whose key another one has too. Steps only go forward, so only keys of one step need comparing.
fn recorded_twice(entries: &[Entry]) -> Option<&Entry> {
    let mut step = 0;
    let mut keys = BTreeSet::new();
    entries.iter().find(|entry| {
        if entry.key.step != step {
            step = entry.key.step;
            keys.clear();
        }
        !keys.insert(&entry.key)
    })
}

/// Where the values of a trace are.
#[derive(Debug)]
enum Values {
    File {
        map: Map,
        start: usize,
        places: BTreeMap<String, (usize, usize)>,
    },
    Memory(BTreeMap<Key, Vec<u8>>),
}

/// A whole trace, opened and found intact.
#[derive(Debug)]
pub struct Trace {
    /// What it says of itself.
    pub manifest: Manifest,
    /// Its entries, in order.
    pub entries: Vec<Entry>,
    values: Values,
}

impl Trace {
    /// Opens a trace and checks that it is whole.
    ///
    /// # Errors
    /// When a file is missing, of a newer format, cut off or changed.
    pub fn open(place: &Path) -> Result<Self> {
        let manifest = Self::read_manifest(&place.join(MANIFEST))?;
        let path = place.join(ENTRIES);
        let text = fs::read(&path).map_err(|e| Error::io("read", &path, e))?;
        if blake3::hash(&text).to_string() != manifest.entries_blake3 {
            return Err(Error::damaged(
                &path,
                "it is not the file that the manifest describes (cut off or edited)",
            ));
        }
        let lines: Vec<&[u8]> = text
            .split(|&byte| byte == b'\n')
            .filter(|line| !line.is_empty())
            .collect();
        let parse = |(at, line): (usize, &&[u8])| {
            serde_json::from_slice(line)
                .map_err(|e| Error::damaged(&path, format!("line {}: {e}", at + 1)))
        };
        let entries = lines
            .par_iter()
            .enumerate()
            .map(parse)
            .collect::<Result<Vec<Entry>>>()?;
        if entries.len() as u64 != manifest.entries {
            let what = format!(
                "{} entries, the manifest says {}",
                entries.len(),
                manifest.entries
            );
            return Err(Error::damaged(&path, what));
        }
        if let Some(twice) = recorded_twice(&entries) {
            return Err(Error::damaged(
                &path,
                format!("two entries have the key {}", twice.key),
            ));
        }
        let values = Self::open_values(&place.join(VALUES), &manifest.values_blake3)?;
        Ok(Self {
            manifest,
            entries,
            values,
        })
    }

    /// Reads a trace's manifest alone and checks that nobody changed it.
    ///
    /// # Errors
    /// When it is missing, of a newer format, or was changed.
    pub fn read_manifest(path: &Path) -> Result<Manifest> {
        let text = fs::read(path).map_err(|e| Error::io("read", path, e))?;
        let any: serde_json::Value = serde_json::from_slice(&text)
            .map_err(|e| Error::damaged(path, format!("no JSON: {e}")))?;
        match any.get("format").and_then(serde_json::Value::as_u64) {
            Some(format) if format > u64::from(FORMAT) => {
                let what = format!("trace format {format}, this samebits reads up to {FORMAT}");
                return Err(Error::damaged(path, what));
            }
            Some(_) => {}
            None => return Err(Error::damaged(path, "it is not the manifest of a trace")),
        }
        let manifest: Manifest =
            serde_json::from_value(any).map_err(|e| Error::damaged(path, e.to_string()))?;
        if manifest.seal() != manifest.manifest_blake3 {
            return Err(Error::damaged(path, "it was changed after it was written"));
        }
        Ok(manifest)
    }

    fn open_values(path: &Path, expected: &str) -> Result<Values> {
        let map = Map::open(path)?;
        if blake3::Hasher::new()
            .update_rayon(&map)
            .finalize()
            .to_string()
            != expected
        {
            return Err(Error::damaged(
                path,
                "it is not the file that the manifest describes (cut off or edited)",
            ));
        }
        map.check()?;
        let (header, metadata) = safetensors::SafeTensors::read_metadata(&map)
            .map_err(|e| Error::damaged(path, e.to_string()))?;
        let places = metadata
            .tensors()
            .into_iter()
            .map(|(name, info)| (name, info.data_offsets))
            .collect();
        Ok(Values::File {
            map,
            start: header + 8,
            places,
        })
    }

    /// The logical bytes of an entry, if they were kept.
    #[must_use]
    pub fn value(&self, entry: &Entry) -> Option<std::borrow::Cow<'_, [u8]>> {
        if let Some(inline) = &entry.inline {
            return from_hex(inline).map(Into::into);
        }
        match &self.values {
            Values::File { map, start, places } => {
                let &(from, to) = places.get(&stored_name(&entry.key))?;
                map.get(start + from..start + to).map(Into::into)
            }
            Values::Memory(values) => values.get(&entry.key).map(|bytes| bytes.as_slice().into()),
        }
    }

    /// A copy of this trace in memory in which one entry has other bytes: the material of controls. It keeps only that
    /// entry's values.
    #[must_use]
    pub fn altered(&self, at: usize, bytes: Vec<u8>) -> Self {
        let mut entries = self.entries.clone();
        let entry = &mut entries[at];
        entry.digest = Digest::of(entry.dtype, &entry.shape, &bytes);
        entry.summary = Some(Summary::of(entry.dtype, &bytes));
        entry.inline = entry.inline.as_ref().map(|_| to_hex(&bytes));
        let values = Values::Memory([(entry.key.clone(), bytes)].into());
        Self {
            manifest: self.manifest.clone(),
            entries,
            values,
        }
    }

    /// One digest for the whole: two traces with equal results have equal names and digests throughout.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut named: Vec<(String, Digest)> = self
            .entries
            .iter()
            .map(|entry| (entry.key.to_string(), entry.digest))
            .collect();
        // Entries are paired by key, so their order is no part of the result.
        named.sort_unstable();
        Digest::of_all(named.iter().map(|(name, digest)| (name.as_str(), *digest)))
    }
}
