//! What a program says: numbers taken out of it by pattern, and the noise in it that no two runs share.

use regex::Regex;
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};

/// One kind of noise.
struct Mask {
    /// What stands in its place.
    name: &'static str,
    pattern: &'static str,
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "read by people and by the tests")
    )]
    reason: &'static str,
}

/// In this order: a date must go before the time in it looks like a duration.
const MASKS: &[Mask] = &[
    Mask {
        name: "<date>",
        pattern: r"\d{4}-\d{2}-\d{2}([T ,_]\d{2}[:-]\d{2}([:-]\d{2}([.,]\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?",
        reason: "logs begin their lines with it",
    },
    Mask {
        name: "<time>",
        pattern: r"\b\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?\b",
        reason: "times of day, and what progress bars have left",
    },
    Mask {
        name: "<rate>",
        pattern: r"\b\d+([.,]\d+)? ?(it|step|steps|samples|tokens|tok|batch|batches|[KMG]?i?B)/s\b",
        reason: "progress bars measure",
    },
    Mask {
        name: "<duration>",
        pattern: r"\b\d+([.,]\d+)? ?(s|ms|us|µs|ns|sec|secs|seconds|minutes|s/it|ms/it)\b",
        reason: "how long a step took",
    },
    Mask {
        name: "<address>",
        pattern: r"\bat 0x[0-9a-fA-F]{6,16}\b",
        reason: "Python prints an object by its address",
    },
    Mask {
        name: "<process>",
        pattern: r"\b(pid|PID|process)[ =:]+\d+\b",
        reason: "the kernel numbers processes",
    },
];

/// A text without its noise, and how often each mask was used.
pub(super) struct Masked {
    pub(super) text: String,
    /// With how often, and one thing that it hid.
    pub(super) used: Vec<(&'static str, usize, String)>,
}

/// Masks the noise in what a program said.
pub(super) fn mask(said: &str) -> Masked {
    let mut text = said.to_owned();
    let mut used = Vec::new();
    for mask in MASKS {
        let Ok(pattern) = Regex::new(mask.pattern) else {
            continue;
        };
        let count = pattern.find_iter(&text).count();
        if let Some(first) = pattern.find(&text) {
            let example = first.as_str().to_owned();
            used.push((mask.name, count, example));
            text = pattern.replace_all(&text, mask.name).into_owned();
        }
    }
    Masked { text, used }
}

/// A number that is looked for in the output.
#[derive(Debug)]
pub(super) struct Metric {
    name: String,
    pattern: Regex,
}

impl Metric {
    /// Reads `loss=(\S+)`; the number is in the first group, the name is the group's own or what stands before it.
    ///
    /// # Errors
    /// When it is no regular expression or has no group.
    pub(super) fn new(text: &str) -> Result<Self> {
        let wrong = |what: String| Error::Usage(format!("--metric {text}: {what}"));
        let pattern = Regex::new(text).map_err(|e| wrong(e.to_string()))?;
        if pattern.captures_len() < 2 {
            return Err(wrong(
                "it has no group in brackets, as in loss=(\\S+)".into(),
            ));
        }
        let named = pattern.capture_names().nth(1).flatten().map(str::to_owned);
        let before = text.split('(').next().unwrap_or_default();
        let plain: String = before
            .chars()
            .map(|c| if c.is_alphanumeric() { c } else { ' ' })
            .collect();
        let word = plain.split_whitespace().last().map(str::to_owned);
        Ok(Self {
            name: named.or(word).unwrap_or_else(|| text.to_owned()),
            pattern,
        })
    }

