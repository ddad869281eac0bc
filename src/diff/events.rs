//! `TensorBoard`'s event files are called after time, host and process, so those of two runs never have the same name:
//! they are paired by their order in time, folder by folder.

use std::collections::BTreeMap;

use crate::evidence::folder::Found;

/// A file's place among those that may stand for it: when it was begun, and its number in its process.
type Place<'a> = (u64, u64, &'a String);

/// Gives each event file that only the candidate has the name of the reference's file in the same folder and the same
/// place in time; says which. Files of one name on both sides are paired already.
pub(super) fn pair(
    ours: &BTreeMap<String, Found>,
    theirs: &mut BTreeMap<String, Found>,
) -> Option<String> {
    let alone = groups(theirs, ours);
    let mut pairs: Vec<(String, String)> = Vec::new();
    for (group, ours) in groups(ours, theirs) {
        let theirs = alone.get(&group).into_iter().flatten();
        pairs.extend(
            ours.iter()
                .zip(theirs)
                .map(|(ours, theirs)| (ours.2.clone(), theirs.2.clone())),
        );
    }
    super::renamed::give(theirs, &pairs).map(|shown| {
        format!(
            "event files hold the time, host and process of their run in their names; {} of them are compared by their \
             order in their folder: {shown}",
            pairs.len()
        )
    })
}

/// The event files that the other side lacks, in order of time, by what their names say beside time, host and process.
fn groups<'a>(
    files: &'a BTreeMap<String, Found>,
    other: &BTreeMap<String, Found>,
) -> BTreeMap<String, Vec<Place<'a>>> {
    let mut groups: BTreeMap<String, Vec<Place<'a>>> = BTreeMap::new();
    let alone = files.iter().filter(|(path, found)| {
        matches!(found, Found::File(_)) && !matches!(other.get(*path), Some(Found::File(_)))
    });
    for (path, _) in alone {
        if let Some((group, time, number)) = place(path) {
            groups.entry(group).or_default().push((time, number, path));
        }
    }
    for group in groups.values_mut() {
        group.sort();
    }
    groups
}

/// What a path says beside time, host and process; the time; the number in the process. `None`: no event file.
///
/// Names are `events.out.tfevents.TIME.HOST`, then `.PROCESS.NUMBER` from most writers, then any suffix.
pub(super) fn place(path: &str) -> Option<(String, u64, u64)> {
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    let (start, rest) = file.split_once(".tfevents.")?;
    let (time, rest) = rest.split_once('.').unwrap_or((rest, ""));
    let parts: Vec<&str> = rest.split('.').collect();
    let process = parts
        .windows(2)
        .rposition(|two| two.iter().all(|part| number(part).is_some()));
    let (count, suffix) = match process {
        Some(at) => (number(parts[at + 1]), parts[at + 2..].join(".")),
        None => (None, String::new()),
    };
    let folders: Vec<&str> = folder
        .split('/')
        .map(|name| if is_of_clock(name) { "*" } else { name })
        .collect();
    let group = format!("{}/{start}/{suffix}", folders.join("/"));
    Some((group, number(time)?, count.unwrap_or(0)))
}

fn number(text: &str) -> Option<u64> {
    text.parse().ok()
}

/// Whether a folder is called after a moment: `1763642000.25`, where hyperparameters go, or
/// `Nov20_12-58-40_host`, where runs go that were given no name.
fn is_of_clock(name: &str) -> bool {
    let seconds = name.split_once('.').is_some_and(|(whole, part)| {
        whole.len() >= 10 && number(whole).and(number(part)).is_some()
    });
    let shape: String = name
        .chars()
        .take(15)
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    seconds
        || shape.get(3..) == Some("00_00-00-00_")
            && shape.bytes().take(3).all(|byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(names: &[&str]) -> BTreeMap<String, Found> {
        names
            .iter()
            .map(|name| ((*name).to_owned(), Found::File((*name).into())))
            .collect()
    }

    /// Where the candidate's file is that has this name after pairing.
    fn with(ours: &[&str], theirs: &[&str], name: &str) -> Option<String> {
        let mut found = files(theirs);
        pair(&files(ours), &mut found);
        match found.get(name) {
            Some(Found::File(path)) => path.to_str().map(str::to_owned),
            _ => None,
        }
    }

    #[test]
    fn event_files_are_paired_by_their_time_and_number_and_not_by_their_names() {
        let a = "events.out.tfevents.1763642000.host.7.9";
        let b = "events.out.tfevents.1763642000.host.7.10";
        let (c, d) = (
            "events.out.tfevents.1800000000.an.other.8.1",
            "events.out.tfevents.1900000000.an.other.2.0",
        );
        assert_eq!(with(&[a, b], &[d, c], a).as_deref(), Some(c));
        assert_eq!(with(&[a, b], &[d, c], b).as_deref(), Some(d));
        // One more on a side stays alone.
        assert_eq!(with(&[a], &[c, d], d).as_deref(), Some(d));
        assert_eq!(with(&[a, b], &[c], b), None);
        // What both have is paired already.
        assert_eq!(with(&[a, b], &[b, c], b).as_deref(), Some(b));
        assert_eq!(with(&[a, b], &[b, c], a).as_deref(), Some(c));
    }

    #[test]
    fn folders_and_suffixes_must_agree_unless_they_are_a_moment() {
        let event = |folder: &str, rest: &str| format!("{folder}events.out.tfevents.{rest}");
        for (ours, theirs, paired) in [
            (event("train/", "1.h"), event("train/", "2.g"), true),
            (event("train/", "1.h"), event("test/", "2.g"), false),
            (event("", "1.h.1.1.v2"), event("", "2.g.4.0.v2"), true),
            (event("", "1.h.1.1.v2"), event("", "2.g.4.0"), false),
            (
                event("r/1763642000.25/", "1.h"),
                event("r/1763642009.5/", "2.g"),
                true,
            ),
            (event("r/0.25/", "1.h"), event("r/0.5/", "2.g"), false),
            (
                event("runs/Nov20_12-58-40_a/", "1.h"),
                event("runs/Jan01_00-00-00_b.c/", "2.g"),
                true,
            ),
            (
                event("runs/Nov20_12-58_a/", "1.h"),
                event("runs/Jan01_00-00_b/", "2.g"),
                false,
            ),
            ("log.tfevents".into(), "other.tfevents".into(), false),
            ("x.txt".into(), "y.txt".into(), false),
        ] {
            let found = with(&[&ours], &[&theirs], &ours);
            assert_eq!(found.is_some(), paired, "{ours} {theirs}");
        }
        assert_eq!(pair(&files(&["a"]), &mut files(&["a"])), None);
    }
}
