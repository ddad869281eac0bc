//! The knob table: everything outside a workload that can decide agreement, with accepted values, the moment it must be
//! set, and why. Pure: validates a request against an environment passed in, and changes nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

mod table;

pub use table::KNOBS;

/// What libtorch does at an op without a deterministic implementation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Nothing: libtorch's defaults.
    Off,
    /// Deterministic implementations where there are any, a warning where not.
    Warn,
    /// Deterministic implementations where there are any, an error where not.
    Strict,
}

impl Mode {
    /// The word used in flags and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Warn => "warn",
            Self::Strict => "strict",
        }
    }
}

/// When a knob must be set to have an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Moment {
    /// In the environment of the process, before it starts: the parent sets it.
    Launch,
    /// As `Launch`, for programs that are not samebits' own: those read more of the environment.
    Program,
    /// At any time, through libtorch; samebits does it before the first tensor.
    AnyTime,
}

/// What a knob may be set to.
#[derive(Debug, Clone, Copy)]
pub enum Accepts {
    /// `true` or `false`.
    Bool,
    /// A number from 1 on.
    Count,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A number from 0 on that fits 32 bits.
    Number,
    /// cuBLAS's workspace: `:SIZE:COUNT`, sizes in KiB, one or more times.
    Workspace,
}

/// The value a knob gets when nobody asks for another.
#[derive(Debug, Clone, Copy)]
pub enum Default {
    /// Left as it is found.
    Leave,
    /// The same in every mode.
    Always(&'static str),
    /// In the modes warn and strict only; left alone in mode off.
    Deterministic(&'static str),
    /// The word for the mode itself.
    Mode,
    /// The number of threads asked for.
    Threads,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Knob {
    /// An environment variable, or libtorch's switch as the shim calls it.
    pub name: &'static str,
    /// Values it may have.
    pub accepts: Accepts,
    /// Its value when nobody asks for another.
    pub default: Default,
    /// When it must be set.
    pub moment: Moment,
    /// Why it is in the table.
    pub reason: &'static str,
}

/// Where a requested value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The table above.
    Table,
    /// `--set` of this run.
    Flag,
    /// The environment samebits was started in.
    Environment,
}

/// A knob with the value asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The knob's name.
    pub name: String,
    /// The value asked for.
    pub value: String,
    /// Who asked.
    pub origin: Origin,
}

/// A knob with the value that was read back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// The knob's name.
    pub name: String,
    /// The value asked for; absent where the knob was left alone.
    pub requested: Option<String>,
    /// The value in force; absent for an environment variable that is not set.
    pub in_force: Option<String>,
    /// Who asked.
    pub origin: Option<Origin>,
}

/// All requests for one run, checked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Plan {
    /// For the child's environment.
    pub launch: Vec<Request>,
    /// For libtorch, in the order of the table.
    pub switches: Vec<Request>,
}

impl Accepts {
    fn takes(self, value: &str) -> bool {
        match self {
            Self::Bool => matches!(value, "true" | "false"),
            Self::Count => value
                .parse::<u32>()
                .is_ok_and(|number| (1..=4096).contains(&number)),
            Self::OneOf(words) => words.contains(&value),
            Self::Number => value.parse::<u32>().is_ok(),
            Self::Workspace => {
                let mut parts = value.split(':');
                let numbers: Vec<_> = parts.by_ref().skip(1).collect();
                value.starts_with(':')
                    && !numbers.is_empty()
                    && numbers.len() % 2 == 0
                    && numbers.iter().all(|part| part.parse::<u32>().is_ok())
            }
        }
    }
}

impl std::fmt::Display for Accepts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bool => f.write_str("true or false"),
            Self::Count => f.write_str("a number from 1 to 4096"),
            Self::OneOf([only]) => f.write_str(only),
            Self::OneOf(words) => write!(f, "one of {}", words.join(", ")),
            Self::Number => f.write_str("a number from 0 to 4294967295"),
            Self::Workspace => f.write_str(":KiB:COUNT, for example :4096:8"),
        }
    }
}

impl Knob {
    /// The row of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        KNOBS.iter().find(|knob| knob.name == name)
    }

    fn check(&self, value: &str, whence: &str) -> Result<()> {
        if self.accepts.takes(value) {
            return Ok(());
        }
        Err(Error::Knob {
            name: self.name.into(),
            value: value.into(),
            reason: format!("it must be {}{whence}", self.accepts),
        })
    }

    fn by_table(&self, asked: &Asked) -> Option<String> {
        match self.default {
            Default::Leave => None,
            Default::Always(value) => Some(value.into()),
            Default::Deterministic(value) => (asked.mode != Some(Mode::Off)).then(|| value.into()),
            Default::Mode => asked.mode.map(|mode| mode.name().into()),
            Default::Threads => asked.threads.map(|threads| threads.to_string()),
        }
    }
}

