//! Which reader a file gets.

use std::path::Path;
use std::sync::Arc;

use crate::error::{Cause, Error, Result, plain};
use crate::evidence::table::{TableOptions, csv, json, lines};
use crate::evidence::{Evidence, npy, npz, raw, safetensors, tfevents, torch_zip, traces};
use crate::ffi::map::Map;

/// What a pointer of Git LFS begins with.
const LFS: &[u8] = b"version https://git-lfs.github.com/spec/";
const MOST_NOTES: usize = 100;
/// In characters.
const LONGEST_NOTE: usize = 1_000;

/// One kind of file.
struct Reader {
    /// Whether a file is one, by its path and its bytes.
    recognises: fn(&Path, &[u8]) -> bool,
    read: fn(&Path, &Arc<Map>, &TableOptions) -> Result<Evidence>,
}

/// In order: the first that recognises a file reads it. What a file begins with decides where it can, so that a checkpoint
/// may have any name; texts are told by the ends of their names, because a log that begins with a brace is no JSON.
/// An empty file that calls itself a checkpoint was cut off.
const READERS: &[Reader] = &[
    Reader {
        recognises: |path, bytes| npy::recognises(bytes) || ends(path, &["npy"]),
        read: |path, map, _| npy::read(path, map),
    },
    Reader {
        recognises: |path, bytes| {
            torch_zip::recognises(bytes) || (bytes.is_empty() && ends(path, &["pt", "pth", "ckpt"]))
        },
        read: |path, map, _| torch_zip::read(path, map),
    },
    Reader {
        recognises: |_, bytes| torch_zip::legacy::recognises(bytes),
        read: |path, map, _| torch_zip::legacy::read(path, map),
    },
    Reader {
        recognises: |path, _| ends(path, &["npz"]),
        read: |path, map, _| npz::read(path, map),
    },
    Reader {
        recognises: |path, bytes| {
            tfevents::recognises(bytes)
                || path
                    .file_name()
                    .is_some_and(|name| name.to_string_lossy().contains(".tfevents."))
        },
        read: |path, map, _| tfevents::read(path, map),
    },
    Reader {
        recognises: |path, bytes| ends(path, &["safetensors"]) || safetensors::recognises(bytes),
        read: |path, map, _| safetensors::read(path, map),
    },
    Reader {
        recognises: |path, _| ends(path, &["json"]),
        read: |path, map, _| json::read(path, map),
    },
    Reader {
        recognises: |path, _| ends(path, &["jsonl", "ndjson"]),
        read: lines::read,
    },
    Reader {
        recognises: |path, _| ends(path, &["csv", "tsv"]),
        read: csv::read,
    },
    Reader {
        recognises: |_, _| true,
        read: |path, map, _| raw::read(path, map),
    },
];

fn ends(path: &Path, extensions: &[&str]) -> bool {
    path.extension().is_some_and(|found| {
        extensions
            .iter()
            .any(|extension| found.eq_ignore_ascii_case(extension))
    })
}

/// Opens one file, or the folder of a trace.
///
/// # Errors
/// When it cannot be read, or is damaged.
pub fn open(path: &Path, options: &TableOptions) -> Result<Evidence> {
    if traces::recognises(path) {
        return traces::read(path);
    }
    let map = Arc::new(Map::open(path)?);
    let reader = READERS
        .iter()
        .find(|reader| (reader.recognises)(path, &map));
    if map.starts_with(LFS) {
        return Err(Error::input(
            path,
            "it is a pointer of Git LFS, and the file itself was never fetched: `git lfs pull` brings it",
        ));
    }
    // The last row recognises everything.
    let evidence = reader.map_or_else(
        || raw::read(path, &map),
        |reader| (reader.read)(path, &map, options),
    );
    // A reason found in bytes that were not there is none.
    map.check()?;
    evidence.map(shown)
}

/// Opens one file; one that its reader refuses as its bytes, with a note that says why.
///
/// # Errors
/// When it cannot be read at all.
pub fn open_any(path: &Path, options: &TableOptions) -> Result<Evidence> {
    match open(path, options) {
        Err(Error::Unreadable {
            cause: Cause::Damaged | Cause::Unsupported,
            what,
            ..
        }) if !path.is_dir() => {
            let mut evidence = raw::read(path, &Arc::new(Map::open(path)?))?;
            evidence.notes.push(format!("compared as bytes: {what}"));
            Ok(shown(evidence))
        }
        opened => opened,
    }
}

/// With notes that can be shown: a hostile file may make endless ones.
fn shown(mut evidence: Evidence) -> Evidence {
    let more = evidence.notes.len().saturating_sub(MOST_NOTES);
    evidence.notes.truncate(MOST_NOTES);
    for note in &mut evidence.notes {
        *note = plain(note, LONGEST_NOTE).into_owned();
    }
    if more > 0 {
        evidence
            .notes
            .push(format!("and {more} more of such notes"));
    }
    evidence
}
