//! What a run wrote, gathered in a folder of its own so that it can be compared like any other.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use super::outside::{self, Budget, What};
use super::snapshot::{Since, Snapshot};
use crate::error::{Error, Result};
use crate::evidence::folder::readable;
use crate::rules::Name;

/// Stands for the run's output folder, in the command and in the names of what was written there.
pub(super) const OUT: &str = "{out}";

/// Stands for the top of the repository, in names of what was written outside the working folder.
const ROOT: &str = "{root}";

/// The list of the files that a run deleted.
const DELETED: &str = "{deleted}";

/// Names under which what a run printed is compared: metrics, standard output, standard error.
pub(super) const PRINTED: &[&str] = &["{metrics}.json", "{stdout}", "{stderr}"];

/// Files that say nothing about a result.
struct Noise {
    pattern: &'static str,
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "read by people and by the tests")
    )]
    reason: &'static str,
}

/// Left out where nobody declared what to compare.
const NOISE: &[Noise] = &[
    Noise {
        pattern: "**.pyc",
        reason: "Python's compiled modules hold dates",
    },
    Noise {
        pattern: "**__pycache__/**",
        reason: "likewise",
    },
    Noise {
        pattern: "**.pytest_cache/**",
        reason: "durations of tests",
    },
];

/// What was gathered.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// Names of the files that are compared.
    pub(super) taken: Vec<String>,
    /// Names of other files that the run wrote.
    pub(super) left: Vec<String>,
    /// Files that were there before and that it changed.
    pub(super) changed: Vec<String>,
    /// What a person must know about it.
    pub(super) notes: Vec<String>,
}

/// Where a run wrote.
pub(super) struct Places<'a> {
    /// The top of its copy of the repository, or its working folder.
    pub(super) top: &'a Path,
    /// The working folder, seen from there.
    pub(super) below: &'a Path,
    /// Its output folder.
    pub(super) out: &'a Path,
    /// The folder of the gate.
    pub(super) base: &'a Path,
    /// In place: where files go that it created and that the next run must not find.
    pub(super) aside: Option<PathBuf>,
}

/// Moves what a run created, and copies what it changed, into `to`. In place nothing is lost: what is moved comes back at
/// the end.
pub(super) fn gather(
    places: &Places<'_>,
    before: &Snapshot,
    patterns: &[String],
    to: &Path,
) -> Result<Gathered> {
    let mut gathered = Gathered::default();
    let mut budget = outside::TAKEN;
    let after = Snapshot::of(places.top)?;
    let since = after.since(before);
    places.check_names(&since)?;
    gathered.changed = since
        .changed
        .iter()
        .map(|name| places.shown(name))
        .collect();
    for name in after.links_first(since.created.iter().chain(&since.changed)) {
        let (from, shown) = (places.top.join(name), places.shown(name));
        let created = since.created.contains(name);
        if from.is_dir() && !outside::leads_inside(&from, &places.own()) {
            let place = places.place(name);
            gathered.behind(&from, &place, to, patterns, &places.own(), &mut budget)?;
        } else if wanted(&shown, patterns) {
            let to = to.join(places.place(name));
            take(&from, &to, created && !from.is_symlink())?;
            gathered.taken.push(shown);
        } else {
            gathered.left.push(shown);
        }
        if let Some(aside) = &places.aside
            && created
            && fs::symlink_metadata(&from).is_ok()
        {
            put(&from, &aside.join(name), true)?;
        }
    }
    if places.aside.is_some() {
        for folder in &since.folders {
            // One that holds something stays.
            let _ = fs::remove_dir(places.top.join(folder));
        }
    }
    let out = Snapshot::of(places.out)?;
    for name in out.links_first(out.names()) {
        let from = places.out.join(name);
        let place = Path::new(OUT).join(name);
        let shown = readable(place.as_os_str());
        if from.is_dir() && !outside::leads_inside(&from, &places.own()) {
            gathered.behind(&from, &place, to, patterns, &places.own(), &mut budget)?;
        } else if wanted(&shown, patterns) {
            take(&from, &to.join(place), !from.is_symlink())?;
            gathered.taken.push(shown);
        } else {
            gathered.left.push(shown);
        }
    }
    let deleted = since.deleted.iter().map(|name| places.shown(name));
    let deleted: Vec<String> = deleted.filter(|name| wanted(name, &[])).collect();
    if !deleted.is_empty() && patterns.is_empty() {
        let path = to.join(DELETED);
        fs::write(&path, deleted.join("\n")).map_err(|e| Error::io("write", &path, e))?;
    }
    Ok(gathered)
}

