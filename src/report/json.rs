//! The report for machines.

use crate::report::Report;

/// One JSON document, ending in a newline.
#[must_use]
pub fn render(report: &Report) -> String {
    let mut text = serde_json::to_string_pretty(report).unwrap_or_default();
    text.push('\n');
    text
}
