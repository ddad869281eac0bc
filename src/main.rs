//! The binary: parse, dispatch, exit code. A process that was started as a supervisor serves its order instead.

mod cli;

use std::process::ExitCode;

use samebits::process::supervise;

fn main() -> ExitCode {
    if supervise::asked_for() && first_word_is(supervise::WORD) {
        return ExitCode::from(supervise::serve(std::io::stdin(), std::io::stdout()));
    }
    cli::main()
}

fn first_word_is(word: &str) -> bool {
    std::env::args_os()
        .nth(1)
        .is_some_and(|first| first == word)
}
