//! The report for people: the verdict first, then what was compared, the first divergence, and what to try next.

use std::fmt::Write as _;

use crate::compare::{Growth, Status};
use crate::knob::Origin;
use crate::number::Number;
use crate::report::{Divergence, Report, Run};
use crate::verdict::Verdict;

/// Lines of growth shown; the JSON form holds all.
const GROWTH_LINES: usize = 8;

/// Whether to paint words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    /// Plain text.
    Plain,
    /// ANSI escapes.
    Ansi,
}

impl Color {
    fn verdict(self, verdict: Verdict) -> String {
        let word = verdict.name().to_uppercase();
        let code = match verdict {
            Verdict::Identical | Verdict::Close => "32",
            Verdict::Diverged => "31",
            Verdict::Inconclusive => "33",
        };
        match self {
            Self::Plain => word,
            Self::Ansi => format!("\x1b[1;{code}m{word}\x1b[0m"),
        }
    }
}

/// The whole report.
#[must_use]
pub fn render(report: &Report, color: Color) -> String {
    let mut out = String::new();
    if report.workloads.is_empty() {
        one(&mut out, report, color);
        settings(&mut out, report);
    } else {
        for workload in &report.workloads {
            one(&mut out, workload, color);
            out.push('\n');
        }
        settings(&mut out, report);
        line(
            &mut out,
            "",
            &format!("\n{}  {}", color.verdict(report.verdict), report.reason),
        );
        for next in &report.next {
            line(&mut out, "next", next);
        }
    }
    out
}

/// Only the verdicts: one line a workload, one for all.
#[must_use]
pub fn brief(report: &Report, color: Color) -> String {
    let name = report
        .subject
        .as_ref()
        .map_or(String::new(), |subject| format!("{}: ", subject.workload));
    format!(
        "{}  {name}{}\n",
        color.verdict(report.verdict),
        report.reason
    )
}

fn line(out: &mut String, label: &str, text: &str) {
    // Writing to a String cannot fail.
    let _ = if label.is_empty() {
        writeln!(out, "{text}")
    } else {
        writeln!(out, "  {label:<10} {text}")
    };
}

fn one(out: &mut String, report: &Report, color: Color) {
    let name = report
        .subject
        .as_ref()
        .map_or("audit", |subject| &subject.workload);
    line(
        out,
        "",
        &format!(
            "{}  {name}: {}",
            color.verdict(report.verdict),
            report.reason
        ),
    );
    if let Some(subject) = &report.subject {
        let text = format!(
            "{} steps, batch {}, {}, {}, {} threads, mode {}, seed {}, {} processes",
            subject.steps,
            subject.batch,
            subject.dtype,
            subject.device,
            subject.threads,
            subject.mode,
            report.seed,
            subject.isolation
        );
        line(out, "run", &text);
    }
    if report.compared.entries > 0 {
        let compared = &report.compared;
        let text = format!(
            "{} runs, {} steps, {} entries, {}",
            compared.runs,
            compared.steps,
            thousands(compared.entries),
            bytes(compared.bytes)
        );
        line(out, "compared", &text);
    }
    runs(out, report);
    if let Some(divergence) = &report.first_divergence {
        first(out, divergence);
    }
    growth(out, &report.growth);
    for metric in &report.metrics {
        let text = format!(
            "{}: {} in the reference, {} in the candidate",
            metric.name,
            number(metric.reference),
            number(metric.candidate)
        );
        line(out, "metric", &text);
    }
    for warning in report.warnings.iter().take(5) {
        line(out, "warning", &shortened(warning));
    }
    controls(out, report);
    if !report.claim.is_empty() {
        line(out, "proves", &report.claim);
    }
    for next in &report.next {
        line(out, "next", next);
    }
}

fn runs(out: &mut String, report: &Report) {
    if let Some(distinct) = report.distinct_results
        && distinct > 1
    {
        let results: Vec<_> = report
            .runs
            .iter()
            .map(|run| format!("{} {}", run.run, &run.digest[..8]))
            .collect();
        line(
            out,
            "results",
            &format!(
                "{distinct} different ones in {} runs: {}",
                report.runs.len(),
                results.join(", ")
            ),
        );
    }
    if let Some(Run { metrics, .. }) = report.runs.first() {
        let text: Vec<_> = metrics
            .iter()
            .map(|(name, value)| format!("{name} {value:.4}"))
            .collect();
        line(out, "learned", &text.join(", "));
    }
}

