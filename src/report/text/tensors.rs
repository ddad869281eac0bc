//! The parts of the text about files: tensors that differ, in the words of `torch.testing.assert_close`, and layers.

use super::{line, thousands};
use crate::compare::Status;
use crate::difference::{BUCKETS, SpecialCounts};
use crate::number::Number;
use crate::report::tensors::{Contents, Detail, Excepted, Layer, Place, TensorReport};
use crate::report::words;

/// Tensors shown; the JSON form holds more.
const MOST_TENSORS: usize = 5;

/// Layers shown.
const MOST_LAYERS: usize = 10;

/// The tensors that differ, those that are only close where nothing differs, and the layers they are in.
pub(super) fn contents(out: &mut String, contents: &Contents) {
    let counts = &contents.counts;
    let wanted = if counts.differing > 0 {
        |tensor: &&TensorReport| !tensor.agrees()
    } else {
        |tensor: &&TensorReport| tensor.status == Status::Close
    };
    for tensor in contents.tensors.iter().filter(wanted).take(MOST_TENSORS) {
        one(out, tensor);
    }
    let of = if counts.differing > 0 {
        counts.differing
    } else {
        counts.close
    };
    if of > MOST_TENSORS as u64 {
        let text = format!(
            "({} more in the JSON form)",
            thousands(of - MOST_TENSORS as u64)
        );
        line(out, "", &format!("  {text}"));
    }
    layers(out, contents);
}

fn one(out: &mut String, tensor: &TensorReport) {
    let text = match (&tensor.candidate, tensor.status) {
        (Some(candidate), status) => {
            let side = |side| words::outline(side, status == Status::Structure);
            format!(
                "{}: {} in the reference, {} in the candidate",
                tensor.key,
                side(&tensor.outside),
                side(candidate)
            )
        }
        (None, Status::Missing | Status::Extra) => format!("{}: {}", tensor.key, tensor.status),
        _ => format!(
            "{}: {} {:?}",
            tensor.key, tensor.outside.dtype, tensor.outside.shape
        ),
    };
    line(out, "tensor", &text);
    // Differences between bytes of a text are no numbers for people; where it parts was said.
    if let Some(detail) = tensor.detail.as_ref().filter(|_| tensor.text.is_none()) {
        elements(out, tensor, detail);
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a share, rounded to one decimal"
)]
fn elements(out: &mut String, tensor: &TensorReport, detail: &Detail) {
    let mut say = |text: &str| line(out, "", &format!("             {text}"));
    if tensor.mismatched > 0 {
        let share = 100.0 * tensor.mismatched as f64 / tensor.numel as f64;
        say(&format!(
            "Mismatched elements: {} / {} ({share:.1}%)",
            tensor.mismatched, tensor.numel
        ));
        greatest(
            &mut say,
            "absolute",
            tensor.greatest_abs.as_ref(),
            tensor.atol,
        );
        greatest(
            &mut say,
            "relative",
            tensor.greatest_rel.as_ref(),
            tensor.rtol,
        );
    } else {
        say(&format!(
            "{} of {} elements differ, all within the tolerance (rtol {}, atol {})",
            thousands(tensor.differing),
            thousands(tensor.numel),
            tensor.rtol,
            tensor.atol
        ));
    }
    if let Some(ulp) = tensor.max_ulp {
        say(&format!(
            "ULP distances, up to {ulp}: {}",
            histogram(detail)
        ));
    }
    let special = |name: &str, count: fn(&SpecialCounts) -> u64| {
        let (ours, theirs) = (
            count(&detail.reference_special),
            count(&detail.candidate_special),
        );
        (ours != theirs).then(|| format!("{name} {} → {}", thousands(ours), thousands(theirs)))
    };
    let special: Vec<String> = [
        special("NaN", |counts| counts.nan),
        special("Inf", |counts| counts.infinite),
        special("−0", |counts| counts.negative_zero),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !special.is_empty() {
        say(&format!("counts: {}", special.join(", ")));
    }
}

fn greatest(say: &mut impl FnMut(&str), kind: &str, place: Option<&Place>, allowed: f64) {
    let Some(place) = place else { return };
    let index: Vec<String> = place.index.iter().map(u64::to_string).collect();
    let at = match index.len() {
        0 => String::new(),
        1 => format!(" at index ({},)", index[0]),
        _ => format!(" at index ({})", index.join(", ")),
    };
    // An exact comparison allows nothing, and torch then does not say so.
    let up_to = if allowed > 0.0 {
        format!(" (up to {allowed:e} allowed)")
    } else {
        String::new()
    };
    say(&format!(
        "Greatest {kind} difference: {:?}{at}{up_to}",
        place.value.0
    ));
}

/// Ranges of ULP distances that are shown, each by its first bucket and its name; the JSON form has every power of two.
const RANGES: &[(usize, &str)] = &[
    (0, "0"),
    (1, "1"),
    (2, "2–3"),
    (3, "4–15"),
    (5, "16–255"),
    (9, "2^8–2^12"),
    (13, "2^12–2^16"),
    (17, "2^16–2^24"),
    (25, "2^24…"),
];

/// The ranges that hold something: `1: 12, 2–3: 5`.
fn histogram(detail: &Detail) -> String {
    let ends = RANGES[1..].iter().map(|range| range.0).chain([BUCKETS]);
    let counts = RANGES.iter().zip(ends).map(|((start, name), end)| {
        let count: u64 = detail.ulp_histogram[*start..end]
            .iter()
            .fold(0, |sum: u64, count| sum.saturating_add(*count));
        (name, count)
    });
    let filled: Vec<String> = counts
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{name}: {}", thousands(count)))
        .collect();
    filled.join(", ")
}

fn layers(out: &mut String, contents: &Contents) {
    // Where each layer is a single tensor it says nothing new.
    let many = (contents.layers.len() as u64).saturating_add(contents.layers_not_listed);
    if many < 2 || many >= contents.counts.not_identical() {
        return;
    }
    for layer in contents.layers.iter().take(MOST_LAYERS) {
        line(out, "layer", &layer_text(layer));
    }
    let more = (contents.layers.len().saturating_sub(MOST_LAYERS) as u64)
        .saturating_add(contents.layers_not_listed);
    if more > 0 {
        line(
            out,
            "layer",
            &format!("({} more in the JSON form)", thousands(more)),
        );
    }
}

fn layer_text(layer: &Layer) -> String {
    let number = |name: &str, number: Option<Number>| {
        number.map_or(String::new(), |number| {
            format!(", {name} up to {:.3e}", number.0)
        })
    };
    let ulp = layer
        .max_ulp
        .map_or(String::new(), |ulp| format!(", {} ULP", thousands(ulp)));
    let elements = if layer.elements > 0 {
        let (differing, numel) = (thousands(layer.elements), thousands(layer.numel));
        format!(", {differing} of {numel} elements")
    } else {
        String::new()
    };
    format!(
        "{}: {} of {} tensors{elements}{}{}{ulp}",
        layer.name,
        layer.differing,
        layer.tensors,
        number("relative", layer.greatest_rel),
        number("absolute", layer.greatest_abs),
    )
}

pub(super) fn excepted(out: &mut String, excepted: &Excepted) {
    let text = format!(
        "{}: {}, for {} of {} tensors that match ({})",
        excepted.name, excepted.what, excepted.needed, excepted.matched, excepted.reason
    );
    line(out, "override", &text);
}
