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

/// Everything below a folder, by path from there. Links to files are files; every link to a folder elsewhere is followed, those
/// that lead inside, around or in a circle are compared by where they lead. A byte of a name that is no UTF-8 is written `\xNN`.
///
/// # Errors
/// When a folder cannot be read or holds too many files.
pub fn files(root: &Path) -> Result<BTreeMap<String, Found>> {
    let real = |path: &Path| path.canonicalize().map_err(|e| Error::io("find", path, e));
    let top = real(root)?;
    let mut found = BTreeMap::new();
    // With each folder, where the links really stand that lead to it: one that leads there again would go round for ever.
    let mut folders = vec![(String::new(), root.to_path_buf(), Vec::new())];
    while let Some((prefix, folder, way)) = folders.pop() {
        let entries = fs::read_dir(&folder).map_err(|e| Error::io("read", &folder, e))?;
        for entry in entries {
            let entry = entry.map_err(|e| Error::io("read", &folder, e))?;
            let path = entry.path();
            let name = format!("{prefix}{}", readable(&entry.file_name()));
            let kind = entry.file_type().map_err(|e| Error::io("read", &path, e))?;
            let what = if kind.is_dir() && !traces::recognises(&path) {
                folders.push((format!("{name}/"), path, way.clone()));
                continue;
            } else if kind.is_dir() || path.is_file() {
                Found::File(path)
            } else if kind.is_symlink() {
                // What lies inside is compared there; what lies around it would lead in circles.
                if let Ok(place) = path.canonicalize()
                    && place.is_dir()
                    && !place.starts_with(&top)
                    && !top.starts_with(&place)
                    && !way
                        .iter()
                        .any(|before: &PathBuf| before.starts_with(&place))
                    && !folder
                        .canonicalize()
                        .is_ok_and(|folder| folder.starts_with(&place))
                {
                    let way = way.iter().cloned().chain([place]).collect();
                    folders.push((format!("{name}/"), path, way));
                    continue;
                }
                Found::Link(target(&top, &path)?)
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

/// Where a link leads: from the top folder where that is inside, as it is written otherwise.
fn target(top: &Path, link: &Path) -> Result<String> {
    let written = fs::read_link(link).map_err(|e| Error::io("read", link, e))?;
    let place = link.canonicalize().ok();
    let inside = place
        .as_deref()
        .and_then(|place| place.strip_prefix(top).ok());
    Ok(readable(inside.unwrap_or(&written).as_os_str()))
}

/// A name as text: a byte of it that is no UTF-8 is written `\xNN`.
#[must_use]
pub fn readable(name: &OsStr) -> String {
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
