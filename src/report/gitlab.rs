//! The report as GitLab's code quality: a JSON array of findings, empty where the bits agree.

use serde_json::{Value, json};

use crate::report::escape::{self, one_line, shortened};
use crate::report::{Report, ops, words};
use crate::verdict::Verdict;

/// Findings for tensors, besides the one for the report.
const MOST_TENSORS: usize = 100;

/// Characters of a description.
const LONGEST: usize = 1_000;

/// The whole document.
#[must_use]
pub fn render(report: &Report) -> String {
    let reports = if report.workloads.is_empty() {
        std::slice::from_ref(report)
    } else {
        &report.workloads
    };
    let findings: Vec<Value> = reports.iter().flat_map(findings).collect();
    let text = serde_json::to_string_pretty(&findings).unwrap_or_default();
    escape::json(&text) + "\n"
}

fn findings(report: &Report) -> Vec<Value> {
    let title = words::title(report);
    let mut findings = Vec::new();
    match report.verdict {
        Verdict::Identical | Verdict::Close => return findings,
        Verdict::Diverged => {
            let mut said = format!("{title}: {}", report.reason);
            if let Some(first) = &report.first_divergence {
                said = format!("{said}; first: {}", words::first(first));
            }
            if let Some(op) = report.ops.as_ref().and_then(ops::headline) {
                said = format!("{said}; op: {op}");
            }
            findings.push(finding(report, "diverged", &title, &said, "critical"));
        }
        Verdict::Inconclusive => {
            let said = format!("{title}: {}", report.reason);
            findings.push(finding(report, &report.reason_code, &title, &said, "major"));
        }
    }
    let tensors = report.contents.iter().flat_map(|found| &found.tensors);
    for tensor in tensors.filter(|tensor| !tensor.agrees()).take(MOST_TENSORS) {
        let said = format!("{}: {}", tensor.key, tensor.status);
        findings.push(finding(report, "tensor", &tensor.key, &said, "critical"));
    }
    findings
}

/// The fingerprint holds what names the finding and nothing that changes from run to run, so that GitLab knows it again.
fn finding(report: &Report, check: &str, name: &str, said: &str, severity: &str) -> Value {
    let identity = [&report.command, check, &words::title(report), name].join("\0");
    json!({
        "description": shortened(&one_line(said), LONGEST),
        "check_name": format!("samebits/{check}"),
        "fingerprint": blake3::hash(identity.as_bytes()).to_hex().as_str(),
        "severity": severity,
        "location": {
            // GitLab wants a path even where there is no file to blame.
            "path": words::script(report).map_or_else(|| "samebits".into(), one_line),
            "lines": { "begin": 1 },
        },
    })
}
