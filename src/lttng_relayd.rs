//! The program `lttng-relayd`, for scripts, packages and test suites of the original: the
//! same command line, messages and exit statuses.

use std::env;
use std::path::Path;
use std::process::ExitCode;

use crate::config::Config;
use crate::options::{Face, Given, HELP, LTTNG_VERSION, VERSION};
use crate::os::log_queue::{FlushAtEnd, say, say_to_starter};
use crate::os::{print, signals};
use crate::{cli, daemon, getopt, log};

pub fn main() -> ExitCode {
    let _end = FlushAtEnd;
    signals::outlive_full_files();
    let mut words = env::args_os();
    let program = words.next().unwrap_or_default();
    let given = match getopt::scan(words) {
        Ok(given) => given,
        Err(error) => {
            let program = Path::new(&program).display();
            say(format_args!("{program}: {error}"));
            return ExitCode::FAILURE;
        }
    };
    match run(&given) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say_to_starter(format_args!("Error: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run(given: &[Given]) -> Result<(), Box<dyn std::error::Error>> {
    let has = |name| given.iter().any(|it| it.name == name);
    if has(HELP) {
        return Ok(print(cli::lttng_relayd().render_long_help())?);
    }
    let mut warnings = Vec::new();
    let config = Config::resolve(given, Face::LttngRelayd, &mut warnings);
    for warning in &mut warnings {
        warning.insert_str(0, "Warning: ");
    }
    match config {
        Ok(config) if !config.options.check && !has(VERSION) => {
            Ok(daemon::run(&config, &warnings)?)
        }
        config => {
            log::say_all(&warnings);
            let config = config?;
            if has(VERSION) {
                return Ok(print(format_args!("{LTTNG_VERSION}\n"))?);
            }
            daemon::check(&config)?;
            Ok(print(config)?)
        }
    }
}
