//! Programs like to name what they write after the moment, `outputs/2026-11-20/13-55-01/model.pt`, so that two runs never
//! write to the same place. Files that only one side has are paired by what their names say beside the moment.

use std::collections::BTreeMap;

use regex::Regex;

use super::events;
use crate::evidence::folder::Found;

/// Stands for a moment.
const MARK: &str = "<moment>";

/// A date with or without a time, a time below a folder that is a date, the name `SummaryWriter` gives, a time alone, seconds since
/// 1970 and parts of them.
const MOMENT: &str = r"(?x)
    ((19|20)\d\d([-_.]?)(0[1-9]|1[0-2])[-_.]?([0-2]\d|3[01]) | (0[1-9]|1[0-2])[-_.]([0-2]\d|3[01])[-_.](19|20)\d\d)
        ([-_T\ /.]*([01]\d|2[0-3])[-_:.hH]?[0-5]\d([-_:.mM]?[0-5]\d([.,_-]\d{1,9})?)?)?(Z|[+-]\d\d:?\d\d)?
    | [A-Z][a-z]{2}[0-3]\d_[0-2]\d-[0-5]\d-[0-5]\d
    | ([01]\d|2[0-3])[-_:][0-5]\d[-_:][0-5]\d
    | 1\d{9}(\d{3}|\d{6}|\d{9}|\.\d{1,9})?";

/// A name with every moment in it replaced, if there is one.
fn masked(pattern: &Regex, name: &str) -> Option<String> {
    let mut made = String::new();
    let mut rest = 0;
    for found in pattern.find_iter(name) {
        let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
        // A part of a longer number is no moment.
        if digit(name[..found.start()].chars().next_back())
            || digit(name[found.end()..].chars().next())
        {
            continue;
        }
        made.push_str(&name[rest..found.start()]);
        made.push_str(MARK);
        rest = found.end();
    }
    made.push_str(&name[rest..]);
    (rest > 0).then_some(made)
}

/// Whether two texts say the same beside a moment.
pub(super) fn same(one: &str, other: &str) -> bool {
    let Ok(pattern) = Regex::new(MOMENT) else {
        return false;
    };
    masked(&pattern, one).is_some_and(|text| masked(&pattern, other) == Some(text))
}

/// Gives files of the candidate the names of the reference's files that differ from them in the moment alone; says which. Of
/// several, the order of their names decides.
pub(super) fn pair(
    ours: &BTreeMap<String, Found>,
    theirs: &mut BTreeMap<String, Found>,
) -> Option<String> {
    let pattern = Regex::new(MOMENT).ok()?;
    let groups = |files: &BTreeMap<String, Found>| {
        let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for name in files.keys() {
            if let Some(group) = masked(&pattern, name) {
                groups.entry(group).or_default().push(name.clone());
            }
        }
        groups
    };
    let (left, mut right) = (groups(ours), groups(theirs));
    let mut pairs = Vec::new();
    for (group, names) in left {
        // Where one side wrote more files than the other, which belongs to which is a guess. A name on both sides may all the
        // same be another file: the last of one run and the first of the next.
        let others = right.remove(&group).unwrap_or_default();
        if names != others && names.len() == others.len() {
            pairs.extend(names.into_iter().zip(others));
        }
    }
    super::renamed::give(theirs, &pairs).map(|shown| {
        format!(
            "{} files are named after the moment of their run and were compared by the rest of their names: {shown}",
            pairs.len()
        )
    })
}

