//! [`diff`]: two files or folders into one verdict. The story of the command, top to bottom; `gate` tells it once a run.

use std::collections::BTreeMap;
use std::path::Path;

use crate::compare::Status;
use crate::difference::unravel;
use crate::dtype::{Dtype, Kind};
use crate::error::plain;
use crate::evidence::LONGEST_NAME;
use crate::report::tensors::{Contents, Counts, TensorReport};
use crate::report::{Control, Divergence, Report, text};
use crate::rules::Rules;
use crate::tolerance::Tolerance;
use crate::verdict::Verdict;

mod controls;
mod events;
mod excerpt;
mod found;
mod job;
mod layers;
mod moments;
mod pairs;
mod properties;
mod renamed;
mod sides;

pub use controls::controls;
pub use found::Found;
pub use moments::timeless;
pub use pairs::{Paired, look_at, pair};
pub use sides::compare;

/// Rows of the report's table; the counts are of all.
const MOST_ROWS: usize = 10_000;

/// Compares what stands at two paths. Failures become the verdict `inconclusive`.
#[must_use]
pub fn diff(reference: &Path, candidate: &Path, rules: &Rules) -> Report {
    match compare(reference, candidate, rules) {
        Ok(found) => settle(&found, rules),
        Err(error) => Report::inconclusive("diff", &error.to_failure(), None),
    }
}

fn settle(found: &Found, rules: &Rules) -> Report {
    let (mut verdict, mut code, mut reason) = judge(found);
    // Where nothing could be judged there is nothing to try them on.
    let controls = match verdict {
        Verdict::Inconclusive => Vec::new(),
        _ => controls(found, rules),
    };
    if let Some(why) = distrust(&controls) {
        (verdict, code, reason) = (Verdict::Inconclusive, "control-failed", why);
    }
    let mut report = Report::new("diff", verdict, code, reason, None);
    report.controls = controls;
    if code == "control-failed" {
        report
            .next
            .push("a tolerance that accepts anything, or a pattern that hides everything, is no check: narrow it".into());
    }
    report.compared.runs = 2;
    report.compared.entries = found.tensors.len() as u64;
    report.compared.bytes = found.bytes;
    report.first_divergence = first(found);
    report.mismatch_count = found.differing();
    report.claim = match verdict {
        Verdict::Identical => "these two hold the same; nothing about how they came to be".into(),
        Verdict::Close => {
            "these two hold the same within the tolerance that was asked for; nothing about how they came to be".into()
        }
        Verdict::Diverged => "these two do not hold the same".into(),
        Verdict::Inconclusive => "nothing: the question stays open".into(),
    };
    // A tolerance helps numbers, and not words or bytes.
    let number = |tensor: &TensorReport| {
        tensor.mismatched > 0
            && tensor
                .outside
                .dtype
                .parse::<Dtype>()
                .is_ok_and(|dtype| dtype.kind() != Kind::Bool)
    };
    if verdict == Verdict::Diverged
        && rules.tolerance == Tolerance::Bitwise
        && found.tensors.iter().any(number)
    {
        report
            .next
            .push("`--close` compares within the tolerances of torch.testing.assert_close".into());
    }
    if matches!(rules.tolerance, Tolerance::Close(_))
        && found
            .tensors
            .iter()
            .any(|tensor| tensor.status == Status::Dtype)
    {
        report
            .next
            .push("`--no-check-dtype` compares values across dtypes: 1 with 0.99 too".into());
    }
    let nan = |tensor: &TensorReport| {
        let detail = tensor.detail.as_ref();
        !tensor.agrees() && detail.is_some_and(|detail| detail.reference_special.nan > 0)
    };
    if let Tolerance::Close(close) = rules.tolerance
        && !close.equal_nan()
        && found.tensors.iter().any(nan)
    {
        report.next.push(
            "NaN counts as different from NaN here, as in torch; `--equal-nan` changes that".into(),
        );
    }
    if code == "nothing-matched" {
        report
            .next
            .push("`*` stands for anything but `/`, `**` for anything".into());
    }
    for hint in found.unread.iter().map(|unread| &unread.hint) {
        if verdict == Verdict::Inconclusive && !report.next.contains(hint) {
            report.next.push(hint.clone());
        }
    }
    report.notes.clone_from(&found.notes);
    report.exceptions.clone_from(&found.exceptions);
    report.contents = Some(contents(found));
    report
}

/// Why no verdict can be trusted, if a control failed.
#[must_use]
pub fn distrust(controls: &[Control]) -> Option<String> {
    let failed = controls.iter().find(|control| !control.passed)?;
    Some(format!(
        "the alarm cannot be trusted: control {} failed ({}): expected {:?}, observed {:?}",
        failed.name, failed.what, failed.expected, failed.observed
    ))
}

