//! One run of the command: a fresh working folder at the same path each time, the pinned environment, and what it wrote.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::artifacts::{self, Gathered, PRINTED, Places};
use super::hook::{Hook, Reached};
use super::masks::{self, Metric, mask};
use super::ops::Recording;
use super::options::{Options, Workdir, World};
use super::outside::Watched;
use super::said::{bytes, failed};
use super::snapshot::{Snapshot, reopen, still_there};
use super::words::{ANSWERS, OUT_VARIABLE, hooked, script, unhooked, with_out};
use super::workdir::Source;
use crate::error::{Error, Result};
use crate::knob::Plan;
use crate::process::supervise::{self, Order};

/// What a run wrote.
#[derive(Debug)]
pub(super) struct Wrote {
    pub(super) gathered: Gathered,
    /// Files that are compared, what it printed included.
    pub(super) compared: usize,
    pub(super) notes: Vec<String>,
    /// What it wrote where nothing is compared.
    pub(super) elsewhere: Option<String>,
    pub(super) reached: Reached,
}

/// What all runs share.
pub(super) struct Runner<'a> {
    options: &'a Options,
    plan: &'a Plan,
    metrics: &'a [Metric],
    base: &'a Path,
    source: Option<Source>,
    current: PathBuf,
    hook: Hook,
    /// Whether the standard output is compared because the first run wrote nothing else.
    pub(super) printed_only: bool,
    /// Set while runs are recorded.
    pub(super) recording: Option<Recording>,
    /// Notes on the first run, which are not said again.
    said: Vec<String>,
}

impl<'a> Runner<'a> {
    pub(super) fn new(
        options: &'a Options,
        plan: &'a Plan,
        metrics: &'a [Metric],
        base: &'a Path,
    ) -> Result<Self> {
        let current = std::env::current_dir().map_err(|e| Error::io("find", Path::new("."), e))?;
        if base.starts_with(&current) {
            return Err(Error::Usage(
                "the folder of --keep (or TMPDIR) is inside the working folder, and would be taken for a part of it; choose another".into(),
            ));
        }
        let source = match options.workdir {
            Workdir::Copy => Some(Source::find(&current, &options.links)?),
            Workdir::Inplace => None,
        };
        Ok(Self {
            options,
            plan,
            metrics,
            base,
            source,
            current,
            hook: Hook::new(base)?,
            printed_only: false,
            recording: None,
            said: Vec::new(),
        })
    }

    /// The files that are compared of one run.
    pub(super) fn files(&self, run: usize) -> PathBuf {
        self.folder(run).join("files")
    }

    /// Where the recorder writes in one run.
    pub(super) fn streams(&self, run: usize) -> PathBuf {
        self.folder(run).join("ops")
    }

    fn folder(&self, run: usize) -> PathBuf {
        self.base.join(format!("run-{run}"))
    }

    /// Lines for a shell that repeat one run by hand.
    pub(super) fn script(&self) -> Vec<String> {
        let (switches, seed) = (&self.plan.switches, self.options.seed);
        let hook = if self.options.keep.is_none() {
            unhooked(self.options.mode, seed)
        } else if seed.is_none() && switches.is_empty() {
            Vec::new()
        } else {
            let variables = self
                .hook
                .variables(switches, seed, Path::new(ANSWERS), None);
            variables.map_or(Vec::new(), |variables| hooked(&variables))
        };
        script(
            &self.current,
            &self.plan.launch,
            &self.options.command,
            hook,
        )
    }

