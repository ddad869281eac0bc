//! Memory that another thread of a process writes meanwhile.

use super::folder::Member;
use super::judge::{self, Same};
use super::op;
use super::stream::Stream;

/// Whether another thread wrote what an op writes, between the ops before and after it on its own thread; or wrote at any
/// time what this op reads without its being hashed again.
pub(super) fn interleaved(member: &Member, stream: &Stream, at: usize) -> bool {
    let whole = stream.whole(at);
    let outputs = whole.outputs.iter();
    let written = outputs.filter(|tensor| tensor.flags & op::WRITTEN != 0);
    let storages: Vec<u64> = written.map(|tensor| tensor.storage).collect();
    let from = at.checked_sub(1).map_or(0, |at| stream.ops[at].time);
    let to = stream.ops.get(at + 1).map_or(u64::MAX, |op| op.time);
    let unhashed = whole.inputs.iter().filter(|tensor| tensor.digest.is_none());
    let read: Vec<u64> = unhashed.map(|tensor| tensor.storage).collect();
    written_by_others(member, stream, &storages, from, to)
        || written_by_others(member, stream, &read, 0, u64::MAX)
}

/// Whether another thread writes what differs when an op reads it: then no write is missing, only their order varies.
pub(super) fn shared(
    member: &Member,
    (ours, at): (&Stream, usize),
    (theirs, other): (&Stream, usize),
) -> bool {
    let (one, two) = (ours.whole(at), theirs.whole(other));
    let pairs = judge::side_by_side(ours, &one.inputs, theirs, &two.inputs);
    let differ = pairs.iter().filter(|(.., same)| *same == Same::Differs);
    let storages: Vec<u64> = differ
        .filter_map(|(one, ..)| Some((*one)?.storage))
        .collect();
    written_by_others(member, ours, &storages, 0, u64::MAX)
}

/// Whether an op of another thread that runs in a span of time writes one of these pieces of memory.
fn written_by_others(
    member: &Member,
    stream: &Stream,
    storages: &[u64],
    from: u64,
    to: u64,
) -> bool {
    // Autograd's threads write while the others wait for them.
    let free = |stream: &Stream| stream.header.thread_role != "autograd";
    if storages.is_empty() || !free(stream) {
        return false;
    }
    let others = member.streams.iter();
    let mut others = others.filter(|other| !std::ptr::eq(*other, stream) && free(other));
    others.any(|other| {
        (0..other.ops.len()).any(|at| {
            let op = &other.ops[at];
            // It may have begun before, and ends before the next one of its thread begins.
            let end = other.ops.get(at + 1).map_or(op.time, |next| next.time);
            op.time <= to && from <= end && writes(other, at, storages)
        })
    })
}

fn writes(stream: &Stream, at: usize, storages: &[u64]) -> bool {
    let whole = stream.whole(at);
    let mut tensors = whole.inputs.iter().chain(&whole.outputs);
    tensors.any(|tensor| tensor.flags & op::WRITTEN != 0 && storages.contains(&tensor.storage))
}
