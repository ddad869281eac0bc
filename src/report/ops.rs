//! What the op recorder found, as labelled lines and tables that several formats share.

use std::fmt::Write as _;

use super::table::Table;
use super::text::thousands;
use crate::recorder::finding::{
    Account, Besides, Finding, First, Kind, Outside, Pairing, Place, Structure, Wake,
};

/// Tensors in a list of lines.
const TENSORS: usize = 6;
/// Steps of a wake.
const STEPS: usize = 6;
/// Notes.
const NOTES: usize = 6;
/// Ops of a wake.
const OPS: usize = 4;

/// Everything as labelled lines, in the order in which people ask: what, where, how, how far. What to do
/// about it stands with the rest of a report's advice.
#[must_use]
pub fn lines(account: &Account) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    match &account.finding {
        Some(finding) => {
            self::finding(&mut lines, finding);
            lines.extend(
                account
                    .others
                    .iter()
                    .map(|other| ("besides", other.clone())),
            );
        }
        None => lines.push(("op", "no op differs between the recorded runs".into())),
    }
    lines.push(("recorded", compared(account)));
    lines.extend(
        account
            .notes
            .iter()
            .take(NOTES)
            .map(|note| ("note", note.clone())),
    );
    if account.notes.len() > NOTES {
        let more = account.notes.len() - NOTES;
        lines.push(("note", format!("({more} more are in the JSON form)")));
    }
    lines
}

/// What was found, in one line for formats that have little room.
#[must_use]
pub fn headline(account: &Account) -> Option<String> {
    let finding = account.finding.as_ref()?;
    let mut text = finding.what.clone();
    if !finding.place.op.is_empty() {
        let _ = write!(text, "; {}", place(&finding.place));
    }
    Some(text)
}

/// How much was compared, and what is not known.
#[must_use]
pub fn compared(account: &Account) -> String {
    let compared = &account.compared;
    let mut text = format!(
        "{} ops, {} results hashed in both runs, {} in {} ({})",
        thousands(compared.ops),
        thousands(compared.hashed),
        many(compared.threads, "thread"),
        many(compared.processes, "process"),
        match &account.steps_by {
            Some(by) if compared.announced > compared.steps => {
                let of = many(compared.announced, "step");
                format!("{} of {of}, by {by}", thousands(compared.steps))
            }
            Some(by) => format!("{}, by {by}", many(compared.steps, "step")),
            None => "no step was announced".into(),
        }
    );
    if compared.unhashed > 0 {
        let _ = write!(
            text,
            "; of {} more ops nothing is known",
            thousands(compared.unhashed)
        );
    }
    text
}

