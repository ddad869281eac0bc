//! [`run`]: one run to a trace. The only place where a panic of tch's becomes an error. Not: comparing; spawning.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use crate::device::{Prepared, prepare};
use crate::ffi::{Ops, failure};
use crate::record::Recorder;
use crate::workload::Workload;
use samebits::error::{Error, Result};
use samebits::spec::Spec;

/// Runs `workload` once as `spec` says, into the trace `spec.out`.
///
/// # Errors
/// When the device, a knob, the workload or the disk fails.
pub fn run(workload: &dyn Workload, spec: &Spec) -> Result<()> {
    let prepared = prepare(spec)?;
    let recorder = Recorder::new(spec, &prepared)?;
    let _ops = spec.recorder.as_deref().map(Ops::record).transpose()?;
    train(workload, recorder)
}

/// Runs `workload` once without recording anything: the bare loop.
///
/// # Errors
/// When the workload fails.
pub fn bare(workload: &dyn Workload, spec: &Spec, prepared: &Prepared) -> Result<()> {
    train(workload, Recorder::bare(spec, prepared))
}

fn train(workload: &dyn Workload, mut recorder: Recorder) -> Result<()> {
    let said = quietly(|| workload.train(&mut recorder));
    match said {
        Ok(trained) => trained.and_then(|()| recorder.finish()),
        Err(Panic::Torch(message)) => {
            Err(failure(&format!("training {}", workload.name()), &message))
        }
        Err(Panic::Other(message)) => Err(Error::Panicked {
            workload: workload.name().into(),
            message,
        }),
    }
}

/// Calls `body` and turns a panic into its message instead of a print.
fn quietly<T>(body: impl FnOnce() -> T) -> std::result::Result<T, Panic> {
    static MESSAGE: Mutex<Option<String>> = Mutex::new(None);
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(|info| {
        let payload = info.payload();
        let text = payload
            .downcast_ref::<String>()
            .map(String::as_str)
            .or(payload.downcast_ref::<&str>().copied());
        let place = info
            .location()
            .map(|place| format!(" ({}:{})", place.file(), place.line()))
            .unwrap_or_default();
        if let Ok(mut message) = MESSAGE.lock() {
            *message = Some(format!(
                "{}{place}",
                text.unwrap_or("a panic without words")
            ));
        }
    }));
    let result = catch_unwind(AssertUnwindSafe(body));
    std::panic::set_hook(before);
    result.map_err(|_| {
        let message = MESSAGE.lock().ok().and_then(|mut message| message.take());
        Panic::of(&message.unwrap_or_else(|| "a panic".into()))
    })
}

/// Whose words a panic carries.
enum Panic {
    /// libtorch's, through tch.
    Torch(String),
    /// The workload's own.
    Other(String),
}

impl Panic {
    /// tch panics with `called Result::unwrap() on an Err value: Torch("…\n…")`: what libtorch said is inside the quotes.
    fn of(message: &str) -> Self {
        match message.split_once("Torch(\"") {
            Some((_, inside)) => Self::Torch(
                inside
                    .replace("\\n", "\n")
                    .replace("\\\"", "\"")
                    .replace("\\'", "'"),
            ),
            None => Self::Other(message.replace('\n', " ")),
        }
    }
}
