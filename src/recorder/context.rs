//! A place where other ops ran, with the ops around it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::align::Gap;
use super::finding::{Change, Sides, Structure};
use super::folder;
use super::op;
use super::sides::DIMENSIONS;
use super::stream::Stream;
use super::walk::Lane;

/// Ops shown before and after, and tensors of each.
const CONTEXT: usize = 4;

/// How many steps a thread saw to their end; all of it is one where nothing announces that.
pub(super) fn steps(stream: &Stream) -> u64 {
    // samebits' own loop says that a step begins, all others that one has ended.
    let begun = u64::from(stream.stepped().as_deref() == Some("samebits"));
    (stream.steps + begun).max(1)
}

/// How many of them have recorded ops. What runs after the last one ended belongs to none.
pub(super) fn recorded(stream: &Stream) -> u64 {
    let numbers: BTreeSet<u64> = stream.ops.iter().map(|op| op.step).collect();
    let last = steps(stream);
    numbers.range(..last).count() as u64
}

/// How the ops of a gap differ.
pub(super) fn structure(lane: &Lane, gap: &Gap) -> Structure {
    let (ours, theirs) = (lane.ours, lane.theirs);
    let (long, other_long) = (ours.ops.len(), theirs.ops.len());
    let steps = Sides {
        reference: steps(ours),
        candidate: steps(theirs),
    };
    let last = gap.reference.end == long && gap.candidate.end == other_long;
    let whole = ends_step(ours, &gap.reference) || ends_step(theirs, &gap.candidate);
    let one_side = gap.reference.is_empty() || gap.candidate.is_empty();
    let what = match (gap.reference.is_empty(), gap.candidate.is_empty()) {
        _ if (last || whole) && one_side && steps.reference != steps.candidate => Change::Steps,
        (true, _) => Change::Extra,
        (_, true) => Change::Missing,
        _ => Change::Other,
    };
    let lines = |stream: &Stream, range: std::ops::Range<usize>| -> Vec<String> {
        range.map(|at| line(stream, at)).collect()
    };
    let after = |at: usize, long: usize| at..(at + CONTEXT).min(long);
    Structure {
        what,
        without_partner: Sides {
            reference: gap.reference.len() as u64,
            candidate: gap.candidate.len() as u64,
        },
        steps,
        before: lines(
            ours,
            gap.reference.start.saturating_sub(CONTEXT)..gap.reference.start,
        ),
        next: Sides {
            reference: lines(ours, after(gap.reference.start, long)),
            candidate: lines(theirs, after(gap.candidate.start, other_long)),
        },
    }
}

/// Whether a step comes to its end among these ops, and more of it than its end: an optimiser may leave one out.
fn ends_step(stream: &Stream, range: &std::ops::Range<usize>) -> bool {
    let Some(end) = stream.stepped() else {
        return false;
    };
    let (mut ended, mut more) = (false, false);
    for at in range.clone() {
        let head = stream.head(at);
        let is_end = head.scope == op::USER && stream.words(head.name) == end;
        ended |= is_end;
        more |= !is_end && stream.words(head.range) != end;
    }
    ended && more
}

/// An op in one line: its name and what came out of it.
fn line(stream: &Stream, at: usize) -> String {
    let whole = stream.whole(at);
    let mut line = format!(
        "step {}: {}",
        whole.head.step,
        folder::full_name(
            &stream.words(whole.head.name),
            &stream.words(whole.head.overload)
        )
    );
    for tensor in whole.outputs.iter().take(CONTEXT) {
        let shape: Vec<u64> = tensor.sizes().take(DIMENSIONS).collect();
        // Writing to a String cannot fail.
        let _ = write!(line, " {} {shape:?}", stream.words(tensor.dtype));
    }
    line
}
