//! [`audit`]: train N times, compare every tensor, say what agreed. The story of the main command, top to bottom.

mod describe;
mod divergence;
mod ops;
mod options;
mod place;
mod settle;

use std::path::PathBuf;

use crate::child;
use crate::compare::{Comparison, compare};
use crate::control::{observer, one_ulp, with_itself};
use crate::error::{Error, Result};
use crate::knob::{self};
use crate::process::{self, Launch};
use crate::report::{Control, Divergence, Report, text};
use crate::spec::{Capture, Isolation, Spec};
use crate::tolerance::Tolerance;
use crate::trace::Trace;
use crate::verdict::{Verdict, judge};

pub use options::{Named, Options, World};
use place::Place;

/// More runs than anybody waits for.
const MOST_RUNS: usize = 10_000;
/// More samples than any memory holds.
const LARGEST_BATCH: u64 = 1 << 32;

/// Audits each workload and puts the reports together. Failures become the verdict `inconclusive`, never a panic or a
/// missing report.
pub fn audit(workloads: &[Named], options: &Options, world: &mut World) -> Report {
    let mut reports = Vec::new();
    for workload in workloads {
        // What was never run must not look as if it had been.
        let begun = world
            .signals
            .arrived()
            .map_or(Ok(()), |signal| Err(Error::Interrupted(signal)));
        let report = begun
            .and_then(|()| audit_one(workload, options, world))
            .unwrap_or_else(|error| {
                let mut report = Report::inconclusive("audit", &error.to_failure(), options.seed);
                report.subject = Some(describe::subject(workload, options));
                report
            });
        if workloads.len() > 1 {
            (world.progress)(text::brief(&report, text::Color::Plain).trim_end());
        }
        reports.push(report);
    }
    match <[Report; 1]>::try_from(reports) {
        Ok([report]) => report,
        Err(reports) => Report::of_many("audit", reports, options.seed),
    }
}

fn audit_one(workload: &Named, options: &Options, world: &mut World) -> Result<Report> {
    if !(2..=MOST_RUNS).contains(&options.runs) {
        return Err(Error::Usage(format!(
            "--runs {}: from 2 (one alone has nothing to be compared with) to {MOST_RUNS}",
            options.runs
        )));
    }
    if workload.name.is_empty()
        || !workload
            .name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
    {
        return Err(Error::Usage(format!(
            "{:?} is no name for a workload: letters, digits, - and _",
            workload.name
        )));
    }
    let place = Place::new(options.keep.as_deref(), &workload.name)?;
    let capture = match options.tolerance {
        Tolerance::Bitwise => Capture::Digests,
        // Digests cannot tell near from far: a tolerance needs the values of every step.
        Tolerance::Close(_) => Capture::Values,
    };
    let specs: Vec<Spec> = (0..options.runs)
        .map(|run| {
            spec(
                workload,
                options,
                capture,
                run > 0,
                place.path.join(format!("run-{run}")),
            )
        })
        .collect::<Result<_>>()?;
    execute(&specs, options, world, 0)?;
    let traces: Vec<Trace> = specs
        .iter()
        .map(|spec| Trace::open(&spec.out))
        .collect::<Result<_>>()?;
    let (reference, candidates) = traces
        .split_first()
        .ok_or_else(|| Error::Usage("no runs".into()))?;
    let comparisons: Vec<Comparison> = candidates
        .iter()
        .map(|candidate| compare(reference, candidate, &options.tolerance))
        .collect();
    let mut report = describe::describe(workload, options, &traces, &comparisons);
    if let Some((at, comparison)) = comparisons
        .iter()
        .enumerate()
        .find(|(_, one)| judge(one) == Verdict::Diverged)
    {
        let mut first = divergence::divergence(at + 1, comparison);
        if let Some(first) = &mut first
            && first.index.is_none()
            && matches!(first.status, crate::compare::Status::Diverged)
        {
            look_closer(first, &mut report, &specs, &place, options, world);
        }
        report.first_divergence = first;
        if let Some(asked) = &options.ops {
            ops::name(&mut report, asked, &specs, at + 1, &place, options, world)?;
        }
    }
    report.controls = vec![
        with_itself(reference, &Trace::open(&specs[0].out)?),
        one_ulp(reference, options.seed),
    ];
    // Whether recording changes the result can be told only of runs that agree.
    if options.prove_observer && report.verdict != Verdict::Diverged {
        report
            .controls
            .push(prove_observer(workload, options, reference, &place, world)?);
    }
    settle::settle(&mut report, reference, options.inject.as_ref());
    Ok(report)
}

