//! The only program that links libtorch. `samebits` starts it: to train one workload once, or to ask what libtorch it has.

use std::io::Write as _;
use std::process::ExitCode;

use samebits::{child, runner};
use samebits_torch::{facts, serve, workloads};

fn main() -> ExitCode {
    let word = std::env::args_os().nth(1).unwrap_or_default();
    if word == child::WORD {
        let code = serve::serve(workloads::find, std::io::stdin(), std::io::stdout());
        return ExitCode::from(code);
    }
    if word == runner::FACTS {
        let answer = serde_json::to_string(&facts::libtorch()).unwrap_or_default();
        let told = writeln!(std::io::stdout(), "{answer}");
        return ExitCode::from(u8::from(told.is_err()));
    }
    // Nobody starts it by hand twice.
    let _ = writeln!(
        std::io::stderr(),
        "{}: a part of samebits, which starts it; see `samebits audit --help`",
        runner::NAME
    );
    ExitCode::from(2)
}
