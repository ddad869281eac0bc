//! Every built-in workload learns, takes every dtype, and follows its seed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use samebits::dtype::Dtype;
use samebits::error::{Error, Result};
use samebits::knob::{self, Mode};
use samebits::spec::{Capture, Inputs, Spec};
use samebits::trace::Trace;
use samebits::workload;
use samebits_torch::{run, workloads};

/// Name, and steps and batch that are just enough to see it learn.
const SMALL: &[(&str, u64, u64)] = &[
    ("mlp", 60, 32),
    ("cnn", 25, 32),
    ("lstm", 40, 16),
    ("transformer", 25, 8),
    ("gather", 15, 50_000),
    ("torchscript", 200, 1),
];

const DTYPES: [Dtype; 4] = [
    Dtype::Float32,
    Dtype::Float64,
    Dtype::Bfloat16,
    Dtype::Float16,
];

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/torch/data")
        .join(name)
}

/// A short run of the workload called `name`, in this process: hence no knobs that go into a child's environment.
fn spec(name: &str, steps: u64, batch: u64) -> Spec {
    let mut plan = knob::plan(Mode::Strict, 2, &BTreeMap::new(), |_| None).unwrap();
    plan.launch.clear();
    Spec {
        recorder: None,
        workload: name.into(),
        seed: 1,
        steps,
        batch,
        dtype: Dtype::Float32,
        device: "cpu".into(),
        threads: 2,
        mode: Mode::Strict,
        plan,
        inputs: Inputs {
            data: None,
            model: Some(data("model.pt")),
            batch: Some(data("batch.safetensors")),
            loss: Some("cross_entropy".into()),
        },
        capture: Capture::Digests,
        inject: None,
        out: PathBuf::new(),
    }
}

/// Runs to a trace. One at a time, because libtorch's generators and switches belong to the whole process.
fn train(spec: &Spec) -> Result<Trace> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let spec = Spec {
        out: folder.path().join("trace"),
        ..spec.clone()
    };
    run::run(workloads::find(&spec.workload)?, &spec)?;
    Trace::open(&spec.out)
}

fn digest(spec: &Spec) -> String {
    train(spec).unwrap().digest().to_string()
}

#[test]
fn the_small_sizes_here_cover_every_built_in_workload() {
    let here: Vec<_> = SMALL.iter().map(|row| row.0).collect();
    let there: Vec<_> = workload::BUILT_IN.iter().map(|row| row.name).collect();
    assert_eq!(here, there);
}

#[test]
fn every_workload_learns() {
    for &(name, steps, batch) in SMALL {
        let metrics = train(&spec(name, steps, batch)).unwrap().manifest.metrics;
        assert!(
            metrics["loss.last"].0 < 0.8 * metrics["loss.first"].0,
            "{name}: {metrics:?}"
        );
    }
}

