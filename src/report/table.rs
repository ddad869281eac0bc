//! [`Table`]: the tables that the formats for people share, capped, with what was left out counted.

use crate::compare::Status;
use crate::knob::Origin;
use crate::number::Number;
use crate::report::Report;
use crate::report::tensors::{Place, TensorReport};
use crate::report::text::thousands;

/// Rows of words under a head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// What it shows.
    pub title: &'static str,
    /// The names of the columns.
    pub head: &'static [&'static str],
    /// The rows, each as wide as the head.
    pub rows: Vec<Vec<String>>,
    /// Rows that are not shown.
    pub more: u64,
}

impl Table {
    fn new(
        title: &'static str,
        head: &'static [&'static str],
        rows: impl IntoIterator<Item = Vec<String>>,
        most: usize,
    ) -> Self {
        let mut rows = rows.into_iter();
        let shown: Vec<_> = rows.by_ref().take(most).collect();
        Self {
            title,
            head,
            rows: shown,
            more: rows.count() as u64,
        }
    }
}

/// Tensors that are not identical, those that differ first.
#[must_use]
pub fn tensors(report: &Report, most: usize) -> Option<Table> {
    let contents = report.contents.as_ref()?;
    let with = |close: bool| {
        contents.tensors.iter().filter(move |tensor| {
            tensor.status != Status::Identical && (tensor.status == Status::Close) == close
        })
    };
    let mut table = Table::new(
        "Tensors",
        &[
            "tensor",
            "status",
            "dtype and shape",
            "elements that differ",
            "greatest absolute",
            "greatest relative",
            "max ULP",
        ],
        with(false).chain(with(true)).map(tensor),
        most,
    );
    let all = contents.counts.not_identical();
    table.more = all.saturating_sub(table.rows.len() as u64);
    Some(table)
}

fn tensor(tensor: &TensorReport) -> Vec<String> {
    let outside = format!("{} {:?}", tensor.outside.dtype, tensor.outside.shape);
    let outside = match &tensor.candidate {
        Some(other) => format!("{outside} → {} {:?}", other.dtype, other.shape),
        None => outside,
    };
    let elements = match &tensor.detail {
        Some(_) => format!(
            "{} of {}",
            thousands(tensor.differing),
            thousands(tensor.numel)
        ),
        None => String::new(),
    };
    let greatest = |place: Option<&Place>| number(place.map(|place| place.value));
    vec![
        tensor.key.clone(),
        tensor.status.to_string(),
        outside,
        elements,
        greatest(tensor.greatest_abs.as_ref()),
        greatest(tensor.greatest_rel.as_ref()),
        count(tensor.max_ulp),
    ]
}

/// Layers with something that is not identical; none where they are the tensors over again.
#[must_use]
pub fn layers(report: &Report, most: usize) -> Option<Table> {
    let contents = report.contents.as_ref()?;
    // Where each layer is a single tensor it says nothing new.
    let many = (contents.layers.len() as u64).saturating_add(contents.layers_not_listed);
    if many < 2 || many >= contents.counts.not_identical() {
        return None;
    }
    let rows = contents.layers.iter().map(|layer| {
        vec![
            layer.name.clone(),
            format!("{} of {}", layer.differing, layer.tensors),
            format!(
                "{} of {}",
                thousands(layer.elements),
                thousands(layer.numel)
            ),
            number(layer.greatest_abs),
            number(layer.greatest_rel),
            count(layer.max_ulp),
        ]
    });
    let mut table = Table::new(
        "Layers",
        &[
            "layer",
            "tensors that differ",
            "elements that differ",
            "greatest absolute",
            "greatest relative",
            "max ULP",
        ],
        rows,
        most,
    );
    table.more += contents.layers_not_listed;
    Some(table)
}

/// Entries of the traces that disagree, in execution order.
#[must_use]
pub fn mismatches(report: &Report, most: usize) -> Table {
    let rows = report.mismatches.iter().map(|mismatch| {
        let found = mismatch.difference.as_ref();
        vec![
            mismatch.key.to_string(),
            mismatch.status.to_string(),
            found.map_or(String::new(), |found| {
                let (differing, of) = (thousands(found.bits_differing), thousands(found.numel));
                format!("{differing} of {of}")
            }),
            number(found.and_then(|found| Some(Number(found.greatest_abs?.value)))),
            count(found.and_then(|found| Some(found.max_ulp?.value))),
        ]
    });
    let head = &[
        "entry",
        "status",
        "elements that differ",
        "greatest absolute",
        "max ULP",
    ];
    let mut table = Table::new("Mismatches", head, rows, most);
    table.more = (report.mismatch_count as u64).saturating_sub(table.rows.len() as u64);
    if report.mismatches.is_empty() {
        table.more = 0;
    }
    table
}

