//! [`gate`]: run any command several times in fresh processes, compare what it wrote. The story of the command, top to bottom.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::diff::{self, Found};
use crate::error::{Error, Failure, Result};
use crate::fingerprint::Fingerprint;
use crate::knob;
use crate::report::{Report, Run};
use crate::verdict::{Tally, Verdict};

mod artifacts;
mod content;
mod execute;
mod hook;
mod masks;
mod ops;
mod options;
mod outside;
mod reference;
mod said;
mod settle;
mod snapshot;
mod step;
mod words;
mod workdir;

pub use options::{Options, Runs, Workdir, World};

use execute::{Runner, Wrote};
use masks::Metric;

/// Runs the command and compares. Failures become the verdict `inconclusive`.
#[must_use]
pub fn gate(options: &Options, world: &mut World<'_>) -> Report {
    judge(options, world).unwrap_or_else(|error| {
        let mut report = Report::inconclusive("gate", &error.to_failure(), options.seed);
        report.program = Some(settle::program(options));
        report
    })
}

fn judge(options: &Options, world: &mut World<'_>) -> Result<Report> {
    let planned = options.runs.count()?;
    if planned < 2 && options.reference.is_none() {
        return Err(Error::Usage(format!(
            "{planned} runs: one alone has nothing to be compared with; give --runs 2 or more, or --reference FILE"
        )));
    }
    let metrics = options
        .metrics
        .iter()
        .map(|text| Metric::new(text))
        .collect::<Result<Vec<_>>>()?;
    let plan = knob::plan_program(options.mode, options.threads, &options.knobs, |name| {
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    })?;
    let earlier = options
        .reference
        .as_deref()
        .map(reference::load)
        .transpose()?;
    options
        .record
        .as_deref()
        .map_or(Ok(()), reference::can_record)?;
    let base = Base::new(options.keep.as_deref(), &options.command)?;
    let mut runner = Runner::new(options, &plan, &metrics, &base.path)?;
    let mut series = Series {
        began: Instant::now(),
        total: options.total_timeout,
        planned,
        runs: Vec::new(),
        first: None,
        last: None,
        tally: Tally::default(),
        doubt: None,
    };
    (world.progress)(&format!("gate: run 0, the first of {planned}"));
    let wrote = runner.run(0, series.left()?, world)?;
    series.runs.push((Verdict::Identical, None));
    let mut report = Report::new("gate", Verdict::Inconclusive, "unjudged", "", options.seed);
    // The command's, which has settings that this process has not.
    let launch = plan.launch.iter();
    let variables = launch.map(|one| (one.name.clone().into(), one.value.clone().into()));
    report.fingerprint = Some(
        Fingerprint::collect(&Err("the program's own was not asked".into()))
            .with_variables(variables),
    );
    if let Some(why) = nothing(options, &wrote) {
        settle::inconclusive(&mut report, why, options);
    } else {
        series.candidates(options, &mut runner, world)?;
        // Of one run alone, which a reference is compared with, nothing has looked at the values yet.
        if planned < 2
            && let Some(why) = content::vacuous(&runner.files(0), &options.rules)?
        {
            let reason = format!("agreement would prove nothing: {why}");
            series.doubt = Some(("vacuous".into(), reason, VACUOUS.into()));
        }
        report.controls = content::controls(&runner.files(0), &options.rules);
        let result = content::digests(&runner.files(0), &options.rules)?;
        settle::settle(&mut report, &series, options, &result);
        reference::apply(&mut report, earlier.as_ref(), options, result);
        if let (Some(asked), Verdict::Diverged) = (&options.ops, report.verdict) {
            ops::name(
                &mut report,
                (asked, options.mode),
                &mut runner,
                &wrote,
                &series,
                world,
            )?;
        }
    }
    settle::describe(&mut report, &series, options, &plan, &runner, &wrote);
    runner.put_back()?;
    drop(runner);
    base.finish(&mut report, options)?;
    Ok(report)
}

