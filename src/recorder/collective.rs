//! What other ranks sent: a collective writes after its op has ended, so that its result looks as if it came from outside.

use super::folder::Member;
use super::judge::{self, Same};
use super::op;
use super::stream::Stream;

/// Beginnings of the names of collectives.
const NAMES: &[&str] = &["c10d::", "_c10d_functional", "record_param_comms"];

/// Whether an op waits for other ranks.
pub(super) fn is_one(name: &str) -> bool {
    NAMES.iter().any(|start| name.starts_with(start))
}

/// The last collective of a process that was given what differs when an op reads it.
pub(super) fn brought<'a>(
    member: &'a Member,
    (ours, at): (&Stream, usize),
    (theirs, other): (&Stream, usize),
) -> Option<(&'a Stream, usize)> {
    let (one, two) = (ours.whole(at), theirs.whole(other));
    let inputs = judge::side_by_side(ours, &one.inputs, theirs, &two.inputs);
    let different = inputs.iter().filter(|(.., same)| *same == Same::Differs);
    let storages: Vec<u64> = different
        .filter_map(|(one, ..)| *one)
        .filter(|tensor| tensor.flags & op::EXTERNAL != 0)
        .map(|tensor| tensor.storage)
        .collect();
    if storages.is_empty() {
        return None;
    }
    let now = ours.ops[at].time;
    let given = |stream: &Stream, at: usize| {
        let whole = stream.whole(at);
        let mut tensors = whole.inputs.iter().chain(&whole.outputs);
        is_one(&stream.words(whole.head.name))
            && tensors.any(|tensor| storages.contains(&tensor.storage))
    };
    let last = |stream: &'a Stream| {
        let mut before = (0..stream.ops.len()).rev();
        let found = before.find(|&at| stream.ops[at].time < now && given(stream, at));
        found.map(|found| (stream, found))
    };
    let found = member.streams.iter().filter_map(last);
    found.max_by_key(|(stream, at)| stream.ops[*at].time)
}
