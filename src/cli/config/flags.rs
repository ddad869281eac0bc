//! What clap's definition says about a setting: its variable, its key, its type.

use std::any::TypeId;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use clap::builder::{BoolishValueParser, Resettable};
use clap::{Arg, ArgAction, ArgMatches, Command};
use samebits::error::Error;
use serde_json::Value;

use super::{Item, Origin};

/// The commands with settings: the one that has them, and the one that shows them.
pub const COMMANDS: [&str; 2] = ["gate", "show-config"];

/// Between the values of a list in a variable. Flags are repeated instead, and the file has arrays.
const SEPARATOR: u8 = b';';

/// What a setting's value is.
pub enum Kind {
    Boolean,
    /// From 0.
    Whole,
    Number,
    /// One of these.
    Word(Vec<String>),
    Text,
    /// Of texts.
    List,
}

pub fn kind(arg: &Arg) -> Kind {
    let parser = arg.get_value_parser();
    let one_of = |types: &[TypeId]| types.iter().any(|one| parser.type_id() == *one);
    let words = parser.possible_values().into_iter().flatten();
    let words: Vec<String> = words.map(|word| word.get_name().to_owned()).collect();
    if matches!(arg.get_action(), ArgAction::Append) || arg.is_last_set() {
        Kind::List
    } else if one_of(&[TypeId::of::<bool>()]) {
        Kind::Boolean
    } else if one_of(&[
        TypeId::of::<usize>(),
        TypeId::of::<u64>(),
        TypeId::of::<u32>(),
    ]) {
        Kind::Whole
    } else if one_of(&[TypeId::of::<f64>()]) {
        Kind::Number
    } else if words.is_empty() {
        Kind::Text
    } else {
        Kind::Word(words)
    }
}

/// Whether a text may be left out, the flag alone saying enough; then `true` stands for that.
pub fn stands_alone(arg: &Arg) -> bool {
    arg.get_num_args()
        .is_some_and(|range| range.min_values() == 0)
}

/// The settings of a command: all that it takes but what is asked of `show-config` alone.
pub fn all(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|arg| is_setting(arg))
}

fn is_setting(arg: &Arg) -> bool {
    !["schema", "help", "version"].contains(&arg.get_id().as_str())
}

/// Whether it says which file to read, so that it makes no sense in the file.
pub fn chooses_the_file(arg: &Arg) -> bool {
    ["config", "no_config", "profile"].contains(&arg.get_id().as_str())
}

/// The setting as the file spells it; hyphens are accepted there too.
pub fn key(arg: &Arg) -> String {
    let name = arg.get_long().unwrap_or(arg.get_id().as_str());
    name.replace('-', "_")
}

/// The environment variable that stands for a flag.
pub fn variable(arg: &Arg) -> Option<String> {
    arg.get_long()?;
    let of = if chooses_the_file(arg) { "" } else { "GATE_" };
    Some(format!("SAMEBITS_{of}{}", key(arg).to_uppercase()))
}

/// Whether the value is a path, perhaps after `FORMAT=`.
pub fn is_path(arg: &Arg) -> bool {
    let names = arg.get_value_names().unwrap_or_default();
    names.iter().any(|name| {
        let last = name.rsplit('=').next().unwrap_or_default();
        ["PATH", "FILE", "DIR"].contains(&last)
    })
}

/// Whether the value is a word, `=` and another.
pub fn is_pair(arg: &Arg) -> bool {
    let names = arg.get_value_names().unwrap_or_default();
    names.iter().any(|name| name.contains('='))
}

/// Gives every setting its variable, and lets every switch be switched off again: `--close=false`.
pub fn define(definition: Command) -> Command {
    let settings = |command: Command| {
        command.mut_args(|arg| {
            if !is_setting(&arg) {
                return arg;
            }
            let arg = match arg.get_action() {
                ArgAction::SetTrue => arg
                    .action(ArgAction::Set)
                    .value_parser(BoolishValueParser::new())
                    .value_name("BOOL")
                    .num_args(0..=1)
                    .require_equals(true)
                    .default_missing_value("true")
                    .default_value("false")
                    .hide_default_value(true)
                    .hide_possible_values(true),
                _ => arg,
            };
            match variable(&arg) {
                Some(name) => arg.env(name),
                None => arg,
            }
        })
    };
    COMMANDS.iter().fold(definition, |definition, name| {
        definition.mut_subcommand(name, settings)
    })
}