fn finding(lines: &mut Vec<(&'static str, String)>, finding: &Finding) {
    lines.push(("op", finding.what.clone()));
    if !finding.place.op.is_empty() {
        lines.push(("where", place(&finding.place)));
    }
    if let Some(backward) = &finding.backward {
        let from = match &backward.forward {
            Some(forward) => format!("the backward of {}", place(forward)),
            None => "the backward of an op that was not recorded".into(),
        };
        lines.push(("backward", format!("{}: {from}", backward.node)));
    }
    if let Some(who) = who(finding) {
        lines.push(("process", who));
    }
    tensors(lines, finding);
    if let Some(first) = &finding.first {
        values(lines, first);
    }
    if finding.scalars.reference != finding.scalars.candidate {
        lines.push(("reference", finding.scalars.reference.clone()));
        lines.push(("candidate", finding.scalars.candidate.clone()));
    } else if !finding.scalars.reference.is_empty() {
        lines.push(("arguments", finding.scalars.reference.clone()));
    }
    if finding.threads.reference != finding.threads.candidate {
        let (ours, theirs) = (finding.threads.reference, finding.threads.candidate);
        lines.push((
            "threads",
            format!("{ours} in the reference, {theirs} in the candidate"),
        ));
    }
    if let Some(known) = &finding.known {
        lines.push(("because", format!("{} ({})", known.reason, known.source)));
    }
    if let Some(structure) = &finding.structure {
        self::structure(lines, finding, structure);
    }
    if finding.wake.of > 0 {
        lines.push(("wake", wake(&finding.wake)));
    }
    for besides in &finding.besides {
        lines.push(("besides", self::besides(besides)));
    }
}

/// Another cause.
fn besides(besides: &Besides) -> String {
    let mut text = format!("{}, step {}", besides.what, besides.place.step);
    if let Some(phase) = besides.place.phase {
        let _ = write!(text, ", {phase}");
    }
    if besides.ops > 1 {
        let _ = write!(text, ", the first of {} such calls", thousands(besides.ops));
    }
    text
}

/// An op and where it is.
fn place(place: &Place) -> String {
    let mut text = String::new();
    let mut around: Vec<&String> = place.parents.iter().collect();
    // Transforms call an op by its own name, layer by layer.
    around.dedup();
    if around.last() == Some(&&place.op) {
        around.pop();
    }
    for parent in around {
        let _ = write!(text, "{parent} > ");
    }
    text.push_str(&place.op);
    if !place.overload.is_empty() {
        let _ = write!(text, ".{}", place.overload);
    }
    let _ = write!(text, ", step {}", place.step);
    if let Some(phase) = place.phase {
        let _ = write!(text, ", {phase}");
    }
    if place.occurrence > 0 {
        let _ = write!(
            text,
            ", call {} of its kind in the step",
            place.occurrence + 1
        );
    }
    if !place.range.is_empty() {
        let _ = write!(text, ", in {}", place.range);
    }
    let _ = write!(text, " (op {} of its thread)", place.index);
    text
}

/// The process and thread, unless they are the only ones people think of.
fn who(finding: &Finding) -> Option<String> {
    let mut words: Vec<String> = Vec::new();
    let ranks = finding.process.rank.iter();
    words.extend(ranks.map(|(name, value)| format!("{name}={value}")));
    if finding.process.role != "0" {
        words.push(format!("forked process {}", finding.process.role));
    }
    if finding.thread.number > 0 {
        let thread = &finding.thread;
        words.push(format!("thread {} ({})", thread.number, thread.role));
    }
    (!words.is_empty()).then(|| words.join(", "))
}

fn tensors(lines: &mut Vec<(&'static str, String)>, finding: &Finding) {
    for (label, pairings) in [("input", &finding.inputs), ("output", &finding.outputs)] {
        for pairing in pairings.iter().take(TENSORS) {
            lines.push((label, tensor(pairing)));
        }
        if pairings.len() > TENSORS {
            let more = pairings.len() - TENSORS;
            lines.push((label, format!("({more} more are in the JSON form)")));
        }
    }
}

fn tensor(pairing: &Pairing) -> String {
    let equal = match pairing.equal {
        Some(true) => "equal",
        Some(false) => "DIFFERS",
        None => "not hashed",
    };
    let item = pairing
        .item
        .map_or(String::new(), |item| format!("[{item}]"));
    let outside = |side: &Option<Outside>| match side {
        Some(outside) => outside_of(outside),
        None => "absent".into(),
    };
    let (ours, theirs) = (
        outside(&pairing.sides.reference),
        outside(&pairing.sides.candidate),
    );
    let both = if ours == theirs {
        ours
    } else {
        format!("{ours} / {theirs}")
    };
    format!("{}{item}: {equal}, {both}", pairing.arg)
}

fn outside_of(outside: &Outside) -> String {
    let mut text = format!(
        "{} {:?} on {}",
        outside.dtype, outside.shape, outside.device
    );
    for remark in &outside.remarks {
        let _ = write!(text, ", {remark}");
    }
    text
}

fn values(lines: &mut Vec<(&'static str, String)>, first: &First) {
    let ulp = first
        .ulp
        .map_or(String::new(), |ulp| format!(", {ulp} ULP apart"));
    let which = if first.output { "output" } else { "input" };
    lines.push((
        "index",
        format!(
            "{which} {}: {:?} (flat {}){ulp}",
            first.arg, first.position, first.index
        ),
    ));
    let sides = [
        ("reference", &first.values.reference),
        ("candidate", &first.values.candidate),
    ];
    for (label, value) in sides {
        lines.push((label, format!("{} = {}", value.decimal, value.bits)));
    }
    let (differing, of) = (thousands(first.differing), thousands(first.numel));
    lines.push(("elements", format!("{differing} of {of} differ")));
}

fn structure(lines: &mut Vec<(&'static str, String)>, finding: &Finding, structure: &Structure) {
    if finding.kind != Kind::Structure {
        lines.push(("besides", "the two runs run other ops".into()));
    }
    lines.extend(
        structure
            .before
            .last()
            .map(|line| ("agreed", format!("up to {line}"))),
    );
    for (label, next) in [
        ("reference", &structure.next.reference),
        ("candidate", &structure.next.candidate),
    ] {
        lines.extend(next.iter().map(|line| (label, format!("next {line}"))));
    }
}

/// How far a difference went.
fn wake(wake: &Wake) -> String {
    let mut text = format!(
        "{} of {} later ops differ too",
        thousands(wake.ops),
        thousands(wake.of)
    );
    if wake.ops == 0 {
        return "no later op differs: it went no further".into();
    }
    let steps: Vec<String> = wake
        .steps
        .iter()
        .take(STEPS)
        .map(|one| format!("{} in step {}", thousands(one.ops), one.step))
        .collect();
    let _ = write!(
        text,
        ", in {}: {}",
        many(wake.steps.len() as u64, "step"),
        steps.join(", ")
    );
    if wake.steps.len() > STEPS {
        text.push_str(", …");
    }
    let ops: Vec<&str> = wake
        .first
        .iter()
        .take(OPS)
        .map(|one| one.op.as_str())
        .collect();
    let _ = write!(text, "; first {}", ops.join(", "));
    if let Some(last) = &wake.last {
        let _ = write!(text, "; last {} in step {}", last.op, last.step);
    }
    text
}

fn many(count: u64, what: &str) -> String {
    let ending = match (count, what.ends_with('s')) {
        (1, _) => "",
        (_, true) => "es",
        (_, false) => "s",
    };
    format!("{} {what}{ending}", thousands(count))
}

/// The same as a table, for formats that have tables.
#[must_use]
pub fn table(account: &Account) -> Table {
    let rows = lines(account).into_iter();
    Table {
        title: "Which op",
        head: &["about", "found"],
        rows: rows.map(|(label, text)| vec![label.into(), text]).collect(),
        more: 0,
    }
}