fn first(out: &mut String, divergence: &Divergence) {
    let place = match divergence.phase {
        crate::trace::Phase::Init => "after initialisation".to_owned(),
        phase => format!("step {}, {phase}", divergence.step),
    };
    line(
        out,
        "first",
        &format!(
            "{place}, {}: {} in run {}",
            divergence.name, divergence.status, divergence.run
        ),
    );
    if let (Status::Dtype | Status::Shape, Some(ours), Some(theirs)) = (
        divergence.status,
        &divergence.outline,
        &divergence.candidate_outline,
    ) {
        let text = format!(
            "{} {:?} in the reference, {} {:?} in the candidate",
            ours.dtype, ours.shape, theirs.dtype, theirs.shape
        );
        line(out, "", &format!("{:13}{text}", ""));
    }
    if let (Some(index), Some(position), Some(reference), Some(candidate)) = (
        divergence.index,
        &divergence.position,
        &divergence.reference,
        &divergence.candidate,
    ) {
        let ulp = divergence
            .ulp
            .map_or(String::new(), |ulp| format!(", {ulp} ULP apart"));
        line(out, "index", &format!("{position:?} (flat {index}){ulp}"));
        line(
            out,
            "reference",
            &format!("{} = {}", reference.decimal, reference.bits),
        );
        line(
            out,
            "candidate",
            &format!("{} = {}", candidate.decimal, candidate.bits),
        );
    }
    if let Some((differing, of)) = divergence.differing {
        line(
            out,
            "elements",
            &format!("{} of {} differ", thousands(differing), thousands(of)),
        );
    }
    if let Some(repeat) = &divergence.repeat {
        line(out, "repeat", repeat);
    }
    match &divergence.last_agreed {
        Some(key) => line(out, "agreed", &format!("up to {key}")),
        None => line(out, "agreed", "nothing: it is the very first entry"),
    }
}

fn growth(out: &mut String, growth: &[Growth]) {
    if growth.is_empty() {
        return;
    }
    // The first steps and the last one; what lies between is in the JSON.
    let shown: Vec<&Growth> = if growth.len() <= GROWTH_LINES {
        growth.iter().collect()
    } else {
        growth[..GROWTH_LINES - 1]
            .iter()
            .chain(growth.last())
            .collect()
    };
    for (at, step) in shown.iter().enumerate() {
        let label = if at == 0 { "growth" } else { "" };
        let name = step
            .step
            .map_or("init".to_owned(), |step| format!("step {step}"));
        let greatest = step
            .greatest_abs
            .map_or(String::new(), |value| format!(", up to {:.3e}", value.0));
        let ulp = step
            .max_ulp
            .map_or(String::new(), |ulp| format!(", {ulp} ULP"));
        let text = format!(
            "{name}: {} of {} entries differ{greatest}{ulp}",
            step.differing, step.entries
        );
        let _ = writeln!(out, "  {label:<10} {text}");
    }
    if growth.len() > GROWTH_LINES {
        let _ = writeln!(
            out,
            "  {:<10} ({} steps between are in the JSON form)",
            "",
            growth.len() - GROWTH_LINES
        );
    }
}

fn controls(out: &mut String, report: &Report) {
    if report.controls.is_empty() {
        return;
    }
    let text: Vec<_> = report
        .controls
        .iter()
        .map(|control| {
            if control.passed {
                format!("{} passed", control.name)
            } else {
                format!(
                    "{} FAILED (expected {}, observed {})",
                    control.name, control.expected, control.observed
                )
            }
        })
        .collect();
    line(out, "controls", &text.join(", "));
}

fn settings(out: &mut String, report: &Report) {
    let asked: Vec<_> = report
        .settings
        .iter()
        .filter_map(|setting| {
            let whose = match setting.origin? {
                Origin::Table => "",
                Origin::Flag => " (--set)",
                Origin::Environment => " (yours)",
            };
            Some(format!(
                "{}={}{whose}",
                setting.name,
                setting.in_force.as_deref().unwrap_or("(not set)")
            ))
        })
        .collect();
    if asked.is_empty() {
        return;
    }
    line(out, "", "knobs, as read back:");
    let mut row = String::from(" ");
    for setting in asked {
        if row.len() + setting.len() > 100 {
            line(out, "", &row);
            row = String::from(" ");
        }
        let _ = write!(row, " {setting}");
    }
    line(out, "", &row);
}

fn shortened(text: &str) -> String {
    const LONGEST: usize = 160;
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

fn number(value: Option<Number>) -> String {
    value.map_or("absent".into(), |value| value.to_string())
}

/// 1234567 as `1,234,567`.
#[must_use]
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A length in the unit people would choose.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "rounded to one decimal anyway")]
pub fn bytes(count: u64) -> String {
    const UNITS: &[&str] = &["KiB", "MiB", "GiB", "TiB"];
    let mut value = count as f64;
    let mut unit = "bytes";
    for next in UNITS {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if unit == "bytes" {
        format!("{count} bytes")
    } else {
        format!("{value:.1} {unit}")
    }
}