/// Checks everything asked for and decides every knob's value. `flags` are the values of `--set`; the value `default`
/// leaves a knob alone. `environment` answers for one variable. A value found in the environment is kept if accepted and
/// refused if not, never silently replaced.
///
/// # Errors
/// When a knob does not exist, or a value is not accepted.
pub fn plan(
    mode: Mode,
    threads: u32,
    flags: &BTreeMap<String, String>,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Plan> {
    let asked = Asked {
        mode: Some(mode),
        threads: Some(threads),
        program: false,
    };
    decide(&asked, flags, environment)
}

/// As [`plan`], for a program that is not samebits' own. Without a mode libtorch's switches are the program's business;
/// without threads it takes as many as it likes.
///
/// # Errors
/// When a knob does not exist, or a value is not accepted.
pub fn plan_program(
    mode: Option<Mode>,
    threads: Option<u32>,
    flags: &BTreeMap<String, String>,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Plan> {
    let asked = Asked {
        mode,
        threads,
        program: true,
    };
    let mut plan = decide(&asked, flags, environment)?;
    if mode.is_none() {
        if let Some(request) = plan.switches.iter().find(|one| one.origin == Origin::Flag) {
            return Err(Error::Usage(format!(
                "--set {}: with --mode own the program sets this itself; give another --mode",
                request.name
            )));
        }
        plan.switches.clear();
    }
    // May be set only once in a process: a program that sets it itself would fail.
    plan.switches
        .retain(|one| one.name != "threads.interop" || one.origin == Origin::Flag);
    Ok(plan)
}

/// What the table's defaults depend on.
struct Asked {
    mode: Option<Mode>,
    threads: Option<u32>,
    /// Whether the process is not one of samebits' own.
    program: bool,
}

fn decide(
    asked: &Asked,
    flags: &BTreeMap<String, String>,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Plan> {
    if let Some(unknown) = flags.keys().find(|name| Knob::find(name).is_none()) {
        return Err(Error::Usage(format!("there is no knob called {unknown}")));
    }
    for (name, flag) in [
        ("threads.intraop", "--threads"),
        ("deterministic_algorithms", "--mode"),
    ] {
        if flags.contains_key(name) {
            return Err(Error::Usage(format!(
                "--set {name}: this knob has a flag of its own, {flag}"
            )));
        }
    }
    let mut plan = Plan::default();
    for knob in KNOBS {
        if knob.moment == Moment::Program && !asked.program {
            if flags.contains_key(knob.name) {
                return Err(Error::Usage(format!(
                    "--set {}: samebits' own workloads do not read it",
                    knob.name
                )));
            }
            continue;
        }
        let threads = asked
            .threads
            .filter(|_| matches!(knob.default, Default::Threads));
        if let Some(threads) = threads {
            knob.check(&threads.to_string(), "; --threads sets it")?;
        }
        let found = if knob.moment == Moment::AnyTime {
            None
        } else {
            environment(knob.name)
        };
        let request = match (flags.get(knob.name), found) {
            (Some(value), _) if value == "default" => None,
            (Some(value), _) => {
                knob.check(value, "")?;
                Some((value.clone(), Origin::Flag))
            }
            (None, Some(value)) => {
                knob.check(&value, "; it was found in the environment")?;
                if let Some(threads) = threads
                    && value != threads.to_string()
                {
                    let reason = format!(
                        "it contradicts --threads {threads}; unset it, or give --threads {value}"
                    );
                    return Err(Error::Knob {
                        name: knob.name.into(),
                        value,
                        reason,
                    });
                }
                Some((value, Origin::Environment))
            }
            (None, _) => knob.by_table(asked).map(|value| (value, Origin::Table)),
        };
        if let Some((value, origin)) = request {
            let list = if knob.moment == Moment::AnyTime {
                &mut plan.switches
            } else {
                &mut plan.launch
            };
            list.push(Request {
                name: knob.name.into(),
                value,
                origin,
            });
        }
    }
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    fn value<'a>(requests: &'a [Request], name: &str) -> Option<&'a str> {
        requests
            .iter()
            .find(|request| request.name == name)
            .map(|request| request.value.as_str())
    }

    #[test]
    fn every_default_is_an_accepted_value() {
        for knob in KNOBS {
            for mode in [None, Some(Mode::Off), Some(Mode::Warn), Some(Mode::Strict)] {
                let asked = Asked {
                    mode,
                    threads: Some(2),
                    program: true,
                };
                if let Some(value) = knob.by_table(&asked) {
                    assert!(knob.accepts.takes(&value), "{}={value}", knob.name);
                }
            }
        }
    }

    #[test]
    fn strict_asks_for_determinism_and_off_leaves_libtorch_alone() {
        let strict = plan(Mode::Strict, 2, &flags(&[]), |_| None).unwrap();
        assert_eq!(
            value(&strict.switches, "deterministic_algorithms"),
            Some("strict")
        );
        assert_eq!(value(&strict.switches, "cudnn.deterministic"), Some("true"));
        assert_eq!(
            value(&strict.launch, "CUBLAS_WORKSPACE_CONFIG"),
            Some(":4096:8")
        );
        let off = plan(Mode::Off, 2, &flags(&[]), |_| None).unwrap();
        assert_eq!(
            value(&off.switches, "deterministic_algorithms"),
            Some("off")
        );
        assert_eq!(value(&off.switches, "cudnn.deterministic"), None);
        assert_eq!(value(&off.switches, "threads.intraop"), Some("2"));
    }

    #[test]
    fn an_accepted_value_of_the_users_environment_is_kept_and_another_refused() {
        let environment = |found: &'static str| {
            move |name: &str| (name == "CUBLAS_WORKSPACE_CONFIG").then(|| found.into())
        };
        let kept = plan(Mode::Strict, 2, &flags(&[]), environment(":16:8")).unwrap();
        assert_eq!(
            value(&kept.launch, "CUBLAS_WORKSPACE_CONFIG"),
            Some(":16:8")
        );
        for bad in ["", "4096:8", ":4096", ":a:b", "off"] {
            let error = plan(
                Mode::Strict,
                2,
                &flags(&[]),
                environment(Box::leak(bad.to_owned().into_boxed_str())),
            );
            assert!(
                matches!(error, Err(Error::Knob { .. })),
                "{bad:?} was accepted"
            );
        }
    }

    #[test]
    fn a_program_that_is_not_ours_gets_more_of_the_environment_and_keeps_its_own_switches() {
        let own = plan_program(None, None, &flags(&[]), |_| None).unwrap();
        assert_eq!(value(&own.launch, "PYTHONHASHSEED"), Some("0"));
        assert_eq!(
            value(&own.launch, "CUBLAS_WORKSPACE_CONFIG"),
            Some(":4096:8")
        );
        assert_eq!(value(&own.launch, "OMP_NUM_THREADS"), None);
        assert!(own.switches.is_empty());
        let strict = plan_program(Some(Mode::Strict), Some(2), &flags(&[]), |_| None).unwrap();
        assert_eq!(
            value(&strict.switches, "deterministic_algorithms"),
            Some("strict")
        );
        assert_eq!(value(&strict.launch, "OMP_NUM_THREADS"), Some("2"));
        assert_eq!(value(&strict.switches, "threads.interop"), None);
        let left = flags(&[("PYTHONHASHSEED", "default")]);
        let left = plan_program(None, None, &left, |_| None).unwrap();
        assert_eq!(value(&left.launch, "PYTHONHASHSEED"), None);
        let random = |name: &str| (name == "PYTHONHASHSEED").then(|| "random".into());
        assert!(plan_program(None, None, &flags(&[]), random).is_err());
        assert!(
            plan_program(None, None, &flags(&[("cudnn.benchmark", "true")]), |_| None).is_err()
        );
        assert!(
            plan(Mode::Strict, 1, &flags(&[("PYTHONHASHSEED", "0")]), |_| {
                None
            })
            .is_err()
        );
    }

    #[test]
    fn an_unknown_knob_and_a_bad_value_are_refused_and_default_leaves_alone() {
        assert!(
            plan(
                Mode::Strict,
                2,
                &flags(&[("cudnn.detreministic", "true")]),
                |_| None
            )
            .is_err()
        );
        assert!(
            plan(
                Mode::Strict,
                2,
                &flags(&[("cudnn.benchmark", "maybe")]),
                |_| None
            )
            .is_err()
        );
        let left = plan(
            Mode::Strict,
            2,
            &flags(&[("cudnn.benchmark", "default")]),
            |_| None,
        )
        .unwrap();
        assert_eq!(value(&left.switches, "cudnn.benchmark"), None);
    }
}