/// The same definition, blind for the environment.
pub fn without_variables(definition: &Command) -> Command {
    COMMANDS.iter().fold(definition.clone(), |all, name| {
        all.mut_subcommand(name, |command| {
            command.mut_args(|arg| arg.env(Resettable::<clap::builder::OsStr>::Reset))
        })
    })
}

/// The settings whose variables are set and not empty.
pub fn from_environment(command: &Command) -> Result<Vec<Item>, Error> {
    let found = all(command).filter_map(|arg| {
        let name = variable(arg)?;
        let value = std::env::var_os(&name).filter(|value| !value.is_empty())?;
        Some((arg, name, value))
    });
    found
        .map(|(arg, name, value)| {
            let values = match kind(arg) {
                Kind::List => value
                    .as_bytes()
                    .split(|byte| *byte == SEPARATOR)
                    .filter(|part| !part.is_empty())
                    .map(|part| OsStr::from_bytes(part).to_owned())
                    .collect(),
                _ => vec![value],
            };
            check(arg, &values).map_err(|what| Error::Config {
                place: name.clone(),
                what,
            })?;
            Ok(Item {
                id: arg.get_id().to_string(),
                values,
                origin: Origin::Variable(name.clone()),
                place: name,
            })
        })
        .collect()
}

/// Whether two settings cannot be asked for together.
pub fn exclude(command: &Command, one: &str, other: &str) -> bool {
    let names = |from: &str, to: &str| {
        all(command)
            .filter(|arg| arg.get_id() == from)
            .flat_map(|arg| command.get_arg_conflicts_with(arg))
            .any(|arg| arg.get_id() == to)
    };
    names(one, other) || names(other, one)
}

/// Asks clap whether it would accept these values, before they become defaults, which it does not doubt.
pub fn check(arg: &Arg, values: &[OsString]) -> Result<(), String> {
    let Some(long) = arg.get_long() else {
        return Ok(());
    };
    let words = values.iter().map(|value| {
        let mut word = OsString::from(format!("--{long}="));
        word.push(value);
        word
    });
    let alone = arg
        .clone()
        .conflicts_with(Resettable::<clap::Id>::Reset)
        .env(Resettable::<clap::builder::OsStr>::Reset);
    let error = Command::new("samebits")
        .no_binary_name(true)
        .arg(alone)
        .try_get_matches_from(words)
        .err();
    error.map_or(Ok(()), |error| {
        let text = error.to_string();
        // What follows the first paragraph is about the command line.
        let said = text.split("\n\n").next().unwrap_or_default();
        let lines: Vec<&str> = said.lines().map(str::trim).collect();
        let said = lines.join(" ");
        Err(said.strip_prefix("error: ").unwrap_or(&said).to_owned())
    })
}

/// The setting that clap takes a misspelt one for.
pub fn similar(command: &Command, key: &str) -> Option<String> {
    use clap::error::{ContextKind, ContextValue};
    let word = format!("--{}", key.replace('_', "-"));
    let error = command
        .clone()
        .no_binary_name(true)
        .try_get_matches_from([word])
        .err()?;
    match error.get(ContextKind::SuggestedArg)? {
        ContextValue::String(flag) => Some(flag.trim_start_matches('-').replace('-', "_")),
        _ => None,
    }
}

/// A setting's value in force.
pub fn value(arg: &Arg, matches: &ArgMatches) -> Value {
    let id = arg.get_id().as_str();
    let texts: Vec<String> = matches
        .get_raw(id)
        .into_iter()
        .flatten()
        .map(|value| value.to_string_lossy().into_owned())
        .collect();
    match (kind(arg), texts.first()) {
        (Kind::List, _) => texts.into(),
        (_, None) => Value::Null,
        (Kind::Boolean, _) => matches.get_flag(id).into(),
        (Kind::Whole, Some(text)) => text.parse::<u64>().ok().into(),
        (Kind::Number, Some(text)) => text.parse::<f64>().ok().into(),
        (Kind::Word(_) | Kind::Text, Some(text)) => text.as_str().into(),
    }
}
