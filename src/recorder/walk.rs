//! Two processes beside each other: the first place where anything differs, what was compared, and how it went on.

use rayon::prelude::*;

use super::align::{Alignment, Block, Gap, align};
use super::finding::{Compared, Kind};
use super::folder::{self, Member};
use super::judge::{self, judge};
use super::op;
use super::places::Places;
use super::stream::Stream;

/// Two threads that belong together.
pub(super) struct Lane<'a> {
    pub(super) ours: &'a Stream,
    pub(super) theirs: &'a Stream,
    alignment: Alignment,
}

/// What differs.
#[derive(Debug, Clone)]
pub(super) enum What {
    /// Two ops that belong together.
    Pair(usize, usize, Kind),
    /// Ops that have no partner.
    Gap(Gap),
}

/// Something that differs, and when.
#[derive(Debug, Clone)]
pub(super) struct Event {
    /// On the reference's clock of ops; what happens after the last op of a thread is later than that op.
    time: (u64, bool),
    pub(super) lane: usize,
    pub(super) what: What,
}

impl Event {
    /// When it is.
    pub(super) fn time(&self) -> (u64, bool) {
        self.time
    }
}

/// Two ops that belong together, after an event.
#[derive(Debug, Clone, Copy)]
pub(super) struct Later {
    pub(super) lane: usize,
    /// The place in the reference.
    pub(super) at: usize,
    /// The place in the candidate.
    pub(super) other: usize,
    /// Whether their results differ.
    pub(super) differs: bool,
}

/// Two processes that belong together.
pub(super) struct Walk<'a> {
    pub(super) ours: &'a Member,
    pub(super) theirs: &'a Member,
    pub(super) lanes: Vec<Lane<'a>>,
    /// The first pair of ops that differ.
    pub(super) pair: Option<Event>,
    /// The first place where other ops ran.
    pub(super) gap: Option<Event>,
    /// The op inside which that is, if it differs itself.
    around: Option<Event>,
    /// Threads without a partner: of the reference, and of the candidate.
    pub(super) alone: (Vec<&'a Stream>, Vec<&'a Stream>),
    pub(super) notes: Vec<String>,
}

impl<'a> Walk<'a> {
    /// Walks through two processes.
    pub(super) fn new(ours: &'a Member, theirs: &'a Member) -> Self {
        let pairs = folder::threads(ours, theirs);
        let lanes: Vec<Lane> = pairs
            .both
            .par_iter()
            .map(|&(at, other)| {
                let (ours, theirs) = (&ours.streams[at], &theirs.streams[other]);
                Lane {
                    ours,
                    theirs,
                    alignment: align(&ours.keys, &theirs.keys),
                }
            })
            .collect();
        let mut walk = Self {
            ours,
            theirs,
            lanes,
            pair: None,
            gap: None,
            around: None,
            alone: (
                pairs.missing.iter().map(|&at| &ours.streams[at]).collect(),
                pairs.extra.iter().map(|&at| &theirs.streams[at]).collect(),
            ),
            notes: Vec::new(),
        };
        let firsts: Vec<(Option<Event>, Option<Event>)> = (0..walk.lanes.len())
            .into_par_iter()
            .map(|lane| {
                (
                    walk.lanes[lane].first_pair(lane),
                    walk.lanes[lane].first_gap(lane),
                )
            })
            .collect();
        for (pair, gap) in firsts {
            walk.pair = earlier(walk.pair.take(), pair);
            walk.gap = earlier(walk.gap.take(), gap);
        }
        walk.around = walk.gap.as_ref().and_then(|gap| walk.around(gap));
        walk.remark();
        walk
    }

    /// Where the processes part.
    pub(super) fn first(&self) -> Option<&Event> {
        let gap_first = match (&self.pair, &self.gap) {
            (Some(pair), Some(gap)) => match (&pair.what, &gap.what) {
                // Of one thread it is known op by op.
                (What::Pair(at, ..), What::Gap(ops)) if pair.lane == gap.lane => {
                    ops.reference.start <= *at
                }
                _ => gap.time < pair.time,
            },
            (pair, _) => pair.is_none(),
        };
        if gap_first {
            self.around.as_ref().or(self.gap.as_ref())
        } else {
            self.pair.as_ref()
        }
    }

    /// The innermost op around ops without a partner that differs: other ops ran because of it.
    fn around(&self, event: &Event) -> Option<Event> {
        let What::Gap(gap) = &event.what else {
            return None;
        };
        let lane = &self.lanes[event.lane];
        let mine = gap.candidate.is_empty();
        let (stream, at) = if mine {
            (lane.ours, gap.reference.start)
        } else {
            (lane.theirs, gap.candidate.start)
        };
        let around = Places::new(stream).around(at);
        let mut around = around
            .into_iter()
            .filter(|&at| stream.ops[at].scope == op::FUNCTION);
        around.find_map(|at| {
            let (ours, theirs) = lane
                .pairs()
                .find(|&(ours, theirs)| at == if mine { ours } else { theirs })?;
            let kind = judge(lane.ours, ours, lane.theirs, theirs)?;
            Some(lane.event(event.lane, ours, What::Pair(ours, theirs, kind)))
        })
    }

