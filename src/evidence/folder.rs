//! The files of a folder and of the folders in it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::evidence::traces;

/// More files than anybody means to compare.
const MOST_FILES: usize = 1_000_000;

/// What stands at a path in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A file, or the folder of a trace.
    File(PathBuf),
    /// A link that leads to a folder or nowhere: where it points, seen from the folder's root where it points inside.
    Link(String),
    /// A pipe, socket or device.
    Special,
}

/// Everything below a folder, by path from there. Links to files are files; links to folders are not followed, since they
/// may lead in circles. A byte of a name that is no UTF-8 is written `\xNN`.
///
/// # Errors
/// When a folder cannot be read or holds too many files.
pub fn files(root: &Path) -> Result<BTreeMap<String, Found>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![(String::new(), root.to_path_buf())];
    while let Some((prefix, folder)) = folders.pop() {
        let entries = fs::read_dir(&folder).map_err(|e| Error::io("read", &folder, e))?;
        for entry in entries {
            let entry = entry.map_err(|e| Error::io("read", &folder, e))?;
            let path = entry.path();
            let name = format!("{prefix}{}", readable(&entry.file_name()));
            let kind = entry.file_type().map_err(|e| Error::io("read", &path, e))?;
            let what = if kind.is_dir() && !traces::recognises(&path) {
                folders.push((format!("{name}/"), path));
                continue;
            } else if kind.is_dir() || path.is_file() {
                Found::File(path)
            } else if kind.is_symlink() {
                Found::Link(target(root, &path)?)
            } else {
                Found::Special
            };
            if found.insert(name.clone(), what).is_some() {
                return Err(Error::input(
                    &folder,
                    format!("two names in it are both written {name}"),
                ));
            }
            if found.len() > MOST_FILES {
                return Err(Error::input(
                    root,
                    format!("it holds more than {MOST_FILES} files"),
                ));
            }
        }
    }
    Ok(found)
}

fn target(root: &Path, link: &Path) -> Result<String> {
    let target = fs::read_link(link).map_err(|e| Error::io("read", link, e))?;
    let inside = root
        .canonicalize()
        .ok()
        .and_then(|root| target.strip_prefix(root).ok());
    Ok(readable(inside.unwrap_or(&target).as_os_str()))
}

fn readable(name: &OsStr) -> String {
    let mut text = String::new();
    for chunk in name.as_bytes().utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(text, "\\x{byte:02X}");
        }
    }
    text
}
