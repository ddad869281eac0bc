//! Child processes: a fresh process group each, a time limit, and the end of the whole tree whatever happens. The only file
//! that spawns, with [`supervise`] for commands that are not ours. Not: what the children are for.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub use nix::sys::signal::Signal;
use nix::sys::signal::killpg;
use nix::unistd::Pid;

use crate::error::{Error, Result};

pub mod supervise;
mod tree;

/// What a group gets between SIGTERM and SIGKILL.
pub const GRACE: Duration = Duration::from_secs(5);
/// How long to wait for the end of a dead child's output: a process that left the group may hold the pipe for ever.
const DRAIN: Duration = Duration::from_secs(2);
/// Output kept of each stream; the rest of a child's chatter is of no use in a report.
const TAIL: usize = 64 << 10;

/// Termination signals that arrived since [`watch`].
#[derive(Debug, Clone)]
pub struct Signals(Arc<AtomicUsize>);

impl Signals {
    /// The signal that arrived, if any.
    #[must_use]
    pub fn arrived(&self) -> Option<i32> {
        i32::try_from(self.0.load(Ordering::Relaxed))
            .ok()
            .filter(|&signal| signal != 0)
    }
}

/// From now on notes SIGINT, SIGTERM, SIGHUP and SIGQUIT instead of dying of them, so that children can be ended first.
///
/// # Errors
/// When the operating system refuses.
pub fn watch() -> Result<Signals> {
    let flag = Arc::new(AtomicUsize::new(0));
    for signal in [
        Signal::SIGINT,
        Signal::SIGTERM,
        Signal::SIGHUP,
        Signal::SIGQUIT,
    ] {
        signal_hook::flag::register_usize(signal as i32, Arc::clone(&flag), signal as usize)
            .map_err(|e| Error::Child {
                run: 0,
                ended: format!("could not be watched over: {e}"),
            })?;
    }
    Ok(Signals(flag))
}

/// What to start.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The program and its arguments.
    pub argv: Vec<OsString>,
    /// Variables set in the child's environment, besides the parent's own.
    pub environment: Vec<(String, String)>,
    /// What the child reads on standard input.
    pub input: Vec<u8>,
    /// What it gets between a signal that asks it to end and SIGKILL.
    pub grace: Duration,
}

/// How a child ended by itself.
#[derive(Debug)]
pub struct Ended {
    /// Its status.
    pub status: ExitStatus,
    /// The end of its standard output.
    pub stdout: Vec<u8>,
    /// The end of its standard error.
    pub stderr: String,
    /// Whether processes of its group outlived it; they were ended.
    pub leaked: bool,
}

impl Ended {
    /// The status in words, with the last lines of standard error.
    #[must_use]
    pub fn describe(&self) -> String {
        let status = match (self.status.code(), self.status.signal()) {
            (Some(code), _) => format!("ended with exit code {code}"),
            (None, Some(9)) => {
                "was killed by signal 9 (SIGKILL): by somebody, or by the kernel because memory ran out".into()
            }
            (None, Some(signal)) => {
                let name = Signal::try_from(signal).map_or("unknown", Signal::as_str);
                format!("was ended by signal {signal} ({name})")
            }
            (None, None) => "ended in an unknown way".into(),
        };
        let lines: Vec<&str> = self
            .stderr
            .lines()
            .filter(|line| !line.trim().is_empty())
            .collect();
        let last = &lines[lines.len().saturating_sub(10)..];
        if last.is_empty() {
            status
        } else {
            format!("{status}; its last words: {}", last.join(" | "))
        }
    }
}

