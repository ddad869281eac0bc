//! `samebits gate`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;
use samebits::error::Error;
use samebits::gate::{Options, Runs, Workdir, World, gate};
use samebits::knob;
use samebits::report::Report;

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
    #[arg(
        long,
        value_name = "GLOB",
        env = "SAMEBITS_GATE_ARTIFACT",
        value_delimiter = ','
    )]
    artifact: Vec<String>,
    /// Runs, the reference included
    #[arg(long, default_value_t = 2, env = "SAMEBITS_GATE_RUNS")]
    runs: usize,
    /// Plan the number of runs instead: see, with this confidence, one divergence of a command that diverges at --rate
    #[arg(
        long,
        value_name = "C",
        requires = "rate",
        conflicts_with = "runs",
        env = "SAMEBITS_GATE_CONFIDENCE"
    )]
    confidence: Option<f64>,
    /// The share of runs that diverge, for example 0.01
    #[arg(
        long,
        value_name = "R",
        requires = "confidence",
        env = "SAMEBITS_GATE_RATE"
    )]
    rate: Option<f64>,
    /// What libtorch does in a Python program at an op without a deterministic implementation
    #[arg(long, value_enum, default_value_t = Mode::Own, env = "SAMEBITS_GATE_MODE")]
    mode: Mode,
    /// Seed every generator of a Python program at `import torch`; without it seeding is the program's business
    #[arg(long, env = "SAMEBITS_GATE_SEED")]
    seed: Option<u64>,
    /// Threads of one op on the CPU; left alone by default
    #[arg(long, env = "SAMEBITS_GATE_THREADS")]
    threads: Option<u32>,
    /// Set a knob, see `samebits list knobs`; `default` leaves it alone; may be given several times
    #[arg(long, value_name = "KNOB=VALUE", value_parser = output::parse_pair, env = "SAMEBITS_GATE_SET", value_delimiter = ';')]
    set: Vec<(String, String)>,
    /// Compare numbers in the standard output, found by a regular expression with a group: 'loss=(\S+)'; may be given several times
    #[arg(long, value_name = "REGEX")]
    metric: Vec<String>,
    /// Compare the standard output as a whole; dates, times, rates, addresses and process numbers are masked
    #[arg(long, env = "SAMEBITS_GATE_COMPARE_STDOUT")]
    compare_stdout: bool,
    /// Likewise the standard error
    #[arg(long, env = "SAMEBITS_GATE_COMPARE_STDERR")]
    compare_stderr: bool,
    /// Where the command runs
    #[arg(long, value_enum, default_value_t = Place::Copy, env = "SAMEBITS_GATE_WORKDIR")]
    workdir: Place,
    /// Lead to this path from the copies by a link, for example to a data set; may be given several times
    #[arg(
        long,
        value_name = "PATH",
        env = "SAMEBITS_GATE_LINK",
        value_delimiter = ','
    )]
    link: Vec<PathBuf>,
    /// The longest that one run may take, for example 90s or 2h
    #[arg(long, value_parser = humantime::parse_duration, env = "SAMEBITS_GATE_TIMEOUT")]
    timeout: Option<Duration>,
    /// The longest that all runs together may take
    #[arg(long, value_parser = humantime::parse_duration, env = "SAMEBITS_GATE_TOTAL_TIMEOUT")]
    total_timeout: Option<Duration>,
    /// Keep what every run wrote, and a script that repeats it by hand, in this folder, which must be empty
    #[arg(long, value_name = "DIR", env = "SAMEBITS_GATE_KEEP")]
    keep: Option<PathBuf>,
    /// Record the digests of the result in this file, beside those of other machines
    #[arg(long, value_name = "FILE", env = "SAMEBITS_GATE_RECORD")]
    record: Option<PathBuf>,
    /// Compare the result with one that --record wrote; on another stack that is not comparable
    #[arg(long, value_name = "FILE", env = "SAMEBITS_GATE_REFERENCE")]
    reference: Option<PathBuf>,
    #[command(flatten)]
    rules: RulesArgs,
    #[command(flatten)]
    output: output::Args,
    /// The command and its arguments, after --
    #[arg(value_name = "CMD", required = true, last = true)]
    command: Vec<OsString>,
}

pub fn run(args: &Args) -> Result<u8> {
    let outputs = args.output.open()?;
    let report = options(args).and_then(|options| {
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
        let report = gate(&options, &mut world);
        output::progress_done();
        Ok(report)
    });
    outputs.write(
        report.unwrap_or_else(|error| Report::inconclusive("gate", &error.to_failure(), args.seed)),
    )
}

fn options(args: &Args) -> samebits::error::Result<Options> {
    let runs = match (args.confidence, args.rate) {
        (Some(confidence), Some(rate)) => Runs::Planned { confidence, rate },
        _ => Runs::Exactly(args.runs),
    };
    Ok(Options {
        command: args.command.clone(),
        runs,
        artifacts: args.artifact.clone(),
        rules: args.rules.rules()?,
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
    })
}
