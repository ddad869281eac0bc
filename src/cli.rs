//! The command line: flags, their help, and one file a command. The only files that name clap, and the only ones that
//! print: data on standard output, everything else on standard error.

mod audit;
mod config;
mod diff;
mod doctor;
mod env;
mod gate;
mod github;
mod list;
mod output;
mod report;
mod seed;
mod show_config;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use samebits::error::{Error, Failure};
use samebits::report::{Report, json};

use config::Config;

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
    ShowConfig(Box<show_config::Args>),
    Doctor(doctor::Args),
}

/// Parses, runs the command, and returns its exit code.
pub fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    let (cli, config) = match parse(&words) {
        Ok(parsed) => parsed,
        Err(error) => {
            let json = wants_json(&words);
            if let Some(error) = error.downcast_ref::<clap::Error>() {
                return usage(error, json);
            }
            let named = config::COMMANDS
                .into_iter()
                .find(|name| words.get(1).is_some_and(|word| word == name));
            return fail(named.unwrap_or("samebits"), &failure(&error), json);
        }
    };
    let (name, code) = match cli.command {
        Command::Audit(args) => ("audit", audit::run(&args)),
        Command::Gate(args) => ("gate", gate::run(&args, &config)),
        Command::Diff(args) => ("diff", diff::run(&args)),
        Command::Report(args) => ("report", report::run(&args)),
        Command::Env(args) => ("env", env::run(&args)),
        Command::Seed(args) => ("seed", seed::run(&args)),
        Command::List(args) => ("list", list::run(&args)),
        Command::ShowConfig(args) => (
            "show-config",
            show_config::run(&args, &config, &definition()),
        ),
        Command::Doctor(args) => ("doctor", doctor::run(&args)),
    };
    match code {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let json = config.wants_json().unwrap_or_else(|| wants_json(&words));
            fail(name, &failure(&error), json)
        }
    }
}

fn definition() -> clap::Command {
    config::define(Cli::command())
}

fn parse(words: &[OsString]) -> anyhow::Result<(Cli, Config)> {
    let (matches, config) = config::read(&definition(), words)?;
    Ok((Cli::from_arg_matches(&matches)?, config))
}

fn failure(error: &anyhow::Error) -> Failure {
    match error.downcast_ref::<Error>() {
        Some(error) => error.to_failure(),
        None => Failure {
            code: "io".into(),
            message: format!("{error:#}"),
            hint: String::new(),
            op: None,
        },
    }
}

/// What clap has to say: help and version are answers, everything else is wrong usage.
fn usage(error: &clap::Error, json: bool) -> ExitCode {
    if !error.use_stderr() {
        // A reader that went away early is no failure of ours.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    if json {
        let failure = Error::Usage(error.to_string().trim_end().to_owned()).to_failure();
        return fail("samebits", &failure, json);
    }
    let _ = error.print();
    ExitCode::from(2)
}

/// Whether standard output is to be one JSON document, asked before the command line is known to be good.
fn wants_json(words: &[OsString]) -> bool {
    // What follows -- is another program's.
    let own: Vec<_> = words.iter().take_while(|word| *word != "--").collect();
    let by_flag = own
        .windows(2)
        .any(|pair| pair[0] == "--format" && pair[1] == "json")
        || own.iter().any(|word| *word == "--format=json");
    let has_settings = own
        .get(1)
        .is_some_and(|word| config::COMMANDS.iter().any(|name| *word == name));
    by_flag
        || (has_settings && std::env::var_os("SAMEBITS_GATE_FORMAT").is_some_and(|v| v == "json"))
}

fn fail(command: &str, failure: &Failure, json: bool) -> ExitCode {
    if json {
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
    use super::*;

    #[test]
    fn every_flag_has_help_that_starts_upper_case_and_the_definition_holds() {
        let mut cli = definition();
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

    #[test]
    fn every_long_flag_of_gate_is_a_variable_that_its_help_shows() {
        let cli = definition();
        let mut gate = cli.find_subcommand("gate").unwrap().clone();
        let help = gate.render_long_help().to_string();
        let flags: Vec<_> = gate
            .get_arguments()
            .filter(|flag| {
                flag.get_long()
                    .is_some_and(|long| !["help", "version"].contains(&long))
            })
            .collect();
        assert!(flags.len() > 30);
        for flag in flags {
            let long = flag.get_long().unwrap();
            let name = config::flags::variable(flag).unwrap();
            let word = long.replace('-', "_").to_uppercase();
            assert!(
                name == format!("SAMEBITS_GATE_{word}") || name == format!("SAMEBITS_{word}"),
                "{name}"
            );
            assert_eq!(flag.get_env(), Some(std::ffi::OsStr::new(&name)));
            assert!(help.contains(&format!("[env: {name}=")), "{name}");
        }
    }
}
