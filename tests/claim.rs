//! The confidence that the planner states, tried on simulated programs with many distributions of results.

use samebits::claim::{CONFIDENCE, bound, runs_needed};
use samebits::seed::Seed;

/// Gates simulated for each distribution: the standard error of a share near 0.95 is then 0.0007.
const GATES: u32 = 100_000;

/// Four standard errors: of a few hundred distributions none is wrongly refused, and a plan of one run less is caught.
const SLACK: f64 = 0.003;

/// Result probabilities: flat, two-valued, geometric and one dominant result with many rare others.
fn distributions() -> Vec<(String, Vec<f64>)> {
    let mut made = Vec::new();
    for outcomes in [2usize, 3, 5, 8, 13, 20] {
        #[expect(clippy::cast_precision_loss, reason = "at most 20")]
        let count = outcomes as f64;
        made.push((format!("{outcomes} flat"), vec![1.0 / count; outcomes]));
        for first in [0.5, 0.7, 0.8, 0.9, 0.95, 0.99] {
            let rest = (1.0 - first) / (count - 1.0);
            if rest <= first {
                let mut shares = vec![rest; outcomes];
                shares[0] = first;
                made.push((format!("{outcomes}, first {first}"), shares));
            }
        }
        for ratio in [0.3, 0.6, 0.9] {
            let powers: Vec<f64> = (0..outcomes)
                .map(|at| f64::powf(ratio, u16::try_from(at).unwrap().into()))
                .collect();
            let sum: f64 = powers.iter().sum();
            made.push((
                format!("{outcomes} geometric {ratio}"),
                powers.iter().map(|one| one / sum).collect(),
            ));
        }
    }
    made
}

/// The share of gates of `runs` runs in which not all results are the same.
fn caught(shares: &[f64], runs: usize, stream: &mut samebits::seed::Stream) -> f64 {
    let mut draw = || {
        let mut at = stream.uniform();
        shares
            .iter()
            .position(|share| {
                at -= share;
                at < 0.0
            })
            .unwrap_or(shares.len() - 1)
    };
    let mut found = 0u32;
    for _ in 0..GATES {
        let first = draw();
        found += u32::from((1..runs).any(|_| draw() != first));
    }
    f64::from(found) / f64::from(GATES)
}

#[test]
fn a_planned_gate_catches_a_varying_program_as_often_as_it_says_whatever_its_results_are() {
    let mut stream = Seed(22).stream("test/planner");
    for (name, shares) in distributions() {
        // The program is as bad as the plan was made for: this share of runs differs from the most frequent result.
        let rate = 1.0 - shares.iter().copied().fold(0.0, f64::max);
        let runs = runs_needed(CONFIDENCE, rate);
        let share = caught(&shares, runs, &mut stream);
        assert!(
            share >= CONFIDENCE - SLACK,
            "{name}: rate {rate}, {runs} runs catch {share}"
        );
    }
}

/// The control: the plan that stood here before, with the exponent N instead of N − 1, does not keep its word.
#[test]
fn a_plan_of_one_run_less_breaks_the_promise_for_equally_likely_results() {
    let mut stream = Seed(22).stream("test/planner/less");
    let shares = [0.2; 5];
    let runs = runs_needed(CONFIDENCE, 0.8);
    assert_eq!(runs, 3);
    let share = caught(&shares, runs - 1, &mut stream);
    assert!(share < CONFIDENCE - SLACK, "{share}");
    assert!(bound(runs as u64 - 1).unwrap() > 0.8);
}
