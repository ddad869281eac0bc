//! The streams of one run, by process; and which process and thread of one run is which of another.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::context::steps;
use super::cursor::chain;
use super::finding::Process;
use super::index::BEGINNING;
use super::stream::Stream;
use crate::error::{Error, Result};

/// Everything that one process left.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) who: Process,
    pid: u64,
    /// In the order of their numbers, never empty.
    pub(super) streams: Vec<Stream>,
}

/// One run.
#[derive(Debug)]
pub(super) struct Run {
    /// In the order of their process ids.
    pub(super) members: Vec<Member>,
    pub(super) notes: Vec<String>,
}

impl Run {
    /// Reads every stream in a folder.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let paths = streams(folder)?;
        let found: Vec<Result<Option<Stream>>> =
            paths.par_iter().map(|path| Stream::open(path)).collect();
        let mut members: BTreeMap<(u64, String), Member> = BTreeMap::new();
        let mut notes = Vec::new();
        let mut empty: Vec<Stream> = Vec::new();
        for (path, stream) in paths.iter().zip(found) {
            let Some(stream) = stream? else {
                let name = path.file_name().unwrap_or_default().display();
                notes.push(format!("{name} was cut off before anything was written"));
                continue;
            };
            if stream.ops.is_empty() {
                empty.push(stream);
                continue;
            }
            let header = &stream.header;
            let who = Process {
                role: header.role.clone(),
                rank: header.rank.clone(),
                argv: header.argv.clone(),
            };
            let pid = header.pid;
            let fresh = Member {
                who,
                pid,
                streams: Vec::new(),
            };
            let member = members.entry((pid, header.role.clone())).or_insert(fresh);
            member.streams.push(stream);
        }
        if members.is_empty() {
            let announced = empty.iter().filter(|stream| stream.stepped.is_some());
            let steps = announced.map(steps).max();
            let why = match (paths.len(), steps) {
                (0, _) => "no process ran an op under the recorder and came to its end: does the program use torch?".into(),
                _ if empty.is_empty() => "every stream was cut off before anything was written".into(),
                (_, None) => "no op ran in the steps that were asked for: no step was announced, so that everything is step 0; a gate's \
                     `--step-marker NAME` names a range that ends a step"
                    .into(),
                (_, Some(steps)) => format!(
                    "no op ran in the steps that were asked for: there were {steps}, from 0 on"
                ),
            };
            return Err(Error::input(folder, format!("no op was recorded: {why}")));
        }
        let mut members: Vec<Member> = members.into_values().collect();
        for member in &mut members {
            member.streams.sort_by_key(|stream| stream.header.thread);
        }
        Ok(Self { members, notes })
    }

    /// The first step of which anything is left; 0 where recording began at the beginning.
    fn begins(&self) -> u64 {
        let streams = self.members.iter().flat_map(|member| &member.streams);
        let late = streams.filter(|stream| stream.least > 0);
        let steps = late.filter_map(|stream| stream.ops.iter().map(|op| op.step).min());
        steps.min().unwrap_or(0)
    }

    /// Leaves out the steps of two runs that only one of them kept: the last ones of runs of another length. `folder` is the
    /// candidate's.
    pub(super) fn in_step(ours: &mut Self, theirs: &mut Self, folder: &Path) -> Result<()> {
        let begins = (ours.begins(), theirs.begins());
        let first = begins.0.max(begins.1);
        if begins.0 == begins.1 {
            return Ok(());
        }
        for run in [ours, &mut *theirs] {
            for member in &mut run.members {
                let streams = member.streams.iter_mut();
                streams.for_each(|stream| stream.leave_out_before(first));
                member.streams.retain(|stream| !stream.ops.is_empty());
            }
            run.members.retain(|member| !member.streams.is_empty());
            if run.members.is_empty() {
                let what = format!(
                    "the recordings have no step in common: one begins at step {first}, where the other has ended"
                );
                return Err(Error::input(folder, what));
            }
        }
        theirs.notes.push(format!(
            "compared from step {first} on, the first that both recordings have"
        ));
        Ok(())
    }

    /// Whether everything read so far was really there.
    pub(super) fn check(&self) -> Result<()> {
        let mut streams = self.members.iter().flat_map(|member| &member.streams);
        streams.try_for_each(Stream::check)
    }
}

