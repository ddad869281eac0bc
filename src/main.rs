//! The binary: parse, dispatch, exit code. A process that was started as a child of an audit serves its order instead.

mod cli;

use std::process::ExitCode;

use samebits::process::supervise;

fn main() -> ExitCode {
    if supervise::asked_for() && first_word_is(supervise::WORD) {
        return ExitCode::from(supervise::serve(std::io::stdin(), std::io::stdout()));
    }
    #[cfg(feature = "torch")]
    if samebits::child::asked_for().is_some() && first_word_is(samebits::child::WORD) {
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

fn first_word_is(word: &str) -> bool {
    std::env::args_os()
        .nth(1)
        .is_some_and(|first| first == word)
}
