//! The working folder: what belongs to it, and fresh copies of it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::snapshot::{Stamp, walk};
use crate::error::{Error, Result};
use crate::process;

/// More than this is not copied for each run without being told to, outside a git repository.
const MOST_BYTES: u64 = 2 << 30;
/// Likewise.
const MOST_FILES: usize = 100_000;

/// A working folder and what copies of it hold.
#[derive(Debug)]
pub(super) struct Source {
    /// The top folder: that of the repository where there is one.
    root: PathBuf,
    /// The working folder, seen from there.
    below: PathBuf,
    /// Files and links, seen from the top folder.
    files: BTreeMap<PathBuf, Stamp>,
    /// Folders without any, likewise: programs write into them.
    empty: Vec<PathBuf>,
    /// What copies only link to.
    linked: Vec<PathBuf>,
    /// Folders in it that are git's too but whose `.git` is a file, likewise: submodules, and other worktrees.
    nested: Vec<PathBuf>,
    /// Whether the top folder is a repository's.
    git: bool,
    /// Files that git ignores and that copies therefore lack, for a hint.
    pub(super) ignored: Vec<String>,
}

impl Source {
    /// Everything in `folder`, or in a git repository all that git tracks or would add.
    ///
    /// # Errors
    /// When it cannot be read, or is too large to be copied for each run.
    pub(super) fn find(folder: &Path, links: &[PathBuf]) -> Result<Self> {
        let folder = folder
            .canonicalize()
            .map_err(|e| Error::io("find", folder, e))?;
        let linked = links
            .iter()
            .map(|link| inside(&folder, link))
            .collect::<Result<Vec<_>>>()?;
        let mut source = match git(&folder, &["rev-parse", "--show-toplevel"]) {
            Some(top) => Self::of_repository(&folder, Path::new(top.trim_end_matches('\n')))?,
            None => Self::of_folder(&folder)?,
        };
        // Links are given relative to the working folder.
        source
            .linked
            .extend(linked.iter().map(|link| source.below.join(link)));
        let linked = source.linked.clone();
        let led_to = |path: &Path| linked.iter().any(|link| path.starts_with(link));
        source.files.retain(|file, _| !led_to(file));
        source.empty.retain(|folder| !led_to(folder));
        source.set_nested();
        Ok(source)
    }

    fn of_repository(folder: &Path, top: &Path) -> Result<Self> {
        let list = |arguments: &[&str]| -> Result<Vec<String>> {
            let text = git(top, arguments).ok_or_else(|| {
                Error::input(top, "git cannot list its files; try --workdir inplace")
            })?;
            Ok(text
                .split('\0')
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect())
        };
        let mut files = BTreeMap::new();
        let mut bare: Vec<PathBuf> = Vec::new();
        for name in list(&[
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])? {
            // One that is tracked but deleted is not there to be copied; a submodule is a folder.
            let path = top.join(&name);
            if path.is_dir() && !path.is_symlink() {
                let before = files.len();
                gather(top, &path, &mut files)?;
                if files.len() == before {
                    bare.push(name.into());
                }
            } else if let Some(stamp) = Stamp::of(&path) {
                files.insert(name.into(), stamp);
            }
        }
        // A folder that holds nothing yet is nothing to git, but a program may want to write there.
        let mut empty = bare;
        for name in list(&[
            "ls-files",
            "-z",
            "--others",
            "--exclude-standard",
            "--directory",
        ])? {
            if name.ends_with('/') {
                let found = empty_folders(&top.join(&name))?;
                empty.extend(found.iter().map(|folder| Path::new(&name).join(folder)));
            }
        }
        let ignored = list(&[
            "ls-files",
            "-z",
            "--others",
            "--ignored",
            "--exclude-standard",
            "--directory",
        ])?;
        Ok(Self {
            root: top.to_path_buf(),
            below: folder
                .strip_prefix(top)
                .unwrap_or(Path::new(""))
                .to_path_buf(),
            files,
            empty,
            linked: Vec::new(),
            nested: Vec::new(),
            git: true,
            ignored,
        })
    }

    fn of_folder(folder: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        gather(folder, folder, &mut files)?;
        let empty = empty_folders(folder)?;
        let bytes: u64 = files.values().map(|stamp| stamp.length).sum();
        if bytes > MOST_BYTES {
            return Err(Error::Usage(format!(
                "{} holds {} files of {bytes} bytes in all, too much to copy for each run; leave data sets out of the copies with \
                 --link PATH, or use --workdir inplace",
                folder.display(),
                files.len()
            )));
        }
        Ok(Self {
            root: folder.to_path_buf(),
            below: PathBuf::new(),
            files,
            empty,
            linked: Vec::new(),
            nested: Vec::new(),
            git: false,
            ignored: Vec::new(),
        })
    }

