//! `samebits audit`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;
use samebits::audit::{Named, Options, World, audit};
use samebits::dtype::Dtype;
use samebits::error::Error;
use samebits::recorder::{Ops, Steps};
use samebits::report::Report;
use samebits::spec::{Inject, Inputs};
use samebits::tolerance::Tolerance;
use samebits::{knob, spec, workload};

use crate::cli::output;

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Mode {
    /// libtorch's defaults
    Off,
    /// Deterministic implementations where there are any, a warning where not
    Warn,
    /// Deterministic implementations where there are any, an error where not
    Strict,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Isolation {
    /// A process of its own for each run
    Fresh,
    /// One process for all runs
    Shared,
}

/// Train twice in fresh processes, compare every tensor bit for bit, say what agreed
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Built-in workloads, see `samebits list workloads`; without any, all that need no file of yours
    #[arg(value_name = "WORKLOAD")]
    workloads: Vec<String>,
    /// Runs, the reference included
    #[arg(long, default_value_t = 2)]
    runs: usize,
    /// The one number from which everything random follows
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Optimiser iterations; each workload has a default
    #[arg(long)]
    steps: Option<u64>,
    /// Samples in a batch; each workload has a default
    #[arg(long)]
    batch: Option<u64>,
    /// Floating-point type of the model: float32, float64, bfloat16 or float16
    #[arg(long, default_value = "float32")]
    dtype: Dtype,
    /// Where tensors live: cpu, cuda or cuda:N
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Threads of one op on the CPU; as many as there are cores by default
    #[arg(long)]
    threads: Option<u32>,
    /// What libtorch does at an op without a deterministic implementation
    #[arg(long, value_enum, default_value_t = Mode::Strict)]
    mode: Mode,
    /// Set a knob, see `samebits list knobs`; `default` leaves it alone; may be given several times
    #[arg(long, value_name = "KNOB=VALUE", value_parser = output::parse_pair)]
    set: Vec<(String, String)>,
    /// How runs are kept apart
    #[arg(long, value_enum, default_value_t = Isolation::Fresh)]
    isolation: Isolation,
    /// The longest that one run may take, for example 90s or 2h
    #[arg(long, default_value = "1h", value_parser = humantime::parse_duration)]
    timeout: Duration,
    /// Accept differences within the tolerances of `torch.testing.assert_close`
    #[arg(long)]
    close: bool,
    /// Relative tolerance, together with --atol
    #[arg(long)]
    rtol: Option<f64>,
    /// Absolute tolerance, together with --rtol
    #[arg(long)]
    atol: Option<f64>,
    /// Flip the lowest bit of one element in every candidate, to watch the alarm: 3:first.weight:17, or init:…
    #[arg(long, value_name = "STEP:NAME:INDEX")]
    inject: Option<Inject>,
    /// Where runs part, repeat them with the op recorder and name the op; of the steps around the first divergence, of all, of 3..5, or of those before the end: last:5
    #[arg(long, value_name = "STEPS", num_args = 0..=1, require_equals = true, default_missing_value = "auto")]
    ops: Option<Steps>,
    /// Prove by one more run that recording does not change the result
    #[arg(long)]
    prove_observer: bool,
    /// Keep every run's trace in this folder; each workload's part of it must not exist yet
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// A folder of IDX files (as MNIST has them) instead of the built-in digits
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The `TorchScript` module that the workload torchscript trains
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// The batch it trains on: a safetensors file with `input` (or `input0`, …) and `target`
    #[arg(long, value_name = "FILE")]
    batch_file: Option<PathBuf>,
    /// The loss between its output and the target, by name
    #[arg(long, value_name = "NAME")]
    loss: Option<String>,
    #[command(flatten)]
    output: output::Args,
}

pub fn run(args: &Args) -> Result<u8> {
    let outputs = args.output.open()?;
    let report = prepare(args).and_then(|(workloads, options)| {
        let mut progress = |line: &str| {
            if !args.output.quiet {
                output::say(line);
            }
        };
        let command = samebits::runner::command()?;
        let signals = samebits::process::watch()?;
        Ok(audit(
            &workloads,
            &options,
            &mut World {
                argv: command,
                signals,
                progress: &mut progress,
            },
        ))
    });
    outputs.write(
        report
            .unwrap_or_else(|error| Report::inconclusive("audit", &error.to_failure(), args.seed)),
    )
}

