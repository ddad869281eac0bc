//! What the traces and their comparisons say, before any judgement on the whole.

use crate::audit::{Named, Options};
use crate::compare::Comparison;
use crate::report::{Report, Run, Subject};
use crate::trace::Trace;
use crate::verdict::{Verdict, judge};

/// Mismatches that a report lists; it says how many there were.
const LISTED: usize = 100;

pub(super) fn subject(workload: &Named, options: &Options) -> Subject {
    Subject {
        workload: workload.name.clone(),
        steps: options.steps.unwrap_or(workload.steps),
        batch: options.batch.unwrap_or(workload.batch),
        dtype: options.dtype.name().into(),
        device: options.device.clone(),
        threads: options.threads,
        mode: options.mode.name().into(),
        isolation: options.isolation.name().into(),
    }
}

/// Everything that needs no further run.
pub(super) fn describe(
    workload: &Named,
    options: &Options,
    traces: &[Trace],
    comparisons: &[Comparison],
) -> Report {
    let mut report = Report::new("audit", Verdict::Inconclusive, "unjudged", "", options.seed);
    report.subject = Some(subject(workload, options));
    let manifest = &traces[0].manifest;
    report.settings.clone_from(&manifest.settings);
    report.fingerprint = Some(manifest.fingerprint.clone());
    report.warnings.clone_from(&manifest.warnings);
    let verdicts: Vec<Verdict> = comparisons.iter().map(judge).collect();
    report.runs = traces
        .iter()
        .enumerate()
        .map(|(run, trace)| Run {
            run,
            result: run
                .checked_sub(1)
                .map_or("reference", |at| verdicts[at].name())
                .into(),
            digest: trace.digest().to_string(),
            metrics: trace.manifest.metrics.clone(),
        })
        .collect();
    let mut digests: Vec<&str> = report.runs.iter().map(|run| run.digest.as_str()).collect();
    digests.sort_unstable();
    digests.dedup();
    report.distinct_results = Some(digests.len());
    for comparison in comparisons {
        report.compared.steps = report.compared.steps.max(comparison.compared.steps);
        report.compared.entries = report.compared.entries.max(comparison.compared.entries);
        report.compared.bytes = report.compared.bytes.max(comparison.compared.bytes);
    }
    report.compared.runs = traces.len() as u64;
    let worst = verdicts
        .iter()
        .copied()
        .max()
        .unwrap_or(Verdict::Inconclusive);
    report.set_verdict(worst, worst.name(), "");
    if let Some(at) = verdicts.iter().position(|&verdict| verdict == worst) {
        let shown = &comparisons[at];
        report.mismatch_count = shown.mismatches.len();
        report.mismatches = shown.mismatches.iter().take(LISTED).cloned().collect();
        report.growth.clone_from(&shown.growth);
        report.metrics.clone_from(&shown.metrics);
    }
    report
}