/// The streams in a folder, in an order that is the same for every file system.
fn streams(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |e| Error::io("read", folder, e);
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|ending| ending == "ops") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Who belongs together, and who has no partner.
pub(super) struct Pairs {
    /// Places on both sides.
    pub(super) both: Vec<(usize, usize)>,
    /// Places in the reference.
    pub(super) missing: Vec<usize>,
    /// Places in the candidate.
    pub(super) extra: Vec<usize>,
}

/// Pairs by the first key that fits, then what is left by the second, and so on.
fn pair<T, const N: usize>(ours: &[T], theirs: &[T], keys: [&dyn Fn(&T) -> String; N]) -> Pairs {
    let mut missing: Vec<usize> = (0..ours.len()).collect();
    let mut extra: Vec<usize> = (0..theirs.len()).collect();
    let mut both = Vec::new();
    for key in keys {
        let mut waiting: BTreeMap<String, VecDeque<usize>> = BTreeMap::new();
        for &other in &extra {
            waiting
                .entry(key(&theirs[other]))
                .or_default()
                .push_back(other);
        }
        missing.retain(|&at| {
            let partner = waiting
                .get_mut(&key(&ours[at]))
                .and_then(VecDeque::pop_front);
            both.extend(partner.map(|other| (at, other)));
            partner.is_none()
        });
        extra = waiting.into_values().flatten().collect();
        extra.sort_unstable();
    }
    both.sort_unstable();
    Pairs {
        both,
        missing,
        extra,
    }
}

/// Pairs processes by role, rank and command line; then without the command line, which may name a folder of its run.
pub(super) fn processes(ours: &Run, theirs: &Run) -> Pairs {
    let rank = |member: &Member| format!("{:?}", (&member.who.role, &member.who.rank));
    let command = |member: &Member| format!("{}{:?}", rank(member), member.who.argv);
    let role = |member: &Member| member.who.role.clone();
    pair(&ours.members, &theirs.members, [&command, &rank, &role])
}

/// Pairs threads by what they are for and what they did; then by number. Which of several gets which number is chance.
pub(super) fn threads(ours: &Member, theirs: &Member) -> Pairs {
    let number = |stream: &Stream| {
        let header = &stream.header;
        format!("{} {}", header.thread_role, header.thread)
    };
    let did = |stream: &Stream| stream.keys.iter().fold(0, |hash, &op| chain(hash, op));
    // Threads that do the same with other data are told apart by their first results.
    let gave = |stream: &Stream, ops: usize| {
        let first = stream.ops.iter().take(ops);
        first.fold(0, |hash, op| chain(hash, op.content))
    };
    let all = |stream: &Stream| format!("{} {}", number(stream), gave(stream, usize::MAX));
    let whole =
        |stream: &Stream| format!("{} {}", stream.header.thread_role, gave(stream, usize::MAX));
    let begun =
        |stream: &Stream| format!("{} {}", stream.header.thread_role, gave(stream, BEGINNING));
    // Where they work on the same memory, results say nothing.
    let asked = |stream: &Stream| {
        format!(
            "{} {} {}",
            stream.header.thread_role,
            stream.asked,
            did(stream)
        )
    };
    let same = |stream: &Stream| format!("{} {}", number(stream), did(stream));
    let work = |stream: &Stream| format!("{} {}", stream.header.thread_role, did(stream));
    let role = |stream: &Stream| stream.header.thread_role.clone();
    let keys: [&dyn Fn(&Stream) -> String; 8] =
        [&all, &whole, &begun, &asked, &same, &work, &number, &role];
    pair(&ours.streams, &theirs.streams, keys)
}

/// An op's name with its overload.
pub(super) fn full_name(op: &str, overload: &str) -> String {
    match overload {
        "" | "default" => op.to_owned(),
        _ => format!("{op}.{overload}"),
    }
}

/// A process in words.
pub(super) fn named(who: &Process) -> String {
    let rank: Vec<String> = who
        .rank
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let what = if who.role == "0" {
        "the main process".to_owned()
    } else {
        format!("the forked process {}", who.role)
    };
    if rank.is_empty() {
        what
    } else {
        format!("{what} ({})", rank.join(", "))
    }
}

impl Member {
    /// The process id, for people who look for the file.
    pub(super) fn pid(&self) -> u64 {
        self.pid
    }

    /// Whether another process started this one, by a fork or anew.
    pub(super) fn comes_from(&self, other: &Self) -> bool {
        let forked = format!("{}/f", other.who.role);
        let by_fork = self.who.role.starts_with(&forked) && self.who.rank == other.who.rank;
        let parent = self.streams.first().map(|stream| stream.header.ppid);
        by_fork || (parent == Some(other.pid) && self.pid != other.pid)
    }
}