impl Gathered {
    /// Takes what stands behind a link to a folder outside, as it is now: the next run may write there too. Where that is too
    /// much, only where it leads.
    fn behind(
        &mut self,
        link: &Path,
        place: &Path,
        to: &Path,
        patterns: &[String],
        own: &[&Path],
        budget: &mut Budget,
    ) -> Result<()> {
        let shown = readable(place.as_os_str());
        let asked = wanted(&shown, patterns);
        let entries = outside::list(link, own, budget);
        let entries = match &entries {
            None => Err("too much to be taken".to_owned()),
            Some(entries) => entries
                .iter()
                .try_fold(entries, |all, entry| match &entry.what {
                    What::Closed(why) => Err(format!("which cannot be read ({why})")),
                    _ => Ok(all),
                }),
        };
        let entries = match entries {
            Ok(entries) => entries,
            Err(why) if asked => {
                let target = leads_to(link, &to.join(place))?;
                self.notes.push(format!(
                    "{shown} leads to {target}, {why}: only where it leads was compared"
                ));
                self.taken.push(shown);
                return Ok(());
            }
            Err(why) => {
                self.notes.push(format!(
                    "{shown} leads outside, {why}: nothing behind it was compared"
                ));
                self.left.push(shown);
                return Ok(());
            }
        };
        for entry in entries {
            let place = outside::extended(place, entry);
            let (name, to) = (readable(place.as_os_str()), to.join(place));
            // Who asks for the link asks for what it leads to.
            let wanted = wanted(&name, patterns) || (asked && !patterns.is_empty());
            match entry.what {
                What::Folder if asked => {
                    fs::create_dir_all(&to).map_err(|e| Error::io("create", &to, e))?;
                }
                What::Folder | What::Closed(_) => {}
                _ if !wanted => self.left.push(name),
                What::File(_) => {
                    make_folder(&to)?;
                    fs::copy(&entry.path, &to).map_err(|e| Error::io("copy", &entry.path, e))?;
                    self.taken.push(name);
                }
                What::Link => {
                    leads_to(&entry.path, &to)?;
                    self.taken.push(name);
                }
            }
        }
        Ok(())
    }
}

/// Makes a link that says where another leads but leads nowhere, and says it.
fn leads_to(link: &Path, to: &Path) -> Result<String> {
    let target = fs::read_link(link).map_err(|e| Error::io("read", link, e))?;
    let mut written = target.clone().into_os_string();
    written.push(" (not followed)");
    make_folder(to)?;
    symlink(written, to).map_err(|e| Error::io("create", to, e))?;
    Ok(readable(target.as_os_str()))
}

impl Places<'_> {
    /// The folders that are the run's own.
    pub(super) fn own(&self) -> [&Path; 2] {
        [self.top, self.base]
    }

    /// Checks that the command took no name that stands for something else among the gathered files.
    fn check_names(&self, since: &Since) -> Result<()> {
        let names = since.created.iter().chain(&since.changed);
        for name in names.chain(&since.folders) {
            let place = name.strip_prefix(self.below).unwrap_or(Path::new(""));
            let first = place.components().next();
            if let Some(first) = first.and_then(|first| first.as_os_str().to_str())
                && ([OUT, ROOT, DELETED].contains(&first) || PRINTED.contains(&first))
            {
                return Err(Error::Usage(format!(
                    "the command wrote {}, a name that stands for something else here: let it take another one; in its own files and \
                     scripts the output folder is $SAMEBITS_OUT, and {OUT} stands for it only in the command given to samebits",
                    readable(place.as_os_str())
                )));
            }
        }
        Ok(())
    }

    /// Where a file is among those that were gathered: its path from the working folder, or from the top of the repository.
    fn place(&self, name: &Path) -> PathBuf {
        match name.strip_prefix(self.below) {
            Ok(below) => below.to_path_buf(),
            Err(_) => Path::new(ROOT).join(name),
        }
    }

    /// The same for people and patterns.
    pub(super) fn shown(&self, name: &Path) -> String {
        readable(self.place(name).as_os_str())
    }
}

