//! Traces made by hand: what `compare` finds, what `judge` makes of it, and which traces prove nothing. Each case that must be
//! caught stands beside one that must pass.

use samebits::compare::{Comparison, Status, compare};
use samebits::control::{observer, one_ulp, with_itself};
use samebits::dtype::Dtype;
use samebits::substance::vacuous;
use samebits::tolerance::Tolerance;
use samebits::trace::{Entry, Key, Phase, Trace, Writer};
use samebits::verdict::{Verdict, judge};

mod common;

/// One entry to write: step, phase, name and float32 values.
type Row<'a> = (u64, Phase, &'a str, &'a [f32]);

fn trace_with(rows: &[Row], loss: f64, edit: impl Fn(&mut Entry)) -> Trace {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("trace");
    let mut writer = Writer::new(&out).unwrap();
    let mut seen = std::collections::BTreeMap::new();
    for &(step, phase, name, values) in rows {
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        let occurrence = seen.entry((step, phase, name)).or_insert(0u32);
        let key = Key {
            step,
            phase,
            name: name.into(),
            occurrence: *occurrence,
        };
        *occurrence += 1;
        let mut entry = Entry::of(key, Dtype::Float32, &[values.len() as u64], &bytes);
        edit(&mut entry);
        writer.keep(&entry, &bytes).unwrap();
        writer.entry(&entry).unwrap();
    }
    writer.finish(common::ending(&out, loss)).unwrap();
    Trace::open(&out).unwrap()
}

fn trace(rows: &[Row]) -> Trace {
    trace_with(rows, 0.5, |_| {})
}

const WIDE: [f32; 20] = [1.5; 20];

fn rows() -> Vec<Row<'static>> {
    vec![
        (0, Phase::Init, "w", &[1.0, 2.0, 3.0]),
        (0, Phase::Forward, "loss", &[0.7]),
        (0, Phase::Update, "w", &[1.1, 2.0, 3.0]),
        (1, Phase::Forward, "loss", &[0.6]),
        (1, Phase::Update, "w", &[1.2, 2.0, 3.0]),
        (1, Phase::Update, "rng.cpu", &[7.0, 8.0]),
    ]
}

fn against(rows: &[Row], tolerance: &Tolerance) -> Comparison {
    compare(&trace(&self::rows()), &trace(rows), tolerance)
}

fn first(comparison: &Comparison) -> (Status, u64, Phase, &str) {
    let first = comparison.first().unwrap();
    (
        first.status,
        first.key.step,
        first.key.phase,
        &first.key.name,
    )
}

#[test]
fn equal_traces_are_identical_and_count_what_was_compared() {
    let comparison = against(&rows(), &Tolerance::Bitwise);
    assert_eq!(judge(&comparison), Verdict::Identical);
    let compared = comparison.compared;
    assert_eq!(
        (compared.steps, compared.entries, compared.bytes),
        (2, 6, 4 * (3 + 1 + 3 + 1 + 3 + 2))
    );
    assert!(comparison.growth.is_empty());
}

#[test]
fn the_first_mismatch_in_execution_order_is_found_with_its_values_and_the_last_that_agreed() {
    let five_off = [1.1, 2.0, f32::from_bits(3f32.to_bits() + 5)];
    let mut changed = rows();
    changed[2].3 = &five_off;
    changed[4].3 = &[9.0, 2.0, 3.0];
    let comparison = against(&changed, &Tolerance::Bitwise);
    assert_eq!(judge(&comparison), Verdict::Diverged);
    assert_eq!(
        first(&comparison),
        (Status::Diverged, 0, Phase::Update, "w")
    );
    let pair = comparison
        .first()
        .unwrap()
        .difference
        .as_ref()
        .unwrap()
        .first
        .as_ref()
        .unwrap();
    assert_eq!((pair.index, pair.ulp), (2, Some(5)));
    assert_eq!(pair.reference.bits, "0x40400000");
    assert_eq!(
        comparison.last_agreed.as_ref().unwrap().to_string(),
        "step 0, forward, loss"
    );
    let growth: Vec<_> = comparison
        .growth
        .iter()
        .map(|one| (one.step, one.differing))
        .collect();
    assert_eq!(growth, [(Some(0), 1), (Some(1), 1)]);
}

#[test]
fn a_missing_an_extra_and_a_reordered_entry_have_names_of_their_own() {
    let mut missing = rows();
    missing.remove(3);
    let comparison = against(&missing, &Tolerance::Bitwise);
    assert_eq!(
        first(&comparison),
        (Status::Missing, 1, Phase::Forward, "loss")
    );
    let mut extra = rows();
    extra.insert(1, (0, Phase::Forward, "aux", &[1.0]));
    let comparison = against(&extra, &Tolerance::Bitwise);
    assert_eq!(
        first(&comparison),
        (Status::Extra, 0, Phase::Forward, "aux")
    );
    assert_eq!(
        comparison.last_agreed.as_ref().unwrap().to_string(),
        "init, w"
    );
    assert_eq!(judge(&comparison), Verdict::Diverged);
    let mut twice = rows();
    twice.insert(2, (0, Phase::Forward, "loss", &[0.7]));
    let comparison = against(&twice, &Tolerance::Bitwise);
    assert_eq!(comparison.first().unwrap().key.occurrence, 1);
}

