//! What is true of values beside their bytes: a difference is one of structure.

use std::collections::{BTreeMap, BTreeSet};

use crate::compare::Status;
use crate::evidence::{Evidence, Property};
use crate::report::tensors::{Outside, TensorReport};

/// One property that two files do not share.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Difference<'a> {
    pub(super) name: &'a str,
    kind: &'static str,
    reference: Option<&'a str>,
    candidate: Option<&'a str>,
}

impl Difference<'_> {
    /// As a row of the report, under the full name of the value.
    pub(super) fn report(&self, key: &str) -> TensorReport {
        let side = |value: Option<&str>| Outside {
            dtype: format!("{}: {}", self.kind, value.unwrap_or("none")),
            shape: Vec::new(),
        };
        TensorReport {
            candidate: Some(Box::new(side(self.candidate))),
            ..TensorReport::outside(key, Status::Structure, side(self.reference), 0)
        }
    }
}

/// Every property that differs, by name. One that only one side has is left out where the value itself is on that side only:
/// that is said of the value.
pub(super) fn differences<'a>(ours: &'a Evidence, theirs: &'a Evidence) -> Vec<Difference<'a>> {
    let by_key = |evidence: &'a Evidence| -> BTreeMap<(&'a str, &'static str), &'a str> {
        let properties = evidence.properties.iter();
        let keyed = |one: &'a Property| ((one.name.as_str(), one.kind), one.value.as_str());
        properties.map(keyed).collect()
    };
    let (left, right) = (by_key(ours), by_key(theirs));
    let (ours, theirs) = (names(ours), names(theirs));
    let alone = |name: &str, own: &BTreeSet<&str>, other: &BTreeSet<&str>| {
        holds(own, name) && !holds(other, name)
    };
    let keys: BTreeSet<_> = left.keys().chain(right.keys()).copied().collect();
    let found = keys.into_iter().filter_map(|(name, kind)| {
        let difference = Difference {
            name,
            kind,
            reference: left.get(&(name, kind)).copied(),
            candidate: right.get(&(name, kind)).copied(),
        };
        let said = match (difference.reference, difference.candidate) {
            (Some(_), None) => alone(name, &ours, &theirs),
            (None, Some(_)) => alone(name, &theirs, &ours),
            (one, other) => one == other,
        };
        (!said).then_some(difference)
    });
    found.collect()
}

fn names(evidence: &Evidence) -> BTreeSet<&str> {
    evidence
        .items
        .iter()
        .map(|item| item.name.as_str())
        .collect()
}

/// Whether there is an item of this name or below it.
fn holds(names: &BTreeSet<&str>, name: &str) -> bool {
    if name.is_empty() {
        return true;
    }
    names
        .range(name..)
        .take_while(|item| item.starts_with(name))
        .any(|item| {
            item[name.len()..]
                .chars()
                .next()
                .is_none_or(|next| ".[/#:".contains(next))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::Dtype;
    use crate::evidence::Item;

    fn evidence(items: &[&str], properties: &[(&str, &'static str, &str)]) -> Evidence {
        let item = |name: &&str| Item::owned((*name).into(), Dtype::Bool, None, vec![], vec![1]);
        let property = |(name, kind, value): &(&str, &'static str, &str)| Property {
            name: (*name).into(),
            kind,
            value: (*value).into(),
        };
        Evidence {
            items: items.iter().map(item).collect(),
            properties: properties.iter().map(property).collect(),
            ..Evidence::default()
        }
    }

    #[test]
    fn a_property_differs_unless_its_value_is_missing_altogether() {
        let base = evidence(&["a.0", "ab"], &[("a", "container", "list")]);
        assert_eq!(differences(&base, &base), []);
        for (other, expected) in [
            (evidence(&["a.0", "ab"], &[("a", "container", "set")]), 1),
            (evidence(&["a.0", "ab"], &[]), 1),
            (evidence(&["ab"], &[]), 0),
            (
                evidence(
                    &["a.0", "ab"],
                    &[("a", "container", "list"), ("ab", "requires_grad", "true")],
                ),
                1,
            ),
            (
                evidence(
                    &["a.0", "ab", "c"],
                    &[("a", "container", "list"), ("c", "requires_grad", "true")],
                ),
                0,
            ),
        ] {
            assert_eq!(differences(&base, &other).len(), expected, "{other:?}");
            assert_eq!(differences(&other, &base).len(), expected, "{other:?}");
        }
        let (one, other) = (
            evidence(&[], &[("", "container", "dict")]),
            evidence(&[], &[]),
        );
        let found = differences(&one, &other);
        let report = found[0].report("f.pt");
        assert_eq!(report.status, Status::Structure);
        assert_eq!(report.outside.dtype, "container: dict");
        assert_eq!(report.candidate.unwrap().dtype, "container: none");
    }
}
