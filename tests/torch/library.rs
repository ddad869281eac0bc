//! Workloads of a caller's own through `samebits_torch::audit`, good ones and bad ones. This program has no test harness, because its runs
//! are this program again: `library CASE` audits one workload and prints its verdict; without a word every case is checked.
#![allow(clippy::print_stdout, reason = "it reports as a test harness does")]

use std::process::{Command, ExitCode};

use samebits::audit::Options;
use samebits::error::Result;
use samebits::trace::Phase;
use samebits_torch::{Recorder, Rule, Trainer, Workload, audit};
use tch::nn::{Module, ModuleT};
use tch::{Kind, Reduction, Tensor, nn};

type Train = fn(&mut Recorder) -> Result<()>;

/// Name, what it does, the verdict and the reason code that must come out.
const CASES: &[(&str, Train, &str, &str)] = &[
    ("good", good, "identical", "identical"),
    (
        "two-trainers-in-one-step",
        two_trainers,
        "identical",
        "identical",
    ),
    (
        "recorded-in-another-order",
        other_order,
        "identical",
        "identical",
    ),
    (
        "hidden-behind-a-second-begin",
        hidden,
        "diverged",
        "diverged",
    ),
    ("another-shape", other_shape, "diverged", "diverged"),
    (
        "nothing-in-the-candidate",
        nothing_in_candidate,
        "diverged",
        "diverged",
    ),
    (
        "nothing-in-the-reference",
        nothing_in_reference,
        "diverged",
        "diverged",
    ),
    ("only-a-metric", metric, "diverged", "diverged"),
    ("nothing-at-all", |_| Ok(()), "inconclusive", "vacuous"),
    (
        "empty-tensors",
        |r| {
            r.record(
                Phase::Update,
                "w",
                &Tensor::zeros([0, 3], tch::kind::FLOAT_CPU),
            )
        },
        "inconclusive",
        "vacuous",
    ),
    (
        "constants",
        |r| {
            r.record(
                Phase::Update,
                "w",
                &Tensor::ones([3, 3], tch::kind::FLOAT_CPU),
            )
        },
        "inconclusive",
        "vacuous",
    ),
    (
        "frozen-but-for-statistics",
        frozen,
        "inconclusive",
        "vacuous",
    ),
    ("small-and-nan", small_nan, "inconclusive", "vacuous"),
    (
        "steps-that-go-back",
        |r| {
            r.begin(1)?;
            r.begin(0)
        },
        "inconclusive",
        "usage",
    ),
    (
        "a-panic",
        |_| panic!("my own words"),
        "inconclusive",
        "panicked",
    ),
    (
        "exits",
        |_| std::process::exit(0),
        "inconclusive",
        "run-failed",
    ),
    ("../escapes", good, "inconclusive", "usage"),
];

