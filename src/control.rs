//! Controls: cases whose verdict is known beforehand, so that every report proves that its alarm works.

use crate::compare::{Comparison, compare};
use crate::difference::{View, difference};
use crate::dtype::Kind;
use crate::report::Control;
use crate::seed::Seed;
use crate::tolerance::Tolerance;
use crate::trace::{Entry, Trace};
use crate::verdict::{Verdict, judge};

/// A trace against itself, read once more from its file, must be identical.
#[must_use]
pub fn with_itself(trace: &Trace, again: &Trace) -> Control {
    let comparison = compare(trace, again, &Tolerance::Bitwise);
    let all = comparison.compared.entries == trace.entries.len() as u64;
    control(
        "itself",
        "the reference against its own file, read again",
        "identical on every entry".into(),
        format!(
            "{} on {} entries",
            judge(&comparison),
            comparison.compared.entries
        ),
        judge(&comparison) == Verdict::Identical && all,
    )
}

/// A copy of one recorded tensor, one ULP off at a random place, must be caught and located exactly.
#[must_use]
pub fn one_ulp(trace: &Trace, seed: u64) -> Control {
    const WHAT: &str = "a copy of one recorded tensor with one ULP changed at a random place";
    let Some((at, element, bytes)) = choose(trace, seed) else {
        return control(
            "one-ulp",
            WHAT,
            "diverged".into(),
            "no values were kept to change".into(),
            false,
        );
    };
    let entry = &trace.entries[at];
    let comparison = compare(trace, &trace.altered(at, bytes), &Tolerance::Bitwise);
    control(
        "one-ulp",
        WHAT,
        format!("diverged at {}, element {element}, 1 ULP", entry.key),
        found(&comparison),
        located(&comparison, entry, element),
    )
}

/// Chooses an entry with values and one of its elements; returns the entry's place, the element and the altered bytes.
fn choose(trace: &Trace, seed: u64) -> Option<(usize, u64, Vec<u8>)> {
    let mut stream = Seed(seed).stream("control/one-ulp");
    let with_values: Vec<usize> = trace
        .entries
        .iter()
        .enumerate()
        .filter(|(_, entry)| {
            entry.dtype.kind() == Kind::Float && entry.bytes() > 0 && trace.value(entry).is_some()
        })
        .map(|(at, _)| at)
        .collect();
    // An infinity has no neighbour one ULP away, and NaN none at all: draw again.
    for _ in 0..1000 {
        let at = *with_values
            .get(usize::try_from(stream.below(with_values.len().max(1) as u64)).ok()?)?;
        let entry = &trace.entries[at];
        let mut bytes = trace.value(entry)?.into_owned();
        let size = entry.dtype.size();
        let element = stream.below((bytes.len() / size) as u64);
        let place = usize::try_from(element).ok()? * size;
        // Little endian: the first byte holds the lowest bit of the fraction.
        bytes[place] ^= 1;
        let view = |bytes| View {
            dtype: entry.dtype,
            shape: &entry.shape,
            bytes,
        };
        let before = trace.value(entry)?;
        let found = difference(view(&before), view(&bytes), &Tolerance::Bitwise).ok()?;
        let ulp = found.first.and_then(|first| first.ulp);
        if ulp.is_some() {
            return Some((at, element, bytes));
        }
    }
    None
}

fn located(comparison: &Comparison, entry: &Entry, element: u64) -> bool {
    let [only] = comparison.mismatches.as_slice() else {
        return false;
    };
    let pair = only
        .difference
        .as_ref()
        .and_then(|difference| difference.first.as_ref());
    only.key == entry.key && pair.is_some_and(|pair| pair.index == element && pair.ulp == Some(1))
}

fn found(comparison: &Comparison) -> String {
    let verdict = judge(comparison);
    match comparison.first() {
        None => verdict.to_string(),
        Some(first) => {
            let pair = first
                .difference
                .as_ref()
                .and_then(|difference| difference.first.as_ref());
            let element = pair.map_or(String::new(), |pair| {
                format!(
                    ", element {}, {} ULP",
                    pair.index,
                    pair.ulp.map_or("?".into(), |ulp| ulp.to_string())
                )
            });
            format!("{verdict} at {}{element}", first.key)
        }
    }
}

/// The state after the last step must be the same whether anything was recorded before or not.
#[must_use]
pub fn observer(observed: &Trace, unobserved: &Trace) -> Control {
    let agree = |entry: &Entry| {
        observed
            .entries
            .iter()
            .any(|one| one.key == entry.key && one.digest == entry.digest)
    };
    let different = unobserved.entries.iter().find(|entry| !agree(entry));
    let count = unobserved.entries.len();
    let observed = match different {
        Some(entry) => format!("different at {}", entry.key),
        None => format!("equal on {count} entries"),
    };
    let passed = different.is_none() && count > 0;
    control(
        "observer",
        "the same run without recording",
        "equal state after the last step".into(),
        observed,
        passed,
    )
}

fn control(name: &str, what: &str, expected: String, observed: String, passed: bool) -> Control {
    Control {
        name: name.into(),
        what: what.into(),
        expected,
        observed,
        passed,
    }
}
