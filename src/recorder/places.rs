//! Where in a program an op is: what is around it, how many of its kind came before, and which forward op a backward op
//! belongs to.

use super::finding::{Backward, Place};
use super::folder::Member;
use super::op::{self, Head};
use super::stream::Stream;
use crate::trace::Phase;

/// Ops around an op; more say nothing more.
const MOST_PARENTS: usize = 64;
/// What torch's optimisers announce.
const OPTIMISER: &str = "Optimizer.step#";
/// Records of autograd's engine itself, which are no ops.
const ENGINE: &str = "autograd::engine";

/// Finds places in one stream.
pub(super) struct Places<'a> {
    stream: &'a Stream,
    /// Every op's number and place, by number: parents stand after their children.
    by_index: Vec<(u64, usize)>,
}

impl<'a> Places<'a> {
    pub(super) fn new(stream: &'a Stream) -> Self {
        let ops = stream.ops.iter().enumerate();
        let mut by_index: Vec<(u64, usize)> = ops.map(|(at, op)| (op.index, at)).collect();
        by_index.sort_unstable();
        Self { stream, by_index }
    }

    fn find(&self, index: u64) -> Option<usize> {
        let first = self.by_index.partition_point(|&(other, _)| other < index);
        let &(found, at) = self.by_index.get(first)?;
        (found == index).then_some(at)
    }

    /// The ops around an op, innermost first.
    pub(super) fn around(&self, at: usize) -> Vec<usize> {
        let mut around = Vec::new();
        let mut parent = self.stream.head(at).parent;
        // What is around an op ends after it: a damaged stream cannot make this go round.
        while let Some(found) = parent.and_then(|index| self.find(index))
            && found > around.last().copied().unwrap_or(at)
            && around.len() < MOST_PARENTS
        {
            around.push(found);
            parent = self.stream.head(found).parent;
        }
        around
    }

    /// An op's place.
    pub(super) fn place(&self, at: usize) -> Place {
        let head = self.stream.head(at);
        let around = self.around(at);
        let heads: Vec<Head> = around.iter().map(|&at| self.stream.head(at)).collect();
        let words = |text| self.stream.words(text);
        let range = words(head.range);
        let update = heads
            .iter()
            .filter(|head| head.scope == op::USER)
            .map(|head| words(head.name))
            .chain([range.clone()])
            .any(|name| name.starts_with(OPTIMISER));
        let backward = [&head]
            .into_iter()
            .chain(&heads)
            .any(|head| head.scope == op::BACKWARD);
        // A hook may step an optimiser.
        let backward = backward || (!update && head.flags & op::ENGINE != 0);
        let phase = match (backward, update) {
            (true, _) => Phase::Backward,
            (false, true) => Phase::Update,
            (false, false) => Phase::Forward,
        };
        Place {
            op: words(head.name),
            overload: words(head.overload),
            parents: heads.iter().rev().map(|head| words(head.name)).collect(),
            step: head.step,
            occurrence: self.before(&head),
            index: head.index,
            phase: Some(phase),
            range,
        }
    }

    /// How many calls of this op came before in its step.
    fn before(&self, head: &Head) -> u64 {
        let name = (self.stream.hash(head.name), self.stream.hash(head.overload));
        let earlier = self.stream.ops.iter().enumerate();
        let earlier = earlier.filter(|(_, op)| op.step == head.step && op.index < head.index);
        earlier
            .filter(|&(at, _)| {
                let other = self.stream.head(at);
                (
                    self.stream.hash(other.name),
                    self.stream.hash(other.overload),
                ) == name
            })
            .count() as u64
    }

    /// The node of autograd's graph that an op runs in, and the forward op that made it.
    pub(super) fn backward(&self, at: usize, member: &Member) -> Option<Backward> {
        let around = self.around(at);
        let mut nodes = [at].into_iter().chain(around);
        let node = nodes.find(|&at| self.stream.ops[at].scope == op::BACKWARD)?;
        let node = self.stream.head(node);
        Some(Backward {
            node: self.stream.words(node.name),
            forward: forward(&node, member),
        })
    }
}

/// The forward op that made a node: of those with its number, the one that began last.
fn forward(node: &Head, member: &Member) -> Option<Place> {
    if node.seq < 0 {
        return None;
    }
    let named = |stream: &&Stream| Some(stream.header.thread) == node.forward_thread;
    let streams = &member.streams;
    // Threads count by themselves, so that a number alone names nothing where there are several.
    let stream = streams.iter().find(named).or(match streams.as_slice() {
        [only] => Some(only),
        _ => None,
    })?;
    let ops = stream.ops.iter().enumerate();
    let (_, at) = ops
        .filter(|(_, op)| op.scope == op::FUNCTION && op.step <= node.step)
        .filter(|&(at, _)| {
            let head = stream.head(at);
            head.seq == node.seq && !stream.words(head.name).starts_with(ENGINE)
        })
        .map(|(at, op)| (op.index, at))
        .max()?;
    Some(Places::new(stream).place(at))
}
