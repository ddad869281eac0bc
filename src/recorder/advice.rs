//! What a finding says in one sentence, and what to do about it: a table by kind, and what the place adds to it.

use super::finding::{Change, Finding, First, Kind, Pairing, Structure};
use super::folder::full_name;
use crate::difference::Value;

/// What to do about one kind.
#[derive(Debug)]
pub struct Row {
    /// The kind.
    pub kind: Kind,
    /// What to do, best first.
    pub advice: &'static [&'static str],
}

/// The rows, one for each kind.
#[rustfmt::skip]
pub const TABLE: &[Row] = &[
    Row { kind: Kind::Argument, advice: &[
        "find where this number comes from: a clock, Python's random, NumPy, an unseeded schedule, or a value read back from a tensor",
        "seed them at the start: random.seed(0), numpy.random.seed(0); or let samebits do it with --seed 0",
    ] },
    Row { kind: Kind::Outside, advice: &[
        "the order of the data: give the DataLoader generator=torch.Generator().manual_seed(0), and worker_init_fn to seed random and NumPy in its workers",
        "NumPy and Python's random: seed them at the start, numpy.random.default_rng(0) included; --seed 0 does it for the global ones",
        "the order of a set or of a folder: sorted(...), and PYTHONHASHSEED=0",
        "a file, a clock or the network: keep a copy of what it gave",
    ] },
    Row { kind: Kind::Before, advice: &[
        "record from an earlier step, best from step 0, to tell what was made before recording began from what came from outside",
    ] },
    Row { kind: Kind::Rng, advice: &[
        "torch.manual_seed(0) before the first op that draws, or let samebits do it with --seed 0",
        "a generator of the program's own needs a seed of its own: torch.Generator().manual_seed(0)",
    ] },
    Row { kind: Kind::Threads, advice: &[
        "the same number of threads in every run: OMP_NUM_THREADS in the environment, or torch.set_num_threads",
    ] },
    Row { kind: Kind::UnrecordedWrite, advice: &[
        "something wrote to this tensor past torch: NumPy that shares its memory (.numpy(), torch.from_numpy), another process (shared memory), a custom kernel, a compiled region or a CUDA graph",
        "give the op a copy (.clone()) taken where the tensor is still right, to narrow it down",
    ] },
    Row { kind: Kind::Op, advice: &[
        "torch.use_deterministic_algorithms(True), or --mode strict: torch then takes a deterministic algorithm or names the op that has none",
    ] },
    Row { kind: Kind::Uninitialised, advice: &[
        "torch.zeros in place of torch.empty (zeros_like, new_zeros likewise), or write every element before it is read",
        "under torch.use_deterministic_algorithms(True) torch fills such memory with NaN, which shows who reads it",
    ] },
    Row { kind: Kind::Overlap, advice: &[
        ".clone() or .contiguous() before the write: elements that share memory are written in any order",
    ] },
    Row { kind: Kind::Race, advice: &[
        "let one thread write at a time: join the other thread, or give each its own tensor",
        "on a GPU: wait for the other stream (torch.cuda.Stream.wait_stream) and record_stream what is shared",
    ] },
    Row { kind: Kind::Structure, advice: &[
        "find what decides it: the order of a set (sorted(...), PYTHONHASHSEED=0), a comparison with a value that varies, a time limit, an exception, early stopping, the number of batches, or another cache that was warm",
    ] },
    Row { kind: Kind::Shape, advice: &[
        "find what decides the size: a length read from data, a mask whose number of true values varies, or a batch that was not filled",
    ] },
];

/// What to do about a finding, best first.
pub(super) fn advice(finding: &Finding) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(known) = &finding.known {
        lines.push(known.fix.clone());
        lines.extend((!known.alternative.is_empty()).then(|| format!("or: {}", known.alternative)));
    }
    if finding.kind == Kind::Op && finding.first.as_ref().is_some_and(flushed) {
        lines.push(
            "one run has 0 where the other has a number below the normal range: torch.set_flush_denormal, or a library that sets the same flag of the CPU, differs between them"
                .into(),
        );
    }
    let forked = finding.process.role.contains("/f");
    let draws = matches!(finding.kind, Kind::Rng | Kind::Outside | Kind::Argument);
    if forked && draws {
        lines.push(
            "this is a forked process; if it is a DataLoader's worker, give the DataLoader generator=torch.Generator().manual_seed(0), from which its workers' seeds come, and a worker_init_fn that seeds random and NumPy with torch.initial_seed() % 2**32"
                .into(),
        );
    }
    if forked && finding.kind == Kind::Outside {
        lines.push(
            "memory shared with another process (share_memory_(), torch.multiprocessing) holds what the other one wrote last: let one process write at a time"
                .into(),
        );
    }
    let batches = matches!(&finding.structure, Some(structure) if finding.kind == Kind::Structure && structure.what == Change::Steps);
    if batches {
        lines.push("one run went on for more steps: compare the number of batches, drop_last, and what ends training".into());
    }
    let row = TABLE.iter().find(|row| row.kind == finding.kind);
    let general = row.map_or(&[][..], |row| row.advice).iter();
    // What is known about this op says more than what holds for all of them.
    let general = general.filter(|_| finding.known.is_none());
    lines.extend(general.map(|line| (*line).to_owned()));
    for besides in &finding.besides {
        let fix = besides.fix.as_ref().filter(|fix| !lines.contains(fix));
        let line = fix.map(|fix| format!("for {}: {fix}", besides.place.op));
        lines.extend(line);
    }
    lines
}

