//! The sentences that several formats share.

use std::fmt::Write as _;

use crate::compare::Status;
use crate::report::tensors::{Outside, Unread};
use crate::report::text::{bytes, thousands};
use crate::report::{Divergence, Program, Report, Subject};

/// What the report is about: the workload, the program, or the command.
#[must_use]
pub fn title(report: &Report) -> String {
    match (&report.subject, &report.program) {
        (Some(subject), _) => subject.workload.clone(),
        (None, Some(program)) => program.command.join(" "),
        (None, None) => format!("samebits {}", report.command),
    }
}

/// How a workload was run.
#[must_use]
pub fn subject(subject: &Subject, seed: Option<u64>) -> String {
    format!(
        "{} steps, batch {}, {}, {}, {} threads, mode {}{}, {} processes",
        subject.steps,
        subject.batch,
        subject.dtype,
        subject.device,
        subject.threads,
        subject.mode,
        seed.map_or(String::new(), |seed| format!(", seed {seed}")),
        subject.isolation
    )
}

/// How a program was run.
#[must_use]
pub fn program(program: &Program) -> String {
    let mut text = format!("mode {}, working folder: {}", program.mode, program.workdir);
    if !program.artifacts.is_empty() {
        let _ = write!(text, ", comparing {}", program.artifacts.join(", "));
    }
    text
}

/// How much was compared; none where nothing was.
#[must_use]
pub fn compared(report: &Report) -> Option<String> {
    let compared = &report.compared;
    let Some(contents) = &report.contents else {
        return (compared.entries > 0).then(|| {
            format!(
                "{} runs, {} steps, {} entries, {}",
                compared.runs,
                compared.steps,
                thousands(compared.entries),
                bytes(compared.bytes)
            )
        });
    };
    let counts = &contents.counts;
    let total = counts.identical.saturating_add(counts.not_identical());
    if total.saturating_add(counts.unread) == 0 {
        return None;
    }
    let mut text = format!("{} tensors, {}", thousands(total), bytes(compared.bytes));
    for (count, what) in [
        (counts.identical, "identical"),
        (counts.close, "close"),
        (counts.differing, "differ"),
        (counts.unread, "could not be read"),
        (counts.left_out, "left out by --only or --ignore"),
    ] {
        if count > 0 {
            let _ = write!(text, "; {} {what}", thousands(count));
        }
    }
    Some(text)
}

/// Everything about a divergence, as labelled lines.
#[must_use]
pub fn divergence(divergence: &Divergence) -> Vec<(&'static str, String)> {
    let mut lines = vec![("first", first(divergence))];
    if let (Status::Dtype | Status::Shape | Status::Structure, Some(ours), Some(theirs)) = (
        divergence.status,
        &divergence.outline,
        &divergence.candidate_outline,
    ) {
        let structure = divergence.status == Status::Structure;
        lines.push(("reference", outline(ours, structure)));
        lines.push(("candidate", outline(theirs, structure)));
    }
    if let Some(text) = &divergence.text {
        lines.push((
            "text",
            format!("line {}, character {}", text.line, text.column),
        ));
        lines.push(("reference", format!("{:?}", text.reference)));
        lines.push(("candidate", format!("{:?}", text.candidate)));
    } else if let (Some(index), Some(position), Some(reference), Some(candidate)) = (
        divergence.index,
        &divergence.position,
        &divergence.reference,
        &divergence.candidate,
    ) {
        let ulp = divergence
            .ulp
            .map_or(String::new(), |ulp| format!(", {ulp} ULP apart"));
        lines.push(("index", format!("{position:?} (flat {index}){ulp}")));
        for (label, value) in [("reference", reference), ("candidate", candidate)] {
            lines.push((label, format!("{} = {}", value.decimal, value.bits)));
        }
    }
    if let Some((differing, of)) = divergence.differing {
        let (differing, of) = (thousands(differing), thousands(of));
        lines.push(("elements", format!("{differing} of {of} differ")));
    }
    if let Some(repeat) = &divergence.repeat {
        lines.push(("repeat", repeat.clone()));
    }
    match &divergence.last_agreed {
        Some(key) => lines.push(("agreed", format!("up to {key}"))),
        None if divergence.phase.is_some() => {
            lines.push(("agreed", "nothing: it is the very first entry".into()));
        }
        None => {}
    }
    lines
}

/// dtype and shape; a property of the structure has no shape.
#[must_use]
pub fn outline(outline: &Outside, structure: bool) -> String {
    if structure {
        outline.dtype.clone()
    } else {
        format!("{} {:?}", outline.dtype, outline.shape)
    }
}

/// What could not be read, with its name in a folder.
#[must_use]
pub fn unread(unread: &Unread) -> String {
    match unread.key.as_str() {
        "" => unread.what.clone(),
        key => format!("{key}: {}", unread.what),
    }
}

/// Where the runs part, and how.
#[must_use]
pub fn first(divergence: &Divergence) -> String {
    let run = match divergence.phase {
        Some(_) => format!(" in run {}", divergence.run),
        None => String::new(),
    };
    format!("{}: {}{run}", divergence.place(), divergence.status)
}

/// The file of the user's that a finding can be pinned to: the program's script.
#[must_use]
pub fn script(report: &Report) -> Option<&str> {
    const ENDINGS: &[&str] = &["py", "sh", "jl", "R", "rs", "lua", "cpp"];
    let words = &report.program.as_ref()?.command;
    words
        .iter()
        .map(|word| word.trim_start_matches("./"))
        .find(|word| {
            let path = std::path::Path::new(word);
            let ending = path.extension().and_then(|ending| ending.to_str());
            ending.is_some_and(|ending| ENDINGS.contains(&ending))
                && !word.starts_with('-')
                && path.is_relative()
                && !word.contains("..")
        })
}
