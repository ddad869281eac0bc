//! Where the settings of `samebits gate` come from: its flags, environment variables, `samebits.toml`, and the defaults that
//! are built in, in this order. clap's definition is the only list of settings: variables, keys, types and the schema
//! follow from it. What variables and the file say becomes defaults of that definition, which flags then outrank.

mod file;
pub mod flags;
mod schema;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Result;
use clap::{ArgMatches, Command, FromArgMatches, parser::ValueSource};
use samebits::error::Error;
use samebits::rules::Exception;
use serde_json::Value;

use file::File;
pub use flags::{COMMANDS, define};
pub use schema::schema;

/// Which file the settings come from. These have flags and variables, but cannot stand in the file.
#[derive(Debug, clap::Args)]
pub struct Choice {
    /// Read settings from this file instead of the `samebits.toml` in the working folder, or above it in its git repository
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Read no file of settings
    #[arg(long, conflicts_with_all = ["config", "profile"])]
    no_config: bool,
    /// Put the file's section `[profile.NAME]` on top of `[gate]`
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
}

/// Who decided a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Flag,
    /// A variable by its name.
    Variable(String),
    /// A section of the file, and the line as `FILE:LINE`.
    Profile(String, String),
    /// Likewise.
    Gate(String),
    Default,
}

impl Origin {
    /// A stable word for scripts.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Flag => "flag",
            Self::Variable(_) => "environment",
            Self::Profile(..) => "profile",
            Self::Gate(_) => "gate",
            Self::Default => "default",
        }
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag | Self::Default => f.write_str(self.word()),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Profile(name, place) => write!(f, "{place} [profile.{name}]"),
            Self::Gate(place) => write!(f, "{place} [gate]"),
        }
    }
}

/// One setting as a variable or a section of the file has it.
pub struct Item {
    /// clap's name of it.
    id: String,
    values: Vec<OsString>,
    origin: Origin,
    /// Whom a complaint about it names.
    place: String,
}

/// A setting as it is in force.
pub struct Setting {
    /// As the file spells it.
    pub key: String,
    pub value: Value,
    pub origin: Origin,
}

/// All settings in force, and what else the file says. Empty for commands that have none.
#[derive(Default)]
pub struct Config {
    pub file: Option<PathBuf>,
    pub profile: Option<String>,
    pub settings: Vec<Setting>,
    /// The file's `[[override]]`.
    pub exceptions: Vec<Exception>,
}

impl Config {
    /// What a report says about settings that nobody typed.
    pub fn note(&self) -> Option<String> {
        let file = self.file.as_ref()?;
        let mut from_file: Vec<String> = self
            .settings
            .iter()
            .filter_map(|setting| match &setting.origin {
                Origin::Profile(profile, _) => Some(format!("{} (profile {profile})", setting.key)),
                Origin::Gate(_) => Some(setting.key.clone()),
                _ => None,
            })
            .collect();
        if !self.exceptions.is_empty() {
            from_file.push(format!("{} exceptions", self.exceptions.len()));
        }
        let list = if from_file.is_empty() {
            "none".into()
        } else {
            from_file.join(", ")
        };
        Some(format!("settings from {}: {list}", file.display()))
    }

    /// Whether standard output is to be one JSON document; unknown for commands without settings.
    pub fn wants_json(&self) -> Option<bool> {
        let format = self.settings.iter().find(|one| one.key == "format")?;
        Some(format.value == "json")
    }
}

/// Who decided what so far; each layer added is weaker than those before.
struct Settled<'a> {
    command: &'a Command,
    chosen: BTreeMap<String, (Origin, Vec<OsString>)>,
}

impl<'a> Settled<'a> {
    fn of_flags(command: &'a Command, matches: &ArgMatches) -> Self {
        let flags = flags::all(command)
            .map(|arg| arg.get_id().as_str())
            .filter(|id| matches.value_source(id) == Some(ValueSource::CommandLine))
            // clap knows their values.
            .map(|id| (id.to_owned(), (Origin::Flag, Vec::new())));
        Self {
            command,
            chosen: flags.collect(),
        }
    }

