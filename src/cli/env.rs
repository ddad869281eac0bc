//! `samebits env`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use samebits::fingerprint::{Fingerprint, differences_text, text};
use samebits::knob::Knob;
use samebits::trace::Trace;
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
    let saved = args.against.as_deref().map(load).transpose()?;
    let mut here = Fingerprint::collect(&samebits::runner::libtorch());
    if args.redact {
        here = here.redacted();
    }
    // A run's knobs, and what its parent put into its environment, are the run's and not the machine's.
    let of_a_run = |key: &str| {
        key.starts_with("knob.")
            || key.starts_with("threads.")
            || key
                .strip_prefix("env.")
                .is_some_and(|name| Knob::find(name).is_some())
    };
    let saved = saved.map(|mut saved| {
        if saved.facts.keys().any(|key| key.starts_with("knob.")) {
            saved.facts.retain(|key, _| !of_a_run(key));
            here.facts
                .retain(|key, _| args.against.is_none() || !of_a_run(key));
        }
        saved
    });
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

/// A fingerprint, from a file of its own, from a report, or from a trace's manifest that nobody changed.
fn load(path: &Path) -> Result<Fingerprint> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    if text.contains("\"manifest_blake3\"") {
        return Ok(Trace::read_manifest(path)?.fingerprint);
    }
    Ok(Fingerprint::load(path)?)
}
