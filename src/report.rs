//! [`Report`]: all that a renderer may see, and the list of formats. Computes nothing: `audit` fills it in.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::compare::{Compared, Growth, Metric, Mismatch, Status};
use crate::difference::Value;
use crate::error::{Error, Failure, Result};
use crate::fingerprint::Fingerprint;
use crate::knob::{Mode, Setting};
use crate::number::Number;
use crate::recorder::{Account, Ops, Steps};
use crate::report::tensors::{Contents, Excepted, Excerpt, Outside};
use crate::trace::{Key, Phase};
use crate::verdict::Verdict;

pub mod escape;
pub mod format;
pub mod github;
pub mod gitlab;
pub mod html;
pub mod json;
pub mod junit;
pub mod markdown;
pub mod ops;
pub mod table;
pub mod tensors;
pub mod text;
pub mod words;

/// The version of the JSON form. It grows by addition only.
pub const SCHEMA_VERSION: u32 = 1;

/// The outcome of one command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// samebits' version.
    pub samebits: String,
    /// The command it comes from.
    pub command: String,
    /// The answer.
    pub verdict: Verdict,
    /// The process's exit code, which follows from the verdict.
    pub exit_code: u8,
    /// A stable word for scripts.
    pub reason_code: String,
    /// Why this verdict, in one line.
    pub reason: String,
    /// What to do next.
    pub next: Vec<String>,
    /// How much was compared.
    pub compared: Compared,
    /// The first mismatch in execution order.
    pub first_divergence: Option<Divergence>,
    /// Cases whose verdict was known beforehand.
    pub controls: Vec<Control>,
    /// Knobs, as read back in the reference.
    pub settings: Vec<Setting>,
    /// The stack of the reference.
    pub fingerprint: Option<Fingerprint>,
    /// The seed, where one was given.
    pub seed: Option<u64>,
    /// What the verdict proves, and what it does not.
    pub claim: String,
    /// What was run; absent in a report of several workloads.
    pub subject: Option<Subject>,
    /// The command that was run; absent for samebits' own workloads.
    pub program: Option<Program>,
    /// Each run.
    pub runs: Vec<Run>,
    /// How many different results there were.
    pub distinct_results: Option<usize>,
    /// Every mismatch up to a limit, in execution order.
    pub mismatches: Vec<Mismatch>,
    /// How many mismatches there were.
    pub mismatch_count: usize,
    /// How the difference grew.
    pub growth: Vec<Growth>,
    /// Numbers for people that differ.
    pub metrics: Vec<Metric>,
    /// libtorch's warnings in the reference.
    pub warnings: Vec<String>,
    /// What was found for each tensor of the two files or folders.
    #[serde(flatten)]
    pub contents: Option<Contents>,
    /// Which op was at fault, where that was asked for.
    pub ops: Option<Account>,
    /// The exceptions to the rules, and whether they were needed.
    pub exceptions: Vec<Excepted>,
    /// What a person should know that decides nothing.
    pub notes: Vec<String>,
    /// One report for each workload, where there are several.
    pub workloads: Vec<Report>,
}

/// What was run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// The workload's name.
    pub workload: String,
    /// Optimiser iterations.
    pub steps: u64,
    /// Samples in a batch.
    pub batch: u64,
    /// Floating-point type of the model.
    pub dtype: String,
    /// Where tensors lived.
    pub device: String,
    /// Threads of one op on the CPU.
    pub threads: u32,
    /// What libtorch did at an op without a deterministic implementation.
    pub mode: String,
    /// Whether runs shared a process.
    pub isolation: String,
}

/// A command of the user's that was run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// The command and its arguments, as given.
    pub command: Vec<String>,
    /// What libtorch did at an op without a deterministic implementation; `own`: what the program itself sets.
    pub mode: String,
    /// Whether each run had a copy of the working folder.
    pub workdir: String,
    /// Patterns of the files that were compared; empty: everything the runs wrote.
    pub artifacts: Vec<String>,
    /// The folder with what the runs wrote, where it was kept.
    pub kept: Option<String>,
    /// Lines for a shell that repeat one run by hand.
    pub repeat: Vec<String>,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its number; 0 is the reference.
    pub run: usize,
    /// `identical`, `close` or `diverged` against the reference; `reference` itself.
    pub result: String,
    /// One digest for the whole trace.
    pub digest: String,
    /// Numbers for people.
    pub metrics: BTreeMap<String, Number>,
}