#[test]
fn another_shape_and_another_dtype_are_mismatches_even_where_bytes_agree() {
    let reference = trace(&rows());
    let reshaped = trace_with(&rows(), 0.5, |entry| {
        if entry.shape == [3] {
            entry.shape = vec![3, 1];
        }
    });
    let comparison = compare(&reference, &reshaped, &Tolerance::torch_defaults());
    assert_eq!(first(&comparison), (Status::Shape, 0, Phase::Init, "w"));
    let retyped = trace_with(&rows(), 0.5, |entry| entry.dtype = Dtype::Int32);
    let comparison = compare(&reference, &retyped, &Tolerance::torch_defaults());
    assert_eq!(first(&comparison), (Status::Dtype, 0, Phase::Init, "w"));
}

#[test]
fn signed_zeros_and_nan_payloads_differ_bitwise_and_a_tolerance_decides_about_the_rest() {
    let mut zeros = rows();
    zeros[0].3 = &[1.0, 2.0, 0.0];
    let reference = trace(&zeros);
    zeros[0].3 = &[1.0, 2.0, -0.0];
    let candidate = trace(&zeros);
    assert_eq!(
        judge(&compare(&reference, &candidate, &Tolerance::Bitwise)),
        Verdict::Diverged
    );
    assert_eq!(
        judge(&compare(
            &reference,
            &candidate,
            &Tolerance::torch_defaults()
        )),
        Verdict::Close
    );
    zeros[0].3 = &[1.0, 2.0, f32::NAN];
    let nan = trace(&zeros);
    assert_eq!(
        judge(&compare(&nan, &nan, &Tolerance::Bitwise)),
        Verdict::Identical
    );
    assert_eq!(
        judge(&compare(&reference, &nan, &Tolerance::torch_defaults())),
        Verdict::Diverged
    );
}

#[test]
fn a_metric_alone_is_a_divergence_too() {
    let (reference, candidate) = (trace(&rows()), trace_with(&rows(), 0.500_1, |_| {}));
    let comparison = compare(&reference, &candidate, &Tolerance::Bitwise);
    assert_eq!(judge(&comparison), Verdict::Diverged);
    assert_eq!(comparison.metrics[0].name, "loss");
    let near = trace_with(&rows(), 0.5 + 1e-9, |_| {});
    assert_eq!(
        judge(&compare(&reference, &near, &Tolerance::torch_defaults())),
        Verdict::Identical
    );
}

#[test]
fn a_trace_that_proves_nothing_is_named_and_one_that_proves_something_is_not() {
    assert_eq!(vacuous(&trace(&rows())), None);
    let why = |rows: &[Row]| vacuous(&trace(rows)).unwrap_or_default();
    assert!(why(&[]).contains("nothing was recorded"));
    assert!(why(&[(0, Phase::Update, "w", &[])]).contains("empty"));
    assert!(why(&[(0, Phase::Init, "w", &[1.0, 2.0])]).contains("no step"));
    let constant: &[Row] = &[
        (0, Phase::Update, "w", &WIDE),
        (1, Phase::Update, "w", &WIDE),
    ];
    assert!(why(constant).contains("constants"), "{}", why(constant));
    let nan = [f32::NAN; 20];
    assert!(
        why(&[(0, Phase::Update, "w", &nan), (1, Phase::Update, "v", &nan)])
            .contains("constants or NaN")
    );
    // Generators and data vary by themselves; they do not count.
    let only_data: &[Row] = &[
        (0, Phase::Forward, "batch.x", &[1.0, 2.0]),
        (0, Phase::Update, "rng.cpu", &[3.0, 4.0]),
    ];
    assert!(why(only_data).contains("constants"));
    let diverging: &[Row] = &[
        (0, Phase::Forward, "loss", &[1.0]),
        (1, Phase::Forward, "loss", &[2.0]),
        (1, Phase::Update, "w", &nan),
    ];
    assert!(
        why(diverging).contains("NaN or infinite"),
        "{}",
        why(diverging)
    );
    let frozen: &[Row] = &[
        (0, Phase::Init, "w", &[1.0, 2.0]),
        (0, Phase::Forward, "loss", &[0.5]),
        (1, Phase::Forward, "loss", &[0.4]),
        (1, Phase::Update, "w", &[1.0, 2.0]),
    ];
    assert!(
        why(frozen).contains("no parameter changed"),
        "{}",
        why(frozen)
    );
    // A workload that records nothing but its loss has something to show as long as the loss moves.
    assert_eq!(
        vacuous(&trace(&[
            (0, Phase::Forward, "loss", &[0.5]),
            (1, Phase::Forward, "loss", &[0.4])
        ])),
        None
    );
}

#[test]
fn controls_pass_on_a_real_trace_and_fail_where_they_must() {
    let reference = trace(&rows());
    assert!(with_itself(&reference, &trace(&rows())).passed);
    for seed in 0..50 {
        let control = one_ulp(&reference, seed);
        assert!(control.passed, "{control:?}");
    }
    let mut other = rows();
    other[1].3 = &[0.75];
    assert!(!with_itself(&reference, &trace(&other)).passed);
    assert!(!with_itself(&reference, &trace(&rows()[..5])).passed);
    assert!(
        !one_ulp(&trace(&[]), 0).passed,
        "with nothing to change the alarm is not proved"
    );
    assert!(!one_ulp(&trace(&[(0, Phase::Update, "w", &[f32::NAN; 3])]), 0).passed);
    assert!(observer(&reference, &trace(&rows()[4..])).passed);
    assert!(!observer(&reference, &trace(&other[1..2])).passed);
    assert!(
        !observer(&reference, &trace(&[])).passed,
        "nothing compared is not a proof"
    );
}
