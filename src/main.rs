//! The binary: parse, dispatch, exit code. A process that was started as a child of an audit serves its order instead.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(feature = "torch")]
    if samebits::child::asked_for().is_some()
        && std::env::args_os()
            .nth(1)
            .is_some_and(|word| word == samebits::child::WORD)
    {
        let find = |name: &str| {
            Ok(samebits::workload::find(name)?.workload as &dyn samebits::workload::Workload)
        };
        return ExitCode::from(samebits::child::serve(
            find,
            std::io::stdin(),
            std::io::stdout(),
        ));
    }
    cli::main()
}