/// The first mismatch in execution order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Divergence {
    /// The candidate's number.
    pub run: usize,
    /// The rank that wrote it, where its name tells: one process of several that train together.
    pub rank: Option<u64>,
    /// Optimiser iteration, where it is known.
    pub step: Option<u64>,
    /// Where in the step, where it is known.
    pub phase: Option<Phase>,
    /// The tensor.
    pub name: String,
    /// How many entries of this step, phase and name came before.
    pub occurrence: u32,
    /// The op, where the recorder found it.
    pub op: Option<String>,
    /// How the two differ.
    pub status: Status,
    /// dtype and shape of the reference.
    pub outline: Option<Outside>,
    /// dtype and shape of the candidate.
    pub candidate_outline: Option<Outside>,
    /// The first element that differs, counted in row-major order.
    pub index: Option<u64>,
    /// The same as a position in each dimension.
    pub position: Option<Vec<u64>>,
    /// The element in the reference.
    pub reference: Option<Value>,
    /// The element in the candidate.
    pub candidate: Option<Value>,
    /// How many steps from one float to the next lie between them.
    pub ulp: Option<u64>,
    /// For texts, where they part.
    pub text: Option<Excerpt>,
    /// Elements that differ, of how many.
    pub differing: Option<(u64, u64)>,
    /// Whether the numbers come from repeating the runs with values kept, and what that showed.
    pub repeat: Option<String>,
    /// The last entry that agreed.
    pub last_agreed: Option<Key>,
}

/// A case whose verdict was known beforehand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Control {
    /// Its name.
    pub name: String,
    /// What it does.
    pub what: String,
    /// What had to come out.
    pub expected: String,
    /// What came out.
    pub observed: String,
    /// Whether they are the same.
    pub passed: bool,
}

impl Divergence {
    /// Where it is, in words.
    #[must_use]
    pub fn place(&self) -> String {
        let place = match (self.phase, self.step) {
            (Some(Phase::Init), _) => format!("after initialisation, {}", self.name),
            (Some(phase), Some(step)) => format!("step {step}, {phase}, {}", self.name),
            (None, Some(step)) => format!("step {step}, {}", self.name),
            _ => self.name.clone(),
        };
        self.rank
            .map_or(place.clone(), |rank| format!("rank {rank}, {place}"))
    }
}

