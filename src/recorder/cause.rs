//! Two runs beside each other: every pair of processes is walked through, and of all places where they part the one is
//! chosen that the others follow from.

use std::collections::BTreeSet;

use super::advice;
use super::collective;
use super::context::{recorded, steps};
use super::detail::Detail;
use super::finding::{Account, Change, Compared, Finding, Kind, Sides, Structure};
use super::folder::{self, Pairs, Run};
use super::known;
use super::stream::Stream;
use super::walk::{Event, Walk, What};

/// Notes of one account.
const NOTES: usize = 40;
/// Characters of a note.
const LONGEST: usize = 600;

/// Everything that two runs tell.
pub(super) fn account(ours: &Run, theirs: &Run) -> Account {
    let pairs = folder::processes(ours, theirs);
    let walks: Vec<Walk> = pairs
        .both
        .iter()
        .map(|&(at, other)| Walk::new(&ours.members[at], &theirs.members[other]))
        .collect();
    let mut compared = Compared::default();
    for walk in &walks {
        walk.count(&mut compared);
    }
    let streams = |run| -> Vec<&Stream> {
        let run: &Run = run;
        run.members
            .iter()
            .flat_map(|member| &member.streams)
            .collect()
    };
    let longest = |count: fn(&Stream) -> u64| streams(ours).into_iter().map(count).max();
    compared.announced = longest(steps).unwrap_or(0);
    compared.steps = longest(recorded).unwrap_or(0);
    let parted = parted(&walks);
    let mut others = Vec::new();
    let finding = match chosen(&parted) {
        Some(at) => {
            let rest = parted.iter().enumerate().filter(|&(other, _)| other != at);
            others.extend(rest.map(|(_, one)| one.line()));
            Some(Detail::new(parted[at].walk, parted[at].event).finding())
        }
        None => alone(ours, theirs, &pairs, &walks),
    };
    let mut notes = unpaired(ours, theirs, &pairs);
    notes.extend(walks.iter().flat_map(|walk| walk.notes.iter().cloned()));
    notes.extend(ours.notes.iter().chain(&theirs.notes).cloned());
    for stream in streams(ours).into_iter().chain(streams(theirs)) {
        notes.extend(
            stream
                .notes()
                .map(|note| format!("the recorder says: {note}")),
        );
    }
    notes.extend(skipped(&streams(ours)));
    let versions = [ours, theirs].map(|run| &run.members[0].streams[0].header.torch);
    if versions[0] != versions[1] {
        notes.push(format!(
            "the runs used torch {} and torch {}",
            versions[0], versions[1]
        ));
    }
    Account {
        compared,
        steps_by: streams(ours).into_iter().find_map(Stream::stepped),
        finding,
        others,
        notes: few(notes),
    }
}

/// Each note once, and not too many.
fn few(notes: Vec<String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let notes = notes.into_iter().filter(|note| seen.insert(note.clone()));
    let mut notes: Vec<String> = notes
        .map(|note| crate::error::plain(&note, LONGEST).into_owned())
        .collect();
    if notes.len() > NOTES {
        let more = notes.len() - NOTES;
        notes.truncate(NOTES);
        notes.push(format!("({more} more notes)"));
    }
    notes
}

fn skipped(streams: &[&Stream]) -> Option<String> {
    let mut reasons: std::collections::BTreeMap<String, u64> = std::collections::BTreeMap::new();
    for (reason, count) in streams.iter().flat_map(|stream| stream.skipped()) {
        *reasons.entry(reason).or_default() += count;
    }
    let reasons: Vec<String> = reasons
        .into_iter()
        .take(NOTES)
        .map(|(reason, count)| format!("{count} {reason}"))
        .collect();
    (!reasons.is_empty()).then(|| {
        let reasons = reasons.join(", ");
        format!("tensors that could not be hashed, so that nothing is known of them: {reasons}")
    })
}

fn unpaired(ours: &Run, theirs: &Run, pairs: &Pairs) -> Vec<String> {
    let mut notes = Vec::new();
    let sides = [
        ("reference", ours, &pairs.missing),
        ("candidate", theirs, &pairs.extra),
    ];
    for (side, run, alone) in sides {
        for &at in alone {
            let member = &run.members[at];
            let (who, pid) = (folder::named(&member.who), member.pid());
            notes.push(format!("{who} is in the {side} only (process id {pid})"));
        }
    }
    notes
}

