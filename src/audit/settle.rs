//! The last word on one workload: guards and controls outrank agreement; then the reason, the claim and the advice.

use crate::claim;
use crate::report::{Report, text};
use crate::spec::Inject;
use crate::substance::vacuous;
use crate::trace::{Phase, Trace};
use crate::verdict::Verdict;

/// The last word: guards and controls outrank agreement; then the reason, the claim and the advice.
pub(super) fn settle(report: &mut Report, reference: &Trace, injected: Option<&Inject>) {
    let failed: Vec<&str> = report
        .controls
        .iter()
        .filter(|control| !control.passed)
        .map(|control| control.name.as_str())
        .collect();
    let entries = text::thousands(report.compared.entries);
    let vacuous = vacuous(reference);
    match (report.verdict, vacuous) {
        (Verdict::Identical | Verdict::Close | Verdict::Inconclusive, Some(why)) => {
            report.set_verdict(
                Verdict::Inconclusive,
                "vacuous",
                format!("agreement would prove nothing: {why}"),
            );
            report.next.push(
                "train for more steps, or with data and a learning rate that change the parameters"
                    .into(),
            );
        }
        // A trace that holds nothing to alter cannot carry a control; a difference from it is one all the same.
        (_, None) if !failed.is_empty() => {
            let reason = format!(
                "the alarm cannot be trusted: control {} failed",
                failed.join(", ")
            );
            report.set_verdict(Verdict::Inconclusive, "control-failed", reason);
            report
                .next
                .push("`--format json` shows what each control expected and observed".into());
        }
        _ => {
            let reason = match report.verdict {
                Verdict::Identical => format!(
                    "{} runs agreed bit for bit on {entries} entries",
                    report.compared.runs
                ),
                Verdict::Close => format!(
                    "{} runs agreed within the tolerance on {entries} entries",
                    report.compared.runs
                ),
                Verdict::Diverged => parted(report),
                Verdict::Inconclusive => "nothing was compared".into(),
            };
            let (verdict, code) = (report.verdict, report.verdict.name());
            report.set_verdict(verdict, code, reason);
        }
    }
    report.claim = claim(report);
    if report.verdict == Verdict::Diverged {
        advise(report, injected);
    }
}

fn parted(report: &Report) -> String {
    match &report.first_divergence {
        Some(first) if first.phase == Some(Phase::Init) => {
            format!(
                "the runs differ from the start: {} after initialisation",
                first.name
            )
        }
        Some(first) => format!("the runs part at {}", first.place()),
        None => "the tensors agree, but a metric differs".into(),
    }
}

fn claim(report: &Report) -> String {
    match report.verdict {
        Verdict::Identical | Verdict::Close => claim::of_agreement(report.compared.runs),
        Verdict::Diverged => "these runs did not agree; one divergence is enough to know it".into(),
        Verdict::Inconclusive => "nothing: the question stays open".into(),
    }
}

fn advise(report: &mut Report, injected: Option<&Inject>) {
    let mode = report
        .subject
        .as_ref()
        .map_or("", |subject| subject.mode.as_str());
    let place = |inject: &Inject| {
        report.first_divergence.as_ref().is_some_and(|first| {
            let step = first.step.filter(|_| first.phase != Some(Phase::Init));
            (step, &first.name, first.index) == (inject.step, &inject.name, Some(inject.index))
        })
    };
    if let Some(inject) = injected.filter(|inject| place(inject)) {
        report.next.push(format!(
            "nothing: --inject {inject} made this difference, and the alarm rang"
        ));
        return;
    }
    let advice = match (mode, &report.first_divergence) {
        _ if report
            .subject
            .as_ref()
            .is_some_and(|subject| subject.isolation == "shared") =>
        {
            "try `--isolation fresh`: runs that share a process also share caches and an allocator"
        }
        (_, None) => {
            "the metric is computed from something that was not recorded: a clock, or data outside the streams"
        }
        (_, Some(first)) if first.phase == Some(Phase::Init) => {
            "initialisation differs: look for a generator that --seed does not reach"
        }
        (_, Some(first)) if first.name.starts_with("batch.") => {
            "the data differ: take their order from `Recorder::stream`, not from a clock, a hash map or threads"
        }
        (_, Some(first)) if first.name.starts_with("rng.") => {
            "a generator was drawn from a different number of times: look for a branch that depends on timing"
        }
        ("off" | "warn", _) => {
            "try `--mode strict`: libtorch then uses deterministic implementations or names the op that has none"
        }
        _ => "try `--threads 1`: if that agrees, an op adds up in an order that threads decide",
    };
    report.next.push(advice.into());
    report
        .next
        .push("`--keep DIR` keeps the traces of every run".into());
}
