//! The program `lttng-relayd`: the relay daemon under the name of the original.

use std::process::ExitCode;

fn main() -> ExitCode {
    baton::lttng_relayd::main()
}
