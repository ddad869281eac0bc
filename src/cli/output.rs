//! Where reports go: one format on standard output, any number in files. Files are opened before the runs begin, so that
//! a bad path fails early, and appear whole or not at all.
#![cfg_attr(
    not(feature = "torch"),
    expect(
        dead_code,
        reason = "only commands of the torch side write reports so far"
    )
)]

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::ValueEnum;
use samebits::report::text::Color;
use samebits::report::{Report, json, text};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// For machines
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

#[derive(Debug, clap::Args)]
pub struct Args {
    /// What standard output shows
    #[arg(long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    pub format: Format,
    /// Also write the report to a file, for example json=report.json; may be given several times
    #[arg(long, value_name = "FORMAT=PATH", value_parser = parse_output)]
    pub output: Vec<(Format, PathBuf)>,
    /// Only the verdict on standard output, and no progress
    #[arg(long, short)]
    pub quiet: bool,
    /// When to paint words
    #[arg(long, value_enum, default_value_t = When::Auto, value_name = "WHEN")]
    pub color: When,
}

fn parse_output(text: &str) -> std::result::Result<(Format, PathBuf), String> {
    let (format, path) = text
        .split_once('=')
        .ok_or("FORMAT=PATH expected, for example json=report.json")?;
    if path.is_empty() {
        return Err("the path is empty".into());
    }
    Ok((Format::from_str(format, false)?, path.into()))
}

/// Files opened, reports not yet written.
pub struct Outputs<'a> {
    args: &'a Args,
    files: Vec<(Format, PathBuf, tempfile::NamedTempFile)>,
}

impl Args {
    /// Opens every file, or says which cannot be written.
    pub fn open(&self) -> Result<Outputs<'_>> {
        let mut files = Vec::new();
        for (format, path) in &self.output {
            let folder = path
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty())
                .unwrap_or(Path::new("."));
            let file = tempfile::NamedTempFile::new_in(folder).with_context(|| {
                format!(
                    "cannot write {}; give --output a folder that exists and may be written",
                    path.display()
                )
            })?;
            files.push((*format, path.clone(), file));
        }
        Ok(Outputs { args: self, files })
    }

    pub fn color(&self) -> Color {
        // https://no-color.org: any value that is not empty.
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        match self.color {
            When::Always => Color::Ansi,
            When::Auto if std::io::stdout().is_terminal() && !refused => Color::Ansi,
            _ => Color::Plain,
        }
    }
}

impl Outputs<'_> {
    /// Writes the report everywhere. A file that cannot be written is an error, but only after all else was tried.
    pub fn write(self, report: &Report) -> Result<()> {
        let color = self.args.color();
        let shown = match self.args.format {
            Format::Json => json::render(report),
            Format::Text if self.args.quiet => text::brief(report, color),
            Format::Text => text::render(report, color),
        };
        let mut result = print(&shown);
        for (format, path, mut file) in self.files {
            let content = match format {
                Format::Text => text::render(report, Color::Plain),
                Format::Json => json::render(report),
            };
            let written = file
                .write_all(content.as_bytes())
                .and_then(|()| file.persist(&path).map(drop).map_err(|error| error.error))
                .with_context(|| format!("cannot write {}", path.display()));
            result = result.and(written);
        }
        result
    }
}

/// Prints to standard output. A reader that went away early is no failure of ours.
pub fn print(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(()),
    }
}
