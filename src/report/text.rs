//! The report for people: the verdict first, then what was compared, the first divergence, and what to try next.

use std::fmt::Write as _;

use crate::error::plain;
use crate::number::Number;
use crate::report::escape::shortened;
use crate::report::{Report, ops, words};
use crate::verdict::Verdict;

mod runs;
mod tensors;

/// Characters of a line.
const LONGEST_LINE: usize = 4_000;

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

/// Characters of a warning.
const LONGEST: usize = 160;

/// The whole report.
#[must_use]
pub fn render(report: &Report, color: Color) -> String {
    let mut out = String::new();
    if report.workloads.is_empty() {
        one(&mut out, report, color);
        runs::settings(&mut out, report);
    } else {
        for workload in &report.workloads {
            one(&mut out, workload, color);
            out.push('\n');
        }
        runs::settings(&mut out, report);
        line(
            &mut out,
            "",
            &format!("\n{}  {}", color.verdict(report.verdict), reason(report)),
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
    let name = report.subject.as_ref().map_or(String::new(), |subject| {
        format!("{}: ", plain(&subject.workload, LONGEST_LINE))
    });
    format!(
        "{}  {name}{}\n",
        color.verdict(report.verdict),
        reason(report)
    )
}

/// One line under a label, where names out of files stand; or, without a label, a text of our own.
fn line(out: &mut String, label: &str, text: &str) {
    // Writing to a String cannot fail.
    let _ = if label.is_empty() {
        writeln!(out, "{text}")
    } else {
        writeln!(out, "  {label:<10} {}", plain(text, LONGEST_LINE))
    };
}

/// The reason, which may be a few lines that a program said.
fn reason(report: &Report) -> String {
    let lines = report.reason.split('\n');
    let lines: Vec<_> = lines.map(|line| plain(line, LONGEST_LINE)).collect();
    lines.join("\n")
}

fn one(out: &mut String, report: &Report, color: Color) {
    let name = report
        .subject
        .as_ref()
        .map_or(report.command.as_str(), |subject| &subject.workload);
    line(
        out,
        "",
        &format!(
            "{}  {}: {}",
            color.verdict(report.verdict),
            plain(name, LONGEST_LINE),
            reason(report)
        ),
    );
    if let Some(subject) = &report.subject {
        line(out, "run", &words::subject(subject, report.seed));
    }
    if let Some(compared) = words::compared(report) {
        line(out, "compared", &compared);
    }
    runs::runs(out, report);
    if let Some(divergence) = &report.first_divergence {
        for (label, text) in words::divergence(divergence) {
            line(out, label, &text);
        }
    }
    for (label, text) in report.ops.iter().flat_map(ops::lines) {
        line(out, label, &text);
    }
    if let Some(contents) = &report.contents {
        tensors::contents(out, contents);
        let unread: Vec<String> = contents.unread.iter().map(words::unread).collect();
        capped(out, "unread", &unread);
    }
    runs::growth(out, &report.growth);
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
        line(out, "warning", &shortened(warning, LONGEST));
    }
    for excepted in &report.exceptions {
        tensors::excepted(out, excepted);
    }
    capped(out, "note", &report.notes);
    controls(out, report);
    if !report.claim.is_empty() {
        line(out, "proves", &report.claim);
    }
    for next in &report.next {
        line(out, "next", next);
    }
}

/// Lines of one kind, up to a limit; how many more there are is said.
fn capped(out: &mut String, label: &str, lines: &[String]) {
    const MOST: usize = 8;
    for text in lines.iter().take(MOST) {
        line(out, label, text);
    }
    if lines.len() > MOST {
        let text = format!("({} more are in the JSON form)", lines.len() - MOST);
        line(out, label, &text);
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