    /// Runs the command once.
    pub(super) fn run(
        &mut self,
        run: usize,
        left: Option<Duration>,
        world: &mut World<'_>,
    ) -> Result<Wrote> {
        let folder = self.folder(run);
        // The same paths in every run: programs like to write them down.
        let (top, out) = (self.base.join("work"), self.base.join("out"));
        for path in [&folder, &out] {
            fs::create_dir_all(path).map_err(|e| Error::io("create", path, e))?;
        }
        let work = match &self.source {
            Some(source) => source.copy(&top)?,
            None => self.current.clone(),
        };
        let (top, below) = match &self.source {
            Some(source) => (top, source.below()),
            None => (work.clone(), Path::new("")),
        };
        let places = Places {
            top: &top,
            below,
            out: &out,
            base: self.base,
            // In a copy they go with it.
            aside: self.source.is_none().then(|| folder.join("aside")),
        };
        let before = Snapshot::of(&top)?;
        let watch = Watched::new(&places, &before);
        let mut argv = self.argv(&out);
        let own = self.ignored_program(&work);
        if let (Some(own), Some(program)) = (&own, argv.first_mut()) {
            *program = own.into();
        }
        let reached = self.execute(run, argv, &work, &out, left, world);
        let persons = self.source.is_none().then_some(&before);
        for (path, before) in [(&top, persons), (&out, None)] {
            // Even where it failed: what it left is to be removed.
            if still_there(path).is_ok() {
                reopen(path, before);
            }
        }
        let reached = reached?;
        // Before anything is moved or removed there.
        for path in [&top, &work, &out] {
            still_there(path)?;
        }
        let files = self.files(run);
        fs::create_dir_all(&files).map_err(|e| Error::io("create", &files, e))?;
        let elsewhere = watch.and_then(|watch| watch.written(&places));
        let gathered = artifacts::gather(&places, &before, &self.options.artifacts, &files)?;
        let mut wrote = Wrote {
            compared: gathered.taken.len(),
            gathered,
            notes: elsewhere.iter().cloned().collect(),
            elsewhere,
            reached,
        };
        wrote.notes.append(&mut wrote.gathered.notes);
        if let (0, Some(own)) = (run, own) {
            wrote.notes.push(format!(
                "the copies of the working folder do not hold {}, which git ignores: the one in the folder itself was run",
                own.display()
            ));
        }
        if wrote.reached.leaked > 0 {
            wrote.notes.push(format!(
                "run {run} left {} processes behind; they were ended",
                wrote.reached.leaked
            ));
        }
        self.printed(run, &mut wrote)?;
        if self.source.is_none() && !wrote.gathered.changed.is_empty() {
            wrote.notes.push(format!(
                "the command changed files in place ({}): the next run began with the changed ones",
                wrote.gathered.changed.join(", ")
            ));
        }
        for path in [&self.base.join("work"), &out] {
            if path.exists() {
                fs::remove_dir_all(path).map_err(|e| Error::io("clear", path, e))?;
            }
        }
        self.keep_script(&folder)?;
        if run == 0 {
            self.said.clone_from(&wrote.notes);
        } else {
            wrote.notes.retain(|note| !self.said.contains(note));
        }
        Ok(wrote)
    }

    /// The command, with the output folder where it is named.
    fn argv(&self, out: &Path) -> Vec<OsString> {
        let words = self.options.command.iter();
        words.map(|word| with_out(word, out)).collect()
    }

    /// The program where it stands in the working folder, if its copies lack it: interpreters in `.venv` and what a build made
    /// are ignored by git, and still what a person means.
    fn ignored_program(&self, work: &Path) -> Option<PathBuf> {
        let program = Path::new(self.options.command.first()?);
        // Without a slash it is looked for on PATH.
        let relative = program.is_relative() && program.components().count() > 1;
        let own = self.current.join(program);
        (relative && fs::symlink_metadata(work.join(program)).is_err() && own.is_file())
            .then_some(own)
    }

    /// Runs the command under a supervisor; its failure is an error.
    fn execute(
        &self,
        run: usize,
        argv: Vec<OsString>,
        work: &Path,
        out: &Path,
        left: Option<Duration>,
        world: &mut World<'_>,
    ) -> Result<Reached> {
        let folder = self.folder(run);
        let mut environment: Vec<(String, Option<OsString>)> = self
            .plan
            .launch
            .iter()
            .map(|request| (request.name.clone(), Some(OsString::from(&request.value))))
            .collect();
        let recorder = self.recording.as_ref();
        environment.extend(self.hook.environment(
            &self.plan.switches,
            self.options.seed,
            recorder.map(|one| one.library.as_path()),
        )?);
        environment.extend(recorder.map(Recording::variables).unwrap_or_default());
        environment.push((OUT_VARIABLE.into(), Some(out.into())));
        let order = Order {
            parent: std::process::id(),
            argv,
            directory: work.to_path_buf(),
            environment,
            stdout: folder.join("stdout"),
            stderr: folder.join("stderr"),
        };
        let limit = match (self.options.timeout, left) {
            (Some(one), Some(all)) => Some(one.min(all)),
            (one, all) => one.or(all),
        };
        let ended = supervise::run(run, &world.program, &order, limit, &world.signals);
        let outcome = ended.map_err(|error| match (error, self.options.total_timeout) {
            (Error::Timeout { run, .. }, Some(total)) if limit != self.options.timeout => {
                Error::TotalTimeout {
                    run,
                    limit: humantime::format_duration(total).to_string(),
                }
            }
            (error, _) => error,
        })?;
        if outcome.code != Some(0) {
            let ignored = self
                .source
                .as_ref()
                .map_or(&[][..], |source| &source.ignored);
            return Err(failed(run, &outcome, &folder, ignored));
        }
        let mut reached = self.hook.reached(&self.plan.switches);
        reached.leaked = outcome.leaked;
        Ok(reached)
    }

