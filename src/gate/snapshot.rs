//! What stands in a folder at one moment, and what became of it since.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use crate::error::{Error, Result};

/// By what a change of a file shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) length: u64,
    modified: (i64, i64),
    /// Of which programs cannot set back the hands.
    changed: (i64, i64),
    inode: u64,
    pub(super) link: bool,
}

impl Stamp {
    /// None where nothing is, and for the files that our own words go to: `samebits gate -- … 2> gate.log`.
    pub(super) fn of(path: &Path) -> Option<Self> {
        static OURS: LazyLock<Vec<(u64, u64)>> = LazyLock::new(|| {
            let streams = [1, 2].map(|stream| fs::metadata(format!("/proc/self/fd/{stream}")));
            let files = streams.into_iter().flatten().filter(fs::Metadata::is_file);
            files.map(|file| (file.dev(), file.ino())).collect()
        });
        let metadata = fs::symlink_metadata(path).ok()?;
        if OURS.contains(&(metadata.dev(), metadata.ino())) {
            return None;
        }
        Some(Self {
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
            link: metadata.is_symlink(),
        })
    }
}

/// Hands over every file and link with its stamp, and every folder without one.
pub(super) fn walk(
    root: &Path,
    folder: &Path,
    mut found: impl FnMut(PathBuf, Option<Stamp>) -> Result<()>,
) -> Result<()> {
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|e| Error::io("read", &folder, e))? {
            let entry = entry.map_err(|e| Error::io("read", &folder, e))?;
            let path = entry.path();
            let kind = entry.file_type().map_err(|e| Error::io("read", &path, e))?;
            let Ok(name) = path.strip_prefix(root).map(Path::to_path_buf) else {
                continue;
            };
            if kind.is_dir() {
                found(name, None)?;
                folders.push(path);
            } else if (kind.is_file() || kind.is_symlink())
                && let Some(stamp) = Stamp::of(&path)
            {
                found(name, Some(stamp))?;
            }
        }
    }
    Ok(())
}

/// Checks that no link leads from this path to another folder now: a command may have put one there, and what it leads to is
/// neither ours to move nor ours to clear. A folder that the command removed is made again.
///
/// # Errors
/// When a link leads elsewhere, or something that is no folder stands there.
pub(super) fn still_there(folder: &Path) -> Result<()> {
    if fs::symlink_metadata(folder).is_err() {
        return fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, e));
    }
    let real = folder
        .canonicalize()
        .map_err(|e| Error::io("find", folder, e))?;
    if real == folder && real.is_dir() {
        return Ok(());
    }
    Err(Error::input(
        folder,
        format!(
            "the command put something else in the place of this folder ({}), which is left alone; let it write into the folder itself",
            real.display()
        ),
    ))
}

/// Opens folders that a command closed to their owner, and so to us: what is in them is to be gathered and removed. Those that
/// stood there `before` are a person's and stay as they are. What cannot be opened is said when it is read.
pub(super) fn reopen(top: &Path, before: Option<&Snapshot>) {
    let mut folders = vec![top.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let persons = before.is_some_and(|before| {
            let name = folder.strip_prefix(top).unwrap_or(&folder);
            folder == top || before.folders.contains(name)
        });
        if let (false, Ok(metadata)) = (persons, fs::symlink_metadata(&folder)) {
            let mut permissions = metadata.permissions();
            if permissions.mode() & 0o700 != 0o700 {
                permissions.set_mode(permissions.mode() | 0o700);
                let _ = fs::set_permissions(&folder, permissions);
            }
        }
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let repository = before.is_some() && entry.file_name() == ".git";
            if !repository && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(entry.path());
            }
        }
    }
}

/// What stands in a folder at one moment, but for repositories' own files.
pub(super) struct Snapshot {
    files: BTreeMap<PathBuf, Stamp>,
    folders: BTreeSet<PathBuf>,
}

/// What became of a folder.
#[derive(Debug, Default)]
pub(super) struct Since {
    pub(super) created: BTreeSet<PathBuf>,
    pub(super) changed: BTreeSet<PathBuf>,
    pub(super) deleted: BTreeSet<PathBuf>,
    /// Folders that were not there before, inner ones first.
    pub(super) folders: Vec<PathBuf>,
}

impl Snapshot {
    /// # Errors
    /// When the folder cannot be read.
    pub(super) fn of(folder: &Path) -> Result<Self> {
        let (mut files, mut folders) = (BTreeMap::new(), BTreeSet::new());
        walk(folder, folder, |name, stamp| {
            if name.components().any(|part| part.as_os_str() == ".git") {
                return Ok(());
            }
            match stamp {
                Some(stamp) => files.insert(name, stamp).map_or((), drop),
                None => drop(folders.insert(name)),
            }
            Ok(())
        })?;
        Ok(Self { files, folders })
    }

    /// What was created, changed and deleted since.
    pub(super) fn since(&self, before: &Self) -> Since {
        let mut since = Since::default();
        for (name, stamp) in &self.files {
            match before.files.get(name) {
                None => since.created.insert(name.clone()),
                Some(old) if old != stamp => since.changed.insert(name.clone()),
                Some(_) => false,
            };
        }
        let gone = |name: &&PathBuf| !self.files.contains_key(*name);
        since.deleted = before.files.keys().filter(gone).cloned().collect();
        since.folders = self.folders.difference(&before.folders).cloned().collect();
        since.folders.reverse();
        since
    }

    /// Everything in it: links first, since what they lead to may be moved.
    pub(super) fn links_first<'a>(
        &self,
        names: impl Iterator<Item = &'a PathBuf>,
    ) -> Vec<&'a PathBuf> {
        let mut names: Vec<&PathBuf> = names.collect();
        names.sort_by_key(|name| !self.files.get(*name).is_some_and(|stamp| stamp.link));
        names
    }

    /// The links in it.
    pub(super) fn links(&self) -> impl Iterator<Item = &PathBuf> {
        let links = self.files.iter().filter(|(_, stamp)| stamp.link);
        links.map(|(name, _)| name)
    }

    /// Everything in it.
    pub(super) fn names(&self) -> impl Iterator<Item = &PathBuf> {
        self.files.keys()
    }
}
