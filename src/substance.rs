//! [`substance`]: whether a trace holds anything whose agreement would mean something. A gate that compared nothing, or
//! nothing but constants, must never be green.

use std::collections::{BTreeMap, BTreeSet};

use crate::digest::Digest;
use crate::dtype::Kind;
use crate::trace::{Entry, Phase, Trace};

/// Names of entries that would vary even if no training took place: the generators and the data.
const NOT_TRAINING: &[&str] = &["rng.", "batch."];

/// The reason why agreement with this trace would prove nothing, if there is one.
#[must_use]
pub fn vacuous(trace: &Trace) -> Option<String> {
    if trace.entries.is_empty() {
        return Some("nothing was recorded".into());
    }
    if trace.entries.iter().map(Entry::bytes).sum::<u64>() == 0 {
        return Some("every recorded tensor is empty".into());
    }
    if trace
        .entries
        .iter()
        .all(|entry| entry.key.phase == Phase::Init)
    {
        return Some("no step was trained".into());
    }
    let training: Vec<&Entry> = trace
        .entries
        .iter()
        .filter(|entry| {
            !NOT_TRAINING
                .iter()
                .any(|start| entry.key.name.starts_with(start))
        })
        .collect();
    if !varies(&training) {
        return Some("nothing but constants or NaN was recorded".into());
    }
    let last = training.iter().map(|entry| entry.key.step).max();
    let state: Vec<&Entry> = parameters(&training, last);
    if !state.is_empty()
        && state
            .iter()
            .all(|entry| entry.summary.is_some_and(|summary| summary.finite == 0))
    {
        return Some("after the last step every parameter is NaN or infinite".into());
    }
    if never_changed(&training, &state) {
        return Some("no parameter changed from initialisation to the last step".into());
    }
    None
}

/// The parameters after the last step: what has a gradient, where gradients were recorded, and everything but integers
/// where not. Running statistics and counters move even when nothing is learned.
fn parameters<'a>(entries: &[&'a Entry], last: Option<u64>) -> Vec<&'a Entry> {
    let gradients: BTreeSet<&str> = entries
        .iter()
        .filter(|entry| entry.key.phase == Phase::Backward)
        .filter_map(|entry| entry.key.name.strip_suffix(".grad"))
        .collect();
    entries
        .iter()
        .filter(|entry| entry.key.phase == Phase::Update && Some(entry.key.step) == last)
        .filter(|entry| {
            let trained = gradients.contains(entry.key.name.as_str());
            trained || (gradients.is_empty() && entry.dtype.kind() != Kind::Signed)
        })
        .copied()
        .collect()
}

/// Whether any tensor holds two different numbers, or changes from step to step without being NaN throughout.
fn varies(entries: &[&Entry]) -> bool {
    let mut seen: BTreeMap<(Phase, &str), Digest> = BTreeMap::new();
    entries.iter().any(|entry| {
        if entry.summary.is_some_and(|summary| summary.finite == 0) {
            return false;
        }
        let inside = entry.summary.is_some_and(|summary| !summary.is_constant());
        let before = seen.insert((entry.key.phase, &entry.key.name), entry.digest);
        inside || before.is_some_and(|before| before != entry.digest)
    })
}

/// Whether every parameter recorded after initialisation still is what it was.
fn never_changed(entries: &[&Entry], state: &[&Entry]) -> bool {
    let initial: BTreeMap<&str, Digest> = entries
        .iter()
        .filter(|entry| entry.key.phase == Phase::Init)
        .map(|entry| (entry.key.name.as_str(), entry.digest))
        .collect();
    let mut pairs = state
        .iter()
        .filter_map(|entry| Some((initial.get(entry.key.name.as_str())?, entry.digest)))
        .peekable();
    pairs.peek().is_some() && pairs.all(|(initial, now)| *initial == now)
}
