//! The report as Markdown, for a comment on a pull request or a job summary. What finds no room is named, not cut in half.

use std::fmt::Write as _;

use crate::report::escape::{clean, one_line, shortened};
use crate::report::table::{self, Table};
use crate::report::{Report, ops, words};
use crate::verdict::Verdict;

/// A comment on GitHub may have 65,536 characters.
const COMMENT: usize = 65_000;

/// Rows of a table.
const MOST_ROWS: usize = 20;

/// Characters of a cell.
const CELL: usize = 200;

/// Characters of a line of prose.
const PROSE: usize = 2_000;

/// A piece that is shown whole or left out.
struct Section {
    title: String,
    text: String,
}

/// The whole report, short enough for a comment.
#[must_use]
pub fn render(report: &Report) -> String {
    within(report, COMMENT)
}

/// The report in at most `room` bytes.
#[must_use]
pub fn within(report: &Report, room: usize) -> String {
    let mut sections = sections(report);
    for workload in &report.workloads {
        sections.extend(self::sections(workload));
    }
    let mut out = String::new();
    let mut left_out = Vec::new();
    let last = |left_out: &[String]| {
        let names = shortened(&left_out.join(", "), CELL);
        format!("\n*Left out for lack of room: {names}. The JSON form has everything.*\n")
    };
    for section in sections {
        // Room for the sentence that says what was left out.
        let reserve = last(std::slice::from_ref(&section.title))
            .len()
            .max(5 * CELL);
        if out.len() + section.text.len() + reserve <= room {
            out.push_str(&section.text);
        } else {
            left_out.push(section.title);
        }
    }
    if !left_out.is_empty() && out.len() + last(&left_out).len() <= room {
        out.push_str(&last(&left_out));
    }
    out
}

fn sections(report: &Report) -> Vec<Section> {
    let mut sections = vec![head(report)];
    if let Some(divergence) = &report.first_divergence
        && report.workloads.is_empty()
    {
        let lines = words::divergence(divergence).into_iter();
        let lines: Vec<String> = lines
            .map(|(label, text)| format!("- {label}: {}\n", code(&shortened(&text, PROSE))))
            .collect();
        sections.push(Section {
            title: "First divergence".into(),
            text: format!("\n#### First divergence\n\n{}", lines.concat()),
        });
    }
    if report.workloads.is_empty() {
        let open = [
            report.ops.as_ref().map(ops::table),
            table::tensors(report, MOST_ROWS),
            table::layers(report, MOST_ROWS),
            Some(table::mismatches(report, MOST_ROWS)),
            Some(table::metrics(report, MOST_ROWS)),
            Some(table::growth(report, MOST_ROWS)),
            Some(table::runs(report, MOST_ROWS)),
        ];
        sections.extend(filled(open).map(|table| of_table(&table, true)));
    }
    if let Some(program) = &report.program
        && !program.repeat.is_empty()
    {
        sections.push(Section {
            title: "How to reproduce".into(),
            text: format!("\n#### How to reproduce\n\n{}", fenced(&program.repeat)),
        });
    }
    if report.workloads.is_empty() {
        let folded = [
            Some(table::settings(report, false, 100)),
            Some(table::controls(report, MOST_ROWS)),
            Some(table::exceptions(report, MOST_ROWS)),
            Some(table::fingerprint(report, 200)),
        ];
        sections.extend(filled(folded).map(|table| of_table(&table, false)));
    }
    sections
}

fn filled<const N: usize>(tables: [Option<Table>; N]) -> impl Iterator<Item = Table> {
    let tables = tables.into_iter().flatten();
    tables.filter(|table| !table.rows.is_empty())
}