/// Whether one side has zero where the other has a number too small for its type's normal range.
fn flushed(first: &First) -> bool {
    let number = |value: &Value| value.decimal.parse::<f64>().ok().map(f64::abs);
    let sides = [&first.values.reference, &first.values.candidate].map(number);
    // Of the type whose bits these are.
    let least = match first.values.reference.bits.len() {
        10 => f64::from(f32::MIN_POSITIVE),
        18 => f64::MIN_POSITIVE,
        _ => return false,
    };
    let [Some(one), Some(other)] = sides else {
        return false;
    };
    one.min(other) == 0.0 && one.max(other) > 0.0 && one.max(other) < least
}

/// The finding in one sentence.
pub(super) fn sentence(finding: &Finding) -> String {
    let mut op = full_name(&finding.place.op, &finding.place.overload);
    if let Some(parent) = finding.place.parents.first() {
        op = format!("{op} (in {parent})");
    }
    match finding.kind {
        Kind::Argument if finding.scalars.reference == finding.scalars.candidate => format!(
            "{} of {op} is a number of the program's own, and another one",
            which(&finding.inputs, "argument")
        ),
        Kind::Argument => {
            let (ours, theirs) = (&finding.scalars.reference, &finding.scalars.candidate);
            format!("{op} was called with other numbers or texts: `{ours}` and `{theirs}`")
        }
        Kind::Outside => {
            let which = which(&finding.inputs, "argument");
            match &finding.collective {
                Some(sent) => format!(
                    "{which} of {op} differs as {} brought it, from this rank or another",
                    sent.op
                ),
                None => format!(
                    "{which} of {op} differs, and no op of torch made it: it came from outside"
                ),
            }
        }
        Kind::Before => format!(
            "{} of {op} differs where recording begins, and no recorded op made it: it is older, or came from outside",
            which(&finding.inputs, "argument")
        ),
        Kind::Rng => rng(finding, &op),
        Kind::Threads => format!(
            "{op} gave other bits for the same inputs, on {} threads and on {}",
            finding.threads.reference, finding.threads.candidate
        ),
        Kind::UnrecordedWrite => format!(
            "{} of {op} differs, though no recorded op wrote anything else to it",
            which(&finding.inputs, "argument")
        ),
        Kind::Op if finding.outputs.iter().all(|one| one.equal != Some(false)) => {
            format!("{op} failed in one run and not in the other, with the same inputs")
        }
        Kind::Op => match &finding.alert {
            Some(alert) => format!(
                "{op} gave other bits for the same inputs, and torch itself calls it nondeterministic ({alert})"
            ),
            None => format!("{op} gave other bits for the same inputs"),
        },
        Kind::Uninitialised => format!("{op} read memory that nothing had written"),
        Kind::Overlap => format!("{op} wrote to elements that share memory"),
        Kind::Race => format!("{op} works on memory that another thread writes meanwhile"),
        Kind::Structure => structure(finding.structure.as_ref(), &op),
        Kind::Shape => {
            let inputs = finding.inputs.iter().any(|one| one.equal == Some(false));
            let which = if inputs {
                which(&finding.inputs, "argument")
            } else {
                which(&finding.outputs, "result")
            };
            format!("{which} of {op} is of another dtype, shape or number")
        }
    }
}

/// Which tensor differs first; what is only written comes last.
fn which(pairings: &[Pairing], what: &str) -> String {
    let written = |one: &&Pairing| {
        let outside = one.sides.reference.as_ref();
        outside.is_some_and(|outside| outside.remarks.iter().any(|remark| remark == "written"))
    };
    let different = pairings.iter().filter(|one| one.equal == Some(false));
    match different.min_by_key(written) {
        Some(Pairing {
            arg,
            item: Some(item),
            ..
        }) => format!("{what} {arg}, tensor {item},"),
        Some(Pairing { arg, .. }) => format!("{what} {arg}"),
        None => format!("an {what}"),
    }
}

fn rng(finding: &Finding, op: &str) -> String {
    match &finding.draws {
        None => format!("{op} drew from a generator of the program's own, which stood elsewhere"),
        Some(draws) if draws.before => {
            format!(
                "{op} began at the same place of its generator and took another number of draws from it"
            )
        }
        Some(draws) if draws.first => format!(
            "{op} is the first op that draws from this generator, which stood elsewhere: it was not seeded, or with another number"
        ),
        Some(_) => format!(
            "{op} drew from elsewhere in its generator's sequence: since the op before that drew, the generator was seeded, set or used by something that was not recorded"
        ),
    }
}

fn structure(structure: Option<&Structure>, op: &str) -> String {
    let Some(structure) = structure else {
        return format!("{op} was given another tensor than in the reference");
    };
    let (ours, theirs) = (
        structure.without_partner.reference,
        structure.without_partner.candidate,
    );
    match structure.what {
        Change::Steps => format!(
            "one run went on: {} steps in the reference, {} in the candidate",
            structure.steps.reference, structure.steps.candidate
        ),
        Change::Extra => format!("the candidate ran more ops: {theirs} from {op} on"),
        Change::Missing => format!("the candidate ran fewer ops: without {ours} from {op} on"),
        Change::Other | Change::Alone => {
            format!("other ops ran: {ours} of the reference, from {op} on, in place of {theirs}")
        }
    }
}
