//! Which op: repeats the two runs that part with the op recorder, and asks where they do first.

use std::fs;

use super::place::Place;
use super::{Options, World, execute};
use crate::error::{Error, Result};
use crate::recorder::{Ops, Order, search};
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
    let found = search(|wanted| {
        (world.progress)(&format!("{}: recording ops, run {done}", specs[0].workload));
        let folder = place.path.join(format!("ops-{done}"));
        fs::create_dir_all(&folder).map_err(|e| Error::io("create", &folder, e))?;
        let order = Order {
            folder: folder.clone(),
            ops: asked.clone(),
            keep: wanted.keep,
        };
        let spec = Spec {
            capture: Capture::Final,
            recorder: Some(order.text()),
            out: place.path.join(format!("ops-trace-{done}")),
            ..specs[if wanted.candidate { diverged } else { 0 }].clone()
        };
        execute(
            std::slice::from_ref(&spec),
            options,
            world,
            specs.len() + done,
        )?;
        done += 1;
        Ok(folder)
    });
    report.tell_ops(asked, Some(options.mode), found)
}
