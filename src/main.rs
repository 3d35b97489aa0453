//! The program `baton`: the relay daemon and its tools.

use std::process::ExitCode;

fn main() -> ExitCode {
    baton::baton::main()
}