/// The verdict, a word for it and the reason.
#[must_use]
pub fn judge(found: &Found) -> (Verdict, &str, String) {
    let tally = found.tally();
    let count = text::thousands(tally.compared);
    let verdict = tally.verdict();
    match verdict {
        Verdict::Diverged => {
            let reason = format!(
                "{} of {count} tensors differ",
                text::thousands(tally.differing)
            );
            (verdict, "diverged", reason)
        }
        Verdict::Inconclusive => {
            let (code, reason) = inconclusive(found);
            (verdict, code, reason)
        }
        Verdict::Identical | Verdict::Close => match found.substance.lack() {
            Some(why) => {
                let reason = format!("agreement would prove nothing: {why}");
                (Verdict::Inconclusive, "vacuous", reason)
            }
            None if verdict == Verdict::Close => {
                let reason = format!(
                    "{count} tensors agree within the tolerance, {} of them not bit for bit",
                    text::thousands(tally.close)
                );
                (verdict, "close", reason)
            }
            None => (
                verdict,
                "identical",
                format!("{count} tensors are identical"),
            ),
        },
    }
}

/// Why nothing that was compared decides: names that were asked for and are not there, files that could not be read, nothing at all.
fn inconclusive(found: &Found) -> (&str, String) {
    let rest = match found.tensors.len() as u64 {
        0 => String::new(),
        agree => format!("; {} tensors agree", text::thousands(agree)),
    };
    if let Some(pattern) = found.only_nothing.first() {
        let some: Vec<_> = found
            .some_left_out
            .iter()
            .map(|name| plain(name, LONGEST_NAME))
            .collect();
        let names = if some.is_empty() {
            String::new()
        } else {
            format!("; there are, for example, {}", some.join(", "))
        };
        return (
            "nothing-matched",
            format!("--only {pattern} means nothing that is here{rest}{names}"),
        );
    }
    if let Some(first) = found.unread.first() {
        let reason = match found.unread.len() {
            1 => format!("{}{rest}", first.what),
            more => {
                let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
                for unread in &found.unread {
                    *kinds.entry(&unread.code).or_default() += 1;
                }
                let kinds: Vec<String> = kinds
                    .iter()
                    .map(|(code, count)| format!("{count} {code}"))
                    .collect();
                format!(
                    "{more} parts could not be read ({}){rest}; the first: {}",
                    kinds.join(", "),
                    first.what
                )
            }
        };
        return (&first.code, reason);
    }
    if found.tensors.is_empty() && !found.some_left_out.is_empty() {
        let some: Vec<_> = found
            .some_left_out
            .iter()
            .map(|name| plain(name, LONGEST_NAME))
            .collect();
        let reason = format!(
            "no name passes --only, --ignore and the overrides; there are, for example, {}",
            some.join(", ")
        );
        return ("nothing-matched", reason);
    }
    (
        "vacuous",
        "there is nothing to compare: no tensors, or only empty ones".into(),
    )
}

/// The report's table: of very many tensors, first those that are not identical.
#[must_use]
pub fn contents(found: &Found) -> Contents {
    let counts = Counts {
        unread: found.unread.len() as u64,
        identical: found.with(Status::Identical) as u64,
        close: found.with(Status::Close) as u64,
        differing: found.differing() as u64,
        left_out: found.left_out,
    };
    let (layers, layers_not_listed) = layers::layers(&found.tensors);
    let total = found.tensors.len();
    let mut tensors = found.tensors.clone();
    if total > MOST_ROWS {
        let mut spare = total - MOST_ROWS;
        tensors.retain(|tensor| {
            let leave = spare > 0 && tensor.status == Status::Identical;
            spare -= usize::from(leave);
            !leave
        });
        tensors.truncate(MOST_ROWS);
    }
    Contents {
        tensors_not_listed: (total - tensors.len()) as u64,
        tensors,
        counts,
        layers,
        layers_not_listed,
        unread: found.unread.iter().take(MOST_ROWS).cloned().collect(),
    }
}

/// The first tensor that differs, in the order of the reference.
fn first(found: &Found) -> Option<Divergence> {
    let tensor = found.tensors.iter().find(|tensor| !tensor.agrees())?;
    Some(divergence(tensor, 1))
}

/// One tensor that differs, as a report shows it; `run` is the candidate's number.
#[must_use]
pub fn divergence(tensor: &TensorReport, run: usize) -> Divergence {
    let pair = tensor
        .detail
        .as_ref()
        .and_then(|detail| detail.first.as_ref());
    Divergence {
        run,
        rank: None,
        step: None,
        phase: None,
        name: tensor.key.clone(),
        occurrence: 0,
        op: None,
        status: tensor.status,
        outline: Some(tensor.outside.clone()),
        candidate_outline: tensor.candidate.as_deref().cloned(),
        index: pair.map(|pair| pair.index),
        position: pair.map(|pair| unravel(pair.index, &tensor.outside.shape)),
        reference: pair.map(|pair| pair.reference.clone()),
        candidate: pair.map(|pair| pair.candidate.clone()),
        ulp: pair.and_then(|pair| pair.ulp),
        text: tensor.text.as_deref().cloned(),
        differing: pair.map(|_| (tensor.differing, tensor.numel)),
        repeat: None,
        last_agreed: None,
    }
}
