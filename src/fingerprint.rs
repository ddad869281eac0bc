//! [`Fingerprint`]: the hardware and software stack that a result was made on, knobs in force included, and whether
//! two of them are alike enough for results to be compared.
//!
//! A fact is a short text under a dotted key (`driver.version`, `gpu.0.name`, `env.MKL_CBWR`), or absent with the
//! reason. Collecting never fails: a machine without GPU, driver or libtorch says so in its facts. The tables in
//! `policy.rs` and `variables.rs` say of every key whether it can change bits. Not recorded: clocks, host names,
//! network addresses, and environment variables outside the table.

mod cgroup;
mod libraries;
mod machine;
pub mod policy;
mod redact;
mod render;
mod stack;
pub mod variables;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::ffi::nvml;
pub(crate) use libraries::build as build_of;
use policy::Relevance;
pub use render::{differences_text, text};
pub use stack::{CudaHalf, Libtorch};

/// Version of the JSON form. Raised when a key changes its meaning; new keys do not raise it.
pub const SCHEMA_VERSION: u32 = 1;

/// Stands in place of what [`Fingerprint::redacted`] took out.
const REDACTED: &str = "redacted";

/// One thing known about the stack, or why it is not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Fact {
    /// Known. Numbers are decimal, memory is in bytes.
    Value(String),
    /// Not known.
    Absent {
        /// Why not.
        absent: String,
    },
}

impl Fact {
    /// A fact that is missing for this reason.
    pub fn absent(reason: impl Into<String>) -> Self {
        Self::Absent {
            absent: reason.into(),
        }
    }

    /// The value, if it is known.
    #[must_use]
    pub fn value(&self) -> Option<&str> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent { .. } => None,
        }
    }

    fn is_redacted(&self) -> bool {
        matches!(self, Self::Absent { absent } if absent == REDACTED)
    }
}

impl std::fmt::Display for Fact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Value(value) => f.write_str(value),
            Self::Absent { absent } => write!(f, "- ({absent})"),
        }
    }
}

impl From<String> for Fact {
    fn from(value: String) -> Self {
        Self::Value(value)
    }
}

impl From<&str> for Fact {
    fn from(value: &str) -> Self {
        Self::Value(value.to_owned())
    }
}

/// Facts by key; the order is the same everywhere.
pub type Facts = BTreeMap<String, Fact>;

/// A value, or the reason why there is none, as a fact.
fn fact(answer: std::result::Result<String, String>) -> Fact {
    match answer {
        Ok(value) => Fact::Value(value),
        Err(reason) => Fact::absent(redact::without_folders(&reason)),
    }
}

/// The hardware and software stack, knobs in force included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// See [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Everything known, by key.
    pub facts: Facts,
}

impl Default for Fingerprint {
    /// Nothing known: not even why. For tests and for filling in.
    fn default() -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            facts: Facts::new(),
        }
    }
}

/// One fact in which a candidate's stack differs from the reference's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The fact's key.
    pub key: String,
    /// In the reference; `None` when it was not recorded there.
    pub reference: Option<Fact>,
    /// In the candidate; `None` when it was not recorded there.
    pub candidate: Option<Fact>,
    /// Whether results may differ because of it.
    pub can_change_bits: bool,
    /// Why it can, or cannot.
    pub why: String,
}

/// The builds of the libraries that this process has loaded, and where they are.
#[must_use]
pub fn libraries() -> Facts {
    libraries::facts()
}

/// Whether `key` can change bits, and why. A key that no table knows can: better a refused comparison than a false one.
#[must_use]
pub fn rule(key: &str) -> (Relevance, &'static str) {
    let found = match key.strip_prefix("env.") {
        Some(name) => policy::find(variables::VARIABLES, name),
        None => policy::find(policy::RULES, key),
    };
    found.map_or(
        (Relevance::Bits, "unknown to this samebits, so it may"),
        |rule| (rule.relevance, rule.why),
    )
}