    fn remark(&mut self) {
        let who = folder::named(&self.ours.who);
        for lane in &self.lanes {
            let thread = lane.ours.header.thread;
            if lane.alignment.given_up {
                self.notes.push(format!(
                    "{who}, thread {thread}: the ops of the two runs have too little in common to be compared to their end"
                ));
            }
            for (side, stream) in [("reference", lane.ours), ("candidate", lane.theirs)] {
                let Some(cut) = stream.cut() else { continue };
                // Workers of a DataLoader never come to an end of their own: where both did the same, that is nothing.
                if lane.whole() && stream.torn.is_none() && stream.limit.is_none() {
                    continue;
                }
                let file = stream.path.file_name().unwrap_or_default().display();
                self.notes.push(format!(
                    "{who}, thread {thread}, {side} ({file}): {cut}; what was recorded before is compared"
                ));
            }
        }
    }

    /// Adds what this walk compared.
    pub(super) fn count(&self, compared: &mut Compared) {
        compared.processes += 1;
        for lane in &self.lanes {
            compared.threads += 1;
            for (ours, theirs) in lane.pairs() {
                let (one, other) = (&lane.ours.ops[ours], &lane.theirs.ops[theirs]);
                compared.ops += 1;
                compared.hashed += u64::from(one.hashed.min(other.hashed));
                compared.unhashed += u64::from(one.skipped || other.skipped);
            }
        }
    }

    /// Every pair of ops after an event, in the order of time within each lane.
    pub(super) fn after(&self, event: &Event) -> impl Iterator<Item = Later> {
        let lanes = self.lanes.iter().enumerate();
        lanes.flat_map(move |(number, lane)| {
            let later = move |ours: usize, theirs: usize| match &event.what {
                What::Pair(at, ..) if number == event.lane => ours > *at,
                What::Gap(gap) if number == event.lane => {
                    ours >= gap.reference.end && theirs >= gap.candidate.end
                }
                _ => (lane.ours.ops[ours].time, false) > event.time,
            };
            let after = lane
                .pairs()
                .filter(move |&(ours, theirs)| later(ours, theirs));
            after.map(move |(ours, theirs)| Later {
                lane: number,
                at: ours,
                other: theirs,
                differs: lane.results_differ(ours, theirs),
            })
        })
    }
}

fn earlier(one: Option<Event>, other: Option<Event>) -> Option<Event> {
    match (one, other) {
        (Some(one), Some(other)) if other.time < one.time => Some(other),
        (one, other) => one.or(other),
    }
}

impl Lane<'_> {
    /// Ops that belong together.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (usize, usize)> {
        let blocks = self.alignment.blocks.iter();
        blocks.flat_map(
            |&Block {
                 reference,
                 candidate,
                 length,
             }| { (0..length).map(move |at| (reference + at, candidate + at)) },
        )
    }

    /// Whether every op of both sides has a partner.
    fn whole(&self) -> bool {
        let ends = (self.ours.ops.len(), self.theirs.ops.len());
        !self.alignment.given_up && self.alignment.first_gap(ends.0, ends.1).is_none()
    }

    /// Whether an op only brings in what a worker sent. Batches arrive when they are ready, so that such ops come in
    /// another order, or earlier, in every run.
    fn arrival(stream: &Stream, at: usize) -> bool {
        let range = stream.words(stream.head(at).range);
        range.starts_with("enumerate(DataLoader)#_MultiProcessing")
    }

    fn first_pair(&self, lane: usize) -> Option<Event> {
        let different = |&(ours, theirs): &(usize, usize)| {
            self.ours.ops[ours].content != self.theirs.ops[theirs].content
        };
        let arrived =
            |ours, theirs| Self::arrival(self.ours, ours) || Self::arrival(self.theirs, theirs);
        let (ours, what) = self.pairs().filter(different).find_map(|(ours, theirs)| {
            let kind = judge(self.ours, ours, self.theirs, theirs)?;
            let other_batch = kind != Kind::Op && arrived(ours, theirs);
            (!other_batch).then_some((ours, What::Pair(ours, theirs, kind)))
        })?;
        Some(self.event(lane, ours, what))
    }

    /// Something that differs at an op of the reference.
    pub(super) fn event(&self, lane: usize, at: usize, what: What) -> Event {
        let time = (self.ours.ops[at].time, false);
        Event { time, lane, what }
    }

    fn first_gap(&self, lane: usize) -> Option<Event> {
        let ends = (self.ours.ops.len(), self.theirs.ops.len());
        let arrival = |gap: &Gap| {
            let mut ours = gap.reference.clone();
            let mut theirs = gap.candidate.clone();
            ours.all(|at| Self::arrival(self.ours, at))
                && theirs.all(|at| Self::arrival(self.theirs, at))
        };
        let gap = self
            .alignment
            .gaps(ends.0, ends.1)
            .find(|gap| !arrival(gap))?;
        // A stream that was cut off says nothing of what came after.
        let ended =
            gap.reference.is_empty() && gap.reference.end == ends.0 && self.ours.cut().is_some();
        let other_ended =
            gap.candidate.is_empty() && gap.candidate.end == ends.1 && self.theirs.cut().is_some();
        if ended || other_ended {
            return None;
        }
        let time = match self.ours.ops.get(gap.reference.start) {
            Some(op) => (op.time, false),
            None => (self.ours.ops.last().map_or(0, |op| op.time), true),
        };
        let what = What::Gap(gap);
        Some(Event { time, lane, what })
    }

    fn results_differ(&self, ours: usize, theirs: usize) -> bool {
        let (one, other) = (&self.ours.ops[ours], &self.theirs.ops[theirs]);
        if one.results == other.results {
            return false;
        }
        // A result that was hashed on one side only makes them look different too, and so does a kernel's own memory.
        judge::results_differ(self.ours, ours, self.theirs, theirs)
    }
}
