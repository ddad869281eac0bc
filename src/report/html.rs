//! The report as one page for a browser: no network, no scripts, nothing beside it. Every element is closed and every name
//! escaped, so that the page is well-formed XML too, which a test makes use of.

use std::fmt::Write as _;

use crate::report::escape::{clean, one_line, shortened, xml};
use crate::report::table::{self, Table};
use crate::report::text::thousands;
use crate::report::{Report, ops, words};

mod chart;

/// Rows of a table.
const MOST_ROWS: usize = 300;

/// Reports of workloads on one page.
const MOST_WORKLOADS: usize = 50;

/// Characters of a cell.
const CELL: usize = 300;

/// Characters of a line of prose.
const PROSE: usize = 4_000;

/// The whole page.
#[must_use]
pub fn render(report: &Report) -> String {
    let mut out =
        String::from("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>");
    let title = xml(&shortened(&one_line(&words::title(report)), 100));
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\
         <title>{}: {title}</title>\n<style>\n{}</style></head>\n<body>\n",
        report.verdict,
        include_str!("html/style.css")
    );
    let _ = write!(out, "<header class=\"{}\">", report.verdict);
    head(&mut out, report, "h1");
    out.push_str("</header>\n<main>\n");
    if report.workloads.is_empty() {
        sections(&mut out, report, "h2");
    }
    for workload in report.workloads.iter().take(MOST_WORKLOADS) {
        let _ = write!(out, "<article class=\"{}\">", workload.verdict);
        head(&mut out, workload, "h2");
        sections(&mut out, workload, "h3");
        out.push_str("</article>\n");
    }
    if report.workloads.len() > MOST_WORKLOADS {
        let more = report.workloads.len() - MOST_WORKLOADS;
        let _ = write!(out, "<p>{more} more are in the JSON form.</p>");
    }
    let _ = write!(
        out,
        "</main>\n<footer class=\"dim\">samebits {}</footer>\n</body></html>\n",
        xml(&report.samebits)
    );
    out
}

/// The verdict, why, what to do next, and what was compared.
fn head(out: &mut String, report: &Report, heading: &str) {
    let title = xml(&shortened(&one_line(&words::title(report)), CELL));
    let _ = write!(
        out,
        "<p class=\"verdict\">{}</p><{heading}>{title}</{heading}><p class=\"reason\">{}</p>",
        report.verdict,
        prose(&report.reason)
    );
    list(out, "Next", &report.next);
    let seed = report.seed.filter(|_| report.subject.is_none());
    let facts = [
        ("compared", words::compared(report)),
        (
            "run",
            report
                .subject
                .as_ref()
                .map(|subject| words::subject(subject, report.seed)),
        ),
        ("run", report.program.as_ref().map(words::program)),
        ("seed", seed.map(|seed| seed.to_string())),
        (
            "kept in",
            report
                .program
                .as_ref()
                .and_then(|program| program.kept.clone()),
        ),
        (
            "results",
            report
                .distinct_results
                .map(|distinct| format!("{distinct} different in {} runs", report.runs.len())),
        ),
        (
            "exit code",
            Some(format!("{} ({})", report.exit_code, report.reason_code)),
        ),
        ("proves", Some(report.claim.clone())),
    ];
    out.push_str("<dl>");
    for (label, said) in facts {
        let said = said.filter(|said| !said.is_empty());
        if let Some(said) = said {
            let _ = write!(out, "<dt>{label}</dt><dd>{}</dd>", prose(&said));
        }
    }
    out.push_str("</dl>");
}

