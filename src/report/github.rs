//! The report for GitHub Actions: annotations (workflow commands), the job summary and the step's outputs. The command line
//! appends the last two to the files that GitHub names; here they are only text.

use std::fmt::Write as _;

use crate::report::escape::{clean, one_line, shortened};
use crate::report::{Report, markdown, ops, words};
use crate::verdict::Verdict;

/// GitHub shows ten annotations of each kind for a step.
const MOST: usize = 10;

/// Characters of an annotation or an output.
const LONGEST: usize = 4_000;

/// The annotations, the worst first, one a line.
#[must_use]
pub fn annotations(report: &Report) -> String {
    let reports = if report.workloads.is_empty() {
        std::slice::from_ref(report)
    } else {
        &report.workloads
    };
    let (mut errors, mut warnings, mut notices) = (Vec::new(), Vec::new(), Vec::new());
    for report in reports {
        let title = format!("{}: {}", report.verdict, words::title(report));
        let said = (title.clone(), message(report));
        match report.verdict {
            Verdict::Diverged | Verdict::Inconclusive => errors.push(said),
            Verdict::Close => warnings.push(said),
            Verdict::Identical => notices.push(said),
        }
        let unneeded = report.exceptions.iter().filter(|found| found.needed == 0);
        warnings.extend(unneeded.map(|found| {
            let said = format!("the exception for {} was not needed", found.name);
            (title.clone(), said)
        }));
        let said = report.warnings.iter();
        warnings.extend(said.map(|warning| (title.clone(), warning.clone())));
    }
    for report in reports {
        let tensors = report.contents.iter().flat_map(|found| &found.tensors);
        // The first divergence is in the report's own annotation.
        let first = report.first_divergence.as_ref();
        let others = tensors.filter(|tensor| {
            !tensor.agrees() && first.is_none_or(|first| first.name != tensor.key)
        });
        errors.extend(others.map(|tensor| (tensor.key.clone(), tensor.status.to_string())));
    }
    let script = words::script(report);
    let mut out = String::new();
    for (kind, found) in [
        ("error", errors),
        ("warning", warnings),
        ("notice", notices),
    ] {
        // Where there are too many, the last one says so.
        let shown = if found.len() > MOST { MOST - 1 } else { MOST };
        for (title, said) in found.iter().take(shown) {
            annotation(&mut out, kind, script, title, said);
        }
        if found.len() > MOST {
            let said = format!("{} more are in the report", found.len() - shown);
            annotation(&mut out, kind, script, "samebits", &said);
        }
    }
    out
}

/// What happened, where, and what to do next.
fn message(report: &Report) -> String {
    let mut lines = vec![report.reason.clone()];
    if let Some(divergence) = &report.first_divergence {
        let found = words::divergence(divergence);
        lines.extend(found.iter().map(|(label, text)| format!("{label}: {text}")));
    }
    let op = report.ops.as_ref().and_then(ops::headline);
    lines.extend(op.map(|op| format!("op: {op}")));
    lines.extend(report.next.iter().map(|next| format!("next: {next}")));
    lines.join("\n")
}

fn annotation(out: &mut String, kind: &str, script: Option<&str>, title: &str, said: &str) {
    let file = script.map_or(String::new(), |path| {
        format!("file={},line=1,", property(path))
    });
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "::{kind} {file}title={}::{}",
        property(title),
        data(&shortened(said, LONGEST))
    );
}

/// As GitHub's toolkit escapes a command's message.
fn data(text: &str) -> String {
    clean(text)
        .replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// As GitHub's toolkit escapes a command's property.
fn property(text: &str) -> String {
    data(&shortened(&one_line(text), 200))
        .replace(':', "%3A")
        .replace(',', "%2C")
}

/// Bytes that a step may write into its summary.
pub const SUMMARY_LIMIT: usize = 1024 * 1024;

/// Markdown for the job summary, in at most `room` bytes.
#[must_use]
pub fn summary(report: &Report, room: usize) -> String {
    markdown::within(report, room)
}

/// Lines for the file of outputs: `verdict`, `exit_code`, `reason_code`, `reason`, `first_divergence`, `op`.
#[must_use]
pub fn outputs(report: &Report) -> String {
    let first = report.first_divergence.as_ref().map(words::first);
    let op = report.ops.as_ref().and_then(ops::headline);
    let mut out = String::new();
    for (name, value) in [
        ("verdict", report.verdict.to_string()),
        ("exit_code", report.exit_code.to_string()),
        ("reason_code", report.reason_code.clone()),
        ("reason", report.reason.clone()),
        ("first_divergence", first.unwrap_or_default()),
        ("op", op.unwrap_or_default()),
    ] {
        let value = shortened(&one_line(&value), LONGEST);
        // A value must not be able to end itself and begin another output.
        let mut end = String::from("END");
        while value.contains(&end) {
            end.push('_');
        }
        let _ = writeln!(out, "{name}<<{end}\n{value}\n{end}");
    }
    out
}
