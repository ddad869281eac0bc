//! The last word on a gate: controls outrank agreement; then the reason, the claim and the advice.

use super::content::{self, Digested};
use super::execute::{Runner, Wrote};
use super::options::{Options, Runs, Workdir};
use super::{Series, step};
use crate::claim;
use crate::diff;
use crate::error::Failure;
use crate::knob::{Origin, Plan, Setting};
use crate::report::{Program, Report, text};
use crate::verdict::Verdict;

/// Words in names of values that no two runs share, and that a person may have forgotten.
const CLOCKS: &[&str] = &[
    "time", "date", "stamp", "elapsed", "duration", "seconds", "per_sec", "started", "finished",
    "created", "host", "pid", "uuid", "run_id",
];

/// What was run, for the report.
pub(super) fn program(options: &Options) -> Program {
    Program {
        command: options
            .command
            .iter()
            .map(|word| word.to_string_lossy().into_owned())
            .collect(),
        mode: options.mode.map_or("own", |mode| mode.name()).into(),
        workdir: options.workdir.name().into(),
        artifacts: options.artifacts.clone(),
        kept: None,
        repeat: Vec::new(),
    }
}

/// Nothing could be judged, and why.
pub(super) fn inconclusive(report: &mut Report, why: Failure, options: &Options) {
    report.set_verdict(Verdict::Inconclusive, &why.code, why.message);
    report.next.push(why.hint);
    if options.workdir == Workdir::Copy && why.code == "no-artifact" {
        report.next.push("paths outside the working folder are not watched: let the command write to $SAMEBITS_OUT".into());
    }
    report.claim = "nothing: the question stays open".into();
}

/// The verdict on all runs.
pub(super) fn settle(report: &mut Report, series: &Series, options: &Options, result: &[Digested]) {
    let done = series.runs.len();
    if let (Some((code, reason, hint)), None) = (&series.doubt, &series.first) {
        report.set_verdict(Verdict::Inconclusive, code, reason.clone());
        report.next.push(hint.clone());
    } else if let Some(why) = diff::distrust(&report.controls) {
        report.set_verdict(Verdict::Inconclusive, "control-failed", why);
        report
            .next
            .push("a tolerance that accepts anything, or a pattern that hides everything, is no check: narrow it".into());
    } else if let Some((run, found)) = &series.first {
        let first = step::first(found, *run);
        let place = first
            .as_ref()
            .map_or(String::new(), |first| format!(": {}", first.place()));
        let reason = format!(
            "run {run} differs from run 0 in {} of {} tensors{place}",
            text::thousands(found.differing() as u64),
            text::thousands(found.tensors.len() as u64)
        );
        report.set_verdict(Verdict::Diverged, "diverged", reason);
        report.first_divergence = first;
        report.growth = step::growth(found);
        advise(report, found, options);
    } else if done > 1 {
        let verdict = series.tally.verdict();
        let count = series.last.as_ref().map_or(0, |found| found.tensors.len()) as u64;
        let agreed = if verdict == Verdict::Close {
            "within the tolerance"
        } else {
            "bit for bit"
        };
        let reason = format!(
            "{done} runs agreed {agreed} on {} tensors",
            text::thousands(count)
        );
        report.set_verdict(verdict, verdict.name(), reason);
    } else {
        report.set_verdict(Verdict::Identical, "identical", "the command ran once");
    }
    report.claim = claim(report, done);
    let digest = content::digest(result);
    report.runs = series.listed(&digest.to_string());
    let mut digests: Vec<&str> = report.runs.iter().map(|run| run.digest.as_str()).collect();
    digests.sort_unstable();
    digests.dedup();
    // Runs that are close differ too, but were not digested one by one.
    let close = series.runs.iter().any(|run| run.0 == Verdict::Close);
    report.distinct_results = (!close).then_some(digests.len());
}

fn claim(report: &Report, runs: usize) -> String {
    match report.verdict {
        Verdict::Identical | Verdict::Close => claim::of_agreement(runs as u64),
        Verdict::Diverged => "these runs did not agree; one divergence is enough to know it".into(),
        Verdict::Inconclusive => "nothing: the question stays open".into(),
    }
}