/// Why there is nothing to compare after the first run, if so.
fn nothing(options: &Options, wrote: &Wrote) -> Option<Failure> {
    let elsewhere = wrote.elsewhere.as_ref();
    let elsewhere = elsewhere.map_or(String::new(), |note| format!("; {note}"));
    let failure = |code: &str, message: String, hint: &str| {
        Some(Failure {
            code: code.into(),
            message: message + &elsewhere,
            hint: hint.into(),
            op: None,
        })
    };
    for pattern in &options.artifacts {
        let taken = &wrote.gathered.taken;
        if !taken.iter().any(|name| artifacts::means(pattern, name)) {
            let others: Vec<&str> = taken
                .iter()
                .chain(&wrote.gathered.left)
                .map(String::as_str)
                .take(5)
                .collect();
            let wrote = if others.is_empty() {
                "it wrote no file at all".into()
            } else {
                format!("it wrote, for example, {}", others.join(", "))
            };
            return failure(
                "no-artifact",
                format!("the command wrote nothing that matches --artifact {pattern}: {wrote}"),
                "a file that was there before and was not written to is no artifact; let the command write below {out}, or mend the pattern",
            );
        }
    }
    if wrote.compared == 0 {
        return failure(
            "no-artifact",
            "the command wrote no file and printed nothing: there is nothing to compare".into(),
            "let it write its result, for example below {out}, or print it",
        );
    }
    None
}

/// What to do where nothing that was computed was compared.
const VACUOUS: &str = "let the command write something that depends on its computation: a checkpoint, a loss for each step";

/// The runs so far.
struct Series {
    began: Instant,
    total: Option<Duration>,
    planned: usize,
    /// Verdict and what was found, for each; the first is the reference.
    runs: Vec<(Verdict, Option<String>)>,
    /// The first candidate that diverged, and its number.
    first: Option<(usize, Found)>,
    /// The last candidate that did not.
    last: Option<Found>,
    /// What all comparisons counted.
    tally: Tally,
    /// Why the first comparison that decides nothing decides nothing: a word, the reason, what to do.
    doubt: Option<(String, String, String)>,
}

impl Series {
    /// Time left for all runs.
    fn left(&self) -> Result<Option<Duration>> {
        let Some(total) = self.total else {
            return Ok(None);
        };
        match total.checked_sub(self.began.elapsed()) {
            Some(left) if !left.is_zero() => Ok(Some(left)),
            _ => Err(Error::TotalTimeout {
                run: self.runs.len(),
                limit: humantime::format_duration(total).to_string(),
            }),
        }
    }

    /// Runs and compares one candidate after another.
    fn candidates(
        &mut self,
        options: &Options,
        runner: &mut Runner<'_>,
        world: &mut World<'_>,
    ) -> Result<()> {
        for run in 1..self.planned {
            (world.progress)(&self.progress(run));
            let wrote = match self.left().and_then(|left| runner.run(run, left, world)) {
                Ok(wrote) => wrote,
                // One divergence is enough to know it, whatever came later.
                Err(error) if self.first.is_some() && !matches!(error, Error::Interrupted(_)) => {
                    if let Some((_, found)) = &mut self.first {
                        found
                            .notes
                            .push(format!("the runs after it were not finished: {error}"));
                    }
                    return Ok(());
                }
                Err(error) => return Err(error),
            };
            let mut found = diff::compare(&runner.files(0), &runner.files(run), &options.rules)?;
            found.notes.extend(wrote.notes);
            let (verdict, code, reason) = diff::judge(&found);
            self.tally += found.tally();
            if verdict == Verdict::Inconclusive && self.doubt.is_none() {
                let hint = match found.unread.first() {
                    Some(unread) => unread.hint.clone(),
                    None => VACUOUS.to_owned(),
                };
                self.doubt = Some((code.to_owned(), reason, hint));
            }
            // More runs of a command that computes nothing, or whose files cannot be read, would tell no more.
            let undecided = self.doubt.is_some();
            let diverged = verdict == Verdict::Diverged;
            let digest = diverged
                .then(|| content::digests(&runner.files(run), &options.rules))
                .transpose()?;
            self.runs
                .push((verdict, digest.map(|all| content::digest(&all).to_string())));
            if diverged {
                self.first.get_or_insert((run, found));
                if matches!(options.runs, Runs::Planned { .. }) {
                    break;
                }
            } else {
                self.last = Some(found);
                runner.forget(run)?;
                if undecided {
                    break;
                }
            }
        }
        Ok(())
    }

