//! The report as `JUnit` XML in Jenkins' dialect (its schema is `junit-10.xsd`). A suite for each report; in it the verdict,
//! and a case for each run, control and tensor. A divergence is a failure, what could not be judged an error. There are no
//! times: a report knows no clock.

use std::fmt::Write as _;

use crate::report::escape::{shortened, xml};
use crate::report::tensors::TensorReport;
use crate::report::{Report, ops, table, words};
use crate::verdict::Verdict;

/// Tensors that become cases, those that differ first; one more case stands for the others.
const MOST_TENSORS: usize = 1_000;

/// Characters of a name or a message; what is longer is in the JSON form.
const LONGEST: usize = 1_000;

/// What a case came to.
enum Outcome {
    Passed,
    Failed(String),
    Broken(String),
}

struct Case {
    class: String,
    name: String,
    outcome: Outcome,
    /// Lines for people.
    more: Vec<String>,
}

/// The whole document.
#[must_use]
pub fn render(report: &Report) -> String {
    let suites: Vec<(String, Vec<Case>, &Report)> = if report.workloads.is_empty() {
        vec![report]
    } else {
        report.workloads.iter().collect()
    }
    .into_iter()
    .map(|report| (words::title(report), cases(report), report))
    .collect();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let count = |kind: fn(&Outcome) -> bool| {
        let cases = suites.iter().flat_map(|(_, cases, _)| cases);
        cases.filter(|case| kind(&case.outcome)).count()
    };
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        r#"<testsuites name="samebits" tests="{}" failures="{}" errors="{}">"#,
        count(|_| true),
        count(failed),
        count(broken)
    );
    for (name, cases, report) in &suites {
        suite(&mut out, name, cases, report);
    }
    out.push_str("</testsuites>\n");
    out
}

fn failed(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Failed(_))
}

fn broken(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Broken(_))
}

fn suite(out: &mut String, name: &str, cases: &[Case], report: &Report) {
    let count =
        |kind: fn(&Outcome) -> bool| cases.iter().filter(|case| kind(&case.outcome)).count();
    let _ = writeln!(
        out,
        r#"  <testsuite name="{}" tests="{}" failures="{}" errors="{}" skipped="0">"#,
        short(name),
        cases.len(),
        count(failed),
        count(broken)
    );
    out.push_str("    <properties>\n");
    for (name, value) in properties(report) {
        let _ = writeln!(
            out,
            r#"      <property name="{}" value="{}"/>"#,
            short(&name),
            short(&value)
        );
    }
    out.push_str("    </properties>\n");
    for case in cases {
        write(out, case);
    }
    out.push_str("  </testsuite>\n");
}

fn write(out: &mut String, case: &Case) {
    let _ = writeln!(
        out,
        r#"    <testcase classname="{}" name="{}">"#,
        short(&case.class),
        short(&case.name)
    );
    let lines = xml_lines(&case.more);
    let found = match &case.outcome {
        Outcome::Passed => None,
        Outcome::Failed(message) => Some(("failure", "diverged", message)),
        Outcome::Broken(message) => Some(("error", "inconclusive", message)),
    };
    if let Some((element, kind, message)) = found {
        let _ = writeln!(
            out,
            r#"      <{element} message="{}" type="{kind}">{lines}</{element}>"#,
            short(message)
        );
    } else if !lines.is_empty() {
        let _ = writeln!(out, "      <system-out>{lines}</system-out>");
    }
    out.push_str("    </testcase>\n");
}

fn short(text: &str) -> String {
    xml(&shortened(text, LONGEST))
}

/// Lines stay lines; only inside attributes they must not be.
fn xml_lines(lines: &[String]) -> String {
    let lines: Vec<_> = lines.iter().map(|line| short(line)).collect();
    lines.join("\n")
}

fn properties(report: &Report) -> Vec<(String, String)> {
    let mut properties = vec![
        ("samebits".into(), report.samebits.clone()),
        ("command".into(), report.command.clone()),
        ("verdict".into(), report.verdict.to_string()),
        ("exit_code".into(), report.exit_code.to_string()),
        ("reason_code".into(), report.reason_code.clone()),
    ];
    if let Some(seed) = report.seed {
        properties.push(("seed".into(), seed.to_string()));
    }
    if let Some(subject) = &report.subject {
        properties.push(("run".into(), words::subject(subject, None)));
    }
    if let Some(program) = &report.program {
        properties.push(("program".into(), program.command.join(" ")));
        properties.push(("run".into(), words::program(program)));
    }
    if let Some(compared) = words::compared(report) {
        properties.push(("compared".into(), compared));
    }
    for row in table::settings(report, false, usize::MAX).rows {
        properties.push((format!("knob.{}", row[0]), row[1].clone()));
    }
    for row in table::fingerprint(report, usize::MAX).rows {
        properties.push((format!("fingerprint.{}", row[0]), row[1].clone()));
    }
    properties
}

