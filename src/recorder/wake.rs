//! What comes after the place where two runs part: how far the difference went, and which later ops part the runs by
//! themselves.

use std::collections::BTreeMap;

use super::finding::{InStep, Kind, Wake};
use super::judge;
use super::op;
use super::places::Places;
use super::walk::{Event, Later, Walk, What};

/// Ops named in a wake.
const FIRST: usize = 8;
/// Ops that part the runs by themselves; a race has any number of them.
const ROOTS: usize = 6;

/// Calls of one op, later ones than the first that differs, that part the runs by themselves.
#[derive(Debug)]
pub(super) struct Root {
    /// The first of them.
    pub(super) event: Event,
    /// How many.
    pub(super) ops: u64,
}

/// The wake of an event, and the other roots in the order of time.
pub(super) fn of(walk: &Walk, event: &Event) -> (Wake, Vec<Root>) {
    let mut wake = Wake::default();
    let (own, cause) = match event.what {
        What::Pair(at, _, kind) => {
            let places = Places::new(walk.lanes[event.lane].ours);
            (places.around(at), kind)
        }
        What::Gap(_) => (Vec::new(), Kind::Structure),
    };
    // In time, with how many of a lane came before.
    let mut first: Vec<(u64, usize, usize)> = Vec::new();
    let mut last: Option<(u64, usize, usize)> = None;
    let mut by_step: BTreeMap<u64, u64> = BTreeMap::new();
    let mut roots: BTreeMap<(u64, Kind), Root> = BTreeMap::new();
    // The op of each lane that was counted last, by its number.
    let mut latest: Vec<Option<u64>> = vec![None; walk.lanes.len()];
    for later in walk.after(event) {
        let Later {
            lane, at, differs, ..
        } = later;
        let stream = walk.lanes[lane].ours;
        let op = &stream.ops[at];
        if lane == event.lane && own.contains(&at) {
            continue;
        }
        // What is around an op ends after it, and repeats its results.
        let inner = op.flags & op::LEAF != 0;
        wake.of += u64::from(inner);
        if !differs || (!inner && latest[lane].is_some_and(|index| index > op.index)) {
            continue;
        }
        latest[lane] = Some(op.index);
        wake.of += u64::from(!inner);
        wake.ops += 1;
        *by_step.entry(op.step).or_default() += 1;
        let place = (op.time, lane, at);
        if first.iter().filter(|(_, other, _)| *other == lane).count() < FIRST {
            first.push(place);
        }
        last = last.max(Some(place));
        if let Some((kind, found)) = root(walk, &later, cause) {
            // Wherever a generator stands, the next draw stands too.
            let name = match kind {
                Kind::Rng => 0,
                _ => stream.hash(stream.head(at).name),
            };
            let root = roots.entry((name, kind));
            let root = root.or_insert(Root {
                event: found,
                ops: 0,
            });
            root.ops += 1;
        }
    }
    let steps = by_step.into_iter();
    wake.steps = steps.map(|(step, ops)| InStep { step, ops }).collect();
    first.sort_unstable();
    first.truncate(FIRST);
    let mut places: Vec<Option<Places>> = walk.lanes.iter().map(|_| None).collect();
    let mut place = |(_, lane, at): (u64, usize, usize)| {
        let stream = walk.lanes[lane].ours;
        places[lane]
            .get_or_insert_with(|| Places::new(stream))
            .place(at)
    };
    wake.first = first.into_iter().map(&mut place).collect();
    wake.last = last.map(place);
    let mut roots: Vec<Root> = roots.into_values().collect();
    roots.sort_by_key(|root| root.event.time());
    roots.truncate(ROOTS);
    (wake, roots)
}

/// Whether an op parts the runs by itself, and how. Numbers and data from outside may follow from what differed before by
/// ways that nobody records.
fn root(walk: &Walk, later: &Later, cause: Kind) -> Option<(Kind, Event)> {
    let lane = &walk.lanes[later.lane];
    let kind = judge::by_itself(lane.ours, later.at, lane.theirs, later.other)?;
    let event = lane.event(
        later.lane,
        later.at,
        What::Pair(later.at, later.other, kind),
    );
    let earlier_ops = || {
        walk.gap
            .as_ref()
            .is_some_and(|gap| gap.time() < event.time())
    };
    let own = match kind {
        // Other draws before it, or draws of another size, move a generator too.
        Kind::Rng => {
            let one = [Kind::Op, Kind::Uninitialised, Kind::Overlap, Kind::Threads];
            one.contains(&cause) && !earlier_ops()
        }
        // Sums that threads share out differ wherever they are made, and what threads write at any time, wherever it is read.
        Kind::Threads => ![Kind::Threads, Kind::Race].contains(&cause),
        _ => cause != Kind::Race,
    };
    own.then_some((kind, event))
}
