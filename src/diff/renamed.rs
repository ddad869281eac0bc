//! Files of the candidate that stand for files of the reference with other names.

use std::collections::BTreeMap;

use crate::evidence::folder::Found;

/// Pairs shown to a person.
const SHOWN: usize = 3;

/// Gives the candidate's files the names that they stand for. `pairs` are the reference's name and the candidate's; some of them,
/// for people, unless there are none.
pub(super) fn give(
    theirs: &mut BTreeMap<String, Found>,
    pairs: &[(String, String)],
) -> Option<String> {
    // First all are taken away, since one's old name may be another's new one.
    let taken: Vec<_> = pairs
        .iter()
        .map(|(_, other)| theirs.remove(other))
        .collect();
    for ((ours, _), found) in pairs.iter().zip(taken) {
        theirs.extend(found.map(|found| (ours.clone(), found)));
    }
    let shown: Vec<String> = pairs
        .iter()
        .take(SHOWN)
        .map(|(ours, theirs)| format!("{ours} with {theirs}"))
        .collect();
    let more = if pairs.len() > SHOWN { ", …" } else { "" };
    (!pairs.is_empty()).then(|| format!("{}{more}", shown.join(", ")))
}