fn sections(out: &mut String, report: &Report, heading: &str) {
    section(out, heading, "First divergence", |out| {
        if let Some(divergence) = &report.first_divergence {
            out.push_str("<dl>");
            for (label, text) in words::divergence(divergence) {
                let text = xml(&shortened(&one_line(&text), PROSE));
                let _ = write!(out, "<dt>{label}</dt><dd class=\"value\">{text}</dd>");
            }
            out.push_str("</dl>");
        }
    });
    if let Some(account) = &report.ops {
        let table = ops::table(account);
        section(out, heading, table.title, |out| rows(out, &table));
    }
    section(out, heading, "Growth over steps", |out| {
        chart::growth(out, report);
    });
    section(out, heading, "Tensors in order", |out| {
        chart::strip(out, report);
    });
    section(out, heading, "ULP distances", |out| {
        chart::histogram(out, report);
    });
    let open = [
        table::tensors(report, MOST_ROWS),
        table::layers(report, MOST_ROWS),
        Some(table::mismatches(report, MOST_ROWS)),
        Some(table::metrics(report, MOST_ROWS)),
        Some(table::runs(report, MOST_ROWS)),
        Some(table::controls(report, MOST_ROWS)),
        Some(table::exceptions(report, MOST_ROWS)),
    ];
    for table in open.into_iter().flatten() {
        section(out, heading, table.title, |out| rows(out, &table));
    }
    section(out, heading, "Notes", |out| {
        list(out, "", &report.notes);
        list(out, "Warnings", &report.warnings);
    });
    section(out, heading, "How to reproduce", |out| {
        let lines = report.program.iter().flat_map(|program| &program.repeat);
        let lines: Vec<String> = lines.map(|line| shortened(line, PROSE)).collect();
        if !lines.is_empty() {
            // A newline may stand as it is here, and copies better.
            let lines = xml(&clean(&lines.join("\n"))).replace("&#10;", "\n");
            let _ = write!(out, "<pre tabindex=\"0\">{lines}</pre>");
        }
    });
    for table in [
        table::growth(report, MOST_ROWS),
        table::settings(report, true, MOST_ROWS),
        table::fingerprint(report, MOST_ROWS),
    ] {
        folded(out, heading, &table);
    }
}

/// A section, unless nothing is in it.
fn section(out: &mut String, heading: &str, title: &str, fill: impl FnOnce(&mut String)) {
    let mut inner = String::new();
    fill(&mut inner);
    if !inner.is_empty() {
        let _ = writeln!(
            out,
            "<section><{heading}>{title}</{heading}>{inner}</section>"
        );
    }
}

/// A long table that few people need.
fn folded(out: &mut String, heading: &str, table: &Table) {
    if !table.rows.is_empty() {
        let _ = write!(
            out,
            "<section><details><summary><{heading}>{}</{heading}></summary><div>",
            table.title
        );
        rows(out, table);
        out.push_str("</div></details></section>\n");
    }
}

fn rows(out: &mut String, table: &Table) {
    if table.rows.is_empty() {
        return;
    }
    // Focus lets a keyboard scroll it.
    let _ = write!(
        out,
        "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"{}\"><table><thead><tr>",
        table.title
    );
    for name in table.head {
        let _ = write!(out, "<th scope=\"col\">{name}</th>");
    }
    out.push_str("</tr></thead><tbody>\n");
    for cells in &table.rows {
        out.push_str("<tr>");
        for cell in cells {
            let _ = write!(
                out,
                "<td{}>{}</td>",
                width(cell),
                xml(&shortened(&one_line(cell), CELL))
            );
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>");
    if table.more > 0 {
        let more = thousands(table.more);
        let _ = write!(out, "<p class=\"dim\">{more} more in the JSON form</p>");
    }
}

/// Names break only where they must, so that a table scrolls rather than become unreadable.
fn width(cell: &str) -> &'static str {
    let longest = cell.split(' ').map(str::len).max().unwrap_or_default();
    if longest > 40 {
        " class=\"long\""
    } else if cell.len() > 30 {
        " class=\"words\""
    } else {
        ""
    }
}

/// Sentences, capped.
fn list(out: &mut String, title: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    if !title.is_empty() {
        let _ = write!(out, "<p class=\"dim\">{title}</p>");
    }
    out.push_str("<ul>");
    for line in lines.iter().take(MOST_ROWS) {
        let _ = write!(out, "<li>{}</li>", prose(line));
    }
    if lines.len() > MOST_ROWS {
        let more = lines.len() - MOST_ROWS;
        let _ = write!(out, "<li>{more} more in the JSON form</li>");
    }
    out.push_str("</ul>");
}

/// A sentence; what stands between backticks is code.
fn prose(text: &str) -> String {
    let text = one_line(&shortened(text, PROSE));
    let parts: Vec<&str> = text.split('`').collect();
    if parts.len().is_multiple_of(2) {
        return xml(&text);
    }
    let shown = parts.iter().enumerate().map(|(at, part)| match at % 2 {
        1 => format!("<code>{}</code>", xml(part)),
        _ => xml(part),
    });
    shown.collect()
}

fn out_of(part: u64, whole: u64) -> String {
    format!("{} of {}", thousands(part), thousands(whole))
}
