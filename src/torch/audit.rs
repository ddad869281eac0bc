//! The audit of a workload that is part of the caller's own program.

use std::ffi::OsString;
use std::path::Path;

use crate::{Workload, serve};
use samebits::audit::{self, Named, Options, World};
use samebits::error::Error;
use samebits::process;
use samebits::report::Report;

/// Audits a workload of the caller's own. Its runs are fresh processes: this program, started again with the same
/// arguments, which comes here once more and then does not return. So call it early in `main`, and print nothing before.
pub fn audit(workload: &dyn Workload, steps: u64, batch: u64, options: &Options) -> Report {
    let find = |name: &str| match name {
        _ if name == workload.name() => Ok(workload),
        other => Err(Error::Usage(format!(
            "this program was asked for the workload {other}"
        ))),
    };
    match serve::asked_for() {
        Some(name) if name == workload.name() => {
            let code = serve::serve(find, std::io::stdin(), std::io::stdout());
            std::process::exit(i32::from(code))
        }
        Some(other) => {
            let skipped = Error::Usage(format!("this process runs only the workload {other}"));
            return Report::inconclusive("audit", &skipped.to_failure(), options.seed);
        }
        None => {}
    }
    let named = Named {
        name: workload.name().into(),
        steps,
        batch,
    };
    let mut argv: Vec<OsString> = std::env::args_os().collect();
    let prepared =
        std::env::current_exe().map_err(|e| Error::io("find", Path::new("this program"), e));
    let world = prepared.and_then(|program| {
        argv.splice(..1.min(argv.len()), [program.into_os_string()]);
        Ok((argv, process::watch()?))
    });
    match world {
        Ok((argv, signals)) => audit::audit(
            &[named],
            options,
            &mut World {
                argv,
                signals,
                progress: &mut |_| {},
            },
        ),
        Err(error) => Report::inconclusive("audit", &error.to_failure(), options.seed),
    }
}