fn prepare(args: &Args) -> std::result::Result<(Vec<Named>, Options), Error> {
    let rows = if args.workloads.is_empty() {
        workload::BUILT_IN
            .iter()
            .filter(|row| row.by_default)
            .collect()
    } else {
        args.workloads
            .iter()
            .map(|name| workload::find(name))
            .collect::<std::result::Result<Vec<_>, _>>()?
    };
    let mut workloads: Vec<Named> = Vec::new();
    for row in rows {
        let name = row.name;
        if workloads.iter().any(|other| other.name == name) {
            return Err(Error::Usage(format!("the workload {name} was named twice")));
        }
        workloads.push(Named {
            name: name.into(),
            steps: row.steps,
            batch: row.batch,
        });
    }
    flags_fit(args, &workloads)?;
    let mut knobs = BTreeMap::new();
    for (name, value) in &args.set {
        if knobs.insert(name.clone(), value.clone()).is_some() {
            return Err(Error::Usage(format!("--set {name} was given twice")));
        }
    }
    let tolerance = if args.close || args.rtol.is_some() || args.atol.is_some() {
        Tolerance::close(args.rtol, args.atol, false, None)
            .map_err(|error| Error::Usage(error.to_string()))?
    } else {
        Tolerance::Bitwise
    };
    let defaults = Options::default();
    let options = Options {
        runs: args.runs,
        seed: args.seed,
        steps: args.steps,
        batch: args.batch,
        dtype: args.dtype,
        device: args.device.clone(),
        threads: threads(args, defaults.threads)?,
        mode: match args.mode {
            Mode::Off => knob::Mode::Off,
            Mode::Warn => knob::Mode::Warn,
            Mode::Strict => knob::Mode::Strict,
        },
        knobs,
        isolation: match args.isolation {
            Isolation::Fresh => spec::Isolation::Fresh,
            Isolation::Shared => spec::Isolation::Shared,
        },
        timeout: Some(args.timeout),
        tolerance,
        inject: args.inject.clone(),
        prove_observer: args.prove_observer,
        keep: args.keep.clone(),
        ops: args.ops.map(|steps| Ops {
            steps,
            marker: None,
        }),
        inputs: Inputs {
            data: absolute(args.data.as_ref())?,
            model: absolute(args.model.as_ref())?,
            batch: absolute(args.batch_file.as_ref())?,
            loss: args.loss.clone(),
        },
    };
    Ok((workloads, options))
}

/// The number asked for, or the one that `OMP_NUM_THREADS` asks for, or one for each core.
fn threads(args: &Args, cores: u32) -> std::result::Result<u32, Error> {
    let Some(found) = std::env::var_os("OMP_NUM_THREADS").filter(|_| args.threads.is_none()) else {
        return Ok(args.threads.unwrap_or(cores));
    };
    found
        .to_str()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| Error::Knob {
            name: "OMP_NUM_THREADS".into(),
            value: found.to_string_lossy().into_owned(),
            reason: "it must be a number; it was found in the environment".into(),
        })
}

/// A flag that no named workload reads would be a mistake unnoticed.
fn flags_fit(args: &Args, workloads: &[Named]) -> std::result::Result<(), Error> {
    let given = [
        ("--data", args.data.is_some(), &["mlp", "cnn"][..]),
        ("--model", args.model.is_some(), &["torchscript"]),
        ("--batch-file", args.batch_file.is_some(), &["torchscript"]),
        ("--loss", args.loss.is_some(), &["torchscript"]),
    ];
    for (flag, is_given, readers) in given {
        if is_given
            && !workloads
                .iter()
                .any(|workload| readers.contains(&workload.name.as_str()))
        {
            return Err(Error::Usage(format!(
                "{flag} is read by {} only, which is not to be audited",
                readers.join(" and ")
            )));
        }
    }
    Ok(())
}

/// A path that means the same in a child process; it must exist.
fn absolute(path: Option<&PathBuf>) -> std::result::Result<Option<PathBuf>, Error> {
    path.map(|path| {
        path.canonicalize()
            .map_err(|source| Error::io("read", path, source))
    })
    .transpose()
}
