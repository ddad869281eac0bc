//! What a run wrote, gathered in a folder of its own so that it can be compared like any other.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::workdir::Snapshot;
use crate::error::{Error, Result};
use crate::rules::Name;

/// Stands for the run's output folder, in the command and in the names of what was written there.
pub(super) const OUT: &str = "{out}";

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
        pattern: ".git/**",
        reason: "a repository's own files",
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
}

/// Where a run wrote.
pub(super) struct Places<'a> {
    /// Its working folder.
    pub(super) work: &'a Path,
    /// Its output folder.
    pub(super) out: &'a Path,
    /// Where files go that it created and that are not compared, if the next run must not find them.
    pub(super) aside: Option<PathBuf>,
}

/// Moves what a run created, and copies what it changed, into `to`.
pub(super) fn gather(
    places: &Places<'_>,
    before: &Snapshot,
    patterns: &[String],
    to: &Path,
) -> Result<Gathered> {
    let mut gathered = Gathered::default();
    let (created, changed) = Snapshot::of(places.work)?.since(before);
    gathered.changed = changed.iter().map(|name| shown(name)).collect();
    let wrote: BTreeSet<&PathBuf> = created.iter().chain(&changed).collect();
    for name in wrote {
        let moved = created.contains(name);
        if wanted(&shown(name), patterns) {
            gathered.taken.push(shown(name));
            take(&places.work.join(name), &to.join(name), moved)?;
        } else {
            gathered.left.push(shown(name));
            if let Some(aside) = places.aside.as_ref().filter(|_| moved) {
                take(&places.work.join(name), &aside.join(name), true)?;
            }
        }
    }
    for name in Snapshot::of(places.out)?.names() {
        let shown = format!("{OUT}/{}", shown(name));
        if wanted(&shown, patterns) {
            gathered.taken.push(shown);
            take(&places.out.join(name), &to.join(OUT).join(name), true)?;
        } else {
            gathered.left.push(shown);
        }
    }
    Ok(gathered)
}

fn shown(name: &Path) -> String {
    name.to_string_lossy().into_owned()
}

/// Whether a file is to be compared: one that a pattern means, or without patterns any that is no noise.
fn wanted(name: &str, patterns: &[String]) -> bool {
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

/// Puts the files of a folder back to where they were created, unless something stands there now. What begins with a brace
/// was never there.
pub(super) fn put_back(from: &Path, to: &Path, moved: bool) -> Result<()> {
    if !from.exists() {
        return Ok(());
    }
    for name in Snapshot::of(from)?.names() {
        let place = to.join(name);
        if !shown(name).starts_with('{') && fs::symlink_metadata(&place).is_err() {
            take(&from.join(name), &place, moved)?;
        }
    }
    Ok(())
}

fn take(from: &Path, to: &Path, moved: bool) -> Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, e))?;
    }
    if moved && fs::rename(from, to).is_ok() {
        return Ok(());
    }
    if let Ok(target) = fs::read_link(from) {
        std::os::unix::fs::symlink(target, to).map_err(|e| Error::io("create", to, e))?;
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
