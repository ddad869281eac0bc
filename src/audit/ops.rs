//! Which op: repeats the two runs that part with the op recorder, and asks where they do first.

use std::fs;

use super::place::Place;
use super::{Options, World, execute};
use crate::error::{Error, Result};
use crate::recorder::{Account, Kind, Ops, Order, Steps, search};
use crate::report::Report;
use crate::spec::{Capture, Spec};

/// Names the op where the reference and the run number `diverged` part first.
///
/// # Errors
/// When a signal ends it.
pub(super) fn name(
    report: &mut Report,
    asked: &Ops,
    specs: &[Spec],
    diverged: usize,
    place: &Place,
    options: &Options,
    world: &mut World,
) -> Result<()> {
    let mut done = 0;
    let mut look = |ops: &Ops| {
        search(|wanted| {
            (world.progress)(&format!("{}: recording ops, run {done}", specs[0].workload));
            let folder = place.path.join(format!("ops-{done}"));
            fs::create_dir_all(&folder).map_err(|e| Error::io("create", &folder, e))?;
            let order = Order {
                folder: folder.clone(),
                ops: ops.clone(),
                keep: wanted.keep,
            };
            let spec = Spec {
                capture: Capture::Final,
                recorder: Some(order.text()),
                out: place.path.join(format!("ops-trace-{done}")),
                ..specs[if wanted.candidate { diverged } else { 0 }].clone()
            };
            let number = specs.len() + done;
            execute(std::slice::from_ref(&spec), options, world, number)?;
            done += 1;
            Ok(folder)
        })
    };
    let with = |steps| Ops {
        steps,
        ..asked.clone()
    };
    let step = report
        .first_divergence
        .as_ref()
        .and_then(|first| first.step);
    let around = match (asked.steps, step) {
        (Steps::Auto, Some(step)) => Some(with(Steps::Range(step.saturating_sub(1), step))),
        _ => None,
    };
    let mut used = around.clone().unwrap_or_else(|| asked.clone());
    let mut found = look(&used);
    // It may part elsewhere this time.
    if around.is_some() && found.as_ref().is_ok_and(|account| !names(account)) {
        let all = with(Steps::All);
        let again = look(&all);
        if again
            .as_ref()
            .is_ok_and(|account| account.finding.is_some())
        {
            (used, found) = (all, again);
        }
    }
    report.tell_ops(&used, Some(options.mode), found)
}

/// Whether an account names what parted the runs, and not only that something did earlier.
fn names(account: &Account) -> bool {
    let finding = account.finding.as_ref();
    finding.is_some_and(|finding| finding.kind != Kind::Before)
}
