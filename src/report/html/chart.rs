//! Charts as inline SVG. Only shapes are drawn, and stretched to the page's width; words stand around them as text, so that
//! they stay readable on a phone. Values are put on scales here, never changed.

use std::fmt::Write as _;

use super::out_of;
use crate::compare::{Growth, Status};
use crate::report::Report;
use crate::report::escape::{one_line, shortened, xml};
use crate::report::tensors::TensorReport;
use crate::report::text::thousands;

/// Columns of a chart; more steps or tensors than that share columns.
const COLUMNS: usize = 240;

/// Coordinates of a drawing, in both directions.
const SIDE: f64 = 1000.0;

/// How many entries differ, step by step, and how far they are apart where values were kept.
pub(super) fn growth(out: &mut String, report: &Report) {
    let growth = &report.growth;
    let (Some(from), Some(to)) = (growth.first(), growth.last()) else {
        return;
    };
    let columns: Vec<&[Growth]> = growth.chunks(growth.len().div_ceil(COLUMNS)).collect();
    let width = SIDE / count(columns.len());
    let mut shapes = String::new();
    for (at, steps) in columns.iter().enumerate() {
        let worst = steps
            .iter()
            .max_by(|a, b| share(a).total_cmp(&share(b)))
            .unwrap_or(from);
        let height = SIDE * share(worst);
        let what = format!(
            "{}: {} of {} entries differ",
            step(worst),
            worst.differing,
            worst.entries
        );
        rect(
            &mut shapes,
            "diverged",
            (count(at) * width, SIDE - height, width * 0.85, height),
            &what,
        );
    }
    let ends = (step(from), step(to));
    let greatest = growth.iter().map(share).fold(0.0, f64::max);
    let what = format!(
        "Entries that differ, by step: at most {:.0} % of a step's entries",
        100.0 * greatest
    );
    figure(out, &what, "", &shapes, Some(&ends), "100 %");
    curve(out, &columns, &ends);
}

/// The greatest absolute differences on a logarithmic scale.
fn curve(out: &mut String, columns: &[&[Growth]], ends: &(String, String)) {
    let known: Vec<(usize, f64)> = columns
        .iter()
        .enumerate()
        .filter_map(|(at, steps)| {
            let values = steps.iter().filter_map(|step| step.greatest_abs);
            let values = values
                .map(|number| number.0)
                .filter(|value| value.is_finite());
            Some((at, values.reduce(f64::max).filter(|value| *value > 0.0)?))
        })
        .collect();
    let values = || known.iter().map(|(_, value)| *value);
    let (Some(least), Some(greatest)) = (values().reduce(f64::min), values().reduce(f64::max))
    else {
        return;
    };
    // Whole decades, and never none.
    let (low, high) = (least.log10().floor(), greatest.log10().ceil());
    let high = if high > low { high } else { low + 1.0 };
    let width = SIDE / count(columns.len());
    let point = |(at, value): &(usize, f64)| {
        let x = (count(*at) + 0.5) * width;
        let y = SIDE * (high - value.log10()) / (high - low);
        (x, y)
    };
    let line: Vec<String> = known
        .iter()
        .map(point)
        .map(|(x, y)| format!("{x:.1},{y:.1}"))
        .collect();
    let mut shapes = format!(
        r#"<polyline class="curve" vector-effect="non-scaling-stroke" points="{}"/>"#,
        line.join(" ")
    );
    for known in &known {
        let (x, y) = point(known);
        // A line without length and with round ends: a dot that is not stretched.
        let _ = write!(
            shapes,
            r#"<path class="dot" vector-effect="non-scaling-stroke" d="M{x:.1} {y:.1}h0"><title>{:.3e}</title></path>"#,
            known.1
        );
    }
    let what = format!(
        "Greatest absolute difference, by step, where values were kept: {least:.3e} to {greatest:.3e}, logarithmic from 1e{low} to 1e{high}"
    );
    figure(out, &what, "", &shapes, Some(ends), &format!("1e{high}"));
}

