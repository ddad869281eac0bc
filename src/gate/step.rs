//! Which step a difference belongs to, as far as names and positions tell: training scripts put it into the names of files,
//! or write one value a step.

use std::collections::BTreeMap;

use crate::compare::{Growth, Status};
use crate::diff::{self, Found};
use crate::report::Divergence;
use crate::report::tensors::TensorReport;

/// Words that a number follows in names: `checkpoint-500`, `step_10/model.pt`, `loss[step=3]`.
const WORDS: &[&str] = &["step", "checkpoint", "ckpt", "iter", "epoch"];

/// The first difference in the order of steps; differences without one come last.
pub(super) fn first(found: &Found, run: usize) -> Option<Divergence> {
    let differing = found.tensors.iter().filter(|tensor| !tensor.agrees());
    let first = differing.min_by_key(|tensor| step(tensor).unwrap_or(u64::MAX))?;
    let mut divergence = diff::divergence(first, run);
    divergence.step = step(first);
    Some(divergence)
}

/// How far apart the runs are step by step, from the first that differs, as far as names tell steps.
pub(super) fn growth(found: &Found) -> Vec<Growth> {
    let mut steps: BTreeMap<u64, Growth> = BTreeMap::new();
    for tensor in &found.tensors {
        let Some(step) = in_name(&tensor.key) else {
            continue;
        };
        let growth = steps.entry(step).or_insert(Growth {
            step: Some(step),
            entries: 0,
            differing: 0,
            greatest_abs: None,
            max_ulp: None,
        });
        growth.entries += 1;
        growth.differing += u64::from(tensor.status != Status::Identical);
        growth.max_ulp = growth.max_ulp.max(tensor.max_ulp);
        let greatest = tensor.greatest_abs.as_ref().map(|place| place.value);
        growth.greatest_abs = match (growth.greatest_abs, greatest) {
            (Some(one), Some(other)) if other.0 > one.0 || other.0.is_nan() => Some(other),
            (one, other) => one.or(other),
        };
    }
    let steps = steps.into_values();
    steps.skip_while(|growth| growth.differing == 0).collect()
}

/// The step of one tensor's first difference.
fn step(tensor: &TensorReport) -> Option<u64> {
    in_name(&tensor.key).or_else(|| {
        let pair = tensor.detail.as_ref()?.first.as_ref()?;
        let (file, _) = tensor.key.rsplit_once(':')?;
        // One value a row of a table, or an event file's scalars.
        let series = tensor.outside.shape.len() == 1 && tensor.text.is_none();
        let kinds = [".json", ".jsonl", ".ndjson", ".csv", ".tsv"];
        let table = kinds.iter().any(|kind| file.ends_with(kind)) || file.contains(".tfevents");
        (series && table).then_some(pair.index)
    })
}

fn in_name(name: &str) -> Option<u64> {
    let lower = name.to_lowercase();
    WORDS.iter().find_map(|word| {
        lower.match_indices(word).find_map(|(at, _)| {
            let rest = lower[at + word.len()..].trim_start_matches(['-', '_', '=', ' ', '/']);
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().ok()
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_read_out_of_a_name() {
        for (name, step) in [
            ("checkpoint-500/model.pt:w", Some(500)),
            ("out/step_10.pt:w", Some(10)),
            ("metrics.csv:loss[step=3]", Some(3)),
            ("Epoch7.npz:w", Some(7)),
            ("steps.json:loss", None),
            ("model.pt:layers.3.weight", None),
        ] {
            assert_eq!(in_name(name), step, "{name}");
        }
    }
}
