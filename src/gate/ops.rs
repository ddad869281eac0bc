//! Which op: runs the command again with the recorder until two of those runs part, and asks where they do first.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::PathBuf;

use super::Series;
use super::execute::{Runner, Wrote};
use super::options::World;
use crate::error::{Error, Result};
use crate::knob::Mode;
use crate::recorder::{Ops, Order, VARIABLE, library, search};
use crate::report::Report;

/// How a run is recorded op by op.
pub(super) struct Recording {
    /// The recorder's library.
    pub(super) library: PathBuf,
    /// What it is told.
    pub(super) order: String,
    /// Libraries that every process of the command loads.
    pub(super) preload: Vec<PathBuf>,
}

impl Recording {
    /// The variables that make a run a recorded one.
    pub(super) fn variables(&self) -> Vec<(String, Option<OsString>)> {
        let others = std::env::var_os("LD_PRELOAD");
        let paths = self
            .preload
            .iter()
            .map(|path| path.clone().into_os_string());
        let libraries: Vec<OsString> = paths.chain(others).collect();
        let preload = (!libraries.is_empty()).then(|| libraries.join(OsStr::new(":")));
        vec![
            (VARIABLE.into(), Some(OsString::from(&self.order))),
            ("LD_PRELOAD".into(), preload),
        ]
    }
}

/// Names the op where runs part first, or says in a note why that was not possible.
///
/// # Errors
/// When a signal ends it.
pub(super) fn name(
    report: &mut Report,
    (asked, mode): (&Ops, Option<Mode>),
    runner: &mut Runner<'_>,
    wrote: &Wrote,
    series: &Series,
    world: &mut World<'_>,
) -> Result<()> {
    let built = torch(wrote).and_then(|torch| {
        let library = library::build(&torch.root).map_err(|why| why.to_string())?;
        Ok((torch, library))
    });
    let (torch, library) = match built {
        Ok(built) => built,
        Err(why) => {
            report.notes.push(format!("no op was looked for: {why}"));
            return Ok(());
        }
    };
    let alert = library::alert().ok();
    let mut next = series.runs.len();
    let found = search(|wanted| {
        (world.progress)(&format!("gate: recording ops, run {next}"));
        let folder = runner.streams(next);
        fs::create_dir_all(&folder).map_err(|e| Error::io("create", &folder, e))?;
        let order = Order {
            folder: folder.clone(),
            ops: asked.clone(),
            keep: wanted.keep,
        };
        runner.recording = Some(Recording {
            library: library.clone(),
            order: order.text(),
            // The library for alerts is loaded before libtorch binds its symbols, whatever the program is.
            preload: [alert.clone(), torch.preload.then(|| library.clone())]
                .into_iter()
                .flatten()
                .collect(),
        });
        runner.run(next, series.left()?, world)?;
        // Of these runs only the recording counts.
        runner.forget(next)?;
        next += 1;
        Ok(folder)
    });
    runner.recording = None;
    report.tell_ops(asked, mode, found)
}

/// The torch of the command.
struct Torch {
    root: PathBuf,
    /// Whether no Python process loads the recorder, so that every process of the command must.
    preload: bool,
}

/// The torch that the command's first run loaded; of programs that are not Python, the one that `LIBTORCH` names.
fn torch(wrote: &Wrote) -> std::result::Result<Torch, String> {
    match (wrote.reached.roots.as_slice(), std::env::var_os("LIBTORCH")) {
        ([root], _) => Ok(Torch {
            root: root.clone(),
            preload: false,
        }),
        ([], Some(root)) => Ok(Torch {
            root: root.into(),
            preload: true,
        }),
        ([], None) => Err("no Python process in the command loaded torch and samebits' hook with it (`python -I` and -E, an emptied environment, a PYTHONPATH of \
             the program's own and TORCH_DEVICE_BACKEND_AUTOLOAD=0 keep it away); for a program that is not Python, let the variable LIBTORCH \
             name the folder of its libtorch"
            .into()),
        (more, _) => Err(format!("the command's processes load {} different torches", more.len())),
    }
}