    /// What a run printed, as files to compare, as far as that was asked for.
    fn printed(&mut self, run: usize, wrote: &mut Wrote) -> Result<()> {
        let folder = self.folder(run);
        let (stdout, stderr) = (folder.join("stdout"), folder.join("stderr"));
        if run == 0 {
            let nothing_else = wrote.gathered.taken.is_empty() && self.metrics.is_empty();
            self.printed_only = nothing_else && self.options.artifacts.is_empty();
        }
        if !self.metrics.is_empty() {
            let said = String::from_utf8_lossy(&bytes(&stdout)?).into_owned();
            let found = masks::gather(self.metrics, &said)?;
            self.put(run, PRINTED[0], found.as_bytes(), wrote)?;
        }
        if self.options.stdout || self.printed_only {
            self.whole(run, &stdout, PRINTED[1], "standard output", wrote)?;
        }
        if self.options.stderr {
            self.whole(run, &stderr, PRINTED[2], "standard error", wrote)?;
        }
        Ok(())
    }

    /// A whole stream without its noise; as it is where it is no text.
    fn whole(
        &self,
        run: usize,
        path: &Path,
        name: &str,
        what: &str,
        wrote: &mut Wrote,
    ) -> Result<()> {
        let said = bytes(path)?;
        let Ok(text) = std::str::from_utf8(&said) else {
            return self.put(run, name, &said, wrote);
        };
        // Nothing but white space is nothing.
        if self.printed_only && text.trim().is_empty() {
            return Ok(());
        }
        let masked = mask(text);
        let used: Vec<String> = masked
            .used
            .iter()
            .map(|(mask, count, example)| format!("{count} × {mask}, such as {example:?}"))
            .collect();
        if !used.is_empty() && run == 0 {
            wrote
                .notes
                .push(format!("masked in the {what}: {}", used.join("; ")));
        }
        self.put(run, name, masked.text.as_bytes(), wrote)
    }

    fn put(&self, run: usize, name: &str, text: &[u8], wrote: &mut Wrote) -> Result<()> {
        wrote.compared += 1;
        let path = self.files(run).join(name);
        fs::write(&path, text).map_err(|e| Error::io("write", &path, e))
    }

    fn keep_script(&self, folder: &Path) -> Result<()> {
        let path = folder.join("repeat.sh");
        let text = format!("#!/bin/sh\nset -eu\n{}\n", self.script().join("\n"));
        fs::write(&path, text).map_err(|e| Error::io("write", &path, e))
    }

    /// In place, what the runs created belongs where it was: the first run's files, and whatever else a later one found
    /// new, which may be a person's.
    pub(super) fn put_back(&self) -> Result<()> {
        if self.source.is_some() {
            return Ok(());
        }
        let moved = self.options.keep.is_none();
        let mut run = 0;
        while self.folder(run).exists() {
            for part in ["aside", "files"] {
                let from = self.folder(run).join(part);
                artifacts::put_back(&from, &self.current, moved)?;
            }
            run += 1;
        }
        Ok(())
    }

    /// Removes the files of a run that agreed, unless they are to be kept: hundreds of checkpoints fill a disk.
    pub(super) fn forget(&self, run: usize) -> Result<()> {
        let files = self.files(run);
        if self.options.keep.is_some() || self.source.is_none() || !files.exists() {
            return Ok(());
        }
        fs::remove_dir_all(&files).map_err(|e| Error::io("clear", &files, e))
    }
}

impl Drop for Runner<'_> {
    fn drop(&mut self) {
        // Early ends come here too; there is nobody left to tell of another failure.
        let _ = self.put_back();
    }
}
