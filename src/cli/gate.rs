//! `samebits gate`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;
use samebits::error::Error;
use samebits::gate::{Options, Runs, Workdir, World, gate};
use samebits::knob;
use samebits::recorder::{Ops, Steps};
use samebits::report::Report;

use crate::cli::config::{Choice, Config};
use crate::cli::diff::RulesArgs;
use crate::cli::output;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// What the program itself sets
    Own,
    /// libtorch's defaults
    Off,
    /// Deterministic implementations where there are any, a warning where not
    Warn,
    /// Deterministic implementations where there are any, an error where not
    Strict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Place {
    /// In a fresh copy each time; in a git repository of all that git tracks or would add
    Copy,
    /// In the working folder itself; what a run created is moved away before the next
    Inplace,
}

/// Run any command several times in fresh processes, compare what it wrote
///
/// The command runs in a copy of the working folder, always at the same path, with settings that make it reproducible in its
/// environment. What it creates or changes there, or below `{out}` (also `$SAMEBITS_OUT`), is compared tensor by tensor.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Compare only files that match, for example 'model.pt' or '{out}/**'; may be given several times
    #[arg(long, value_name = "GLOB")]
    artifact: Vec<String>,
    /// Runs, the reference included
    #[arg(long, default_value_t = 2)]
    runs: usize,
    /// Plan the number of runs instead: see, with this confidence, one divergence of a command that diverges at --rate
    #[arg(long, value_name = "C", conflicts_with = "runs")]
    confidence: Option<f64>,
    /// The share of runs that diverge, for example 0.01
    #[arg(long, value_name = "R", conflicts_with = "runs")]
    rate: Option<f64>,
    /// What libtorch does in a Python program at an op without a deterministic implementation
    #[arg(long, value_enum, default_value_t = Mode::Own)]
    mode: Mode,
    /// Seed every generator of a Python program at `import torch`; without it seeding is the program's business
    #[arg(long)]
    seed: Option<u64>,
    /// Threads of one op on the CPU; left alone by default
    #[arg(long)]
    threads: Option<u32>,
    /// Set a knob, see `samebits list knobs`; `default` leaves it alone; may be given several times
    #[arg(long, value_name = "KNOB=VALUE", value_parser = output::parse_pair)]
    set: Vec<(String, String)>,
    /// Compare numbers in the standard output, found by a regular expression with a group: 'loss=(\S+)'; may be given several times
    #[arg(long, value_name = "REGEX")]
    metric: Vec<String>,
    /// Compare the standard output as a whole; dates, times, rates, addresses and process numbers are masked
    #[arg(long)]
    compare_stdout: bool,
    /// Likewise the standard error
    #[arg(long)]
    compare_stderr: bool,
    /// Where the command runs
    #[arg(long, value_enum, default_value_t = Place::Copy)]
    workdir: Place,
    /// Lead to this path from the copies by a link, for example to a data set; may be given several times
    #[arg(long, value_name = "PATH")]
    link: Vec<PathBuf>,
    /// The longest that one run may take, for example 90s or 2h
    #[arg(long, value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,
    /// The longest that all runs together may take
    #[arg(long, value_parser = humantime::parse_duration)]
    total_timeout: Option<Duration>,
    /// Keep what every run wrote, and a script that repeats it by hand, in this folder, which must be empty
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Record the digests of the result in this file, beside those of other machines
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Compare the result with one that --record wrote; on another stack that is not comparable
    #[arg(long, value_name = "FILE")]
    reference: Option<PathBuf>,
    /// Where runs part, run again with the op recorder and name the op; of all steps, of 3..5, or of those before the end: last:5
    #[arg(long, value_name = "STEPS", num_args = 0..=1, require_equals = true, default_missing_value = "auto")]
    ops: Option<Steps>,
    /// A named range (`torch.profiler.record_function`) whose end is the end of a step, where no optimiser of torch's announces it
    #[arg(long, value_name = "NAME", requires = "ops")]
    step_marker: Option<String>,
    #[command(flatten)]
    rules: RulesArgs,
    #[command(flatten)]
    pub output: output::Args,
    #[command(flatten)]
    choice: Choice,
    /// The command and its arguments, after --; without it the one in the file of settings
    #[arg(value_name = "CMD", last = true)]
    command: Vec<OsString>,
}

pub fn run(args: &Args, config: &Config) -> Result<u8> {
    let outputs = args.output.open()?;
    let report = options(args, config).and_then(|options| {
        let program =
            std::env::current_exe().map_err(|e| Error::io("find", Path::new("this program"), e))?;
        let mut progress = |line: &str| {
            if !args.output.quiet {
                output::progress(line);
            }
        };
        let mut world = World {
            program,
            signals: samebits::process::watch()?,
            progress: &mut progress,
        };
        let mut report = gate(&options, &mut world);
        output::progress_done();
        report.notes.extend(config.note());
        Ok(report)
    });
    outputs.write(
        report.unwrap_or_else(|error| Report::inconclusive("gate", &error.to_failure(), args.seed)),
    )
}

fn options(args: &Args, config: &Config) -> samebits::error::Result<Options> {
    // What clap would demand of the command line may also stand in a variable or in the file, so it is demanded here.
    if args.command.is_empty() {
        return Err(Error::Usage(
            "no command to run: give one after `--`, or as `command` in samebits.toml".into(),
        ));
    }
    let runs = match (args.confidence, args.rate) {
        (Some(confidence), Some(rate)) => Runs::Planned { confidence, rate },
        (None, None) => Runs::Exactly(args.runs),
        _ => {
            return Err(Error::Usage(
                "--confidence and --rate need each other".into(),
            ));
        }
    };
    let mut rules = args.rules.rules()?;
    rules.of_runs = true;
    // Those of --overrides come first, and the first that matches counts.
    rules.exceptions.extend(config.exceptions.iter().cloned());
    Ok(Options {
        command: args.command.clone(),
        runs,
        artifacts: args.artifact.clone(),
        rules,
        metrics: args.metric.clone(),
        stdout: args.compare_stdout,
        stderr: args.compare_stderr,
        workdir: match args.workdir {
            Place::Copy => Workdir::Copy,
            Place::Inplace => Workdir::Inplace,
        },
        links: args.link.clone(),
        mode: match args.mode {
            Mode::Own => None,
            Mode::Off => Some(knob::Mode::Off),
            Mode::Warn => Some(knob::Mode::Warn),
            Mode::Strict => Some(knob::Mode::Strict),
        },
        threads: args.threads,
        seed: args.seed,
        knobs: args.set.iter().cloned().collect(),
        timeout: args.timeout,
        total_timeout: args.total_timeout,
        keep: args.keep.clone(),
        record: args.record.clone(),
        reference: args.reference.clone(),
        ops: args.ops.map(|steps| Ops {
            steps,
            marker: args.step_marker.clone(),
        }),
    })
}
