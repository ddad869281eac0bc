//! The program that links libtorch and trains: where it is, and what its libtorch says of itself. `samebits` itself never links
//! libtorch, so that it starts in milliseconds and one binary serves every build.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::child::WORD;
use crate::error::{Error, Result};
use crate::fingerprint::Libtorch;
use crate::process;

/// Its name, beside `samebits` or on `PATH`.
pub const NAME: &str = "samebits-torch";

/// The word that asks it for facts.
pub const FACTS: &str = "facts";

/// Where the program is.
///
/// # Errors
/// When it is nowhere.
pub fn find() -> Result<PathBuf> {
    let here = std::env::current_exe()
        .map_err(|e| Error::io("find", Path::new("this program"), e))?
        .with_file_name(NAME);
    if here.is_file() {
        return Ok(here);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(NAME))
        .find(|program| program.is_file())
        .ok_or_else(|| {
            Error::Usage(format!(
                "{NAME}, the program that links libtorch and trains, is neither beside this program nor on PATH: build the whole \
                 workspace (`scripts/audit` does); every command but `audit` works without it"
            ))
        })
}

/// The command line of a process that serves an [`crate::child::Order`].
///
/// # Errors
/// When the program is nowhere.
pub fn command() -> Result<Vec<OsString>> {
    Ok(vec![find()?.into_os_string(), WORD.into()])
}

/// What its libtorch says of itself.
///
/// # Errors
/// When there is none to ask, in words.
pub fn libtorch() -> std::result::Result<Libtorch, String> {
    let Ok(program) = find() else {
        return Err(format!("{NAME} is not installed"));
    };
    let program = program.to_string_lossy().into_owned();
    let answer = process::answer(&[&program, FACTS]);
    answer
        .and_then(|text| serde_json::from_str(&text).ok())
        .ok_or_else(|| format!("{NAME} does not start here: run it to see why"))
}