impl Fingerprint {
    /// Looks at everything once. Call it when the process is set up and before it computes, so that every process of
    /// an audit has loaded the same libraries. `libtorch` is what it says of itself, or why nobody was asked. Takes milliseconds
    /// besides the start of the driver.
    #[must_use]
    pub fn collect(libtorch: &std::result::Result<Libtorch, String>) -> Self {
        let mut facts = Facts::new();
        facts.extend(stack::own());
        facts.extend(stack::torch(libtorch));
        facts.extend(stack::driver(nvml::driver()));
        facts.extend(machine::facts(Path::new("/")));
        facts.extend(cgroup::facts(Path::new("/")));
        facts.extend(libraries());
        facts.extend(
            libtorch
                .iter()
                .flat_map(|libtorch| libtorch.libraries.clone()),
        );
        facts.extend(variables::facts(std::env::vars_os()));
        Self {
            schema_version: SCHEMA_VERSION,
            facts,
        }
    }

    /// Reads a saved fingerprint, or the one inside a saved report.
    ///
    /// # Errors
    /// When the file cannot be read, holds no fingerprint or one of a newer schema.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|source| Error::io("read", path, source))?;
        let mut json: Value = serde_json::from_slice(&bytes)
            .map_err(|error| Error::input(path, format!("no JSON: {error}")))?;
        let json = match json.get_mut("fingerprint") {
            Some(inner) => inner.take(),
            None => json,
        };
        let fingerprint: Self = serde_json::from_value(json)
            .map_err(|error| Error::input(path, format!("holds no fingerprint: {error}")))?;
        if fingerprint.schema_version != SCHEMA_VERSION {
            let found = fingerprint.schema_version;
            let what =
                format!("fingerprint of schema {found}; this samebits reads {SCHEMA_VERSION}");
            return Err(Error::input(path, what));
        }
        Ok(fingerprint)
    }

    /// A fact's value, if it is known.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&str> {
        self.facts.get(key)?.value()
    }

    /// Adds the settings in force, as `knob.<name>`.
    pub fn with_settings(&mut self, settings: impl Iterator<Item = (String, String)>) {
        let facts = settings.map(|(name, value)| (format!("knob.{name}"), Fact::Value(value)));
        self.facts.extend(facts);
    }

    /// In what `candidate` differs from `self`, by key. Facts of the moment (temperatures, counters) are left out.
    #[must_use]
    pub fn differences(&self, candidate: &Self) -> Vec<Change> {
        let keys: BTreeSet<&String> = self.facts.keys().chain(candidate.facts.keys()).collect();
        let change = |key: &String| {
            let (reference, candidate) = (self.facts.get(key), candidate.facts.get(key));
            let (relevance, why) = rule(key);
            let can_change_bits = relevance == Relevance::Bits;
            let redacted = [reference, candidate]
                .iter()
                .flatten()
                .any(|fact| fact.is_redacted());
            let ignored = relevance == Relevance::Evidence || (redacted && !can_change_bits);
            (reference != candidate && !ignored).then(|| Change {
                key: key.clone(),
                reference: reference.cloned(),
                candidate: candidate.cloned(),
                can_change_bits,
                why: why.to_owned(),
            })
        };
        keys.into_iter().filter_map(change).collect()
    }

    /// Whether results made on `candidate` may be held against results made on `self`.
    ///
    /// # Errors
    /// With the sentence that says which difference forbids it.
    pub fn comparable(&self, candidate: &Self) -> std::result::Result<(), String> {
        render::obstacle(&self.differences(candidate)).map_or(Ok(()), Err)
    }

    /// The same stack with these variables in the environment besides those of this process.
    #[must_use]
    pub fn with_variables(mut self, variables: impl Iterator<Item = (OsString, OsString)>) -> Self {
        self.facts.extend(variables::facts(variables));
        self
    }

    /// Without serial numbers, UUIDs, bus addresses and paths, for showing to strangers.
    #[must_use]
    pub fn redacted(&self) -> Self {
        let redact = |(key, fact): (&String, &Fact)| {
            let fact = match fact {
                _ if rule(key).0 == Relevance::Identity => Fact::absent(REDACTED),
                _ if key.starts_with("path.") => Fact::absent(REDACTED),
                // libtorch's build names its compiler's path; that is the same for everybody.
                Fact::Value(value) if key.starts_with("libtorch.") => Fact::Value(value.clone()),
                Fact::Value(value) => Fact::Value(redact::scrub(value)),
                Fact::Absent { absent } => Fact::absent(redact::scrub(absent)),
            };
            (key.clone(), fact)
        };
        Self {
            schema_version: self.schema_version,
            facts: self.facts.iter().map(redact).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
