//! Which step and rank a difference belongs to, as far as names and positions tell: training scripts put them into the names
//! of files, or write one value a step.

use std::collections::BTreeMap;

use crate::compare::{Growth, Status};
use crate::diff::{self, Found};
use crate::report::Divergence;
use crate::report::tensors::TensorReport;

/// Words that a number follows in names: `checkpoint-500`, `step_10/model.pt`, `loss[step=3]`.
const STEPS: &[&str] = &["step", "checkpoint", "ckpt", "iter", "epoch"];

/// Likewise: `rank1/model.pt`, `model_rank_1.pt`, `mp_rank_00_model_states.pt`.
const RANKS: &[&str] = &["rank"];

/// The first difference in the order of steps; differences without one come last.
pub(super) fn first(found: &Found, run: usize) -> Option<Divergence> {
    let differing = found.tensors.iter().filter(|tensor| !tensor.agrees());
    let first = differing.min_by_key(|tensor| step(tensor).unwrap_or(u64::MAX))?;
    let mut divergence = diff::divergence(first, run);
    divergence.step = step(first);
    divergence.rank = rank(first);
    Some(divergence)
}

/// How far apart the runs are step by step, from the first that differs, as far as names tell steps.
pub(super) fn growth(found: &Found) -> Vec<Growth> {
    let mut steps: BTreeMap<u64, Growth> = BTreeMap::new();
    for tensor in &found.tensors {
        let Some(step) = number_after(STEPS, &tensor.key) else {
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
    number_after(STEPS, &tensor.key).or_else(|| {
        let pair = tensor.detail.as_ref()?.first.as_ref()?;
        let (file, _) = tensor.key.rsplit_once(':')?;
        // One value a row of a table, or an event file's scalars.
        let series = tensor.outside.shape.len() == 1 && tensor.text.is_none();
        let kinds = [".json", ".jsonl", ".ndjson", ".csv", ".tsv"];
        let table = kinds.iter().any(|kind| file.ends_with(kind)) || file.contains(".tfevents");
        (series && table).then_some(pair.index)
    })
}

/// The rank that wrote a tensor. A tensor's own name counts only as `[rank=1]`: others speak of the rank of a matrix.
fn rank(tensor: &TensorReport) -> Option<u64> {
    let (file, name) = tensor.key.rsplit_once(':').unwrap_or((&tensor.key, ""));
    number_after(RANKS, file).or_else(|| number_after(&["rank="], name))
}

/// Which ranks agree and which do not, where there are several.
pub(super) fn ranks(found: &Found) -> Option<String> {
    let mut ranks: BTreeMap<u64, (usize, usize)> = BTreeMap::new();
    for tensor in &found.tensors {
        if let Some(rank) = rank(tensor) {
            let (differing, all) = ranks.entry(rank).or_default();
            *differing += usize::from(!tensor.agrees());
            *all += 1;
        }
    }
    let odd: Vec<String> = ranks
        .iter()
        .filter(|(_, (differing, _))| *differing > 0)
        .map(|(rank, (differing, all))| format!("rank {rank} in {differing} of {all} tensors"))
        .collect();
    (ranks.len() > 1 && !odd.is_empty()).then(|| {
        let agree = ranks.len() - odd.len();
        format!(
            "by rank: {agree} of {} agree; differing: {}",
            ranks.len(),
            odd.join(", ")
        )
    })
}

/// The number after one of these words.
fn number_after(words: &[&str], name: &str) -> Option<u64> {
    let lower = name.to_lowercase();
    words.iter().find_map(|word| {
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
    use crate::report::tensors::Outside;

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
            assert_eq!(number_after(STEPS, name), step, "{name}");
        }
    }

    #[test]
    fn a_rank_is_read_out_of_the_name_of_a_file() {
        for (name, expected) in [
            ("out/rank1/model.pt:w", Some(1)),
            ("model_rank_12.pt:w", Some(12)),
            ("rank=3.json:loss", Some(3)),
            ("global_step20/mp_rank_00_model_states.pt:w", Some(0)),
            ("losses.csv:loss[rank=1]", Some(1)),
            ("model.pt:lora_rank_8.weight", None),
            ("ranking.json:top", None),
        ] {
            let outside = Outside {
                dtype: "float32".into(),
                shape: vec![],
            };
            let tensor = TensorReport::outside(name, Status::Diverged, outside, 1);
            assert_eq!(rank(&tensor), expected, "{name}");
        }
    }
}