    /// A layer's setting counts unless a stronger layer has it, or one that excludes it.
    fn add(&mut self, layer: Vec<Item>) -> Result<(), Error> {
        let stronger: Vec<String> = self.chosen.keys().cloned().collect();
        for item in &layer {
            if let Some(other) = layer
                .iter()
                .find(|other| flags::exclude(self.command, &item.id, &other.id))
            {
                return Err(Error::Config {
                    place: item.place.clone(),
                    what: format!("{} and {} exclude each other", item.id, other.id),
                });
            }
        }
        for item in layer {
            let outranked = stronger
                .iter()
                .any(|id| *id == item.id || flags::exclude(self.command, id, &item.id));
            if !outranked {
                self.chosen.insert(item.id, (item.origin, item.values));
            }
        }
        Ok(())
    }

    /// The definition with everything settled so far as its defaults.
    fn as_defaults(&self, definition: &Command) -> Command {
        let name = self.command.get_name();
        definition.clone().mut_subcommand(name, |command| {
            command.mut_args(|arg| match self.chosen.get(arg.get_id().as_str()) {
                Some((origin, values)) if *origin != Origin::Flag => {
                    arg.default_values(values.clone())
                }
                _ => arg,
            })
        })
    }

    fn in_force(&self, matches: &ArgMatches) -> Vec<Setting> {
        flags::all(self.command)
            .filter(|arg| !flags::chooses_the_file(arg))
            .map(|arg| Setting {
                key: flags::key(arg),
                value: flags::value(arg, matches),
                origin: self
                    .chosen
                    .get(arg.get_id().as_str())
                    .map_or(Origin::Default, |(origin, _)| origin.clone()),
            })
            .collect()
    }
}

/// Reads a command line by a definition that [`define`] has prepared, with the settings from elsewhere.
///
/// # Errors
/// clap's, for the command line; [`Error`]s for variables and the file.
pub fn read(definition: &Command, words: &[OsString]) -> Result<(ArgMatches, Config)> {
    // Variables are read here, not by clap: so that empty ones do not count, and complaints name them.
    let silent = flags::without_variables(definition);
    let given = silent
        .clone()
        .try_get_matches_from(words)
        .map_err(|error| {
            // But the help shows them.
            let shows = definition.clone().try_get_matches_from(words).err();
            shows.filter(|_| !error.use_stderr()).unwrap_or(error)
        })?;
    let Some((name, flags)) = given.subcommand().filter(|(name, flags)| {
        // Who asks for the schema may be about to mend the file.
        let schema = flags.try_get_one("schema").ok().flatten() == Some(&true);
        COMMANDS.contains(name) && !schema
    }) else {
        return Ok((given, Config::default()));
    };
    let command = definition
        .find_subcommand(name)
        .expect("clap matched this command");
    let mut settled = Settled::of_flags(command, flags);
    settled.add(flags::from_environment(command)?)?;
    let matches = settled.as_defaults(&silent).try_get_matches_from(words)?;
    let (_, chosen) = matches.subcommand().expect("as above");
    let choice = Choice::from_arg_matches(chosen)?;
    let mut config = Config::default();
    if let Some(path) = choice.path()? {
        let mut file = File::load(&path, command)?;
        if let Some(name) = &choice.profile {
            settled.add(file.take_profile(name)?)?;
        }
        settled.add(file.gate)?;
        config.exceptions = file.exceptions;
        config.file = Some(path);
    } else if let Some(name) = &choice.profile {
        return Err(Error::Config {
            place: file::NAME.into(),
            what: format!(
                "there is none, neither here nor above in the git repository, so no profile {name}"
            ),
        }
        .into());
    }
    config.profile = choice.profile;
    let matches = settled.as_defaults(&silent).try_get_matches_from(words)?;
    let (_, all) = matches.subcommand().expect("as above");
    config.settings = settled.in_force(all);
    Ok((matches, config))
}

impl Choice {
    fn path(&self) -> Result<Option<PathBuf>, Error> {
        match (&self.config, self.no_config) {
            (_, true) => Ok(None),
            (Some(path), _) => Ok(Some(path.clone())),
            (None, false) => file::find(),
        }
    }
}
