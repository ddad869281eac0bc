//! What stands behind links that lead outside a run's own folders: listed within bounds, so that it can be taken, and watched
//! where a run may write through a link that was there before.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::artifacts::{Places, wanted};
use super::snapshot::Snapshot;
use crate::evidence::folder::readable;

/// More entries than this behind links are not watched.
const MOST_WATCHED: usize = 20_000;

/// How much may be listed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    entries: usize,
    bytes: u64,
}

/// What may be taken from behind the links that one run made.
pub(super) const TAKEN: Budget = Budget {
    entries: 10_000,
    bytes: 4 << 30,
};

/// One thing behind a link.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its path through the link.
    pub(super) path: PathBuf,
    /// The rest of that path after the link.
    pub(super) below: PathBuf,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    File(fs::Metadata),
    Folder,
    /// A link to nowhere, in a circle, or back to the run's own folders.
    Link,
    /// A folder that cannot be read.
    Closed(std::io::Error),
}

/// Whether a link leads into one of the run's own folders, where what it leads to is found anyway.
pub(super) fn leads_inside(link: &Path, own: &[&Path]) -> bool {
    let place = link.canonicalize();
    place.is_ok_and(|place| own.iter().any(|own| place.starts_with(own)))
}

/// Everything behind a link to the outside, in the order of names; links in it are followed but not in circles. Nothing where
/// that is more than the budget, from which it is taken.
pub(super) fn list(link: &Path, own: &[&Path], budget: &mut Budget) -> Option<Vec<Entry>> {
    let mut listing = Listing {
        own,
        left: *budget,
        found: Vec::new(),
        above: Vec::new(),
    };
    listing.follow(link, Path::new(""))?;
    *budget = listing.left;
    Some(listing.found)
}

struct Listing<'a> {
    own: &'a [&'a Path],
    left: Budget,
    found: Vec<Entry>,
    /// Where the folders really stand through which the way leads.
    above: Vec<PathBuf>,
}

impl Listing<'_> {
    fn follow(&mut self, link: &Path, below: &Path) -> Option<()> {
        let real = link.canonicalize().ok().filter(|real| {
            let circle = self.above.iter().any(|one| one.starts_with(real));
            let mut own = self.own.iter();
            !circle && !own.any(|own| real.starts_with(own) || own.starts_with(real))
        });
        match real {
            Some(real) => self.enter(link, below, &real),
            None => self.found(link, below, What::Link),
        }
    }

    fn enter(&mut self, path: &Path, below: &Path, real: &Path) -> Option<()> {
        let Ok(metadata) = fs::metadata(path) else {
            return self.found(path, below, What::Link);
        };
        if metadata.is_file() {
            self.left.bytes = self.left.bytes.checked_sub(metadata.len())?;
            return self.found(path, below, What::File(metadata));
        }
        // Pipes, sockets and devices are nothing to compare.
        if !metadata.is_dir() {
            return Some(());
        }
        let entries: Result<Vec<_>, _> = fs::read_dir(path).and_then(Iterator::collect);
        let mut entries = match entries {
            Ok(entries) => entries,
            Err(error) => return self.found(path, below, What::Closed(error)),
        };
        self.found(path, below, What::Folder)?;
        // A long list is too long before it is sorted.
        self.left.entries.checked_sub(entries.len())?;
        entries.sort_by_key(fs::DirEntry::file_name);
        self.above.push(real.to_path_buf());
        for entry in entries {
            let (path, name) = (entry.path(), entry.file_name());
            if entry.file_type().is_ok_and(|kind| kind.is_symlink()) {
                self.follow(&path, &below.join(name))?;
            } else {
                self.enter(&path, &below.join(&name), &real.join(name))?;
            }
        }
        self.above.pop();
        Some(())
    }

    fn found(&mut self, path: &Path, below: &Path, what: What) -> Option<()> {
        self.left.entries = self.left.entries.checked_sub(1)?;
        self.found.push(Entry {
            path: path.to_path_buf(),
            below: below.to_path_buf(),
            what,
        });
        Some(())
    }
}

/// Length and date of every file behind links, by its name and with its path.
type Seen = BTreeMap<String, (PathBuf, u64, (i64, i64))>;

/// What stood behind the links of a working folder before a run.
pub(super) struct Watched {
    /// Links, with what is written in them.
    links: Vec<(PathBuf, PathBuf)>,
    seen: Seen,
}

impl Watched {
    /// Nothing where too much stands there.
    pub(super) fn new(places: &Places<'_>, before: &Snapshot) -> Option<Self> {
        let link =
            |name: &PathBuf| Some((name.clone(), fs::read_link(places.top.join(name)).ok()?));
        let links: Vec<_> = before.links().filter_map(link).collect();
        let seen = see(places, &links, MOST_WATCHED)?;
        Some(Self { links, seen })
    }

    /// Names of files behind those links that are not as they were.
    pub(super) fn written(&self, places: &Places<'_>) -> Option<String> {
        let now = see(places, &self.links, 2 * MOST_WATCHED)?;
        let changed = now
            .iter()
            .filter(|(name, file)| self.seen.get(*name) != Some(*file));
        let gone = self
            .seen
            .iter()
            .filter(|(name, _)| !now.contains_key(*name));
        // Links in these folders may lead to the same file by several ways.
        let mut files = BTreeMap::new();
        for (name, (path, ..)) in changed.chain(gone).filter(|(name, _)| wanted(name, &[])) {
            let real = path.canonicalize().unwrap_or_else(|_| path.clone());
            files.entry(real).or_insert(name);
        }
        let mut names: Vec<String> = files
            .iter()
            .map(|(real, name)| format!("{name} ({})", readable(real.as_os_str())))
            .collect();
        names.sort_unstable();
        let more = match names.len() {
            0 => return None,
            1..=3 => String::new(),
            many => format!(" and {} more", many - 3),
        };
        let some = names.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
        Some(format!(
            "written through a link, not compared: {some}{more}"
        ))
    }
}

/// The files behind these links, as far as they are what they were.
fn see(places: &Places<'_>, links: &[(PathBuf, PathBuf)], entries: usize) -> Option<Seen> {
    let (own, mut seen) = (places.own(), Seen::new());
    let mut budget = Budget {
        entries,
        bytes: u64::MAX,
    };
    for (name, written) in links {
        let link = places.top.join(name);
        if fs::read_link(&link).ok().as_ref() != Some(written) {
            continue;
        }
        let real = link.canonicalize().unwrap_or_else(|_| link.clone());
        for entry in list(&link, &own, &mut budget)? {
            if let What::File(metadata) = &entry.what {
                let date = (metadata.mtime(), metadata.mtime_nsec());
                let (through, stands) = (extended(name, &entry), extended(&real, &entry));
                seen.insert(places.shown(&through), (stands, metadata.len(), date));
            }
        }
    }
    Some(seen)
}

/// The path of an entry, seen from where `link` is.
pub(super) fn extended(link: &Path, entry: &Entry) -> PathBuf {
    if entry.below == Path::new("") {
        // A path that ends with a slash is that of a folder.
        return link.to_path_buf();
    }
    link.join(&entry.below)
}