    /// Makes a copy at `to`, which must not exist, and returns the working folder in it.
    ///
    /// # Errors
    /// When it cannot, or a file changed since the first copy.
    pub(super) fn copy(&self, to: &Path) -> Result<PathBuf> {
        if self.git {
            clone_repository(&self.root, to);
        }
        for nested in &self.nested {
            clone_repository(&self.root.join(nested), &to.join(nested));
        }
        let made = to.join(&self.below);
        create_folders(&made)?;
        for folder in &self.empty {
            create_folders(&to.join(folder))?;
        }
        let mut made_last = made.clone();
        for (file, stamp) in &self.files {
            let (from, to) = (self.root.join(file), to.join(file));
            if Stamp::of(&from) != Some(*stamp) {
                return Err(Error::input(
                    &from,
                    "it changed while the gate was running; if another program writes it (as `| tee` does), let it write elsewhere or git ignore it",
                ));
            }
            // Most files stand beside the one before.
            if let Some(folder) = to.parent().filter(|folder| *folder != made_last) {
                create_folders(folder)?;
                folder.clone_into(&mut made_last);
            }
            copy_one(&from, &to, stamp.link)?;
        }
        for nested in &self.nested {
            if to.join(nested).join(".git").exists() {
                git(&to.join(nested), &["reset", "-q"]);
            }
        }
        if self.git {
            git(to, &["reset", "-q"]);
        }
        for link in &self.linked {
            let (from, to) = (self.root.join(link), to.join(link));
            if let Some(folder) = to.parent() {
                create_folders(folder)?;
            }
            // What is not there cannot be linked to; the command will say what it misses.
            if from.exists() && !to.exists() {
                symlink(&from, &to).map_err(|e| Error::io("create", &to, e))?;
            }
        }
        Ok(made)
    }

    /// The folder of the working folder in a copy.
    pub(super) fn below(&self) -> &Path {
        &self.below
    }

    /// A file `.git` says where the repository is: outside the copy, or where the copy has none. Copies get their own instead.
    fn set_nested(&mut self) {
        let file = |(name, stamp): &(&PathBuf, &Stamp)| name.ends_with(".git") && !stamp.link;
        let above = |(name, _): (&PathBuf, &Stamp)| name.parent().map(Path::to_path_buf);
        let found = self.files.iter().filter(file).filter_map(above);
        self.nested = found.filter(|name| *name != Path::new("")).collect();
        for nested in &self.nested {
            self.files.remove(&nested.join(".git"));
        }
    }
}

/// A repository of the copy's own, so that git answers there too and nothing that a program does with it reaches the original.
/// Where that fails, the program will say what it misses.
fn clone_repository(from: &Path, to: &Path) {
    let (Some(original), Some(copy)) = (from.to_str(), to.to_str()) else {
        return;
    };
    let clone = [
        "clone",
        "-q",
        "--shared",
        "--no-checkout",
        "--",
        original,
        copy,
    ];
    if git(from, &clone).is_some() {
        git(to, &["remote", "remove", "origin"]);
    }
}

/// Folders at or below `folder` that hold nothing, by path from there.
fn empty_folders(folder: &Path) -> Result<Vec<PathBuf>> {
    let (mut empty, mut folders) = (Vec::new(), vec![folder.to_path_buf()]);
    while let Some(next) = folders.pop() {
        let mut any = false;
        for entry in fs::read_dir(&next).map_err(|e| Error::io("read", &next, e))? {
            let entry = entry.map_err(|e| Error::io("read", &next, e))?;
            // A file that our own words go to is in no copy.
            any |= Stamp::of(&entry.path()).is_some();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(entry.path());
            }
        }
        if let (false, Ok(name)) = (any, next.strip_prefix(folder)) {
            empty.push(name.to_path_buf());
        }
    }
    Ok(empty)
}

/// One file with its permissions and date, or one link.
fn copy_one(from: &Path, to: &Path, link: bool) -> Result<()> {
    let wrong = |e| Error::io("copy", from, e);
    if link {
        let target = fs::read_link(from).map_err(wrong)?;
        return symlink(&target, to).map_err(wrong);
    }
    let mut original = fs::File::open(from).map_err(wrong)?;
    let metadata = original.metadata().map_err(wrong)?;
    let mut copy = fs::File::create_new(to).map_err(wrong)?;
    io::copy(&mut original, &mut copy).map_err(wrong)?;
    copy.set_permissions(metadata.permissions())
        .map_err(wrong)?;
    // A program may look at dates, and they must be the same in every run.
    if let Ok(modified) = metadata.modified() {
        let _ = copy.set_modified(modified);
    }
    Ok(())
}

fn create_folders(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, e))
}

fn inside(folder: &Path, link: &Path) -> Result<PathBuf> {
    let full = folder.join(link);
    let full = full
        .canonicalize()
        .map_err(|e| Error::io("find", &full, e))?;
    full.strip_prefix(folder)
        .map(Path::to_path_buf)
        .map_err(|_| {
            Error::Usage(format!(
                "--link {}: it is not below the working folder",
                link.display()
            ))
        })
}

fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    let mut argv = vec!["git", "-C", folder.to_str()?];
    argv.extend(arguments);
    process::answer(&argv)
}

/// Every file and link below `folder`, by path from `root`. Links to folders are links here.
fn gather(root: &Path, folder: &Path, files: &mut BTreeMap<PathBuf, Stamp>) -> Result<()> {
    walk(root, folder, |name, stamp| {
        if let Some(stamp) = stamp {
            files.insert(name, stamp);
        }
        if files.len() > MOST_FILES {
            return Err(Error::Usage(format!(
                "{} holds more than {MOST_FILES} files; leave data sets out with --link PATH",
                root.display()
            )));
        }
        Ok(())
    })
}
