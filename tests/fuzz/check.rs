//! What must hold for every input, however broken.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use samebits::diff::diff;
use samebits::error::Error;
use samebits::evidence::Evidence;
use samebits::evidence::open::open;
use samebits::evidence::table::TableOptions;
use samebits::recorder::{self, Account};
use samebits::report::format::FORMATS;
use samebits::report::{Report, json, ops, text};
use samebits::rules::{self, Rules};
use samebits::verdict::Verdict;

/// In characters. Longer texts are of no use to a person; a path may stand before them.
const LONGEST_TEXT: usize = 2_000;
const MOST_NOTES: usize = 200;

/// What was seen, as a word for inputs of one kind; or what must not be.
pub type Outcome = Result<String, String>;

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

/// A text for people: short, one line, nothing that a terminal would obey.
fn plain(what: &str, text: &str) -> Result<(), String> {
    ensure(text.chars().count() <= LONGEST_TEXT, || {
        format!("{what} of {} bytes: {:.200}", text.len(), text)
    })?;
    ensure(!text.contains(char::is_control), || {
        format!("{what} with a control character: {text:?}")
    })
}

fn error(path: &Path, error: &Error) -> Result<String, String> {
    let text = error.to_string();
    let place = path.display().to_string();
    let reason = text.split(&place).last().unwrap_or_default();
    ensure(text.contains(&place), || {
        format!("an error that does not name the file: {text}")
    })?;
    plain("an error", reason)?;
    // Inputs that fail alike are of one kind: numbers and the names before a reason are no matter.
    let last = reason.rsplit(": ").next().unwrap_or_default();
    let alike = last
        .chars()
        .filter(|c| c.is_ascii_alphabetic() || *c == ' ');
    Ok(format!("error {}", alike.take(60).collect::<String>()))
}

/// Everything that is compared of one item.
type Said = (String, Option<String>, Vec<u64>, Result<Vec<u8>, String>);

/// Items by name, and whether all of them could be read.
struct Items {
    said: BTreeMap<String, Said>,
    all_read: bool,
    /// A trace may have kept only digests, which can be equal to those of values.
    digests: bool,
}

fn items(path: &Path, evidence: &Evidence) -> Result<Items, String> {
    let mut said = BTreeMap::new();
    let (mut all_read, mut digests) = (true, false);
    for item in &evidence.items {
        let bytes = match item.bytes() {
            Ok(bytes) => {
                let expected = item.numel().checked_mul(item.dtype.size() as u64);
                ensure(expected == Some(bytes.len() as u64), || {
                    format!(
                        "{:?}: {} bytes of {} {:?}",
                        item.name,
                        bytes.len(),
                        item.dtype,
                        item.shape
                    )
                })?;
                Ok(bytes.into_owned())
            }
            Err(Error::Usage(_)) => {
                digests = true;
                Ok(Vec::new())
            }
            Err(found) => {
                all_read = false;
                Err(error(path, &found)?)
            }
        };
        let row = (
            item.dtype.to_string(),
            item.declared.clone(),
            item.shape.clone(),
            bytes,
        );
        ensure(said.insert(item.name.clone(), row).is_none(), || {
            format!("two items are called {:?}", item.name)
        })?;
    }
    Ok(Items {
        said,
        all_read,
        digests,
    })
}

