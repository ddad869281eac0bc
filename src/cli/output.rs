//! Where reports go: one format on standard output, any number in files. Files are opened before the runs begin, so that
//! a bad path fails early, and appear whole or not at all.

use std::fs::{File, Permissions};
use std::io::{IsTerminal, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use samebits::report::format::{self, FORMATS};
use samebits::report::text::Color;
use samebits::report::{Report, text};
use samebits::verdict::Verdict;

use crate::cli::github;

/// How commands answer that make no report.
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
// Commands have an `Args` of their own, and clap makes a group of each name.
#[group(skip)]
pub struct Args {
    /// What standard output shows
    #[arg(long, default_value = "text", value_name = "FORMAT", value_parser = formats())]
    pub format: &'static format::Format,
    /// Also write the report to a file, for example json=report.json; may be given several times
    #[arg(long, value_name = "FORMAT=PATH", value_parser = parse_output)]
    pub output: Vec<(&'static format::Format, PathBuf)>,
    /// Only the verdict on standard output, and no progress
    #[arg(long, short)]
    pub quiet: bool,
    /// When to paint words
    #[arg(long, value_enum, default_value_t = When::Auto, value_name = "WHEN")]
    pub color: When,
}

/// The table of formats, as clap wants it.
fn formats() -> impl TypedValueParser<Value = &'static format::Format> {
    let names = FORMATS
        .iter()
        .map(|format| PossibleValue::new(format.name).help(format.what));
    PossibleValuesParser::new(names)
        .try_map(|name| format::Format::find(&name).ok_or("there is no such format"))
}

fn parse_output(text: &str) -> std::result::Result<(&'static format::Format, PathBuf), String> {
    let (format, path) = text
        .split_once('=')
        .ok_or("FORMAT=PATH expected, for example json=report.json")?;
    if path.is_empty() {
        return Err("the path is empty".into());
    }
    let format = format::Format::find(format).ok_or_else(|| {
        let names: Vec<_> = FORMATS.iter().map(|format| format.name).collect();
        format!("{format} is none of {}", names.join(", "))
    })?;
    Ok((format, path.into()))
}

/// Reads the value of `--set`.
pub fn parse_pair(text: &str) -> std::result::Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("KNOB=VALUE expected, for example cudnn.benchmark=true")?;
    Ok((name.into(), value.into()))
}

/// A file opened for a report.
enum Target {
    /// Renamed into its place when it is whole.
    Regular(tempfile::NamedTempFile, PathBuf),
    /// A device or a pipe: written through.
    Special(File),
}

impl Target {
    fn open(path: &Path) -> Result<Self> {
        if path.is_dir() {
            bail!("it is a folder");
        }
        if path.exists() && !path.is_file() {
            return Ok(Self::Special(File::options().write(true).open(path)?));
        }
        // A link stays a link; what it points to is replaced.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        // As any new file: what the umask leaves of it.
        let permissions = Permissions::from_mode(0o666);
        // The reason alone: the temporary file's name would confuse.
        let file = tempfile::Builder::new()
            .permissions(permissions)
            .tempfile_in(folder)
            .map_err(|error| std::io::Error::from(error.kind()))?;
        Ok(Self::Regular(file, path))
    }

    fn write(self, content: &str) -> std::io::Result<()> {
        match self {
            Self::Special(mut file) => file.write_all(content.as_bytes()),
            Self::Regular(mut file, path) => {
                file.write_all(content.as_bytes())?;
                file.persist(path).map(drop).map_err(|error| error.error)
            }
        }
    }
}

/// Files opened, reports not yet written.
pub struct Outputs<'a> {
    args: &'a Args,
    files: Vec<(&'static format::Format, PathBuf, Target)>,
}

impl Args {
    /// Opens every file, or says which cannot be written.
    pub fn open(&self) -> Result<Outputs<'_>> {
        let mut files: Vec<(&'static format::Format, PathBuf, Target)> = Vec::new();
        for (format, path) in &self.output {
            if files.iter().any(|(_, other, _)| other == path) {
                bail!("--output names {} twice", path.display());
            }
            let target = Target::open(path).with_context(|| {
                format!("cannot write {}; give --output a file in a folder that exists and may be written", path.display())
            })?;
            files.push((format, path.clone(), target));
        }
        Ok(Outputs { args: self, files })
    }

    /// Refuses files for reports that would replace an input, or be taken for a part of it.
    pub fn spare(&self, inputs: &[&Path]) -> Result<()> {
        for (_, path) in &self.output {
            let folder = path
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty());
            let folder = folder.unwrap_or(Path::new("."));
            let (Ok(folder), Some(name)) = (folder.canonicalize(), path.file_name()) else {
                continue;
            };
            let place = folder.join(name);
            let inside = |input: &&&Path| {
                input
                    .canonicalize()
                    .is_ok_and(|input| place.starts_with(input))
            };
            if let Some(input) = inputs.iter().find(inside) {
                let what = format!(
                    "--output {}: it is {} or inside it, which is an input; choose another place",
                    path.display(),
                    input.display()
                );
                return Err(samebits::error::Error::Usage(what).into());
            }
        }
        Ok(())
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
    /// Writes the report to every file and then to standard output, and returns the exit code. A file that cannot be
    /// written makes the report inconclusive: whoever reads that file must not be left with an older one.
    pub fn write(self, mut report: Report) -> Result<u8> {
        let mut failures = Vec::new();
        let mut for_github = self.args.format.name == "github";
        for (format, path, target) in self.files {
            for_github |= format.name == "github";
            if let Err(error) = target.write(&(format.render)(&report)) {
                failures.push(format!("cannot write {}: {error}", path.display()));
            }
        }
        if for_github && let Err(error) = github::append(&report) {
            failures.push(format!("{error:#}"));
        }
        if !failures.is_empty() {
            let failures = failures.join("; ");
            let reason = format!("{failures}; the verdict was {}", report.verdict);
            report.set_verdict(Verdict::Inconclusive, "io", reason);
        }
        let color = self.args.color();
        print(&match self.args.format.name {
            "text" if self.args.quiet => text::brief(&report, color),
            "text" => text::render(&report, color),
            _ => (self.args.format.render)(&report),
        })?;
        Ok(report.exit_code)
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

/// A line that says how far things are: on a terminal always the same one, elsewhere one below the other.
pub fn progress(line: &str) {
    if std::io::stderr().is_terminal() {
        let _ = write!(std::io::stderr(), "\r\x1b[K{line}");
    } else {
        say(line);
    }
}

/// Clears the line of [`progress`] on a terminal.
pub fn progress_done() {
    if std::io::stderr().is_terminal() {
        let _ = write!(std::io::stderr(), "\r\x1b[K");
    }
}

/// Says something on standard error. There is nobody left to tell when that fails.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
