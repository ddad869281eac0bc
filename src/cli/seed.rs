//! `samebits seed`.

use std::fmt::Write as _;

use anyhow::Result;
use samebits::seed::Seed;
use serde_json::json;

use crate::cli::output::{Format, print};

/// Print the generator seeds derived from one seed, by name
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The seed
    seed: u64,
    /// Names of streams, for example preprocessing, replicate/3, rank/7
    #[arg(value_name = "STREAM", required = true)]
    streams: Vec<String>,
    /// What standard output shows
    #[arg(long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    format: Format,
}

pub fn run(args: &Args) -> Result<u8> {
    let text = match args.format {
        Format::Json => as_json(args)?,
        Format::Text => as_text(args),
    };
    print(&text)?;
    Ok(0)
}

fn as_json(args: &Args) -> Result<String> {
    let seed = Seed(args.seed);
    let row = |name: &String| json!({ "stream": name, "number": seed.number(name), "key": hex(seed, name) });
    let streams: Vec<_> = args.streams.iter().map(row).collect();
    let document = json!({ "schema_version": 1, "seed": args.seed, "streams": streams });
    Ok(format!("{}\n", serde_json::to_string_pretty(&document)?))
}

fn as_text(args: &Args) -> String {
    let seed = Seed(args.seed);
    let width = args.streams.iter().map(String::len).max().unwrap_or(0);
    let mut text = String::new();
    for name in &args.streams {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{name:width$}  {:20}  {}",
            seed.number(name),
            hex(seed, name)
        );
    }
    text
}

fn hex(seed: Seed, name: &str) -> String {
    seed.key(name).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
