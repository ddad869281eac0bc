//! Twin of `audit.rs` for builds without the feature `torch`.

use anyhow::Result;
use samebits::error::Error;

/// Train twice and compare every tensor: not in this build, which has no libtorch
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Ignored
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub fn run(_: &Args) -> Result<u8> {
    Err(Error::Usage(
        "this build has no libtorch, so it cannot train; build it with default features".into(),
    )
    .into())
}
