//! `samebits diff`.

use std::path::PathBuf;

use anyhow::Result;
use samebits::diff::diff;
use samebits::error::Error;
use samebits::report::Report;
use samebits::rules::{self, Rules};
use samebits::tolerance::Tolerance;

use crate::cli::output;

/// Compare two files or folders: checkpoints, arrays, metrics, traces, any bytes
///
/// Reads safetensors, npy, npz, `PyTorch` files (never executing anything in them), traces, JSON, JSON lines, CSV, TSV and
/// `TensorBoard` events; other files are compared as bytes, and folders file by file.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What is expected
    #[arg(value_name = "REFERENCE")]
    reference: PathBuf,
    /// What is judged against it
    #[arg(value_name = "CANDIDATE")]
    candidate: PathBuf,
    #[command(flatten)]
    rules: RulesArgs,
    #[command(flatten)]
    output: output::Args,
}

/// What is compared, and when it counts as the same.
#[derive(Debug, clap::Args)]
pub struct RulesArgs {
    /// Compare only names that match, for example 'model.layers.0.*', or in a folder a file or `FILE:NAME`; may be given several times
    #[arg(long, value_name = "GLOB")]
    only: Vec<String>,
    /// Leave out names that match; may be given several times
    #[arg(long, value_name = "GLOB")]
    ignore: Vec<String>,
    /// Pair the rows of CSV and JSON lines files by this column instead of their order; may be given several times
    #[arg(long, value_name = "COLUMN")]
    key: Vec<String>,
    /// Accept differences within the tolerances of `torch.testing.assert_close`
    #[arg(long)]
    close: bool,
    /// Relative tolerance, together with --atol
    #[arg(long, allow_negative_numbers = true)]
    rtol: Option<f64>,
    /// Absolute tolerance, together with --rtol
    #[arg(long, allow_negative_numbers = true)]
    atol: Option<f64>,
    /// Accept floats at most this many ULPs apart, besides what the other tolerances accept
    #[arg(long, value_name = "N")]
    max_ulp: Option<u64>,
    /// NaN equals NaN where a tolerance is asked for
    #[arg(long)]
    equal_nan: bool,
    /// Compare values across dtypes, as `assert_close(check_dtype=False)` does
    #[arg(long)]
    no_check_dtype: bool,
    /// Exceptions in TOML: `[[override]]` with name, reason, and ignore, close, rtol and atol, `max_ulp` or `equal_nan`
    #[arg(long, value_name = "FILE")]
    overrides: Option<PathBuf>,
}

impl RulesArgs {
    pub fn rules(&self) -> samebits::error::Result<Rules> {
        let near = self.close || self.rtol.is_some() || self.atol.is_some();
        let tolerance = if near || self.max_ulp.is_some() || self.equal_nan {
            rules::asked(near, self.rtol, self.atol, self.equal_nan, self.max_ulp)
                .map_err(|error| Error::Usage(error.to_string()))?
        } else {
            Tolerance::Bitwise
        };
        let exceptions = match &self.overrides {
            Some(path) => rules::load(path, &rules::today())?,
            None => Vec::new(),
        };
        Ok(Rules {
            tolerance,
            only: self.only.clone(),
            ignore: self.ignore.clone(),
            any_dtype: self.no_check_dtype,
            keys: self.key.clone(),
            exceptions,
            of_runs: false,
        })
    }
}

pub fn run(args: &Args) -> Result<u8> {
    args.output.spare(&[&args.reference, &args.candidate])?;
    let outputs = args.output.open()?;
    let report = match args.rules.rules() {
        Ok(rules) => diff(&args.reference, &args.candidate, &rules),
        Err(error) => Report::inconclusive("diff", &error.to_failure(), None),
    };
    outputs.write(report)
}
