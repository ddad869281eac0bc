//! `samebits doctor`.

use anyhow::Result;
use samebits::doctor::{Status, examine, text};
use serde_json::json;

use crate::cli::output::{Format, print};

/// Say what works here, what is missing, and how to get it
///
/// The exit code is 0 when nothing is broken, and 2 when something is.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What standard output shows
    #[arg(long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    format: Format,
}

pub fn run(args: &Args) -> Result<u8> {
    let checks = examine(&samebits::runner::libtorch());
    print(&match args.format {
        Format::Text => text(&checks),
        Format::Json => {
            let document = json!({ "schema_version": 1, "checks": checks });
            format!("{}\n", serde_json::to_string_pretty(&document)?)
        }
    })?;
    let broken = checks.iter().any(|check| check.status == Status::Broken);
    Ok(if broken { 2 } else { 0 })
}
