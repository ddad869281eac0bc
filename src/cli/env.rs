//! `samebits env`.

use std::path::PathBuf;

use anyhow::Result;
use samebits::fingerprint::{Fingerprint, differences_text, text};
use serde_json::json;

use crate::cli::output::{Format, print};

/// Print the fingerprint of this stack: hardware, driver, libraries, and the environment variables that can change bits
///
/// With --against the exit code is 0 when nothing differs that can change bits, and 1 when something does.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Compare with a fingerprint, a report or a trace's manifest saved before, in JSON
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// Leave out what identifies this machine: serial numbers, UUIDs, paths
    #[arg(long)]
    redact: bool,
    /// What standard output shows
    #[arg(long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    format: Format,
}

pub fn run(args: &Args) -> Result<u8> {
    let saved = args.against.as_deref().map(Fingerprint::load).transpose()?;
    let mut here = Fingerprint::collect();
    if args.redact {
        here = here.redacted();
    }
    let Some(saved) = saved else {
        print(&match args.format {
            Format::Text => text(&here),
            Format::Json => format!("{}\n", serde_json::to_string_pretty(&here)?),
        })?;
        return Ok(0);
    };
    let changes = saved.differences(&here);
    let comparable = saved.comparable(&here);
    print(&match args.format {
        Format::Text => differences_text(&changes),
        Format::Json => {
            let document = json!({
                "schema_version": 1,
                "comparable": comparable.is_ok(),
                "reason": comparable.as_ref().err(),
                "changes": changes,
            });
            format!("{}\n", serde_json::to_string_pretty(&document)?)
        }
    })?;
    Ok(u8::from(comparable.is_err()))
}
