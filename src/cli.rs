//! The command line: flags, their help, and one file a command. The only files that name clap, and the only ones that
//! print: data on standard output, everything else on standard error.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is where printing belongs"
)]

#[cfg_attr(not(feature = "torch"), path = "cli/audit_absent.rs")]
mod audit;
mod doctor;
mod env;
mod list;
mod output;
mod seed;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Same seed, same code, same machine: do you get the same bits?
///
/// Exit codes: 0 identical, or close where a tolerance was asked for; 1 diverged; 2 inconclusive or wrong usage.
#[derive(Debug, Parser)]
#[command(
    name = "samebits",
    version,
    propagate_version = true,
    max_term_width = 100
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Audit(Box<audit::Args>),
    Env(env::Args),
    Seed(seed::Args),
    List(list::Args),
    Doctor(doctor::Args),
}

/// Parses, runs the command, and returns its exit code.
pub fn main() -> ExitCode {
    let code = match Cli::parse().command {
        Command::Audit(args) => audit::run(&args),
        Command::Env(args) => env::run(&args),
        Command::Seed(args) => seed::run(&args),
        Command::List(args) => list::run(&args),
        Command::Doctor(args) => doctor::run(&args),
    };
    match code {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("samebits: {error:#}");
            if let Some(error) = error.downcast_ref::<samebits::error::Error>() {
                eprintln!("  try: {}", error.hint());
            }
            ExitCode::from(2)
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn every_flag_has_help_that_starts_upper_case_and_the_definition_holds() {
        let mut cli = Cli::command();
        cli.build();
        cli.clone().debug_assert();
        for command in cli
            .get_subcommands()
            .filter(|command| command.get_name() != "help")
        {
            assert!(
                command.get_about().is_some(),
                "{} has no help",
                command.get_name()
            );
            for flag in command
                .get_arguments()
                .filter(|flag| !["help", "version"].contains(&flag.get_id().as_str()))
            {
                let help = flag.get_help().map(ToString::to_string).unwrap_or_default();
                let first = help.chars().next().unwrap_or('a');
                assert!(
                    first.is_uppercase() || first == '`',
                    "{} {}: {help:?}",
                    command.get_name(),
                    flag.get_id()
                );
            }
        }
    }
}
