//! `samebits.toml`: found, read, and every key in it checked, wherever it stands. Complaints name the line.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::{Arg, Command};
use samebits::error::{Error, Result};
use samebits::rules::{Exception, Row, today};
use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::flags::{self, Kind};
use super::{Item, Origin};

pub const NAME: &str = "samebits.toml";

/// The file in the working folder, or in the nearest folder above it within the same git repository. Where there is no
/// repository, nobody has said which folders above belong to the project.
pub fn find() -> Result<Option<PathBuf>> {
    let here = Path::new(".");
    let folder = here
        .canonicalize()
        .map_err(|error| Error::io("find", here, error))?;
    let depth = folder
        .ancestors()
        .position(|folder| folder.join(".git").exists())
        .unwrap_or(0);
    // Named from the working folder, so that reports do not differ between checkouts.
    let mut name = PathBuf::from(NAME);
    for folder in folder.ancestors().take(depth + 1) {
        if folder.join(NAME).is_file() {
            return Ok(Some(name));
        }
        name = Path::new("..").join(name);
    }
    Ok(None)
}

/// What it says.
pub struct File {
    path: PathBuf,
    pub gate: Vec<Item>,
    profiles: BTreeMap<String, Vec<Item>>,
    pub exceptions: Vec<Exception>,
}

impl File {
    /// Reads the settings of a command.
    pub fn load(path: &Path, command: &Command) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(|e| Error::io("read", path, e))?;
        let reader = Reader {
            path,
            text: &text,
            command,
        };
        reader.file()
    }

    /// A profile's settings.
    pub fn take_profile(&mut self, name: &str) -> Result<Vec<Item>> {
        self.profiles.remove(name).ok_or_else(|| {
            let names: Vec<&str> = self.profiles.keys().map(String::as_str).collect();
            Error::Config {
                place: self.path.display().to_string(),
                what: match names.as_slice() {
                    [] => format!("there is no [profile.{name}], nor any other profile"),
                    names => format!(
                        "there is no [profile.{name}]; there is {}",
                        names.join(", ")
                    ),
                },
            }
        })
    }
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    command: &'a Command,
}

