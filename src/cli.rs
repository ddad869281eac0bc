//! The command line: flags, their help, and one file a command. The only files that name clap, and the only ones that
//! print: data on standard output, everything else on standard error.

#[cfg_attr(not(feature = "torch"), path = "cli/audit_absent.rs")]
mod audit;
mod diff;
mod doctor;
mod env;
mod gate;
mod github;
mod list;
mod output;
mod report;
mod seed;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use samebits::error::{Error, Failure};
use samebits::report::{Report, json};

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
    Gate(Box<gate::Args>),
    Diff(diff::Args),
    Report(report::Args),
    Env(env::Args),
    Seed(seed::Args),
    List(list::Args),
    Doctor(doctor::Args),
}

/// Parses, runs the command, and returns its exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let (name, code) = match cli.command {
        Command::Audit(args) => ("audit", audit::run(&args)),
        Command::Gate(args) => ("gate", gate::run(&args)),
        Command::Diff(args) => ("diff", diff::run(&args)),
        Command::Report(args) => ("report", report::run(&args)),
        Command::Env(args) => ("env", env::run(&args)),
        Command::Seed(args) => ("seed", seed::run(&args)),
        Command::List(args) => ("list", list::run(&args)),
        Command::Doctor(args) => ("doctor", doctor::run(&args)),
    };
    match code {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let failure = match error.downcast_ref::<Error>() {
                Some(error) => error.to_failure(),
                None => Failure {
                    code: "io".into(),
                    message: format!("{error:#}"),
                    hint: String::new(),
                    op: None,
                },
            };
            fail(name, &failure)
        }
    }
}

/// What clap has to say: help and version are answers, everything else is wrong usage.
fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // A reader that went away early is no failure of ours.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    if wants_json() {
        let failure = Error::Usage(error.to_string().trim_end().to_owned()).to_failure();
        return fail("samebits", &failure);
    }
    let _ = error.print();
    ExitCode::from(2)
}

/// Whether standard output is to be one JSON document, asked before the command line is known to be good.
fn wants_json() -> bool {
    let words: Vec<_> = std::env::args_os().collect();
    words
        .windows(2)
        .any(|pair| pair[0] == "--format" && pair[1] == "json")
        || words.iter().any(|word| word == "--format=json")
}

fn fail(command: &str, failure: &Failure) -> ExitCode {
    if wants_json() {
        let report = Report::inconclusive(command, failure, None);
        // If standard output is gone too, the exit code has to do.
        let _ = output::print(&json::render(&report));
    } else {
        output::say(&format!("samebits: {}", failure.message));
        if !failure.hint.is_empty() {
            output::say(&format!("  try: {}", failure.hint));
        }
    }
    ExitCode::from(2)
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
