//! What agreement of N runs proves, in numbers: how many runs are needed for a claim, and which claim N runs allow. The only
//! place with this arithmetic.
//!
//! A program may have any number of different results, each with its own probability. Let `r` be the share of runs that do
//! not give the most frequent one. N runs agree only if all give the same result, whichever it is, and the probability of
//! that is Σ pᵢᴺ ≤ (max pᵢ)ᴺ⁻¹ · Σ pᵢ = (1 − r)ᴺ⁻¹. The exponent is N − 1 and not N: the first run only says which result
//! the others are compared with.

/// The confidence of claims in reports.
pub const CONFIDENCE: f64 = 0.95;

/// How many runs must agree so that, with this confidence, fewer than `rate` of all runs differ from the most frequent result.
/// Both are between 0 and 1. At least 2.
#[must_use]
pub fn runs_needed(confidence: f64, rate: f64) -> usize {
    let repeats = ((1.0 - confidence).ln() / (1.0 - rate).ln()).ceil();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, and it saturates"
    )]
    let repeats = repeats.max(1.0) as usize;
    repeats.saturating_add(1)
}

/// The share of runs that, with [`CONFIDENCE`], differ from the most frequent result in fewer cases, after so many runs agreed.
/// `None` for one run, which says nothing.
#[must_use]
pub fn bound(runs: u64) -> Option<f64> {
    let repeats = runs.checked_sub(1).filter(|&repeats| repeats > 0)?;
    #[expect(clippy::cast_precision_loss, reason = "a count of runs")]
    let repeats = repeats as f64;
    Some(1.0 - (1.0 - CONFIDENCE).powf(1.0 / repeats))
}

/// The claim that so many agreeing runs allow, in one sentence.
#[must_use]
pub fn of_agreement(runs: u64) -> String {
    let Some(share) = bound(runs) else {
        return "this one result; nothing about whether it comes again".into();
    };
    // Rounded up: a claim must not say more than the runs prove.
    let bound = if share < 0.5 {
        format!("1 in {:.0}", (1.0 / share).floor())
    } else {
        format!("{:.0} in 100", (100.0 * share).ceil())
    };
    format!(
        "these {runs} runs agreed on this stack under these settings: at 95 % confidence fewer than {bound} runs give another \
         result; nothing about other machines, versions, batch sizes or thread counts"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_and_the_claim_of_its_runs_are_the_same_arithmetic() {
        assert_eq!(runs_needed(0.95, 0.01), 300);
        assert_eq!(runs_needed(0.95, 0.2), 15);
        assert_eq!(runs_needed(0.5, 0.9), 2);
        assert_eq!(bound(0), None);
        assert_eq!(bound(1), None);
        for rate in [0.001, 0.01, 0.05, 0.1, 0.3, 0.5, 0.8, 0.949] {
            let runs = runs_needed(CONFIDENCE, rate);
            assert!(bound(runs as u64).unwrap() <= rate, "{rate}: {runs} runs");
            let fewer = bound(runs as u64 - 1);
            assert!(
                fewer.is_none_or(|share| share > rate),
                "{rate}: {runs} runs are too many"
            );
        }
        assert!(
            of_agreement(2).contains("fewer than 95 in 100 runs"),
            "{}",
            of_agreement(2)
        );
        assert!(
            of_agreement(300).contains("fewer than 1 in 100 runs"),
            "{}",
            of_agreement(300)
        );
        assert!(of_agreement(1).contains("one result"));
    }
}
