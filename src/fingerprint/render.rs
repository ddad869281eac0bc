//! A fingerprint, and the differences between two, as text for people.

use std::fmt::Write;

use super::{Change, Fact, Fingerprint};

/// Sections in the order in which people look for them; others follow in alphabetical order.
const ORDER: &[&str] = &[
    "samebits", "libtorch", "cuda", "cudnn", "driver", "gpu", "cpu", "threads", "memory", "cgroup",
    "machine", "os", "libc", "library", "path", "env", "knob",
];

/// Columns after which a long value goes on in the next line.
const WIDTH: usize = 118;

/// Every fact, by section; absent ones with their reasons.
#[must_use]
pub fn text(fingerprint: &Fingerprint) -> String {
    let mut facts: Vec<_> = fingerprint.facts.iter().collect();
    let place = |key: &str| {
        let section = section(key);
        ORDER
            .iter()
            .position(|it| *it == section)
            .unwrap_or(ORDER.len())
    };
    facts.sort_by_key(|(key, _)| (place(key), *key));
    let mut out = String::new();
    for group in facts.chunk_by(|(a, _), (b, _)| section(a) == section(b)) {
        let section = section(group[0].0);
        let rest = |key: &str| {
            key.strip_prefix(section)
                .map_or("", |it| it.trim_start_matches('.'))
                .to_owned()
        };
        let widest = group
            .iter()
            .map(|(key, _)| rest(key).len())
            .max()
            .unwrap_or(0);
        let _ = writeln!(out, "{}{section}", if out.is_empty() { "" } else { "\n" });
        for (key, fact) in group {
            let head = format!("  {:widest$}  ", rest(key));
            let head = if widest == 0 { "  ".to_owned() } else { head };
            out += &wrapped(&head, &shown(key, fact));
        }
    }
    if !fingerprint.facts.keys().any(|key| key.starts_with("env.")) {
        out += "\nenv\n  none of the variables that can decide agreement is set\n";
    }
    out
}

fn section(key: &str) -> &str {
    key.split('.').next().unwrap_or(key)
}

/// A value, with a readable size besides where it counts bytes.
fn shown(key: &str, fact: &Fact) -> String {
    let is_memory = key.ends_with("memory_limit") || key.contains("memory.");
    match fact.value().and_then(|value| value.parse::<u64>().ok()) {
        Some(bytes) if is_memory && bytes >= 1 << 20 => {
            let (mebibytes, rest) = (bytes >> 20, bytes & ((1 << 20) - 1));
            let about = if rest == 0 { "" } else { "about " };
            format!("{bytes} ({about}{mebibytes} MiB)")
        }
        _ => fact.to_string(),
    }
}

/// `head`, then `value` broken at spaces so that it stays to the right of `head`.
fn wrapped(head: &str, value: &str) -> String {
    let indent = head.chars().count();
    let mut out = String::new();
    let mut line = head.to_owned();
    for (number, paragraph) in value.trim_end().lines().enumerate() {
        if number > 0 {
            let _ = writeln!(out, "{}", line.trim_end());
            line = " ".repeat(indent);
        }
        for word in paragraph.split(' ') {
            let used = line.chars().count();
            if used > indent && used + word.chars().count() > WIDTH {
                let _ = writeln!(out, "{}", line.trim_end());
                line = " ".repeat(indent);
            }
            line += word;
            line.push(' ');
        }
    }
    let _ = writeln!(out, "{}", line.trim_end());
    out
}

/// What differs, first what can change bits, each with why; then whether results may be compared.
#[must_use]
pub fn differences_text(changes: &[Change]) -> String {
    let mut out = String::new();
    for (can_change_bits, title) in [
        (true, "can change bits"),
        (false, "cannot change bits by itself"),
    ] {
        let of_kind: Vec<_> = changes
            .iter()
            .filter(|it| it.can_change_bits == can_change_bits)
            .collect();
        if of_kind.is_empty() {
            continue;
        }
        let _ = writeln!(out, "{title}");
        for change in of_kind {
            let _ = writeln!(out, "  {}", change.key);
            let (reference, candidate) = parted(change);
            out += &wrapped("    reference  ", &reference);
            out += &wrapped("    candidate  ", &candidate);
            out += &wrapped("    why        ", &change.why);
        }
        out.push('\n');
    }
    let sentence = obstacle(changes).unwrap_or_else(|| match changes.len() {
        0 => "comparable: nothing that is compared differs".into(),
        1 => "comparable: the one difference cannot change bits by itself".into(),
        many => format!("comparable: none of the {many} differences can change bits by itself"),
    });
    out + &sentence + "\n"
}

/// Both sides; of long lists of words (processor flags, builds) only what one has and the other has not.
fn parted(change: &Change) -> (String, String) {
    let (reference, candidate) = (
        side(&change.key, change.reference.as_ref()),
        side(&change.key, change.candidate.as_ref()),
    );
    if reference.len().min(candidate.len()) < WIDTH {
        return (reference, candidate);
    }
    let only = |a: &str, b: &str| {
        let other: Vec<_> = b.split_whitespace().collect();
        let words: Vec<_> = a
            .split_whitespace()
            .filter(|word| !other.contains(word))
            .collect();
        if words.is_empty() {
            "… (nothing more)".into()
        } else {
            format!("… {}", words.join(" "))
        }
    };
    (only(&reference, &candidate), only(&candidate, &reference))
}

fn side(key: &str, fact: Option<&Fact>) -> String {
    match fact {
        Some(fact) => shown(key, fact),
        None if key.starts_with("env.") => "not set".into(),
        None if key.starts_with("library.") => "not loaded".into(),
        None => "not recorded".into(),
    }
}

/// The sentence that says why results may not be compared, if they may not.
pub(super) fn obstacle(changes: &[Change]) -> Option<String> {
    let mut harmful = changes.iter().filter(|change| change.can_change_bits);
    let first = harmful.next()?;
    let (reference, candidate) = parted(first);
    let more = match harmful.count() {
        0 => String::new(),
        1 => ", and 1 more difference can change bits".into(),
        many => format!(", and {many} more differences can change bits"),
    };
    let key = &first.key;
    Some(format!(
        "not comparable, because {key} differs: {reference} in the reference, {candidate} in the candidate{more}"
    ))
}