/// For files that are named after a moment, a name that another run's file has too: what theirs says beside the moment, and a
/// number where several say the same.
#[must_use]
pub fn timeless<'a>(names: impl Iterator<Item = &'a String>) -> BTreeMap<String, String> {
    let Ok(pattern) = Regex::new(MOMENT) else {
        return BTreeMap::new();
    };
    let mut groups: BTreeMap<String, Vec<(u64, u64, &String)>> = BTreeMap::new();
    for name in names {
        if let Some((group, time, number)) = events::place(name) {
            let place = (time, number, name);
            groups.entry(group).or_default().push(place);
        } else if let Some(group) = masked(&pattern, name) {
            groups.entry(group).or_default().push((0, 0, name));
        }
    }
    let mut made = BTreeMap::new();
    for (group, mut members) in groups {
        members.sort_unstable();
        for (at, (.., name)) in members.into_iter().enumerate() {
            let number = if at == 0 {
                String::new()
            } else {
                format!("#{at}")
            };
            made.insert(name.clone(), format!("{group}{number}"));
        }
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paired(ours: &[&str], theirs: &[&str]) -> usize {
        let files = |names: &[&str]| -> BTreeMap<String, Found> {
            names
                .iter()
                .map(|name| ((*name).to_owned(), Found::File((*name).into())))
                .collect()
        };
        let (ours, mut theirs) = (files(ours), files(theirs));
        pair(&ours, &mut theirs);
        ours.keys()
            .filter(|name| theirs.contains_key(*name))
            .count()
    }

    #[test]
    fn names_that_differ_in_the_moment_alone_are_paired() {
        for (ours, theirs) in [
            (
                "outputs/2026-11-20/13-55-01/model.pt",
                "outputs/2026-11-20/13-55-07/model.pt",
            ),
            ("run_20261120_135501.json", "run_20261120_135502.json"),
            ("run-20261120T135501Z/a", "run-20261121T000000Z/a"),
            ("2026-11-20_13-55-01.log", "2026-11-20_13-56-01.log"),
            ("2026-11-20 13:55:01,123.log", "2026-11-20 13:55:01,456.log"),
            ("runs/Nov20_13-55-01_host/a", "runs/Nov21_03-55-01_host/a"),
            ("model-1763642000.pt", "model-1763642009.pt"),
            ("model-1763642000.25.pt", "model-1763642009.5.pt"),
            ("model-1763642000250.pt", "model-1763642009500.pt"),
            ("11-20-2026_135501.log", "11-20-2026_135507.log"),
            ("log_13-55-01.txt", "log_13-55-07.txt"),
        ] {
            assert_eq!(paired(&[ours], &[theirs]), 1, "{ours} {theirs}");
        }
        let (ours, theirs) = (
            ["a-1763642000.pt", "a-1763642004.pt", "x"],
            ["a-1763642100.pt", "a-1763642101.pt", "x"],
        );
        assert_eq!(paired(&ours, &theirs), 3);
    }

    #[test]
    fn a_name_without_its_moment_is_the_same_in_every_run() {
        let names = |names: &[&str]| -> Vec<String> {
            let names: Vec<String> = names.iter().map(|name| (*name).into()).collect();
            timeless(names.iter()).into_values().collect()
        };
        let first = names(&[
            "a-1763642000.pt",
            "a-1763642004.pt",
            "x",
            "tb/events.out.tfevents.1763642000.h.7.0",
        ]);
        let second = names(&[
            "a-1763643000.pt",
            "a-1763643001.pt",
            "x",
            "tb/events.out.tfevents.1763643000.g.9.0",
        ]);
        assert_eq!((first.len(), &first), (3, &second));
    }

    #[test]
    fn other_names_are_not() {
        for (ours, theirs) in [
            ("checkpoint-1000.pt", "checkpoint-1001.pt"),
            ("seed-20261399", "seed-20261398"),
            ("a-17636420001", "a-17636420002"),
            ("layer_10-20-30", "layer_10-20-99"),
            ("a/2026-11-20/x", "b/2026-11-21/x"),
            ("hash-a1b2c3", "hash-a1b2c4"),
        ] {
            assert_eq!(paired(&[ours], &[theirs]), 0, "{ours} {theirs}");
        }
        // One more on one side leaves all as they are.
        assert_eq!(
            paired(&["a-1763642000"], &["a-1763642001", "a-1763642002"]),
            0
        );
    }
}