/// A pair of processes that part, and where.
struct Parted<'a> {
    walk: &'a Walk<'a>,
    event: &'a Event,
    step: u64,
    /// The op waits for other ranks, or reads what they sent: what differs there may come from one of them.
    collective: bool,
    name: String,
}

impl Parted<'_> {
    fn line(&self) -> String {
        let who = folder::named(&self.walk.ours.who);
        format!(
            "{who} differs too, from step {} on, first in {}",
            self.step, self.name
        )
    }

    fn is_outside(&self) -> bool {
        matches!(self.event.what, What::Pair(_, _, Kind::Outside))
    }
}

fn parted<'a>(walks: &'a [Walk<'a>]) -> Vec<Parted<'a>> {
    let each = walks.iter().filter_map(|walk| Some((walk, walk.first()?)));
    each.map(|(walk, event)| {
        let lane = &walk.lanes[event.lane];
        let (stream, at) = match &event.what {
            What::Pair(at, ..) => (lane.ours, *at),
            What::Gap(gap) if gap.reference.is_empty() => (lane.theirs, gap.candidate.start),
            What::Gap(gap) => (lane.ours, gap.reference.start),
        };
        let name = stream.words(stream.head(at).name);
        let sent = match &event.what {
            What::Pair(at, other, Kind::Outside | Kind::Before) => {
                let (one, two) = ((lane.ours, *at), (lane.theirs, *other));
                collective::brought(walk.ours, one, two).is_some()
            }
            _ => false,
        };
        Parted {
            walk,
            event,
            step: stream.ops[at].step,
            collective: sent || collective::is_one(&name),
            name,
        }
    })
    .collect()
}

/// Which of them the others follow from.
fn chosen(parted: &[Parted]) -> Option<usize> {
    let comes_from = |one: &Parted, other: &Parted| one.walk.ours.comes_from(other.walk.ours);
    // The steps of a process that another one started are those of that moment: they say little.
    let started = |at: usize| parted.iter().any(|other| comes_from(&parted[at], other));
    let rank = |&at: &usize| {
        let one = &parted[at];
        (started(at), one.step, one.collective, at)
    };
    let mut found = (0..parted.len()).min_by_key(rank)?;
    // What came from outside a process may come from one that it started. No process is looked at twice.
    for _ in 0..parted.len() {
        if !parted[found].is_outside() {
            break;
        }
        let child = |at: &usize| comes_from(&parted[*at], &parted[found]);
        let Some(next) = (0..parted.len()).filter(child).min_by_key(rank) else {
            break;
        };
        found = next;
    }
    Some(found)
}

/// A finding for threads and processes that have no partner, where everything that has one agrees.
fn alone(ours: &Run, theirs: &Run, pairs: &Pairs, walks: &[Walk]) -> Option<Finding> {
    let process = |run: &Run, alone: &[usize]| {
        let member = &run.members[*alone.first()?];
        Some((
            member.who.clone(),
            format!("{} ran", folder::named(&member.who)),
        ))
    };
    let thread = |walk: &Walk, alone: &[&Stream]| {
        let number = alone.first()?.header.thread;
        let who = folder::named(&walk.ours.who);
        Some((
            walk.ours.who.clone(),
            format!("thread {number} of {who} ran ops"),
        ))
    };
    let missing = process(ours, &pairs.missing)
        .or_else(|| walks.iter().find_map(|walk| thread(walk, &walk.alone.0)))
        .map(|(who, what)| (who, what, "reference"));
    let extra = process(theirs, &pairs.extra)
        .or_else(|| walks.iter().find_map(|walk| thread(walk, &walk.alone.1)))
        .map(|(who, what)| (who, what, "candidate"));
    let (who, what, side) = missing.or(extra)?;
    let mut finding = Finding::of(Kind::Structure, who);
    finding.what = format!("{what} in the {side} only");
    finding.structure = Some(Structure {
        what: Change::Alone,
        without_partner: Sides::default(),
        steps: Sides::default(),
        before: Vec::new(),
        next: Sides::default(),
    });
    finding.known = known::of(&finding);
    finding.advice = advice::advice(&finding);
    Some(finding)
}