    /// What a person wants to know who waits.
    fn progress(&self, run: usize) -> String {
        let each = self.began.elapsed() / u32::try_from(run).unwrap_or(u32::MAX);
        let left = each * u32::try_from(self.planned - run).unwrap_or(u32::MAX);
        let left = Duration::from_secs(left.as_secs());
        let left = if left.is_zero() {
            String::new()
        } else {
            format!(", about {} left", humantime::format_duration(left))
        };
        format!("gate: run {run}, after {run} of {}{left}", self.planned)
    }

    /// The runs as the report lists them.
    fn listed(&self, reference: &str) -> Vec<Run> {
        let runs = self.runs.iter().enumerate();
        runs.map(|(run, (verdict, digest))| Run {
            run,
            result: if run == 0 {
                "reference"
            } else {
                verdict.name()
            }
            .into(),
            digest: digest.clone().unwrap_or_else(|| reference.into()),
            metrics: std::collections::BTreeMap::new(),
        })
        .collect()
    }
}

/// A folder whose name is the same for every gate of one command in one place, because programs write down where they run and
/// a reference is to know it again. While another such gate runs, or where one was killed, the name is any.
fn temporary(command: &[OsString]) -> std::io::Result<tempfile::TempDir> {
    let mut hasher = blake3::Hasher::new();
    let current = std::env::current_dir()?;
    for word in [current.as_os_str()]
        .into_iter()
        .chain(command.iter().map(OsString::as_os_str))
    {
        hasher.update(&word.len().to_le_bytes());
        hasher.update(word.as_bytes());
    }
    let hash = hasher.finalize().to_hex();
    let prefix = format!("samebits-gate-{}", &hash[..12]);
    let folder = |more| {
        tempfile::Builder::new()
            .prefix(&prefix)
            .rand_bytes(more)
            .tempdir()
    };
    folder(0).or_else(|_| folder(6))
}

/// The folder of one gate.
struct Base {
    path: PathBuf,
    /// Removes the folder when the verdict is there.
    temporary: Option<tempfile::TempDir>,
}

impl Base {
    fn new(keep: Option<&Path>, command: &[OsString]) -> Result<Self> {
        let Some(folder) = keep else {
            let parent = std::env::temp_dir();
            let temporary =
                temporary(command).map_err(|e| Error::io("create a folder in", &parent, e))?;
            let path = temporary
                .path()
                .canonicalize()
                .map_err(|e| Error::io("find", temporary.path(), e))?;
            return Ok(Self {
                path,
                temporary: Some(temporary),
            });
        };
        fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, e))?;
        let path = folder
            .canonicalize()
            .map_err(|e| Error::io("find", folder, e))?;
        let mut entries = fs::read_dir(&path).map_err(|e| Error::io("read", &path, e))?;
        if entries.next().is_some() {
            return Err(Error::Usage(format!(
                "--keep {}: the folder is not empty, and nothing is ever overwritten",
                folder.display()
            )));
        }
        Ok(Self {
            path,
            temporary: None,
        })
    }

    /// Says in the report where everything is.
    fn finish(self, report: &mut Report, options: &Options) -> Result<()> {
        if let Some(temporary) = self.temporary {
            if report.verdict != Verdict::Identical && report.verdict != Verdict::Close {
                report.next.push(
                    "`--keep DIR` keeps what the runs wrote and a script that repeats one by hand"
                        .into(),
                );
            }
            return temporary
                .close()
                .map_err(|e| Error::io("remove", &self.path, e));
        }
        if let Some(program) = &mut report.program {
            program.kept = options
                .keep
                .as_ref()
                .map(|folder| folder.display().to_string());
        }
        Ok(())
    }
}
