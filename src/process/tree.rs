//! All processes that came from this one, however they tried to get away: a process that leaves its group or its session
//! still has an ancestor, because this one adopts orphans.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// From now on orphans among the descendants become children of this process.
pub(super) fn adopt_orphans() -> bool {
    nix::sys::prctl::set_child_subreaper(true).is_ok()
}

/// Children, their children and so on, zombies not counted.
pub(super) fn descendants() -> Vec<Pid> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let Some((parent, state)) = parent_and_state(&entry.path()) else {
            continue;
        };
        if state != "Z" {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = Vec::new();
    let mut open = vec![std::process::id().cast_signed()];
    while let Some(pid) = open.pop() {
        for child in children.remove(&pid).unwrap_or_default() {
            found.push(Pid::from_raw(child));
            open.push(child);
        }
    }
    found
}

fn parent_and_state(folder: &std::path::Path) -> Option<(i32, String)> {
    let stat = fs::read_to_string(folder.join("stat")).ok()?;
    // The name of the program may hold spaces and brackets; the state follows the last one.
    let mut rest = stat.rsplit_once(')')?.1.split_whitespace();
    let state = rest.next()?.to_owned();
    Some((rest.next()?.parse().ok()?, state))
}

/// Sends a signal to every descendant; how many there were.
pub(super) fn signal_all(signal: Signal) -> usize {
    let found = descendants();
    for pid in &found {
        // One that is gone meanwhile needs no signal.
        let _ = kill(*pid, signal);
    }
    found.len()
}

/// Ends every descendant with SIGKILL and waits until none is left, at most `limit` long. New ones may appear while others
/// are ended, so it looks again. Returns how many there were at first.
pub(super) fn end_all(limit: Duration) -> usize {
    let begun = Instant::now();
    let first = signal_all(Signal::SIGKILL);
    let mut left = first;
    while left > 0 && begun.elapsed() < limit {
        reap();
        std::thread::sleep(Duration::from_millis(2));
        left = signal_all(Signal::SIGKILL);
    }
    reap();
    first
}

/// Takes the status of every child that has ended.
fn reap() {
    while matches!(
        waitpid(None, Some(WaitPidFlag::WNOHANG)),
        Ok(status) if status != WaitStatus::StillAlive
    ) {}
}
