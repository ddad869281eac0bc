//! From a place where two runs differ to a finding: everything about that place that both recordings know.

use super::advice;
use super::collective;
use super::context::structure;
use super::finding::{Besides, Draws, Finding, Kind, Process, Sides, Thread, Wake};
use super::judge;
use super::known;
use super::op::{self, Rng};
use super::places::Places;
use super::sides::{first, pairings};
use super::stream::Stream;
use super::wake;
use super::walk::{Event, Lane, Walk, What};

impl Finding {
    /// One that says nothing yet but its kind.
    pub(super) fn of(kind: Kind, process: Process) -> Self {
        Self {
            kind,
            what: String::new(),
            place: super::finding::Place::default(),
            backward: None,
            process,
            thread: Thread {
                number: 0,
                role: String::new(),
            },
            flags: Vec::new(),
            alert: None,
            scalars: Sides::default(),
            threads: Sides::default(),
            draws: None,
            inputs: Vec::new(),
            outputs: Vec::new(),
            first: None,
            structure: None,
            collective: None,
            wake: Wake::default(),
            besides: Vec::new(),
            known: None,
            advice: Vec::new(),
        }
    }
}

/// A place where two processes part.
pub(super) struct Detail<'a> {
    walk: &'a Walk<'a>,
    event: &'a Event,
    lane: &'a Lane<'a>,
}

impl<'a> Detail<'a> {
    pub(super) fn new(walk: &'a Walk<'a>, event: &'a Event) -> Self {
        let lane = &walk.lanes[event.lane];
        Self { walk, event, lane }
    }

    /// Everything about it.
    pub(super) fn finding(&self) -> Finding {
        let (at, other, kind) = self.called();
        let mut finding = Finding::of(kind, self.walk.ours.who.clone());
        finding.thread.number = self.lane.ours.header.thread;
        finding
            .thread
            .role
            .clone_from(&self.lane.ours.header.thread_role);
        match &self.event.what {
            What::Pair(..) => {
                self.pair(&mut finding, at, other);
                let later = self.walk.gap.as_ref();
                finding.structure = later.and_then(|event| {
                    let lane = &self.walk.lanes[event.lane];
                    match &event.what {
                        What::Gap(gap) => Some(structure(lane, gap)),
                        What::Pair(..) => None,
                    }
                });
            }
            What::Gap(gap) => {
                finding.structure = Some(structure(self.lane, gap));
                let (stream, at, member) = if gap.reference.is_empty() {
                    (self.lane.theirs, gap.candidate.start, self.walk.theirs)
                } else {
                    (self.lane.ours, gap.reference.start, self.walk.ours)
                };
                let places = Places::new(stream);
                finding.place = places.place(at);
                finding.backward = places.backward(at, member);
            }
        }
        let (wake, roots) = wake::of(self.walk, self.event);
        finding.wake = wake;
        finding.what = advice::sentence(&finding);
        finding.known = known::of(&finding);
        finding.besides = roots.iter().filter_map(|root| self.root(root)).collect();
        finding.advice = advice::advice(&finding);
        finding
    }

    /// Another op that parts the runs by itself.
    fn root(&self, root: &wake::Root) -> Option<Besides> {
        let What::Pair(at, other, kind) = root.event.what else {
            return None;
        };
        let mut finding = Finding::of(kind, self.walk.ours.who.clone());
        Detail::new(self.walk, &root.event).pair(&mut finding, at, other);
        Some(Besides {
            what: advice::sentence(&finding),
            fix: known::of(&finding).map(|known| known.fix),
            kind,
            place: finding.place,
            ops: root.ops,
        })
    }

    fn pair(&self, finding: &mut Finding, at: usize, other: usize) {
        let (ours, theirs) = (self.lane.ours, self.lane.theirs);
        let (one, two) = (ours.whole(at), theirs.whole(other));
        let places = Places::new(ours);
        finding.place = places.place(at);
        finding.backward = places.backward(at, self.walk.ours);
        let flags = one.head.flags | two.head.flags;
        let said = op::FLAGS.iter().filter(|(flag, _)| flags & flag != 0);
        finding.flags = said.map(|(_, words)| (*words).to_owned()).collect();
        let alerts = [ours.words(one.head.alert), theirs.words(two.head.alert)];
        finding.alert = alerts.into_iter().find(|alert| !alert.is_empty());
        finding.scalars = Sides {
            reference: ours.words(one.head.scalars),
            candidate: theirs.words(two.head.scalars),
        };
        finding.threads = Sides {
            reference: one.head.threads,
            candidate: two.head.threads,
        };
        finding.draws = self.draws(at, one.head.rng, two.head.rng);
        finding.inputs = pairings(ours, &one.inputs, theirs, &two.inputs);
        finding.outputs = pairings(ours, &one.outputs, theirs, &two.outputs);
        finding.first = first(ours, &one, theirs, &two);
        if matches!(finding.kind, Kind::Outside | Kind::Before) {
            let sent = collective::brought(self.walk.ours, (ours, at), (theirs, other));
            if let Some((stream, at)) = sent {
                finding.kind = Kind::Outside;
                finding.collective = Some(Places::new(stream).place(at));
            }
        }
    }