impl Reader<'_> {
    fn file(&self) -> Result<File> {
        let table = DeTable::parse(self.text).map_err(|error| self.toml(&error, 0..0))?;
        let mut file = File {
            path: self.path.to_owned(),
            gate: Vec::new(),
            profiles: BTreeMap::new(),
            exceptions: Vec::new(),
        };
        for (key, value) in table.get_ref() {
            match key.get_ref().as_ref() {
                "gate" => file.gate = self.section(key.get_ref(), value, &Origin::Gate)?,
                "profile" => {
                    for (name, value) in self.table("profile", value)? {
                        let origin = |place| Origin::Profile(name.get_ref().to_string(), place);
                        let section = format!("profile.{}", name.get_ref());
                        let items = self.section(&section, value, &origin)?;
                        file.profiles.insert(name.get_ref().to_string(), items);
                    }
                }
                "override" => file.exceptions = self.exceptions(value)?,
                other => {
                    let what = match self.arg(other) {
                        Some(_) => format!("{other} belongs below [gate] or [profile.NAME]"),
                        None => format!(
                            "there is no {other}; a file may hold [gate], [profile.NAME] and [[override]]"
                        ),
                    };
                    return Err(self.wrong(key.span(), what));
                }
            }
        }
        Ok(file)
    }

    fn section(
        &self,
        section: &str,
        value: &Spanned<DeValue>,
        origin: &dyn Fn(String) -> Origin,
    ) -> Result<Vec<Item>> {
        let mut items: Vec<Item> = Vec::new();
        for (key, value) in self.table(section, value)? {
            let name = key.get_ref();
            let arg = self.arg(name).ok_or_else(|| {
                let tip = flags::similar(self.command, name);
                let tip = tip.map_or_else(String::new, |tip| format!("; is it {tip}?"));
                self.wrong(
                    key.span(),
                    format!("[{section}] has no setting {name}{tip}"),
                )
            })?;
            let mut values = self.values(name, arg, value)?;
            if flags::is_path(arg) {
                values = values
                    .iter()
                    .map(|value| self.resolved(arg, value))
                    .collect();
            }
            let values: Vec<OsString> = values.into_iter().map(OsString::from).collect();
            flags::check(arg, &values)
                .map_err(|what| self.wrong(value.span(), format!("{name}: {what}")))?;
            let id = arg.get_id().to_string();
            if items.iter().any(|item| item.id == id) {
                let what = format!("[{section}] has {name} twice, once with a hyphen");
                return Err(self.wrong(key.span(), what));
            }
            let place = self.place(key.span());
            items.push(Item {
                id,
                values,
                origin: origin(place.clone()),
                place,
            });
        }
        Ok(items)
    }

    /// The setting that a key means.
    fn arg(&self, key: &str) -> Option<&Arg> {
        let key = key.replace('-', "_");
        flags::all(self.command)
            .filter(|arg| !flags::chooses_the_file(arg))
            .find(|arg| flags::key(arg) == key)
    }

    fn values(&self, name: &str, arg: &Arg, value: &Spanned<DeValue>) -> Result<Vec<String>> {
        let kind = flags::kind(arg);
        let one = |value: &Spanned<DeValue>, expected: &str| {
            let text = match (value.get_ref(), &kind) {
                (DeValue::Boolean(value), Kind::Boolean) => Some(value.to_string()),
                (DeValue::Integer(value), Kind::Whole | Kind::Number) => {
                    let other_base = i128::from_str_radix(value.as_str(), value.radix());
                    other_base.map(|value| value.to_string()).ok()
                }
                (DeValue::Float(value), Kind::Number) => Some(value.as_str().to_owned()),
                (DeValue::Boolean(true), Kind::Text) if flags::stands_alone(arg) => {
                    Some("true".to_owned())
                }
                (DeValue::String(value), Kind::Word(_) | Kind::Text | Kind::List) => {
                    Some(value.to_string())
                }
                _ => None,
            };
            let found = value.get_ref().type_str();
            text.ok_or_else(|| {
                let what = format!("{name}: expected {expected}, found the type {found}");
                self.wrong(value.span(), what)
            })
        };
        match (&kind, value.get_ref()) {
            (Kind::List, DeValue::Array(values)) => values
                .iter()
                .map(|value| one(value, "strings in the array"))
                .collect(),
            (Kind::List, _) => {
                let found = value.get_ref().type_str();
                let what = format!("{name}: expected an array of strings, found the type {found}");
                Err(self.wrong(value.span(), what))
            }
            (Kind::Boolean, _) => Ok(vec![one(value, "true or false")?]),
            (Kind::Whole, _) => Ok(vec![one(value, "a whole number")?]),
            (Kind::Number, _) => Ok(vec![one(value, "a number")?]),
            (Kind::Word(words), _) => Ok(vec![one(
                value,
                &format!("a string: {}", words.join(", ")),
            )?]),
            (Kind::Text, _) if flags::stands_alone(arg) => {
                Ok(vec![one(value, "true or a string")?])
            }
            (Kind::Text, _) => Ok(vec![one(value, "a string")?]),
        }
    }

    /// A path as it means the same from the working folder: paths in the file start at the file's folder.
    fn resolved(&self, arg: &Arg, value: &str) -> String {
        let (before, path) = match value.split_once('=') {
            Some((format, path)) if flags::is_pair(arg) => (format!("{format}="), path),
            _ => (String::new(), value),
        };
        let folder = self.path.parent().unwrap_or(Path::new(""));
        format!("{before}{}", folder.join(path).display())
    }

    fn exceptions(&self, value: &Spanned<DeValue>) -> Result<Vec<Exception>> {
        let rows = value
            .get_ref()
            .as_array()
            .ok_or_else(|| self.wrong(value.span(), "override: write [[override]]".into()))?;
        rows.iter()
            .map(|row| {
                Row::deserialize(ValueDeserializer::from(row.clone()))
                    .map_err(|error| self.toml(&error, row.span()))?
                    .exception(&today())
                    .map_err(|what| self.wrong(row.span(), what))
            })
            .collect()
    }

    fn table<'v, 'i>(
        &self,
        section: &str,
        value: &'v Spanned<DeValue<'i>>,
    ) -> Result<&'v DeTable<'i>> {
        let found = value.get_ref().type_str();
        value.get_ref().as_table().ok_or_else(|| {
            let what = format!("{section}: expected a section, found the type {found}");
            self.wrong(value.span(), what)
        })
    }

    fn toml(&self, error: &toml::de::Error, otherwise: Range<usize>) -> Error {
        let what = error.message().replace('\n', ", ");
        self.wrong(error.span().unwrap_or(otherwise), what)
    }

    fn wrong(&self, span: Range<usize>, what: String) -> Error {
        Error::Config {
            place: self.place(span),
            what,
        }
    }

    fn place(&self, span: Range<usize>) -> String {
        let before = self.text.as_bytes().iter().take(span.start);
        let line = before.filter(|byte| **byte == b'\n').count() + 1;
        format!("{}:{line}", self.path.display())
    }
}