fn head(report: &Report) -> Section {
    let title = one_line(&words::title(report));
    let mark = match report.verdict {
        Verdict::Identical => "✅",
        Verdict::Close => "☑️",
        Verdict::Diverged => "❌",
        Verdict::Inconclusive => "⚠️",
    };
    let mut text = format!(
        "\n### {mark} {}: {}\n\n**{}**\n",
        report.verdict,
        code(&title),
        prose(&report.reason)
    );
    // Writing to a String cannot fail.
    for next in report.next.iter().take(MOST_ROWS) {
        let _ = write!(text, "\n- next: {}", prose(next));
    }
    text.push('\n');
    let mut facts = Vec::new();
    facts.extend(words::compared(report).map(|said| ("compared", said)));
    let seed = report.seed;
    let run = report.subject.as_ref();
    facts.extend(run.map(|subject| ("run", words::subject(subject, seed))));
    let run = report.program.as_ref();
    facts.extend(run.map(|program| ("run", words::program(program))));
    facts.extend((!report.claim.is_empty()).then(|| ("proves", report.claim.clone())));
    let notes = report.notes.iter().take(MOST_ROWS);
    facts.extend(notes.map(|note| ("note", note.clone())));
    let warnings = report.warnings.iter().take(MOST_ROWS);
    facts.extend(warnings.map(|warning| ("warning", warning.clone())));
    for (label, said) in facts {
        let _ = write!(text, "\n- {label}: {}", prose(&said));
    }
    let said = format!("samebits {}", report.samebits);
    let _ = writeln!(
        text,
        "\n- exit code {} ({}), {}",
        report.exit_code,
        code(&report.reason_code),
        prose(&said)
    );
    Section { title, text }
}

/// A table, folded away unless it is `open`.
fn of_table(table: &Table, open: bool) -> Section {
    let row = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let head: Vec<String> = table.head.iter().map(|&name| name.into()).collect();
    let rule = vec!["---".to_owned(); head.len()];
    let mut text = format!("{}{}", row(&head), row(&rule));
    for cells in &table.rows {
        let cells: Vec<_> = cells
            .iter()
            .map(|cell| code(&shortened(cell, CELL)))
            .collect();
        text.push_str(&row(&cells));
    }
    if table.more > 0 {
        let _ = writeln!(text, "\n{} more in the JSON form", table.more);
    }
    Section {
        title: table.title.into(),
        text: if open {
            format!("\n#### {}\n\n{text}", table.title)
        } else {
            let title = table.title;
            format!("\n<details><summary>{title}</summary>\n\n{text}\n</details>\n")
        },
    }
}

/// A name or a value, shown as it is: as code, which nothing in it can end.
fn code(text: &str) -> String {
    let text = one_line(text);
    if text.is_empty() {
        String::new()
    } else if text.contains(['`', '|', '\\']) || text.trim() != text {
        format!("<code>{}</code>", entities(&text))
    } else {
        format!("`{text}`")
    }
}

/// A sentence of ours, perhaps with names of others in it. What stands between backticks is code.
fn prose(text: &str) -> String {
    let text = one_line(&shortened(text, PROSE));
    let parts: Vec<&str> = text.split('`').collect();
    if parts.len().is_multiple_of(2) {
        // A backtick without its partner.
        return entities(&text);
    }
    let shown = parts.iter().enumerate().map(|(at, part)| {
        if at % 2 == 1 {
            code(part)
        } else {
            entities(part)
        }
    });
    shown.collect()
}

/// Text in which no character means anything to Markdown, to HTML, or to those who look for people and issues to link.
fn entities(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '@' | '#' => {
                let _ = write!(out, "{c}<!-- -->");
            }
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '&' | '|' | '~' | '!' | '$' | '"' => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

/// Lines for a shell, in a fence longer than any in them.
fn fenced(lines: &[String]) -> String {
    let lines = clean(&lines.join("\n"));
    let longest = lines
        .split(|c| c != '`')
        .map(str::len)
        .max()
        .unwrap_or_default();
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}sh\n{lines}\n{fence}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_cell_or_call_anybody() {
        assert_eq!(code("layer.0_weight"), "`layer.0_weight`");
        assert_eq!(code("a|b`c\\|"), "<code>a&#124;b&#96;c&#92;&#124;</code>");
        assert_eq!(code("a\n| b"), "<code>a &#124; b</code>");
        assert_eq!(prose("try `--keep`, @all"), "try `--keep`, @<!-- -->all");
        assert_eq!(prose("an odd ` one"), "an odd &#96; one");
        assert!(fenced(&["echo ```".into()]).starts_with("````sh\n"));
    }
}
