//! [`Rules`]: which names are compared and how closely, and the exceptions, each with its reason.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use serde::Deserialize;

use crate::error::{Error, Result, plain};
use crate::evidence::glob;
use crate::evidence::raw::line_of;
use crate::tolerance::Tolerance;

/// Characters of a line of the file that are shown where it is wrong.
const LONGEST_LINE: usize = 80;

/// What is compared, and when two values count as the same.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// For every name without an exception.
    pub tolerance: Tolerance,
    /// Patterns of names to compare; all where there are none.
    pub only: Vec<String>,
    /// Patterns of names to leave out.
    pub ignore: Vec<String>,
    /// Whether another dtype may pass, as `assert_close(check_dtype=False)` has it.
    pub any_dtype: bool,
    /// Columns by which the rows of tables are paired; by their order where there are none.
    pub keys: Vec<String>,
    /// The first whose pattern matches a name counts.
    pub exceptions: Vec<Exception>,
    /// Whether the two sides are what one program wrote in two runs. Files named after the moment of their run are then paired by
    /// the rest of their names, and a file that its reader refuses is compared as bytes.
    pub of_runs: bool,
}

/// Another tolerance for some names, or none at all.
#[derive(Debug, Clone, PartialEq)]
pub struct Exception {
    /// Pattern of the names.
    pub name: String,
    /// When their values count as the same; `None`: they are compared, but do not decide.
    pub tolerance: Option<Tolerance>,
    /// Why.
    pub reason: String,
}

/// The name of a tensor, and of its file where it was found in a folder.
#[derive(Debug, Clone, Copy)]
pub struct Name<'a> {
    /// Path from the folder; empty where a file stands alone.
    pub file: &'a str,
    /// The tensor; empty where the file as a whole is meant.
    pub tensor: &'a str,
}

impl Name<'_> {
    /// As reports show it.
    #[must_use]
    pub fn full(&self) -> String {
        match (self.file, self.tensor) {
            ("", tensor) => tensor.to_owned(),
            (file, "") => file.to_owned(),
            (file, tensor) => format!("{file}:{tensor}"),
        }
    }

    /// Whether a pattern means this tensor: by its name, by its file's path or last part, or by `FILE:NAME`.
    #[must_use]
    pub fn matches(&self, pattern: &str) -> bool {
        self.is_file_of(pattern)
            || (!self.tensor.is_empty() && glob::matches(pattern, self.tensor))
            || (!self.file.is_empty() && !self.tensor.is_empty() && {
                let last = self.file.rsplit('/').next().unwrap_or_default();
                glob::matches(pattern, &self.full())
                    || glob::matches(pattern, &format!("{last}:{}", self.tensor))
            })
    }

    /// Whether a pattern means the whole file.
    #[must_use]
    pub fn is_file_of(&self, pattern: &str) -> bool {
        let last = self.file.rsplit('/').next().unwrap_or_default();
        !self.file.is_empty() && (glob::matches(pattern, self.file) || glob::matches(pattern, last))
    }
}

impl Rules {
    /// The same rules without any tolerance: equal bits are equal, NaN or not.
    #[must_use]
    pub fn exact(&self) -> Self {
        let mut exact = self.clone();
        exact.tolerance = Tolerance::Bitwise;
        for exception in &mut exact.exceptions {
            exception.tolerance = exception.tolerance.map(|_| Tolerance::Bitwise);
        }
        exact
    }

    /// Whether something in a file of this name may be wanted, where its own names cannot be read.
    #[must_use]
    pub fn may_want_of(&self, file: &str) -> bool {
        let whole = Name { file, tensor: "" };
        // Of `FILE:NAME` the part before the last colon is the file's.
        let speaks_of = |pattern: &String| {
            pattern
                .rsplit_once(':')
                .is_none_or(|(start, _)| whole.is_file_of(start))
                || whole.is_file_of(pattern)
        };
        (self.only.is_empty() || file.is_empty() || self.only.iter().any(speaks_of))
            && !self.ignore.iter().any(|pattern| whole.is_file_of(pattern))
    }

    /// Whether `--only` and `--ignore` let a name through.
    #[must_use]
    pub fn want(&self, name: Name<'_>) -> bool {
        (self.only.is_empty() || self.only.iter().any(|pattern| name.matches(pattern)))
            && !self.ignore.iter().any(|pattern| name.matches(pattern))
    }

    /// The exception for a name, by its number.
    #[must_use]
    pub fn exception(&self, name: Name<'_>) -> Option<usize> {
        self.exceptions
            .iter()
            .position(|exception| name.matches(&exception.name))
    }
}

/// The file of exceptions.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "override", default)]
    overrides: Vec<Row>,
}

/// One `[[override]]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    name: String,
    reason: String,
    #[serde(default)]
    ignore: bool,
    #[serde(default)]
    close: bool,
    rtol: Option<f64>,
    atol: Option<f64>,
    max_ulp: Option<u64>,
    #[serde(default)]
    equal_nan: bool,
    expires: Option<toml::value::Datetime>,
}