impl Report {
    /// A report that says nothing yet but its verdict and why.
    #[must_use]
    pub fn new(
        command: &str,
        verdict: Verdict,
        reason_code: &str,
        reason: impl Into<String>,
        seed: impl Into<Option<u64>>,
    ) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            samebits: env!("CARGO_PKG_VERSION").into(),
            command: command.into(),
            verdict,
            exit_code: verdict.exit_code(),
            reason_code: reason_code.into(),
            reason: reason.into(),
            next: Vec::new(),
            compared: Compared::default(),
            first_divergence: None,
            controls: Vec::new(),
            settings: Vec::new(),
            fingerprint: None,
            seed: seed.into(),
            claim: String::new(),
            subject: None,
            program: None,
            runs: Vec::new(),
            distinct_results: None,
            mismatches: Vec::new(),
            mismatch_count: 0,
            growth: Vec::new(),
            metrics: Vec::new(),
            warnings: Vec::new(),
            contents: None,
            ops: None,
            exceptions: Vec::new(),
            notes: Vec::new(),
            workloads: Vec::new(),
        }
    }

    /// A report of something that could not be judged.
    #[must_use]
    pub fn inconclusive(command: &str, failure: &Failure, seed: impl Into<Option<u64>>) -> Self {
        let mut report = Self::new(
            command,
            Verdict::Inconclusive,
            &failure.code,
            &failure.message,
            seed,
        );
        report.next.push(failure.hint.clone());
        "nothing: the question stays open".clone_into(&mut report.claim);
        report
    }

    /// Changes the verdict, and the exit code with it.
    pub fn set_verdict(&mut self, verdict: Verdict, reason_code: &str, reason: impl Into<String>) {
        self.verdict = verdict;
        self.exit_code = verdict.exit_code();
        reason_code.clone_into(&mut self.reason_code);
        self.reason = reason.into();
    }

    /// Takes in what the op recorder found, in runs of this mode; a failure to find it decides nothing and becomes a note.
    ///
    /// # Errors
    /// When a signal ended the search.
    pub fn tell_ops(
        &mut self,
        asked: &Ops,
        mode: Option<Mode>,
        found: Result<Account>,
    ) -> Result<()> {
        match found {
            // Somebody wants it to end.
            Err(error @ Error::Interrupted(_)) => return Err(error),
            Err(error) => self.notes.push(format!("the op was not found: {error}")),
            Ok(account) => {
                if let Some(finding) = &account.finding {
                    if let Some(first) = &mut self.first_divergence {
                        first.op = Some(finding.place.op.clone());
                    }
                    // What is known of the op comes before what is always said.
                    let strict = mode == Some(Mode::Strict);
                    let mut advice = finding.advice.clone();
                    let all = advice.len();
                    advice.retain(|line| !(strict && line.contains("--mode strict")));
                    if advice.len() < all {
                        advice.push("torch.use_deterministic_algorithms is on already, and the op varies still: replace it, or run it with torch.set_num_threads(1)".into());
                    }
                    self.next.splice(..0, advice);
                } else {
                    let cut = account
                        .notes
                        .iter()
                        .any(|note| note.contains("the limit on"));
                    let next = if cut {
                        "the recording reached its limit before its end: `--ops=FIRST..LAST` or `--ops=last:5` records less"
                    } else if matches!(asked.steps, Steps::Range(..) | Steps::Last(_)) {
                        "no op differs in the recorded steps: `--ops=all` records all of them"
                    } else {
                        "no op differs in any recorded run: try again if the runs part once in a while; else what parts them is not torch's, as files, NumPy or a clock"
                    };
                    self.next.insert(0, next.into());
                }
                if let (Some(marker), None) = (&asked.marker, &account.steps_by) {
                    self.notes.push(format!(
                        "no range named {marker} ended: everything is step 0"
                    ));
                }
                self.ops = Some(account);
            }
        }
        Ok(())
    }

    /// One report for several, with the worst verdict and the sum of what was compared.
    #[must_use]
    pub fn of_many(command: &str, reports: Vec<Self>, seed: impl Into<Option<u64>>) -> Self {
        let worst = reports
            .iter()
            .map(|report| report.verdict)
            .max()
            .unwrap_or(Verdict::Inconclusive);
        let named = |verdict: Verdict| {
            let names = reports.iter().filter(|report| report.verdict == verdict);
            names
                .filter_map(|report| Some(report.subject.as_ref()?.workload.as_str()))
                .collect::<Vec<_>>()
        };
        let reason = match worst {
            Verdict::Identical => format!("all {} workloads agreed bit for bit", reports.len()),
            Verdict::Close => format!(
                "within the tolerance, but not identical: {}",
                named(worst).join(", ")
            ),
            Verdict::Diverged => format!("diverged: {}", named(worst).join(", ")),
            Verdict::Inconclusive => format!("could not be judged: {}", named(worst).join(", ")),
        };
        let code = reports
            .iter()
            .find(|report| report.verdict == worst)
            .map_or("usage", |report| &report.reason_code);
        let mut total = Self::new(command, worst, code, reason, seed);
        for report in &reports {
            total.compared.runs += report.compared.runs;
            total.compared.steps += report.compared.steps;
            total.compared.entries += report.compared.entries;
            total.compared.bytes += report.compared.bytes;
            if report.verdict == worst && worst != Verdict::Identical {
                total.next.extend(
                    report
                        .next
                        .iter()
                        .filter(|line| !total.next.contains(line))
                        .cloned()
                        .collect::<Vec<_>>(),
                );
            }
        }
        let first = reports.first();
        total.first_divergence = reports
            .iter()
            .find_map(|report| report.first_divergence.clone());
        total.controls = reports
            .iter()
            .flat_map(|report| report.controls.clone())
            .collect();
        total.settings = first
            .map(|report| report.settings.clone())
            .unwrap_or_default();
        total.fingerprint = reports.iter().find_map(|report| report.fingerprint.clone());
        total.claim = "see each workload".into();
        total.workloads = reports;
        total
    }
}
