//! `samebits list`.

use std::fmt::Write as _;

use anyhow::Result;
use clap::ValueEnum;
use samebits::knob::{Default as Value, KNOBS, Moment};
use samebits::verdict::EXIT_CODES;
use samebits::workload::BUILT_IN;
use serde_json::json;

use crate::cli::output::{Format, print};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Topic {
    /// Training programs built in
    Workloads,
    /// What can decide agreement from outside
    Knobs,
    /// What the exit codes mean
    Exits,
}

/// List workloads, knobs and exit codes; runs nothing
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to list; everything by default
    #[arg(value_enum)]
    topics: Vec<Topic>,
    /// What standard output shows
    #[arg(long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    format: Format,
}

pub fn run(args: &Args) -> Result<u8> {
    let wanted = |topic| args.topics.is_empty() || args.topics.contains(&topic);
    let text = match args.format {
        Format::Json => as_json(&wanted)?,
        Format::Text => as_text(&wanted),
    };
    print(&text)?;
    Ok(0)
}

fn default_of(value: Value) -> String {
    match value {
        Value::Leave => "as found".into(),
        Value::Always(value) => value.into(),
        Value::Deterministic(value) => format!("{value} (as found in mode off)"),
        Value::Mode => "the mode".into(),
        Value::Threads => "--threads".into(),
    }
}

fn as_text(wanted: &dyn Fn(Topic) -> bool) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    if wanted(Topic::Workloads) {
        out.push_str("workloads (* audited by default)\n");
        for row in BUILT_IN {
            let mark = if row.by_default { '*' } else { ' ' };
            let _ = writeln!(
                out,
                "{mark} {:12} {:4} steps of {:7}  {}",
                row.name, row.steps, row.batch, row.summary
            );
        }
    }
    if wanted(Topic::Knobs) {
        out.push_str("knobs (set one by --set NAME=VALUE)\n");
        for knob in KNOBS {
            let moment = match knob.moment {
                Moment::Launch => "environment",
                Moment::Program => "of programs",
                Moment::AnyTime => "libtorch",
            };
            let _ = writeln!(out, "  {:28} {moment:11}  {}", knob.name, knob.reason);
            let _ = writeln!(
                out,
                "  {:28} {:11}  accepts {}; default {}",
                "",
                "",
                knob.accepts,
                default_of(knob.default)
            );
        }
    }
    if wanted(Topic::Exits) {
        out.push_str("exit codes\n");
        for row in EXIT_CODES {
            let _ = writeln!(out, "  {}  {:12}  {}", row.code, row.verdict, row.when);
        }
    }
    out
}

fn as_json(wanted: &dyn Fn(Topic) -> bool) -> Result<String> {
    let mut document = serde_json::Map::new();
    document.insert("schema_version".into(), 1.into());
    if wanted(Topic::Workloads) {
        let rows = BUILT_IN.iter().map(|row| {
            json!({ "name": row.name, "summary": row.summary, "steps": row.steps, "batch": row.batch, "by_default": row.by_default })
        });
        document.insert("workloads".into(), rows.collect());
    }
    if wanted(Topic::Knobs) {
        let rows = KNOBS.iter().map(|knob| {
            json!({ "name": knob.name, "accepts": knob.accepts.to_string(), "default": default_of(knob.default),
                    "moment": knob.moment, "reason": knob.reason })
        });
        document.insert("knobs".into(), rows.collect());
    }
    if wanted(Topic::Exits) {
        let rows = EXIT_CODES
            .iter()
            .map(|row| json!({ "code": row.code, "verdict": row.verdict, "when": row.when }));
        document.insert("exit_codes".into(), rows.collect());
    }
    Ok(format!("{}\n", serde_json::to_string_pretty(&document)?))
}