/// How the difference grew.
#[must_use]
pub fn growth(report: &Report, most: usize) -> Table {
    let rows = report.growth.iter().map(|growth| {
        vec![
            growth
                .step
                .map_or("init".into(), |step| format!("step {step}")),
            format!("{} of {}", growth.differing, growth.entries),
            number(growth.greatest_abs),
            count(growth.max_ulp),
        ]
    });
    let head = &[
        "step",
        "entries that differ",
        "greatest absolute",
        "max ULP",
    ];
    Table::new("Growth", head, rows, most)
}

/// The runs and what came of each.
#[must_use]
pub fn runs(report: &Report, most: usize) -> Table {
    let rows = report.runs.iter().map(|run| {
        let metrics: Vec<_> = run
            .metrics
            .iter()
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        vec![
            run.run.to_string(),
            run.result.clone(),
            run.digest.clone(),
            metrics.join(", "),
        ]
    });
    Table::new("Runs", &["run", "result", "digest", "metrics"], rows, most)
}

/// Numbers for people that differ.
#[must_use]
pub fn metrics(report: &Report, most: usize) -> Table {
    let whole = |value: Option<Number>| value.map_or("absent".into(), |value| value.to_string());
    let rows = report.metrics.iter().map(|metric| {
        vec![
            metric.name.clone(),
            whole(metric.reference),
            whole(metric.candidate),
        ]
    });
    let head = &["metric", "reference", "candidate"];
    Table::new("Metrics that differ", head, rows, most)
}

/// Cases whose verdict was known beforehand.
#[must_use]
pub fn controls(report: &Report, most: usize) -> Table {
    let rows = report.controls.iter().map(|control| {
        let passed = if control.passed { "passed" } else { "FAILED" };
        vec![
            control.name.clone(),
            passed.into(),
            control.what.clone(),
            control.expected.clone(),
            control.observed.clone(),
        ]
    });
    let head = &["control", "outcome", "what it does", "expected", "observed"];
    Table::new("Controls", head, rows, most)
}

/// Exceptions to the rules.
#[must_use]
pub fn exceptions(report: &Report, most: usize) -> Table {
    let rows = report.exceptions.iter().map(|excepted| {
        vec![
            excepted.name.clone(),
            excepted.what.clone(),
            format!("{} of {}", excepted.needed, excepted.matched),
            excepted.reason.clone(),
        ]
    });
    let head = &["names", "exception", "needed", "reason"];
    Table::new("Exceptions", head, rows, most)
}

/// Knobs as read back: those that somebody asked for, or all.
#[must_use]
pub fn settings(report: &Report, all: bool, most: usize) -> Table {
    let asked = report
        .settings
        .iter()
        .filter(|setting| all || setting.origin.is_some());
    let rows = asked.map(|setting| {
        let whose = match setting.origin {
            None => "left alone",
            Some(Origin::Table) => "samebits",
            Some(Origin::Flag) => "--set",
            Some(Origin::Environment) => "the environment",
        };
        let in_force = setting.in_force.as_deref().unwrap_or("(not set)");
        vec![setting.name.clone(), in_force.into(), whose.into()]
    });
    let head = &["knob", "in force", "asked for by"];
    Table::new("Settings", head, rows, most)
}

/// The stack.
#[must_use]
pub fn fingerprint(report: &Report, most: usize) -> Table {
    let facts = report.fingerprint.iter().flat_map(|print| &print.facts);
    let rows = facts.map(|(key, fact)| vec![key.clone(), fact.to_string()]);
    Table::new("Fingerprint", &["fact", "value"], rows, most)
}

fn number(number: Option<Number>) -> String {
    number.map_or(String::new(), |number| format!("{:.3e}", number.0))
}

fn count(count: Option<u64>) -> String {
    count.map_or(String::new(), thousands)
}
