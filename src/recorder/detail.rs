//! From a place where two runs differ to a finding: everything about that place that both recordings know.

use super::advice;
use super::collective;
use super::context::structure;
use super::finding::{Besides, Draws, Finding, Kind, Process, Sides, Thread, Wake};
use super::judge;
use super::known;
use super::op::{self, Rng};
use super::places::Places;
use super::race;
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
            Kind::UnrecordedWrite | Kind::Structure | Kind::Before
                if race::shared(self.walk.ours, (ours, at), (theirs, other)) =>
            {
                return (at, other, Kind::Race);
            }
            Kind::Op
                if race::interleaved(self.walk.ours, ours, at)
                    || race::interleaved(self.walk.theirs, theirs, other) =>
            {
                return (at, other, Kind::Race);
            }
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