    /// The op to name, and why. What an op was called with is a matter of whoever called it: the outermost op counts that
    /// was called with something else already.
    fn called(&self) -> (usize, usize, Kind) {
        let What::Pair(at, other, kind) = self.event.what else {
            return (0, 0, Kind::Structure);
        };
        let (ours, theirs) = (self.lane.ours, self.lane.theirs);
        match kind {
            Kind::UnrecordedWrite | Kind::Structure | Kind::Before if self.shared(at, other) => {
                return (at, other, Kind::Race);
            }
            Kind::Op if self.interleaved(at) => return (at, other, Kind::Race),
            Kind::Argument | Kind::Outside | Kind::Shape => {}
            _ => return (at, other, kind),
        }
        let around = Places::new(ours).around(at);
        let mut found = (at, other, kind);
        for (at, other) in around.into_iter().zip(Places::new(theirs).around(other)) {
            if ours.ops[at].scope != op::FUNCTION {
                break;
            }
            match judge::handed(ours, at, theirs, other) {
                Some(kind) => found = (at, other, kind),
                // Called alike, it called others differently: kernels share out work among threads.
                None if ours.head(at).threads != theirs.head(other).threads => {
                    return (at, other, Kind::Threads);
                }
                None => break,
            }
        }
        found
    }

    /// Whether another thread wrote what this op writes, between the ops before and after it on its own thread; or wrote at
    /// any time what this op reads without its being hashed again.
    fn interleaved(&self, at: usize) -> bool {
        let ours = self.lane.ours;
        let whole = ours.whole(at);
        let written = whole
            .outputs
            .iter()
            .filter(|tensor| tensor.flags & op::WRITTEN != 0);
        let storages: Vec<u64> = written.map(|tensor| tensor.storage).collect();
        let from = at.checked_sub(1).map_or(0, |at| ours.ops[at].time);
        let to = ours.ops.get(at + 1).map_or(u64::MAX, |op| op.time);
        let unhashed = whole.inputs.iter().filter(|tensor| tensor.digest.is_none());
        let read: Vec<u64> = unhashed.map(|tensor| tensor.storage).collect();
        self.written_by_others(&storages, from, to) || self.written_by_others(&read, 0, u64::MAX)
    }

    fn written_by_others(&self, storages: &[u64], from: u64, to: u64) -> bool {
        let writes = |stream: &Stream, at: usize| {
            let whole = stream.whole(at);
            let mut tensors = whole.inputs.iter().chain(&whole.outputs);
            tensors
                .any(|tensor| tensor.flags & op::WRITTEN != 0 && storages.contains(&tensor.storage))
        };
        // Autograd's threads write while the others wait for them.
        let free = |stream: &&Stream| stream.header.thread_role != "autograd";
        let ours = self.lane.ours;
        let streams = self.walk.ours.streams.iter().filter(|_| free(&ours));
        let mut others = streams.filter(|stream| !std::ptr::eq(*stream, ours) && free(stream));
        others.any(|stream| {
            let mut near = stream.ops.iter().enumerate();
            near.any(|(at, op)| from <= op.time && op.time <= to && writes(stream, at))
        })
    }

    /// Whether another thread writes what differs when an op reads it: then no write is missing, only their order varies.
    fn shared(&self, at: usize, other: usize) -> bool {
        let (ours, theirs) = (self.lane.ours, self.lane.theirs);
        let (one, two) = (ours.whole(at), theirs.whole(other));
        let pairs = judge::side_by_side(ours, &one.inputs, theirs, &two.inputs);
        let differ = pairs
            .iter()
            .filter(|(_, _, same)| *same == judge::Same::Differs);
        let storages: Vec<u64> = differ
            .filter_map(|(one, ..)| Some((*one)?.storage))
            .collect();
        self.written_by_others(&storages, 0, u64::MAX)
    }

    fn draws(&self, at: usize, one: Rng, other: Rng) -> Option<Draws> {
        if one == Rng::None && other == Rng::None {
            return None;
        }
        let (before, after) = judge::drew_alike(one, other);
        let now = self.lane.ours.ops[at].time;
        let kind = std::mem::discriminant(&one);
        let drew = |stream: &Stream| {
            let mut ops = stream.ops.iter().enumerate();
            let mine = std::ptr::eq(stream, self.lane.ours);
            ops.any(|(place, op)| {
                let earlier = if mine { place < at } else { op.time < now };
                let random = op.flags & op::RANDOM != 0;
                earlier && random && std::mem::discriminant(&stream.head(place).rng) == kind
            })
        };
        Some(Draws {
            before,
            after,
            first: !self.walk.ours.streams.iter().any(drew),
            philox: match (one, other) {
                (
                    Rng::Cuda {
                        seed,
                        before,
                        after,
                    },
                    Rng::Cuda {
                        seed: seed_2,
                        before: before_2,
                        after: after_2,
                    },
                ) => Some(Sides {
                    reference: [seed, before, after],
                    candidate: [seed_2, before_2, after_2],
                }),
                _ => None,
            },
        })
    }
}