impl Row {
    /// The exception it describes.
    ///
    /// # Errors
    /// When it asks for nothing or for contradictions, has no reason, or has expired; says which.
    pub fn exception(self, today: &str) -> std::result::Result<Exception, String> {
        let name = &self.name;
        if self.reason.trim().is_empty() {
            return Err(format!("the override for {name} has no reason"));
        }
        if let Some(expires) = &self.expires {
            let date = expires.date.ok_or_else(|| {
                format!("the override for {name}: expires must be a date such as 2027-01-31")
            })?;
            if date.to_string().as_str() < today {
                return Err(format!(
                    "the override for {name} expired on {date} ({}); look at it again, then move its date or remove it",
                    self.reason
                ));
            }
        }
        let near = self.close || self.rtol.is_some() || self.atol.is_some();
        let any = near || self.max_ulp.is_some() || self.equal_nan;
        let tolerance = match (self.ignore, any) {
            (true, true) => {
                return Err(format!(
                    "the override for {name} both ignores it and gives a tolerance"
                ));
            }
            (false, false) => {
                return Err(format!(
                    "the override for {name} asks for nothing: give it ignore, close, rtol and atol, max_ulp or equal_nan"
                ));
            }
            (true, false) => None,
            (false, true) => Some(
                asked(near, self.rtol, self.atol, self.equal_nan, self.max_ulp)
                    .map_err(|error| format!("the override for {name}: {error}"))?,
            ),
        };
        Ok(Exception {
            name: self.name,
            tolerance,
            reason: self.reason,
        })
    }
}

/// A tolerance from what was asked for: with `max_ulp` or `equal_nan` alone values must be equal but for those.
///
/// # Errors
/// In torch's words, when one limit is given without the other or is negative.
pub fn asked(
    near: bool,
    rtol: Option<f64>,
    atol: Option<f64>,
    equal_nan: bool,
    max_ulp: Option<u64>,
) -> std::result::Result<Tolerance, crate::tolerance::ToleranceError> {
    // Without other tolerances equal bits stay equal, NaN or not: this only accepts more.
    let equal_nan = equal_nan || !near;
    let (rtol, atol) = if near {
        (rtol, atol)
    } else {
        (Some(0.0), Some(0.0))
    };
    Tolerance::close(rtol, atol, equal_nan, max_ulp)
}

/// Today's date in UTC, as 2027-01-31.
#[must_use]
pub fn today() -> String {
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    now.split('T').next().unwrap_or_default().to_owned()
}

/// Reads a TOML file of exceptions, as they stand on this day.
///
/// # Errors
/// When it cannot be read, is no TOML, or a row does not hold; says which.
pub fn load(path: &Path, today: &str) -> Result<Vec<Exception>> {
    let text = fs::read_to_string(path).map_err(|e| Error::io("read", path, e))?;
    let file: File = toml::from_str(&text).map_err(|error| {
        let place = error.span().map_or(String::new(), |span| {
            let (line, column) = line_of(text.as_bytes(), span.start);
            let start = text
                .get(..span.start)
                .unwrap_or_default()
                .rfind('\n')
                .map_or(0, |newline| newline + 1);
            let shown = text[start..].lines().next().unwrap_or_default();
            format!(
                "line {line}, column {column}, {}: ",
                plain(shown, LONGEST_LINE)
            )
        });
        Error::input(path, format!("{place}{}", error.message()))
    })?;
    if file.overrides.is_empty() {
        return Err(Error::input(path, "it has no [[override]]"));
    }
    let rows = file.overrides.into_iter();
    rows.map(|row| row.exception(today))
        .collect::<std::result::Result<_, _>>()
        .map_err(|what| Error::input(path, what))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> std::result::Result<Vec<Exception>, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        load(file.path(), "2026-11-20").map_err(|error| error.to_string())
    }

    #[test]
    fn a_pattern_means_a_name_a_file_or_both() {
        let name = Name {
            file: "run/model.pt",
            tensor: "layer.0.weight",
        };
        for (pattern, expected) in [
            ("layer.*", true),
            ("*.pt", true),
            ("run/*", true),
            ("model.pt:layer.*", true),
            ("run/model.pt:*.weight", true),
            ("model.pt:*.bias", false),
            ("*.npz", false),
            ("other/*", false),
        ] {
            assert_eq!(name.matches(pattern), expected, "{pattern}");
        }
        let alone = Name {
            file: "",
            tensor: "a/b",
        };
        assert!(alone.matches("a/*") && !alone.matches("*") && alone.matches("**"));
    }

    #[test]
    fn an_exception_needs_a_reason_something_to_ask_for_and_time_left() {
        let good = read("[[override]]\nname='a'\nrtol=0.1\natol=0.0\nreason='r'\nexpires=2026-11-20\n[[override]]\nname='t*'\nignore=true\nreason='clock'").unwrap();
        assert_eq!(good.len(), 2);
        assert_eq!(good[1].tolerance, None);
        for (text, words) in [
            ("", "no [[override]]"),
            (
                "[[override]]\nname='a'\nignore=true",
                "missing field `reason`",
            ),
            (
                "[[override]]\nname='a'\nignore=true\nreason=' '",
                "no reason",
            ),
            ("[[override]]\nname='a'\nreason='r'", "asks for nothing"),
            (
                "[[override]]\nname='a'\nreason='r'\nignore=true\nclose=true",
                "both ignores",
            ),
            ("[[override]]\nname='a'\nreason='r'\nrtol=0.1", "no 'atol'"),
            (
                "[[override]]\nname='a'\nreason='r'\nclose=true\nexpires=2026-11-19",
                "expired on 2026-11-19",
            ),
            (
                "[[override]]\nname='a'\nreason='r'\nclose=true\nexpires='soon'",
                "expires",
            ),
            (
                "[[override]]\nname='a'\nreason='r'\nclos=true",
                "unknown field",
            ),
            ("[[overrid]]", "unknown field"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
