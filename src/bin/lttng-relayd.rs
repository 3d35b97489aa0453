//! `lttng-relayd`: the relay daemon, for those who know it by the name of the original.

use std::process::ExitCode;

fn main() -> ExitCode {
    baton::lttng_relayd::main()
}