/// What every reader of a report gets.
fn report(report: &Report) -> Result<(), String> {
    let brief = text::brief(report, text::Color::Plain);
    let all = FORMATS
        .iter()
        .map(|format| (format.name, (format.render)(report)));
    for (name, shown) in all.chain([("brief", brief)]) {
        let plain_text = ["text", "brief"].contains(&name);
        let odd = |c: char| c.is_control() && c != '\n' && (c != '\t' || plain_text);
        ensure(!shown.contains(odd), || {
            format!("a report as {name} with a control character: {shown:?}")
        })?;
        match name {
            "text" | "brief" => {
                for line in shown.lines() {
                    ensure(line.chars().count() <= 3 * LONGEST_TEXT, || {
                        format!("a report with a line of {} bytes", line.len())
                    })?;
                }
            }
            "json" => {
                let back = json::read(&shown);
                let back =
                    back.map_err(|what| format!("a report that is not read again: {what}"))?;
                ensure(json::render(&back) == shown, || {
                    "a report that is another one when read again".into()
                })?;
            }
            "gitlab" => {
                let read = serde_json::from_str::<serde_json::Value>(&shown);
                ensure(read.is_ok(), || {
                    format!("GitLab's report is no JSON: {read:?}")
                })?;
            }
            "junit" => {
                let read = roxmltree::Document::parse(&shown);
                ensure(read.is_ok(), || {
                    format!("JUnit's report is no XML: {read:?}")
                })?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Compares a recording with itself and with the one that it was made of.
pub fn recording(original: &Path, input: &Path) -> Outcome {
    let told = |account: &Account| {
        for (_, line) in ops::lines(account) {
            plain("a line on ops", &line)?;
        }
        ensure(account.notes.len() <= MOST_NOTES, || {
            "too many notes".into()
        })?;
        let text = serde_json::to_string(account).map_err(|e| e.to_string())?;
        let back: Result<Account, _> = serde_json::from_str(&text);
        ensure(back.is_ok_and(|back| back == *account), || {
            "an account that is another one when read again".into()
        })
    };
    let other = recorder::compare(original, input);
    if let Ok(account) = &other {
        told(account)?;
    }
    match recorder::compare(input, input) {
        Err(found) => error(input, &found),
        Ok(account) => {
            told(&account)?;
            ensure(account.finding.is_none(), || {
                format!("it differs from itself: {:?}", account.finding)
            })?;
            let kind = other.map_or("refused".into(), |account| {
                account
                    .finding
                    .map_or("same".into(), |finding| format!("{:?}", finding.kind))
            });
            let many = account.compared.ops.checked_ilog2();
            Ok(format!("recording {kind} {many:?} {}", account.notes.len()))
        }
    }
}

/// Reads a saved report, and writes it down again in every format.
pub fn saved(input: &Path) -> Outcome {
    let Ok(saved) = fs::read_to_string(input) else {
        return Ok("error no text".into());
    };
    match json::read(&saved) {
        Ok(found) => {
            report(&found)?;
            Ok(format!("report {} {}", found.verdict, found.reason_code))
        }
        Err(what) => {
            let alike = what
                .chars()
                .filter(|c| c.is_ascii_alphabetic() || *c == ' ');
            Ok(format!("error {}", alike.take(60).collect::<String>()))
        }
    }
}

/// Opens an input, reads all of it, and compares it with itself and with the file that it was made of.
pub fn evidence(original: &Path, input: &Path, keys: &[String]) -> Outcome {
    let rules = Rules {
        keys: keys.to_vec(),
        ..Rules::default()
    };
    let options = TableOptions {
        keys: keys.to_vec(),
    };
    let itself = diff(input, input, &rules);
    let other = diff(original, input, &rules);
    report(&other)?;
    let evidence = match open(input, &options) {
        Ok(evidence) => evidence,
        Err(found) => {
            let kind = error(input, &found)?;
            // Equal bytes are equal whatever they are; nothing else is said of a file that is not read.
            let as_bytes = |report: &Report| {
                report
                    .notes
                    .iter()
                    .any(|note| note.contains("compared as bytes"))
            };
            let same = fs::read(original).ok() == fs::read(input).ok();
            for (report, same) in [(&itself, true), (&other, same)] {
                let agrees = report.verdict == Verdict::Identical && same && as_bytes(report);
                ensure(agrees || report.verdict == Verdict::Inconclusive, || {
                    format!("a file that is not read is {}", report.verdict)
                })?;
            }
            return Ok(kind);
        }
    };
    for note in &evidence.notes {
        plain("a note", note)?;
    }
    ensure(evidence.notes.len() <= MOST_NOTES, || {
        format!("{} notes", evidence.notes.len())
    })?;
    let found = items(input, &evidence)?;
    let all_read = found.all_read;
    let anything = evidence.items.iter().any(|item| item.numel() > 0);
    let vacuous = |report: &Report| report.reason_code == "vacuous";
    let expected = if all_read && anything && !vacuous(&itself) {
        Verdict::Identical
    } else {
        Verdict::Inconclusive
    };
    ensure(itself.verdict == expected, || {
        format!("{} against itself: {}", itself.verdict, itself.reason)
    })?;
    if let Ok(whole) = open(original, &options) {
        let whole = items(original, &whole)?;
        let same = whole.said == found.said;
        let all_read = all_read && whole.all_read;
        // An item that is not read makes it inconclusive, unless it is not needed to see the difference.
        let allowed: &[Verdict] = match (same, all_read) {
            (true, true) if anything && !vacuous(&other) => &[Verdict::Identical],
            (true, true) => &[Verdict::Inconclusive],
            (false, true) => &[Verdict::Diverged],
            _ => &[Verdict::Diverged, Verdict::Inconclusive],
        };
        let sure = !whole.digests && !found.digests;
        ensure(!sure || allowed.contains(&other.verdict), || {
            format!(
                "{} against the original, and the items are {}: {}",
                other.verdict,
                if same { "equal" } else { "not equal" },
                other.reason
            )
        })?;
    }
    let kinds: BTreeSet<String> = evidence
        .items
        .iter()
        .map(|item| {
            let word = item.declared.as_deref().unwrap_or_default();
            let word: String = word
                .chars()
                .filter(char::is_ascii_alphabetic)
                .take(12)
                .collect();
            format!("{}{word}{}", item.dtype, item.shape.len())
        })
        .take(6)
        .collect();
    let many = evidence.items.len().checked_ilog2().unwrap_or(0);
    Ok(format!(
        "{} {kinds:?} {many} {} {all_read}",
        evidence.format,
        evidence.notes.len()
    ))
}

/// Reads a file of exceptions and compares under them.
pub fn rules(folder: &Path, input: &Path) -> Outcome {
    let exceptions = match rules::load(input, "2026-11-20") {
        Ok(exceptions) => exceptions,
        Err(found) => return error(input, &found),
    };
    ensure(!exceptions.is_empty(), || "no exceptions".into())?;
    let all_told = exceptions.iter().all(|one| !one.reason.trim().is_empty());
    ensure(all_told, || "an exception without a reason".into())?;
    let kinds: BTreeSet<bool> = exceptions
        .iter()
        .map(|one| one.tolerance.is_some())
        .collect();
    let rules = Rules {
        exceptions,
        ..Rules::default()
    };
    let [one, other]: [PathBuf; 2] = ["one.json", "other.json"].map(|name| folder.join(name));
    fs::write(&one, r#"{"loss":0.5,"a.b":[1,2],"step":3}"#).unwrap();
    fs::write(&other, r#"{"loss":0.6,"a.b":[1,2],"step":3}"#).unwrap();
    report(&diff(&one, &other, &rules))?;
    let itself = diff(&one, &one, &rules);
    report(&itself)?;
    ensure(itself.verdict != Verdict::Diverged, || {
        format!("diverged against itself: {}", itself.reason)
    })?;
    Ok(format!("rules {kinds:?} {}", itself.verdict))
}
