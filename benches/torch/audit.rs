//! What an audit costs: its wall time over twice the bare training loop, both measured in this one run. The audit includes
//! starting three processes, recording, comparing and the controls; the bare loop is nothing but training.
#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use samebits::knob::{Mode, plan};
use samebits::spec::{Capture, Inputs, Spec};
use samebits::{dtype::Dtype, workload};
use samebits_torch::{device, run, workloads};

const CHILD: &str = "SAMEBITS_BENCH_CHILD";
const THREADS: u32 = 2;

/// Workloads, with as many steps as make the bare loop last some seconds.
const SUBJECTS: &[(&str, u64)] = &[("cnn", 3000), ("transformer", 250)];

/// `samebits` beside the program of this package: a part of the same build of the workspace.
fn program() -> std::path::PathBuf {
    let path =
        std::path::Path::new(env!("CARGO_BIN_EXE_samebits-torch")).with_file_name("samebits");
    assert!(
        path.is_file(),
        "{} is not built: build the whole workspace",
        path.display()
    );
    path
}

fn spec(name: &str, steps: u64) -> Spec {
    Spec {
        recorder: None,
        workload: name.into(),
        seed: 0,
        steps,
        batch: workload::find(name).expect("a built-in workload").batch,
        dtype: Dtype::Float32,
        device: "cpu".into(),
        threads: THREADS,
        mode: Mode::Strict,
        plan: plan(Mode::Strict, THREADS, &BTreeMap::default(), |_| None)
            .expect("the table's own values"),
        inputs: Inputs::default(),
        capture: Capture::Digests,
        inject: None,
        out: "never-written".into(),
    }
}

/// In the child: the bare loop, and its seconds on standard output.
fn bare(name: &str, steps: u64) {
    let spec = spec(name, steps);
    let prepared = device::prepare(&spec).expect("this process was started with the knobs");
    let start = Instant::now();
    run::bare(
        workloads::find(name).expect("a built-in workload"),
        &spec,
        &prepared,
    )
    .expect("it trains");
    println!("{}", start.elapsed().as_secs_f64());
}

fn bare_seconds(name: &str, steps: u64) -> f64 {
    let program = std::env::current_exe().expect("this program");
    let mut command = Command::new(program);
    command.env(CHILD, format!("{name} {steps}"));
    for request in spec(name, steps).plan.launch {
        command.env(request.name, request.value);
    }
    let output = command.output().expect("it starts");
    String::from_utf8_lossy(&output.stdout)
        .trim()
        .parse()
        .expect("seconds")
}

fn audit_time(name: &str, steps: u64) -> Duration {
    let start = Instant::now();
    let words = [
        "audit",
        name,
        "--quiet",
        "--threads",
        &THREADS.to_string(),
        "--steps",
        &steps.to_string(),
    ];
    let status = Command::new(program())
        .args(words)
        .output()
        .expect("it starts")
        .status;
    assert!(status.success(), "{name}: {status}");
    start.elapsed()
}

fn main() {
    if let Ok(order) = std::env::var(CHILD) {
        let (name, steps) = order.split_once(' ').expect("NAME STEPS");
        return bare(name, steps.parse().expect("a number"));
    }
    for &(name, steps) in SUBJECTS {
        let before = bare_seconds(name, steps);
        let audit = audit_time(name, steps).as_secs_f64();
        let after = bare_seconds(name, steps);
        let twice = before + after;
        println!(
            "audit/{name}: {audit:.2} s over twice the bare loop of {steps} steps {twice:.2} s = {:.3}",
            audit / twice
        );
    }
}