/// Whether a file is to be compared: one that a pattern means, or without patterns any that is no noise.
pub(super) fn wanted(name: &str, patterns: &[String]) -> bool {
    if patterns.is_empty() {
        let noise = |noise: &Noise| crate::evidence::glob::matches(noise.pattern, name);
        return !NOISE.iter().any(noise);
    }
    patterns.iter().any(|pattern| means(pattern, name))
}

/// Whether a pattern means this file.
pub(super) fn means(pattern: &str, file: &str) -> bool {
    Name { file, tensor: "" }.is_file_of(pattern)
}

/// Puts the files of a folder back to where they were created, unless something stands there now or a link leads elsewhere.
pub(super) fn put_back(from: &Path, to: &Path, moved: bool) -> Result<()> {
    if !from.exists() {
        return Ok(());
    }
    let there = Snapshot::of(from)?;
    for name in there.names() {
        let place = to.join(name);
        let own = name.components().next().is_some_and(|first| {
            let first = first.as_os_str();
            PRINTED.iter().any(|own| first == *own) || first == OUT || first == DELETED
        });
        let mut above = name.ancestors().skip(1);
        let through = above.any(|above| above != Path::new("") && to.join(above).is_symlink());
        if !own && !through && fs::symlink_metadata(&place).is_err() {
            put(&from.join(name), &place, moved)?;
        }
    }
    Ok(())
}

/// Takes a file to be compared; of a link, the file that it leads to, as it is now.
fn take(from: &Path, to: &Path, moved: bool) -> Result<()> {
    if from.is_symlink() && from.is_file() {
        make_folder(to)?;
        fs::copy(from, to).map_err(|e| Error::io("copy", from, e))?;
        return Ok(());
    }
    // One that has another name elsewhere may be written to under that name.
    let other_names = fs::symlink_metadata(from).is_ok_and(|metadata| metadata.nlink() > 1);
    put(from, to, moved && !other_names)
}

fn make_folder(to: &Path) -> Result<()> {
    to.parent().map_or(Ok(()), |folder| {
        fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, e))
    })
}

/// Moves or copies a file or a link.
fn put(from: &Path, to: &Path, moved: bool) -> Result<()> {
    make_folder(to)?;
    if moved && fs::rename(from, to).is_ok() {
        return Ok(());
    }
    if let Ok(target) = fs::read_link(from) {
        symlink(target, to).map_err(|e| Error::io("create", to, e))?;
    } else {
        fs::copy(from, to).map_err(|e| Error::io("copy", from, e))?;
    }
    if moved {
        fs::remove_file(from).map_err(|e| Error::io("remove", from, e))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_left_out_unless_it_was_asked_for() {
        assert!(NOISE.iter().all(|noise| !noise.reason.is_empty()));
        for (name, compared) in [
            ("model.pt", true),
            ("a/b/model.pt", true),
            ("__pycache__/m.cpython-311.pyc", false),
            ("a/__pycache__/m.txt", false),
            ("{out}/log.txt", true),
        ] {
            assert_eq!(wanted(name, &[]), compared, "{name}");
        }
        assert!(wanted("a/m.pyc", &["*.pyc".into()]) && !wanted("model.pt", &["*.pyc".into()]));
        assert!(
            wanted("{out}/model.pt", &["model.pt".into()])
                && wanted("{out}/model.pt", &["{out}/*".into()])
        );
    }
}
