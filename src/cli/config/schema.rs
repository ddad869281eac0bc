//! The JSON schema of `samebits.toml`, for editors and checkers, made from clap's definition.

use clap::{Arg, Command};
use serde_json::{Map, Value, json};

use super::flags::{self, Kind};

/// The schema for the settings of a command.
pub fn schema(command: &Command) -> Value {
    let mut settings = Map::new();
    for arg in flags::all(command).filter(|arg| !flags::chooses_the_file(arg)) {
        let key = flags::key(arg);
        if key.contains('_') {
            // Both spellings are accepted.
            let same = json!({ "$ref": format!("#/$defs/settings/properties/{key}") });
            settings.insert(key.replace('_', "-"), same);
        }
        settings.insert(key, setting(arg));
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "samebits.toml",
        "description": "Settings of `samebits gate`",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "gate": { "$ref": "#/$defs/settings" },
            "profile": {
                "description": "Settings on top of [gate], chosen by --profile NAME",
                "type": "object",
                "additionalProperties": { "$ref": "#/$defs/settings" }
            },
            "override": { "type": "array", "items": { "$ref": "#/$defs/override" } }
        },
        "$defs": {
            "settings": { "type": "object", "additionalProperties": false, "properties": settings },
            "override": exception()
        }
    })
}

fn setting(arg: &Arg) -> Value {
    let mut of_type = match flags::kind(arg) {
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Whole => json!({ "type": "integer", "minimum": 0 }),
        Kind::Number => json!({ "type": "number" }),
        Kind::Word(words) => json!({ "type": "string", "enum": words }),
        Kind::Text if flags::stands_alone(arg) => {
            json!({ "anyOf": [{ "type": "string" }, { "const": true }] })
        }
        Kind::Text => json!({ "type": "string" }),
        Kind::List => json!({ "type": "array", "items": { "type": "string" } }),
    };
    if let Some(help) = arg.get_help() {
        let help = help.to_string();
        // True of flags; in the file it is an array.
        let help = help.trim_end_matches("; may be given several times");
        of_type["description"] = help.into();
    }
    of_type
}

/// One `[[override]]`, as `samebits::rules::Row` reads it.
fn exception() -> Value {
    let tolerance = json!({ "type": "number", "minimum": 0 });
    json!({
        "description": "Another tolerance for some names, or none at all",
        "type": "object",
        "additionalProperties": false,
        "required": ["name", "reason"],
        "properties": {
            "name": { "type": "string", "description": "Pattern of names, files, or FILE:NAME" },
            "reason": { "type": "string", "minLength": 1 },
            "ignore": { "type": "boolean", "description": "Compare them, but let them not decide" },
            "close": { "type": "boolean", "description": "The tolerances of torch.testing.assert_close" },
            "rtol": tolerance,
            "atol": tolerance,
            "max_ulp": { "type": "integer", "minimum": 0 },
            "equal_nan": { "type": "boolean" },
            // A TOML date; checkers that read TOML as JSON see a string.
            "expires": { "description": "A date such as 2027-01-31, after which it is an error" }
        }
    })
}