fn spec(
    workload: &Named,
    options: &Options,
    capture: Capture,
    candidate: bool,
    out: PathBuf,
) -> Result<Spec> {
    if let Some(batch) = options
        .batch
        .filter(|batch| !(1..=LARGEST_BATCH).contains(batch))
    {
        return Err(Error::Usage(format!(
            "--batch {batch}: from 1 to {LARGEST_BATCH}"
        )));
    }
    let plan = knob::plan(options.mode, options.threads, &options.knobs, |name| {
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    })?;
    Ok(Spec {
        workload: workload.name.clone(),
        seed: options.seed,
        steps: options.steps.unwrap_or(workload.steps),
        batch: options.batch.unwrap_or(workload.batch),
        dtype: options.dtype,
        device: options.device.clone(),
        threads: options.threads,
        mode: options.mode,
        plan,
        inputs: options.inputs.clone(),
        capture,
        inject: options.inject.clone().filter(|_| candidate),
        recorder: None,
        out,
    })
}

/// Runs every spec: each in a process of its own, or all in one. `first` is the number of the first.
fn execute(specs: &[Spec], options: &Options, world: &mut World, first: usize) -> Result<()> {
    let groups: Vec<&[Spec]> = match options.isolation {
        Isolation::Fresh => specs.chunks(1).collect(),
        Isolation::Shared => vec![specs],
    };
    for (at, group) in groups.into_iter().enumerate() {
        let Some(spec) = group.first() else { continue };
        (world.progress)(&format!(
            "{}: run {} of {}",
            spec.workload,
            at + 1,
            specs.len()
        ));
        let order = child::Order {
            parent: std::process::id(),
            specs: group.to_vec(),
        };
        let variables = spec
            .plan
            .launch
            .iter()
            .map(|request| (request.name.clone(), request.value.clone()));
        let launch = Launch {
            argv: world.argv.clone(),
            environment: variables
                .chain([(child::VARIABLE.into(), spec.workload.clone())])
                .collect(),
            input: serde_json::to_vec(&order).map_err(|e| {
                Error::Usage(format!("a path given to a run cannot be handed to it: {e}"))
            })?,
            grace: process::GRACE,
        };
        let ended = process::run(first + at, &launch, options.timeout, &world.signals)?;
        match child::answer(&ended.stdout) {
            Some(Ok(())) if ended.status.success() => {}
            Some(Err(failure)) => {
                return Err(Error::Reported {
                    run: first + at,
                    failure,
                });
            }
            _ => {
                return Err(Error::Child {
                    run: first + at,
                    ended: ended.describe(),
                });
            }
        }
    }
    Ok(())
}

/// Repeats the reference and the diverged run with values kept around the divergent step, so that the report can show
/// numbers. The repeat may part elsewhere: then it says so.
fn look_closer(
    first: &mut Divergence,
    report: &mut Report,
    specs: &[Spec],
    place: &Place,
    options: &Options,
    world: &mut World,
) {
    let step = first.step.unwrap_or_default();
    (world.progress)(&format!(
        "{}: repeating with values kept around step {step}",
        specs[0].workload
    ));
    let window = Capture::Window(step, step + 1);
    let again: Vec<Spec> = [&specs[0], &specs[first.run]]
        .into_iter()
        .zip(["reference", "candidate"])
        .map(|(spec, name)| Spec {
            capture: window,
            out: place.path.join(format!("repeat-{name}")),
            ..spec.clone()
        })
        .collect();
    let repeated = execute(&again, options, world, specs.len())
        .and_then(|()| Ok((Trace::open(&again[0].out)?, Trace::open(&again[1].out)?)));
    let (reference, candidate) = match repeated {
        Ok(pair) => pair,
        Err(error) => {
            first.repeat = Some(format!(
                "repeating the two runs to see the values failed: {error}"
            ));
            return;
        }
    };
    let comparison = compare(&reference, &candidate, &options.tolerance);
    first.repeat = Some(match comparison.first() {
        None => {
            "repeated with values kept, the two runs agreed: this divergence comes and goes".into()
        }
        Some(mismatch)
            if mismatch.key.step == step
                && Some(mismatch.key.phase) == first.phase
                && mismatch.key.name == first.name =>
        {
            divergence::fill_values(first, &comparison);
            report.growth = comparison.growth;
            "repeated with values kept, the two runs parted at the same place; the numbers are the repeat's".into()
        }
        Some(mismatch) => {
            format!(
                "repeated with values kept, the two runs parted elsewhere: {}",
                mismatch.key
            )
        }
    });
}

fn prove_observer(
    workload: &Named,
    options: &Options,
    reference: &Trace,
    place: &Place,
    world: &mut World,
) -> Result<Control> {
    let spec = spec(
        workload,
        options,
        Capture::Final,
        false,
        place.path.join("unobserved"),
    )?;
    (world.progress)(&format!("{}: once more without recording", workload.name));
    execute(std::slice::from_ref(&spec), options, world, options.runs)?;
    Ok(observer(reference, &Trace::open(&spec.out)?))
}
