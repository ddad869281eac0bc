//! `samebits show-config`.

use std::fmt::Write as _;

use anyhow::Result;
use serde_json::{Value, json};

use crate::cli::config::{Config, schema};
use crate::cli::gate;
use crate::cli::output::print;

/// Show every setting of `samebits gate` and where it comes from; runs nothing
///
/// It takes the flags of `samebits gate` and shows what would be in force with them.
#[derive(Debug, clap::Args)]
// The gate has an `Args` too, and clap makes a group of each name.
#[group(skip)]
pub struct Args {
    /// Print the JSON schema of samebits.toml instead
    #[arg(long)]
    schema: bool,
    #[command(flatten)]
    gate: gate::Args,
}

pub fn run(args: &Args, config: &Config, definition: &clap::Command) -> Result<u8> {
    let document = if args.schema {
        let gate = definition.find_subcommand("gate");
        schema(gate.expect("samebits has this command"))
    } else if args.gate.output.format.name == "json" {
        as_json(config)
    } else {
        print(&as_text(config))?;
        return Ok(0);
    };
    print(&format!("{}\n", serde_json::to_string_pretty(&document)?))?;
    Ok(0)
}

fn as_json(config: &Config) -> Value {
    let settings = config.settings.iter().map(|setting| {
        json!({ "name": setting.key, "value": setting.value, "source": setting.origin.word(), "from": setting.origin.to_string() })
    });
    let overrides = config
        .exceptions
        .iter()
        .map(|exception| json!({ "name": exception.name, "reason": exception.reason }));
    json!({
        "schema_version": 1,
        "file": config.file,
        "profile": config.profile,
        "settings": settings.collect::<Value>(),
        "overrides": overrides.collect::<Value>(),
    })
}

fn as_text(config: &Config) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let file = match &config.file {
        Some(path) => path.display().to_string(),
        None => "none".into(),
    };
    let profile = config.profile.as_deref().unwrap_or("none");
    let _ = writeln!(out, "file {file}, profile {profile}");
    for setting in &config.settings {
        let value = match &setting.value {
            Value::Null => "-".into(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let _ = writeln!(out, "{:16} {value:24} {}", setting.key, setting.origin);
    }
    for exception in &config.exceptions {
        let _ = writeln!(
            out,
            "{:16} {:24} {}",
            "override", exception.name, exception.reason
        );
    }
    out
}