/// Every tensor in the order of the reference, coloured by what became of it.
pub(super) fn strip(out: &mut String, report: &Report) {
    let Some(contents) = &report.contents else {
        return;
    };
    let tensors = &contents.tensors;
    if tensors.len() < 2 {
        return;
    }
    let columns: Vec<&[TensorReport]> = tensors.chunks(tensors.len().div_ceil(COLUMNS)).collect();
    let width = SIDE / count(columns.len());
    let mut shapes = String::new();
    for (at, tensors) in columns.iter().enumerate() {
        let worst = tensors.iter().max_by_key(|tensor| rank(tensor.status));
        let Some(worst) = worst else { continue };
        let name = shortened(&one_line(&worst.key), 100);
        let what = match (tensors.len(), worst.max_ulp) {
            (1, None) => format!("{name}: {}", worst.status),
            (1, Some(ulp)) => format!("{name}: {}, {} ULP", worst.status, thousands(ulp)),
            (many, _) => format!("{many} tensors, the worst is {name}: {}", worst.status),
        };
        let gap = if columns.len() > 60 { 1.0 } else { 0.9 };
        rect(
            &mut shapes,
            class(worst.status),
            (count(at) * width, 0.0, width * gap, SIDE),
            &what,
        );
    }
    let what = format!(
        "The {} tensors listed, in the order of the reference",
        thousands(tensors.len() as u64)
    );
    figure(out, &what, "strip", &shapes, None, "");
    out.push_str(r#"<p class="key"><span class="identical">identical</span><span class="close">close</span>"#);
    out.push_str(r#"<span class="diverged">diverged</span><span class="other">missing, extra, other dtype or shape</span></p>"#);
}

/// The ULP distances of the first tensor or entry that differs in its elements.
pub(super) fn histogram(out: &mut String, report: &Report) {
    let of_tensors = report.contents.iter().flat_map(|found| &found.tensors);
    let of_tensors = of_tensors.filter_map(|tensor| {
        let detail = tensor.detail.as_ref()?;
        Some((tensor.key.clone(), &detail.ulp_histogram))
    });
    let of_entries = report.mismatches.iter().filter_map(|mismatch| {
        let found = mismatch.difference.as_ref()?;
        Some((mismatch.key.to_string(), &found.ulp_histogram))
    });
    let Some((name, buckets)) = of_tensors
        .chain(of_entries)
        .find(|(_, buckets)| buckets.iter().any(|count| *count > 0))
    else {
        return;
    };
    let greatest = buckets.iter().copied().max().unwrap_or(1);
    let name = xml(&shortened(&one_line(&name), 200));
    let _ = write!(
        out,
        "<p>Elements by distance, in <code>{name}</code>, the first that differs:</p><table><thead><tr>\
         <th scope=\"col\">ULP apart</th><th scope=\"col\">elements</th><th scope=\"col\">share of the greatest</th></tr></thead><tbody>"
    );
    for (at, elements) in buckets.iter().enumerate().filter(|(_, count)| **count > 0) {
        let _ = write!(
            out,
            r#"<tr><td>{}</td><td>{}</td><td class="bar"><svg viewBox="0 0 1000 1000" preserveAspectRatio="none" role="img" aria-label="{}"><rect class="diverged" width="{:.1}" height="1000"/></svg></td></tr>"#,
            bucket(at, buckets.len()),
            thousands(*elements),
            out_of(*elements, greatest),
            SIDE * ratio(*elements, greatest)
        );
    }
    out.push_str("</tbody></table>");
}

/// The ULP distances that a bucket of the histogram holds, of so many buckets.
fn bucket(bucket: usize, of: usize) -> String {
    match bucket {
        0 => "0".to_owned(),
        1 => "1".to_owned(),
        _ if bucket + 1 == of => format!("2^{}…", bucket - 1),
        2..8 => format!("{}–{}", 1u64 << (bucket - 1), (1u64 << bucket) - 1),
        _ => format!("2^{}–2^{bucket}", bucket - 1),
    }
}

/// A drawing with what it shows in words, the names of its ends, and what its top stands for.
fn figure(
    out: &mut String,
    what: &str,
    class: &str,
    shapes: &str,
    ends: Option<&(String, String)>,
    top: &str,
) {
    let what = xml(what);
    let top = if top.is_empty() {
        String::new()
    } else {
        format!(r#"<div class="axis"><span>{top}</span></div>"#)
    };
    let _ = write!(
        out,
        r#"<figure><figcaption>{what}</figcaption>{top}<div class="{}"><svg class="{class}" viewBox="0 0 1000 1000" preserveAspectRatio="none" role="img" aria-label="{what}"><title>{what}</title>{shapes}</svg></div>"#,
        if ends.is_some() { "plot" } else { "" }
    );
    if let Some((from, to)) = ends {
        let _ = write!(
            out,
            r#"<div class="axis"><span>{from}</span><span>{to}</span></div>"#
        );
    }
    out.push_str("</figure>");
}

fn rect(out: &mut String, class: &str, place: (f64, f64, f64, f64), what: &str) {
    let (x, y, width, height) = place;
    let _ = write!(
        out,
        r#"<rect class="{class}" x="{x:.2}" y="{y:.2}" width="{width:.2}" height="{height:.2}"><title>{}</title></rect>"#,
        xml(what)
    );
}

fn step(growth: &Growth) -> String {
    growth
        .step
        .map_or("init".into(), |step| format!("step {step}"))
}

fn share(growth: &Growth) -> f64 {
    ratio(growth.differing, growth.entries)
}

#[expect(clippy::cast_precision_loss, reason = "for a drawing")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

#[expect(clippy::cast_precision_loss, reason = "for a drawing")]
fn count(number: usize) -> f64 {
    number as f64
}

fn class(status: Status) -> &'static str {
    match status {
        Status::Identical => "identical",
        Status::Close => "close",
        Status::Diverged => "diverged",
        Status::Missing | Status::Extra | Status::Dtype | Status::Shape | Status::Structure => {
            "other"
        }
    }
}

fn rank(status: Status) -> u8 {
    match status {
        Status::Identical => 0,
        Status::Close => 1,
        Status::Diverged => 2,
        Status::Missing | Status::Extra | Status::Dtype | Status::Shape | Status::Structure => 3,
    }
}
