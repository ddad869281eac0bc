//! The files in which GitHub Actions collects what a step says: its summary and its outputs.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result};
use samebits::report::{Report, github};

/// Appends to the files that the environment names; does nothing outside GitHub Actions.
pub fn append(report: &Report) -> Result<()> {
    append_to("GITHUB_STEP_SUMMARY", |written| {
        github::summary(report, github::SUMMARY_LIMIT.saturating_sub(written))
    })?;
    append_to("GITHUB_OUTPUT", |_| github::outputs(report))
}

/// Appends a text, which may depend on how many bytes are there already.
fn append_to(variable: &str, text: impl FnOnce(usize) -> String) -> Result<()> {
    let Some(path) = std::env::var_os(variable).filter(|path| !path.is_empty()) else {
        return Ok(());
    };
    let path = PathBuf::from(path);
    let write = || {
        let mut file = File::options().append(true).create(true).open(&path)?;
        let written = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
        file.write_all(text(written).as_bytes())
    };
    write().with_context(|| format!("cannot write {}, which {variable} names", path.display()))
}
