//! `samebits report`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use samebits::error::Error;
use samebits::report::{Report, json};

use crate::cli::output;

/// Render a report saved by `--output json=FILE` again, in any format
///
/// The exit code is that of the report.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The report, in JSON
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    output: output::Args,
}

pub fn run(args: &Args) -> Result<u8> {
    // Before anything is opened for writing: it could be the same file.
    let report = load(&args.file);
    let outputs = args.output.open()?;
    outputs.write(
        report.unwrap_or_else(|error| Report::inconclusive("report", &error.to_failure(), None)),
    )
}

fn load(path: &Path) -> Result<Report, Error> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::io("read", path, source))?;
    json::read(&text).map_err(|what| Error::damaged(path, what))
}