struct Case(&'static str, Train);

impl Workload for Case {
    fn name(&self) -> &str {
        self.0
    }

    fn train(&self, recorder: &mut Recorder) -> Result<()> {
        self.1(recorder)
    }
}

/// Whether this is the candidate: its trace stands in a folder of that number.
fn is_candidate() -> bool {
    std::env::var_os("LIBRARY_MARK").is_some_and(|mark| std::fs::File::create_new(mark).is_err())
}

fn data(recorder: &Recorder) -> (Tensor, Tensor) {
    let mut stream = recorder.stream("data");
    let numbers: Vec<f64> = (0..64).map(|_| stream.uniform()).collect();
    let x = Tensor::from_slice(&numbers)
        .to_kind(Kind::Float)
        .view([32, 2]);
    let y = x.sum_dim_intlist(1, true, Kind::Float);
    (x, y)
}

fn train(recorder: &mut Recorder, vs: &nn::VarStore, model: &dyn ModuleT, lr: f64) -> Result<()> {
    let (x, y) = data(recorder);
    let mut trainer = Trainer::new(vs, Rule::Sgd { momentum: 0.0 }, lr)?;
    trainer.start(recorder)?;
    for step in recorder.steps() {
        trainer.step(recorder, step, &[("x", &x)], || {
            model.forward_t(&x, true).mse_loss(&y, Reduction::Mean)
        })?;
    }
    Ok(())
}

fn good(recorder: &mut Recorder) -> Result<()> {
    let vs = nn::VarStore::new(recorder.device());
    let model = nn::linear(vs.root(), 2, 1, nn::LinearConfig::default());
    train(recorder, &vs, &model, 0.1)
}

fn two_trainers(recorder: &mut Recorder) -> Result<()> {
    let (x, y) = data(recorder);
    let stores = [
        nn::VarStore::new(recorder.device()),
        nn::VarStore::new(recorder.device()),
    ];
    let models = stores
        .each_ref()
        .map(|vs| nn::linear(vs.root(), 2, 1, nn::LinearConfig::default()));
    let mut trainers = Vec::new();
    for vs in &stores {
        let trainer = Trainer::new(vs, Rule::Adam, 0.01)?;
        trainer.start(recorder)?;
        trainers.push(trainer);
    }
    for step in recorder.steps() {
        for (trainer, model) in trainers.iter_mut().zip(&models) {
            trainer.step(recorder, step, &[("x", &x)], || {
                model.forward(&x).mse_loss(&y, Reduction::Mean)
            })?;
        }
    }
    Ok(())
}

fn hidden(recorder: &mut Recorder) -> Result<()> {
    let first = if is_candidate() { 999.0 } else { 1.0 };
    recorder.begin(0)?;
    recorder.record(
        Phase::Update,
        "act",
        &Tensor::full([40], first, tch::kind::FLOAT_CPU),
    )?;
    recorder.begin(0)?;
    recorder.record(
        Phase::Update,
        "act",
        &Tensor::arange(40, tch::kind::FLOAT_CPU),
    )
}

fn other_order(recorder: &mut Recorder) -> Result<()> {
    let mut names = ["a", "b"];
    if is_candidate() {
        names.reverse();
    }
    for name in names {
        recorder.record(
            Phase::Update,
            name,
            &Tensor::arange(40, tch::kind::FLOAT_CPU),
        )?;
    }
    Ok(())
}

fn other_shape(recorder: &mut Recorder) -> Result<()> {
    let shape: &[i64] = if is_candidate() { &[8, 5] } else { &[5, 8] };
    recorder.record(
        Phase::Update,
        "w",
        &Tensor::arange(40, tch::kind::FLOAT_CPU).view(shape),
    )
}

fn nothing_in_candidate(recorder: &mut Recorder) -> Result<()> {
    if is_candidate() {
        Ok(())
    } else {
        good(recorder)
    }
}

fn nothing_in_reference(recorder: &mut Recorder) -> Result<()> {
    if is_candidate() {
        good(recorder)
    } else {
        Ok(())
    }
}

fn metric(recorder: &mut Recorder) -> Result<()> {
    recorder.metric("score", if is_candidate() { 0.25 } else { 0.5 });
    good(recorder)
}

fn frozen(recorder: &mut Recorder) -> Result<()> {
    let vs = nn::VarStore::new(recorder.device());
    let linear = nn::linear(vs.root() / "linear", 2, 1, nn::LinearConfig::default());
    let norm = nn::batch_norm1d(vs.root() / "norm", 1, nn::BatchNormConfig::default());
    let model = nn::seq_t().add(linear).add(norm);
    train(recorder, &vs, &model, 0.0)
}

fn small_nan(recorder: &mut Recorder) -> Result<()> {
    let vs = nn::VarStore::new(recorder.device());
    let model = nn::linear(vs.root(), 2, 1, nn::LinearConfig::default());
    train(recorder, &vs, &model, 1e38)
}

fn audit_one(name: &str) {
    let Some(&(name, train, ..)) = CASES.iter().find(|case| case.0 == name) else {
        return println!("no case {name}");
    };
    let report = audit(
        &Case(name, train),
        5,
        1,
        &Options {
            threads: 2,
            ..Options::default()
        },
    );
    let verdict = report.verdict;
    println!("{verdict} {} {}", report.reason_code, report.reason);
}

fn check(name: &str, verdict: &str, code: &str) -> std::result::Result<(), String> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let mark = folder.path().join("mark");
    let output = Command::new(program)
        .arg(name)
        .env("LIBRARY_MARK", mark)
        .output()
        .map_err(|e| e.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let right = said.starts_with(&format!("{verdict} {code} "));
    if right {
        Ok(())
    } else {
        Err(format!(
            "expected {verdict} {code}, got {said}{}",
            String::from_utf8_lossy(&output.stderr)
        ))
    }
}

fn main() -> ExitCode {
    // cargo passes flags of the harness on; a case's name is no flag.
    if let Some(name) = std::env::args()
        .nth(1)
        .filter(|word| !word.starts_with("--") && CASES.iter().any(|case| case.0 == word))
    {
        audit_one(&name);
        return ExitCode::SUCCESS;
    }
    let mut failed = 0;
    for &(name, _, verdict, code) in CASES {
        match check(name, verdict, code) {
            Ok(()) => println!("test {name} ... ok"),
            Err(why) => {
                failed += 1;
                println!("test {name} ... FAILED\n{why}");
            }
        }
    }
    println!(
        "\ntest result: {}. {} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out",
        if failed == 0 { "ok" } else { "FAILED" },
        CASES.len() - failed
    );
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