/// Starts a child in a process group of its own and waits for its end, at most `limit` long.
///
/// # Errors
/// When it cannot be started, its time is up, or a termination signal arrives: the group is ended first.
pub fn run(
    run: usize,
    launch: &Launch,
    limit: Option<Duration>,
    signals: &Signals,
) -> Result<Ended> {
    let (program, arguments) = launch
        .argv
        .split_first()
        .ok_or_else(|| Error::Usage("no command to run".into()))?;
    let mut child = Command::new(program)
        .args(arguments)
        .envs(launch.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|e| Error::Child {
            run,
            ended: format!("could not be started ({}): {e}", program.display()),
        })?;
    let group = Group::of(&child);
    let stdout = tail(child.stdout.take());
    let stderr = tail(child.stderr.take());
    if let Some(mut stdin) = child.stdin.take() {
        // A child that died already says so by its status.
        let _ = stdin.write_all(&launch.input);
    }
    let status = wait(run, launch, &mut child, &group, limit, signals, &stdout)?;
    let leaked = group.end(Signal::SIGKILL);
    Ok(Ended {
        status,
        stdout: stdout.take(),
        stderr: String::from_utf8_lossy(&stderr.take()).into_owned(),
        leaked,
    })
}

/// The standard output of a short helper command that ended well; nothing otherwise.
#[must_use]
pub fn answer(argv: &[&str]) -> Option<String> {
    let (program, arguments) = argv.split_first()?;
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then_some(text)
}

/// Runs a helper command to its end, in this process's group so that Ctrl-C ends it too. What it said on standard error
/// is the reason where it did not end well.
///
/// # Errors
/// When it cannot be started or fails.
pub fn helper(argv: &[OsString]) -> std::result::Result<(), String> {
    let (program, arguments) = argv.split_first().ok_or("no command to run")?;
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("{} could not be started: {e}", program.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        Ok(())
    } else if said.trim().is_empty() {
        Err(format!("{} failed: {}", program.display(), output.status))
    } else {
        Err(said.into_owned())
    }
}

fn wait(
    run: usize,
    launch: &Launch,
    child: &mut Child,
    group: &Group,
    limit: Option<Duration>,
    signals: &Signals,
    stdout: &Tail,
) -> Result<ExitStatus> {
    let started = Instant::now();
    let failed = |e: std::io::Error| Error::Child {
        run,
        ended: format!("could not be waited for: {e}"),
    };
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            return Ok(status);
        }
        let stop = match (signals.arrived(), limit) {
            (Some(signal), _) => Some(Error::Interrupted(signal)),
            (None, Some(limit)) if started.elapsed() >= limit => Some(Error::Timeout {
                run,
                limit: humantime::format_duration(limit).to_string(),
            }),
            _ => None,
        };
        if let Some(error) = stop {
            // What a person sent goes on to the child; a time limit asks politely.
            let asked = signals
                .arrived()
                .and_then(|signal| Signal::try_from(signal).ok());
            end(child, group, asked.unwrap_or(Signal::SIGTERM), launch.grace);
            return Err(error);
        }
        pause = if stdout.ends_within(pause) {
            Duration::from_micros(200)
        } else {
            (pause * 2).min(Duration::from_millis(20))
        };
    }
}

