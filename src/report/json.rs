//! The report for machines, and back.

use serde_json::Value;

use crate::report::{Report, SCHEMA_VERSION, escape};

/// One JSON document, ending in a newline.
#[must_use]
pub fn render(report: &Report) -> String {
    let text = serde_json::to_string_pretty(report).unwrap_or_default();
    escape::json(&text) + "\n"
}

/// The report that [`render`] wrote down.
///
/// # Errors
///
/// In words, what is wrong with a document that is not a report, is of a newer schema, holds something that would be
/// lost, or contradicts itself: a report that was changed must not be shown as if it were whole.
pub fn read(text: &str) -> Result<Report, String> {
    let document: Value =
        serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
    let Some(version) = document.get("schema_version").and_then(Value::as_u64) else {
        return Err("it is not a report: it has no schema_version".into());
    };
    if version != u64::from(SCHEMA_VERSION) {
        return Err(format!(
            "its schema is version {version}; samebits {} reads version {SCHEMA_VERSION}",
            env!("CARGO_PKG_VERSION")
        ));
    }
    let report: Report =
        serde_json::from_str(text).map_err(|error| format!("it is not a whole report: {error}"))?;
    let again = serde_json::to_value(&report).unwrap_or_default();
    if let Some(field) = lost(&document, &again) {
        return Err(format!(
            "samebits {} does not understand its field {field}; samebits {} wrote it",
            env!("CARGO_PKG_VERSION"),
            report.samebits
        ));
    }
    consistent(&report)?;
    Ok(report)
}

/// The path of the first thing in `document` that is not in `again`.
fn lost(document: &Value, again: &Value) -> Option<String> {
    let below = |name: String, inner: &Value, again: Option<&Value>| match again {
        // A field that says nothing may be left out.
        None => (!inner.is_null()).then_some(name),
        Some(again) => lost(inner, again).map(|path| match path.as_str() {
            "" => name,
            path => format!("{name}.{path}"),
        }),
    };
    match (document, again) {
        (Value::Object(ours), Value::Object(theirs)) => ours
            .iter()
            .find_map(|(name, inner)| below(name.clone(), inner, theirs.get(name))),
        (Value::Array(ours), Value::Array(theirs)) => ours
            .iter()
            .enumerate()
            .find_map(|(at, inner)| below(at.to_string(), inner, theirs.get(at))),
        _ => (document != again).then(String::new),
    }
}

fn consistent(report: &Report) -> Result<(), String> {
    let (verdict, code) = (report.verdict, report.exit_code);
    if code != verdict.exit_code() {
        return Err(format!(
            "its verdict is {verdict} and its exit_code {code}, which do not belong together"
        ));
    }
    report.workloads.iter().try_for_each(consistent)
}
