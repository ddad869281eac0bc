//! The supervisor: a process of ours between the parent and a command that is not ours. It outlives the command, adopts what
//! the command leaves behind, ends all of it, and ends everything too when the parent dies, even by SIGKILL.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use super::{GRACE, Launch, Signals, die_with_parent, tree, watch};
use crate::error::{Error, Result};

/// Set in the environment of supervisors, and removed from that of commands.
const VARIABLE: &str = "SAMEBITS_SUPERVISOR";
/// The first argument of a supervisor.
pub const WORD: &str = "supervise";

/// A command to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The parent's process id.
    pub parent: u32,
    /// The program and its arguments.
    pub argv: Vec<OsString>,
    /// Where it starts.
    pub directory: PathBuf,
    /// Variables set besides the parent's own; `None` removes one.
    pub environment: Vec<(String, Option<OsString>)>,
    /// The file that gets its standard output.
    pub stdout: PathBuf,
    /// The file that gets its standard error.
    pub stderr: PathBuf,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Its exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Processes that outlived it; they were ended.
    pub leaked: usize,
    /// Why it could not be started.
    pub failed: Option<String>,
}

/// Whether this process was started as a supervisor.
#[must_use]
pub fn asked_for() -> bool {
    std::env::var_os(VARIABLE).is_some()
}

/// Runs a command under a supervisor, `program` being this binary, at most `limit` long.
///
/// # Errors
/// When it cannot be started, its time is up or a termination signal arrives: everything it started is ended first.
pub fn run(
    run: usize,
    program: &Path,
    order: &Order,
    limit: Option<Duration>,
    signals: &Signals,
) -> Result<Outcome> {
    // Should the supervisor itself be killed, what it watched over falls to this process.
    tree::adopt_orphans();
    let launch = Launch {
        argv: vec![program.into(), WORD.into()],
        environment: vec![(VARIABLE.into(), "1".into())],
        input: serde_json::to_vec(order)
            .map_err(|e| Error::Usage(format!("the command cannot be handed over: {e}")))?,
        // The supervisor needs the command's own grace and some time to tidy up.
        grace: GRACE + Duration::from_secs(3),
    };
    let ended = super::run(run, &launch, limit, signals);
    tree::end_all(Duration::from_secs(2));
    let ended = ended?;
    let outcome: Option<Outcome> = serde_json::from_slice(&ended.stdout).ok();
    match outcome {
        Some(Outcome {
            failed: Some(why), ..
        }) => Err(Error::Child { run, ended: why }),
        Some(outcome) => Ok(outcome),
        None => Err(Error::Child {
            run,
            ended: format!("lost its supervisor, which {}", ended.describe()),
        }),
    }
}

/// Does what the order on `input` says and writes the outcome to `output`. Returns the exit code.
pub fn serve(mut input: impl Read, mut output: impl Write) -> u8 {
    let mut text = String::new();
    let outcome = input
        .read_to_string(&mut text)
        .map_err(|e| e.to_string())
        .and_then(|_| {
            serde_json::from_str(&text).map_err(|e| {
                format!("not an order ({e}): {VARIABLE} marks processes of samebits; unset it")
            })
        })
        .and_then(|order: Order| {
            obey(&order).map_err(|error| match error {
                Error::Child { ended, .. } => ended,
                other => other.to_string(),
            })
        });
    let (outcome, code) = match outcome {
        Ok(outcome) => (outcome, 0),
        Err(why) => (
            Outcome {
                code: None,
                signal: None,
                leaked: 0,
                failed: Some(why),
            },
            2,
        ),
    };
    let line = serde_json::to_string(&outcome).unwrap_or_default();
    // If the parent is gone there is nobody to tell.
    let _ = writeln!(output, "{line}").and_then(|()| output.flush());
    code
}

fn obey(order: &Order) -> Result<Outcome> {
    let signals = watch()?;
    die_with_parent(order.parent, Signal::SIGTERM)?;
    let failed = |why: String| Error::Child { run: 0, ended: why };
    if !tree::adopt_orphans() {
        return Err(failed(
            "cannot be watched over: the kernel refuses to hand over orphans".into(),
        ));
    }
    let (program, arguments) = order
        .argv
        .split_first()
        .ok_or_else(|| Error::Usage("no command to run".into()))?;
    let create = |path: &Path| File::create(path).map_err(|e| Error::io("create", path, e));
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(&order.directory)
        .env_remove(VARIABLE)
        .stdin(Stdio::null())
        .stdout(create(&order.stdout)?)
        .stderr(create(&order.stderr)?)
        .process_group(0);
    for (name, value) in &order.environment {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let mut child = command.spawn().map_err(|e| {
        let where_to = if e.kind() == std::io::ErrorKind::NotFound {
            "; a name is looked for on PATH, a path is seen from the working folder or its copy"
        } else {
            ""
        };
        failed(format!(
            "could not be started ({}): {e}{where_to}",
            program.display()
        ))
    })?;
    // Waited for on a thread of its own, so that its end is known at once and signals soon.
    let (sender, ended) = channel();
    std::thread::spawn(move || sender.send(child.wait()));
    let status = loop {
        match ended.recv_timeout(Duration::from_millis(10)) {
            Ok(Ok(status)) => break status,
            Ok(Err(e)) => return Err(failed(format!("could not be waited for: {e}"))),
            Err(_) => {}
        }
        if let Some(signal) = signals.arrived() {
            give_up(signal);
            return Err(Error::Interrupted(signal));
        }
    };
    let leaked = tree::end_all(Duration::from_secs(2));
    Ok(Outcome {
        code: status.code(),
        signal: status.signal(),
        leaked,
        failed: None,
    })
}

/// The signal, a grace period, SIGKILL: to everything that came from here.
fn give_up(signal: i32) {
    tree::signal_all(Signal::try_from(signal).unwrap_or(Signal::SIGTERM));
    let asked = Instant::now();
    while asked.elapsed() < GRACE {
        if tree::descendants().is_empty() {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    tree::end_all(Duration::from_secs(2));
}