/// A signal, a grace period, SIGKILL: to the whole group.
fn end(child: &mut Child, group: &Group, signal: Signal, grace: Duration) {
    group.end(signal);
    let asked = Instant::now();
    while asked.elapsed() < grace {
        if child.try_wait().is_ok_and(|status| status.is_some()) {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    group.end(Signal::SIGKILL);
    let _ = child.wait();
}

/// A child's process group.
struct Group(Pid);

impl Group {
    fn of(child: &Child) -> Self {
        Self(Pid::from_raw(i32::try_from(child.id()).unwrap_or(0)))
    }

    /// Sends `signal` to every process of the group; false when there is none left.
    fn end(&self, signal: Signal) -> bool {
        killpg(self.0, signal).is_ok()
    }
}

/// The last part of a stream, read on a thread of its own.
struct Tail {
    kept: Arc<Mutex<Vec<u8>>>,
    ended: Receiver<()>,
}

impl Tail {
    /// Waits this long, or only until the stream ends: most children close it by ending.
    fn ends_within(&self, pause: Duration) -> bool {
        match self.ended.recv_timeout(pause) {
            Ok(()) => true,
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => {
                // It ended before, and its child lives on.
                std::thread::sleep(pause);
                false
            }
        }
    }

    /// What was read: all of it, or as much as came within [`DRAIN`] where somebody still holds the stream open.
    fn take(&self) -> Vec<u8> {
        let _ = self.ended.recv_timeout(DRAIN);
        self.kept
            .lock()
            .map(|kept| kept.clone())
            .unwrap_or_default()
    }
}

fn tail(stream: Option<impl Read + Send + 'static>) -> Tail {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let (sender, ended) = channel();
    let writer = Arc::clone(&kept);
    std::thread::spawn(move || {
        let mut buffer = [0; 8192];
        if let Some(mut stream) = stream {
            while let Ok(count @ 1..) = stream.read(&mut buffer) {
                let Ok(mut kept) = writer.lock() else { break };
                kept.extend_from_slice(&buffer[..count]);
                if kept.len() > 2 * TAIL {
                    let surplus = kept.len() - TAIL;
                    kept.drain(..surplus);
                }
            }
        }
        // Nobody listens any more when the child was ended.
        let _ = sender.send(());
    });
    Tail { kept, ended }
}

/// Asks the kernel to send this process `signal` when its parent dies, even by SIGKILL; `parent` is whom we expect.
///
/// # Errors
/// When the parent is gone already.
pub fn die_with_parent(parent: u32, signal: Signal) -> Result<()> {
    let gone = || Error::Child {
        run: 0,
        ended: "was left alone: the parent process is gone".into(),
    };
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_pdeathsig(signal).map_err(|_| gone())?;
    // Between fork and prctl the parent may have died unnoticed.
    if u32::try_from(nix::unistd::getppid().as_raw()) == Ok(parent) {
        Ok(())
    } else {
        Err(gone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Launch {
        Launch {
            argv: vec!["sh".into(), "-c".into(), script.into()],
            environment: vec![],
            input: vec![],
            grace: GRACE,
        }
    }

    fn quiet() -> Signals {
        Signals(Arc::new(AtomicUsize::new(0)))
    }

    #[test]
    fn a_childs_status_and_output_are_kept() {
        let ended = run(0, &shell("echo out; echo err >&2; exit 3"), None, &quiet()).unwrap();
        assert_eq!(
            (
                ended.status.code(),
                ended.stdout.as_slice(),
                ended.stderr.as_str()
            ),
            (Some(3), &b"out\n"[..], "err\n")
        );
        assert!(ended.describe().contains("exit code 3") && ended.describe().contains("err"));
        assert!(!ended.leaked);
    }

    #[test]
    fn a_child_past_its_limit_is_ended_with_its_own_children() {
        let marker = format!("samebits-test-{}", std::process::id());
        let script = format!("sh -c 'trap \"\" TERM; sleep 1; exec -a {marker} sleep 100' & wait");
        let launch = Launch {
            argv: vec!["bash".into(), "-c".into(), script.into()],
            ..shell("")
        };
        let error = run(1, &launch, Some(Duration::from_millis(300)), &quiet()).unwrap_err();
        assert!(matches!(error, Error::Timeout { run: 1, .. }), "{error}");
        std::thread::sleep(Duration::from_millis(100));
        let left = std::fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok())
            .filter(|line| line.starts_with(marker.as_bytes()))
            .count();
        assert_eq!(left, 0);
    }

    #[test]
    fn a_grandchild_that_outlives_the_child_is_ended_and_named() {
        let ended = run(
            0,
            &shell("sleep 100 >/dev/null 2>&1 & exit 0"),
            None,
            &quiet(),
        )
        .unwrap();
        assert!(ended.leaked);
    }

    #[test]
    fn a_signal_ends_the_child_and_a_missing_program_says_so() {
        let signals = Signals(Arc::new(AtomicUsize::new(2)));
        let error = run(0, &shell("sleep 100"), None, &signals).unwrap_err();
        assert!(matches!(error, Error::Interrupted(2)));
        let nowhere = Launch {
            argv: vec!["samebits-no-such-program".into()],
            ..shell("")
        };
        assert!(
            run(0, &nowhere, None, &quiet())
                .unwrap_err()
                .to_string()
                .contains("could not be started")
        );
    }
}