#[test]
fn every_workload_trains_in_every_dtype_with_a_loss_in_float32_or_wider() {
    for &(name, _, batch) in SMALL {
        for dtype in DTYPES {
            let mut spec = spec(name, 3, batch.min(1000).div_ceil(4));
            spec.dtype = dtype;
            let trace = train(&spec).unwrap_or_else(|error| panic!("{name}, {dtype}: {error}"));
            let loss = trace
                .entries
                .iter()
                .find(|entry| entry.key.name == "loss")
                .unwrap()
                .dtype;
            let wide = if dtype == Dtype::Float64 {
                Dtype::Float64
            } else {
                Dtype::Float32
            };
            assert_eq!(loss, wide, "{name}, {dtype}");
            assert!(
                trace.manifest.metrics["loss.last"].0.is_finite(),
                "{name}, {dtype}"
            );
            assert!(
                trace
                    .entries
                    .iter()
                    .any(|entry| entry.key.name.contains(".grad") && entry.dtype == dtype)
            );
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_trace_and_another_seed_another() {
    for &(name, _, batch) in SMALL {
        let first = spec(name, 3, batch);
        let again = spec(name, 3, batch);
        let other = Spec {
            seed: 2,
            ..spec(name, 3, batch)
        };
        let reference = digest(&first);
        assert_eq!(reference, digest(&again), "{name}");
        assert_ne!(reference, digest(&other), "{name}");
    }
}

#[test]
fn gather_varies_from_run_to_run_unless_the_mode_is_strict() {
    let strict = spec("gather", 3, 1_000_000);
    let mut off = strict.clone();
    off.mode = Mode::Off;
    off.plan = knob::plan(Mode::Off, 2, &BTreeMap::new(), |_| None).unwrap();
    off.plan.launch.clear();
    let reference = digest(&off);
    assert!(
        (0..5).any(|_| digest(&off) != reference),
        "six runs agreed although nothing made them"
    );
    assert_eq!(digest(&strict), digest(&strict));
}

/// A folder with 40 images of 28x28 pixels in the format of MNIST, each as bright as its label says.
fn idx_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let labels: Vec<u8> = (0..40).map(|at| at % 10).collect();
    let pixels = labels.iter().flat_map(|&label| [label * 25; 28 * 28]);
    let images = [0, 0, 8, 3, 0, 0, 0, 40, 0, 0, 0, 28, 0, 0, 0, 28]
        .into_iter()
        .chain(pixels)
        .collect::<Vec<u8>>();
    std::fs::write(folder.path().join("train-images-idx3-ubyte"), images).unwrap();
    let labels = [&[0, 0, 8, 1, 0, 0, 0, 40][..], &labels].concat();
    std::fs::write(folder.path().join("train-labels-idx1-ubyte"), labels).unwrap();
    folder
}

#[test]
fn the_models_of_digits_fit_images_of_28_by_28_too() {
    let folder = idx_folder();
    for name in ["mlp", "cnn"] {
        let mut spec = spec(name, 3, 8);
        spec.inputs.data = Some(folder.path().into());
        let trace = train(&spec).unwrap();
        let images = trace
            .entries
            .iter()
            .find(|entry| entry.key.name == "batch.x")
            .unwrap();
        assert_eq!(images.shape, [8, 1, 28, 28], "{name}");
    }
}

#[test]
fn batch_statistics_are_recorded_and_counters_stay_integers() {
    let find = |trace: &Trace, name: &str| {
        let entry = trace
            .entries
            .iter()
            .find(|entry| entry.key.name.ends_with(name));
        entry.unwrap_or_else(|| panic!("no entry {name}")).dtype
    };
    let cnn = train(&spec("cnn", 2, 8)).unwrap();
    assert_eq!(find(&cnn, "norm.running_mean"), Dtype::Float32);
    let mut half = spec("torchscript", 2, 1);
    half.dtype = Dtype::Float16;
    let script = train(&half).unwrap();
    assert_eq!(find(&script, "running_var"), Dtype::Float16);
    assert_eq!(find(&script, "num_batches_tracked"), Dtype::Int64);
}

/// What a run of `torchscript` with changed inputs says went wrong.
fn refusal(change: impl FnOnce(&mut Inputs)) -> Error {
    let mut spec = spec("torchscript", 2, 1);
    change(&mut spec.inputs);
    train(&spec).expect_err("it was accepted")
}

#[test]
fn a_missing_or_odd_input_of_torchscript_is_an_error_that_names_the_flag_and_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let nonsense = folder.path().join("nonsense");
    std::fs::write(&nonsense, "no model and no batch").unwrap();
    let odd = folder.path().join("odd.safetensors");
    let one = tch::Tensor::from_slice(&[1f32]);
    tch::Tensor::write_safetensors(&[("input1", &one), ("target", &one)], &odd).unwrap();
    let nowhere = folder.path().join("nowhere");
    for (error, words) in [
        (
            refusal(|inputs| inputs.model = None),
            ["--model", "TorchScript"],
        ),
        (
            refusal(|inputs| inputs.model = Some(nowhere.clone())),
            ["--model", "nowhere"],
        ),
        (
            refusal(|inputs| inputs.model = Some(nonsense.clone())),
            ["--model", "nonsense"],
        ),
        (
            refusal(|inputs| inputs.batch = None),
            ["--batch-file", "safetensors"],
        ),
        (
            refusal(|inputs| inputs.batch = Some(nowhere.clone())),
            ["--batch-file", "nowhere"],
        ),
        (
            refusal(|inputs| inputs.batch = Some(nonsense.clone())),
            ["--batch-file", "nonsense"],
        ),
        (
            refusal(|inputs| inputs.batch = Some(odd.clone())),
            ["--batch-file", "input1, target"],
        ),
        (refusal(|inputs| inputs.loss = None), ["--loss", "huber"]),
        (
            refusal(|inputs| inputs.loss = Some("mean".into())),
            ["--loss mean", "huber"],
        ),
        (
            refusal(|inputs| inputs.loss = Some("mse".into())),
            ["--loss mse", "[30, 3]"],
        ),
    ] {
        let message = error.to_string();
        for word in words {
            assert!(message.contains(word), "{message:?} lacks {word:?}");
        }
        assert!(
            matches!(error, Error::Usage(_) | Error::Input { .. }),
            "{error:?}"
        );
    }
}

#[test]
fn a_model_that_fails_says_why_in_libtorchs_words_and_not_that_something_failed() {
    let folder = tempfile::tempdir().unwrap();
    let wide = folder.path().join("wide.safetensors");
    let input = tch::Tensor::zeros([6, 5], (tch::Kind::Float, tch::Device::Cpu));
    let target = tch::Tensor::from_slice(&[0i64; 6]);
    tch::Tensor::write_safetensors(&[("input", &input), ("target", &target)], &wide).unwrap();
    let message = refusal(|inputs| inputs.batch = Some(wide)).to_string();
    assert!(message.contains("6x5 and 4x8"), "{message}");
}
