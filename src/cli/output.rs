//! Where reports go: one format on standard output, any number in files. Files are opened before the runs begin, so that
//! a bad path fails early, and appear whole or not at all.

use std::fs::{File, Permissions};
use std::io::{IsTerminal, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use samebits::report::text::Color;
use samebits::report::{Report, json, text};
use samebits::verdict::Verdict;

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
    files: Vec<(Format, PathBuf, Target)>,
}

impl Args {
    /// Opens every file, or says which cannot be written.
    pub fn open(&self) -> Result<Outputs<'_>> {
        let mut files: Vec<(Format, PathBuf, Target)> = Vec::new();
        for (format, path) in &self.output {
            if files.iter().any(|(_, other, _)| other == path) {
                bail!("--output names {} twice", path.display());
            }
            let target = Target::open(path).with_context(|| {
                format!("cannot write {}; give --output a file in a folder that exists and may be written", path.display())
            })?;
            files.push((*format, path.clone(), target));
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
    /// Writes the report to every file and then to standard output, and returns the exit code. A file that cannot be
    /// written makes the report inconclusive: whoever reads that file must not be left with an older one.
    pub fn write(self, mut report: Report) -> Result<u8> {
        let contents: Vec<_> = self
            .files
            .into_iter()
            .map(|(format, path, target)| {
                let content = match format {
                    Format::Text => text::render(&report, Color::Plain),
                    Format::Json => json::render(&report),
                };
                (path, target.write(&content))
            })
            .collect();
        for (path, written) in contents {
            if let Err(error) = written {
                let reason = format!(
                    "cannot write {}: {error}; the verdict was {}",
                    path.display(),
                    report.verdict
                );
                report.set_verdict(Verdict::Inconclusive, "io", reason);
            }
        }
        let color = self.args.color();
        print(&match self.args.format {
            Format::Json => json::render(&report),
            Format::Text if self.args.quiet => text::brief(&report, color),
            Format::Text => text::render(&report, color),
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
