//! The parts of the text about runs: results, where they part, how the difference grows, knobs.

use std::fmt::Write as _;

use super::LONGEST_LINE;
use super::line;
use crate::compare::Growth;
use crate::error::plain;
use crate::knob::Origin;
use crate::report::{Report, Run};

/// Lines of growth shown; the JSON form holds all.
const GROWTH_LINES: usize = 8;

pub(super) fn runs(out: &mut String, report: &Report) {
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
    if let Some(Run { metrics, .. }) = report.runs.first()
        && !metrics.is_empty()
    {
        let text: Vec<_> = metrics
            .iter()
            .map(|(name, value)| format!("{name} {value:.4}"))
            .collect();
        line(out, "learned", &text.join(", "));
    }
}

pub(super) fn growth(out: &mut String, growth: &[Growth]) {
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

pub(super) fn settings(out: &mut String, report: &Report) {
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
    line(out, "", "knobs in force:");
    let mut row = String::from(" ");
    for setting in asked {
        if row.len() + setting.len() > 100 {
            line(out, "", &plain(&row, LONGEST_LINE));
            row = String::from(" ");
        }
        let _ = write!(row, " {setting}");
    }
    line(out, "", &plain(&row, LONGEST_LINE));
}