/// The verdict first: a suite is red exactly when its report is.
fn cases(report: &Report) -> Vec<Case> {
    let mut cases = vec![verdict(report)];
    cases.extend(report.runs.iter().skip(1).map(|run| Case {
        class: "runs".into(),
        name: format!("run {} agrees with run 0", run.run),
        outcome: match (run.result.as_str(), &report.first_divergence) {
            ("identical" | "close", _) => Outcome::Passed,
            ("diverged", Some(first)) if first.run == run.run => {
                Outcome::Failed(words::first(first))
            }
            ("diverged", _) => Outcome::Failed("diverged".into()),
            (other, _) => Outcome::Broken(other.into()),
        },
        more: vec![format!("digest {}", run.digest)],
    }));
    cases.extend(report.controls.iter().map(|control| {
        let said = format!(
            "expected {}, observed {}",
            control.expected, control.observed
        );
        Case {
            class: "controls".into(),
            name: control.name.clone(),
            outcome: if control.passed {
                Outcome::Passed
            } else {
                Outcome::Broken(said)
            },
            more: vec![control.what.clone()],
        }
    }));
    cases.extend(tensors(report));
    cases
}

fn verdict(report: &Report) -> Case {
    let mut more: Vec<String> = report
        .first_divergence
        .iter()
        .flat_map(words::divergence)
        .map(|(label, text)| format!("{label}: {text}"))
        .collect();
    let found = report.ops.iter().flat_map(ops::lines);
    more.extend(found.map(|(label, text)| format!("{label}: {text}")));
    more.extend(report.next.iter().map(|next| format!("next: {next}")));
    more.extend(report.notes.iter().map(|note| format!("note: {note}")));
    if !report.claim.is_empty() {
        more.push(format!("proves: {}", report.claim));
    }
    let mut said = report.reason.clone();
    if let Some(first) = &report.first_divergence {
        let _ = write!(said, "; first: {}", words::first(first));
    }
    if let Some(op) = report.ops.as_ref().and_then(ops::headline) {
        let _ = write!(said, "; op: {op}");
    }
    Case {
        class: "verdict".into(),
        name: "same bits".into(),
        outcome: match report.verdict {
            Verdict::Identical | Verdict::Close => Outcome::Passed,
            Verdict::Diverged => Outcome::Failed(said),
            Verdict::Inconclusive => Outcome::Broken(said),
        },
        more,
    }
}

fn tensors(report: &Report) -> Vec<Case> {
    let Some(contents) = &report.contents else {
        return Vec::new();
    };
    let with = |agrees: bool| {
        let tensors = contents.tensors.iter();
        tensors.filter(move |tensor| tensor.agrees() == agrees)
    };
    let mut cases: Vec<Case> = with(false)
        .chain(with(true))
        .take(MOST_TENSORS)
        .map(tensor)
        .collect();
    let counts = &contents.counts;
    let of = |all: u64, agrees: bool| {
        let listed = cases.iter().filter(|case| failed(&case.outcome) != agrees);
        all.saturating_sub(listed.count() as u64)
    };
    let differ = of(counts.differing, false);
    let agree = of(counts.identical.saturating_add(counts.close), true);
    for (count, outcome) in [
        (differ, Outcome::Failed(format!("{differ} more differ"))),
        (agree, Outcome::Passed),
    ] {
        if count > 0 {
            cases.push(Case {
                class: "tensors".into(),
                name: format!("{count} more tensors"),
                outcome,
                more: vec!["the JSON form lists more of them".into()],
            });
        }
    }
    cases
}

fn tensor(tensor: &TensorReport) -> Case {
    let outside = format!("{} {:?}", tensor.outside.dtype, tensor.outside.shape);
    let elements = match &tensor.detail {
        Some(_) => format!(", {} of {} elements", tensor.differing, tensor.numel),
        None => String::new(),
    };
    let ulp = match tensor.max_ulp {
        Some(ulp) => format!(", up to {ulp} ULP"),
        None => String::new(),
    };
    let said = format!("{}{elements}{ulp}", tensor.status);
    Case {
        class: "tensors".into(),
        name: tensor.key.clone(),
        outcome: if tensor.agrees() {
            Outcome::Passed
        } else {
            Outcome::Failed(said)
        },
        more: if tensor.agrees() {
            Vec::new()
        } else {
            vec![outside]
        },
    }
}