    /// Every value in the text, in order: numbers, and words where they are none.
    fn values(&self, said: &str) -> Vec<Value> {
        self.pattern
            .captures_iter(said)
            .filter_map(|found| found.get(1))
            .map(|group| {
                let text = group.as_str().trim_end_matches([',', ';']);
                // Of a whole number every digit counts, and f64 holds only 16.
                let whole = text.parse::<i64>().ok().map(|number| json!(number));
                let point = text.contains(['.', 'e', 'E']);
                let number = || {
                    text.parse::<f64>()
                        .ok()
                        .filter(|number| point && number.is_finite())
                };
                whole
                    .or_else(|| number().map(|number| json!(number)))
                    .unwrap_or_else(|| json!(text))
            })
            .collect()
    }
}

/// All metrics of an output as one JSON object of lists.
///
/// # Errors
/// When one is nowhere in the output.
pub(super) fn gather(metrics: &[Metric], said: &str) -> Result<String> {
    let mut found = Map::new();
    for metric in metrics {
        let values = metric.values(said);
        let number = |value: &Value| match value {
            Value::Number(_) => true,
            Value::String(text) => text.parse::<f64>().is_ok_and(f64::is_finite),
            _ => false,
        };
        if !values.is_empty() && !values.iter().any(number) {
            return Err(Error::Usage(format!(
                "--metric {}: none of its {} matches is a finite number, so that agreement would prove nothing",
                metric.pattern.as_str(),
                values.len()
            )));
        }
        if values.is_empty() {
            return Err(Error::Usage(format!(
                "--metric {}: the command's standard output has no match for it",
                metric.pattern.as_str()
            )));
        }
        if found.insert(metric.name.clone(), values.into()).is_some() {
            return Err(Error::Usage(format!(
                "two metrics are called {}; name a group, as in (?P<other>\\S+)",
                metric.name
            )));
        }
    }
    Ok(Value::from(found).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_masked_and_results_are_not() {
        assert!(
            MASKS
                .iter()
                .all(|mask| !mask.reason.is_empty() && Regex::new(mask.pattern).is_ok())
        );
        let one = mask(
            "2026-11-20 10:11:12,345 epoch 3 loss 0.123 12.5 it/s 3.2s <obj at 0x7f00deadbeef> pid 17",
        );
        let two = mask(
            "2026-11-21 01:02:03,999 epoch 3 loss 0.123 9.5 it/s 3s <obj at 0x7fffdeadbee0> pid 18",
        );
        assert_eq!(one.text, two.text);
        assert_eq!(one.used.len(), 5);
        let other = mask(
            "2026-11-20 10:11:12,345 epoch 3 loss 0.124 12.5 it/s 3.2s <obj at 0x7f00deadbeef> pid 17",
        );
        assert_ne!(one.text, other.text);
        for kept in [
            "loss 0.5",
            "1e-05",
            "epoch 12",
            "step 100/200",
            "0x3f80",
            "12 %",
            "acc 0.97",
        ] {
            assert_eq!(mask(kept).text, kept);
        }
    }

    #[test]
    fn metrics_are_named_and_collected_in_order() {
        let metrics = [
            Metric::new(r"loss=(\S+)").unwrap(),
            Metric::new(r"(?P<top>\d+)%").unwrap(),
        ];
        let said = "loss=0.5, 10%\nloss=0.25, 20%\nloss=nan";
        assert_eq!(
            gather(&metrics, said).unwrap(),
            r#"{"loss":[0.5,0.25,"nan"],"top":[10,20]}"#
        );
        assert!(
            gather(&metrics, "nothing")
                .unwrap_err()
                .to_string()
                .contains("no match")
        );
        let large = Metric::new(r"hash=(\d+)").unwrap();
        let found = gather(
            &[large],
            "hash=1152921504606846977 hash=99999999999999999999",
        )
        .unwrap();
        assert_eq!(
            found,
            r#"{"hash":[1152921504606846977,"99999999999999999999"]}"#
        );
        let only = [Metric::new(r"loss=(\S+)").unwrap()];
        assert!(
            gather(&only, "loss=nan")
                .unwrap_err()
                .to_string()
                .contains("finite")
        );
        assert!(Metric::new("loss=").is_err() && Metric::new("(").is_err());
    }
}