fn advise(report: &mut Report, found: &diff::Found, options: &Options) {
    let names: Vec<&str> = found
        .tensors
        .iter()
        .filter(|one| !one.agrees())
        .map(|one| one.key.as_str())
        .collect();
    let clock = |name: &&&str| {
        let last = name
            .rsplit(['.', ':', '/'])
            .next()
            .unwrap_or(name)
            .to_lowercase();
        CLOCKS.iter().any(|word| last.contains(word))
    };
    let clocks: Vec<&&str> = names.iter().filter(clock).collect();
    if !clocks.is_empty() {
        let flags: Vec<String> = clocks
            .iter()
            .take(3)
            .map(|name| format!("--ignore '{name}'"))
            .collect();
        report.next.push(format!(
            "if these hold times or identities and not results: {}",
            flags.join(" ")
        ));
    }
    if clocks.len() < names.len() {
        let advice = match (options.seed, options.mode) {
            (None, None) => {
                "`--seed 0` tells a missing seed from a nondeterministic op, and `--mode strict` names such an op or cures it (Python programs with torch)"
            }
            (Some(_), None) => "`--mode strict` names a nondeterministic op or cures it",
            (None, Some(_)) => "`--seed 0` tells whether a seed is missing",
            (Some(_), Some(_)) => {
                "`--threads 1` tells whether sums depend on how threads share them"
            }
        };
        report.next.push(advice.into());
    }
}

/// Everything else that a report says.
pub(super) fn describe(
    report: &mut Report,
    series: &Series,
    options: &Options,
    plan: &Plan,
    runner: &Runner<'_>,
    wrote: &Wrote,
) {
    let mut described = program(options);
    described.repeat = runner.script();
    report.program = Some(described);
    report.compared.runs = series.runs.len() as u64;
    report.settings = plan
        .launch
        .iter()
        .map(|request| Setting {
            name: request.name.clone(),
            requested: Some(request.value.clone()),
            in_force: Some(request.value.clone()),
            origin: Some(request.origin),
        })
        .chain(wrote.reached.settings.iter().cloned())
        .collect();
    notes(report, options, plan, runner, wrote);
    let shown = series
        .first
        .as_ref()
        .map(|(_, found)| found)
        .or(series.last.as_ref());
    if let Some(found) = shown {
        report.notes.extend(step::ranks(found));
        report.compared.entries = found.tensors.len() as u64;
        report.compared.bytes = found.bytes;
        report.mismatch_count = found.differing();
        report.notes.extend(found.notes.iter().cloned());
        report.exceptions.clone_from(&found.exceptions);
        report.contents = Some(diff::contents(found));
    }
    if let Runs::Planned { .. } = options.runs {
        report.notes.push(format!(
            "{} of {} planned runs were made",
            series.runs.len(),
            series.planned
        ));
    }
}

fn notes(report: &mut Report, options: &Options, plan: &Plan, runner: &Runner<'_>, wrote: &Wrote) {
    let asked = options.mode.is_some() || options.seed.is_some();
    let reached = &wrote.reached;
    if asked && reached.processes == 0 {
        report.notes.push(not_reached(options));
    } else if reached.processes > 0 {
        report.notes.push(format!(
            "torch {} in {}, read back at the end",
            reached.versions.join(" and "),
            match reached.processes {
                1 => "1 Python process".into(),
                more => format!("{more} Python processes"),
            }
        ));
    }
    for missed in &reached.missed {
        report.notes.push(missed.clone());
    }
    let kept: Vec<&str> = plan
        .launch
        .iter()
        .filter(|request| request.origin == Origin::Environment)
        .map(|request| request.name.as_str())
        .collect();
    if !kept.is_empty() {
        report.notes.push(format!(
            "kept as found in the environment: {}",
            kept.join(", ")
        ));
    }
    if runner.printed_only {
        report
            .notes
            .push("the command wrote no file: what it printed was compared".into());
    }
    if !wrote.gathered.left.is_empty() {
        let some: Vec<&str> = wrote
            .gathered
            .left
            .iter()
            .take(3)
            .map(String::as_str)
            .collect();
        report.notes.push(format!(
            "written but not compared: {} files ({})",
            wrote.gathered.left.len(),
            some.join(", ")
        ));
    }
    report.notes.extend(wrote.notes.iter().cloned());
}

/// What was asked for and did not reach the program, and what keeps it away.
fn not_reached(options: &Options) -> String {
    let mode = options.mode.map(|mode| format!("--mode {}", mode.name()));
    let seed = options.seed.map(|seed| format!("--seed {seed}"));
    let asked: Vec<String> = mode.into_iter().chain(seed).collect();
    format!(
        "{} did not reach the program: no Python process in it loaded torch and samebits' hook with it (python -I and -E, a \
         PYTHONPATH that the program sets itself, and TORCH_DEVICE_BACKEND_AUTOLOAD=0 keep the hook away)",
        asked.join(" and ")
    )
}
