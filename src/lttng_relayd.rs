//! The program `lttng-relayd`: what scripts, packages and test suites written for the
//! original start. Its rules, its words, its exit status; the relay behind it is Baton.

use std::env;
use std::fmt::Display;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use crate::config::{Config, Face};
use crate::options::{Given, Id};
use crate::os::log_queue::{FlushAtEnd, say};
use crate::os::signals;
use crate::{cli, daemon, getopt};

/// What `--version` says: the release of LTTng whose command line, files and log lines
/// these are. Whoever asks wants to know what they may use, not who wrote it.
pub const VERSION: &str = "2.15.0";

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
            say(format_args!("Error: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run(given: &[Given]) -> Result<(), Box<dyn std::error::Error>> {
    let has = |id| given.iter().any(|it| it.id == id);
    if has(Id::Help) {
        print(cli::lttng_relayd().render_long_help());
        return Ok(());
    }
    let mut warnings = Vec::new();
    let config = Config::resolve(given, Face::LttngRelayd, &mut warnings);
    for warning in &mut warnings {
        warning.insert_str(0, "Warning: ");
    }
    match config {
        Ok(config) if !config.check && !has(Id::Version) => Ok(daemon::run(&config, &warnings)?),
        config => {
            daemon::say_all(&warnings);
            let config = config?;
            if has(Id::Version) {
                print(format_args!("{VERSION}\n"));
            } else {
                print(config);
            }
            Ok(())
        }
    }
}

/// Prints; whoever has stopped reading need not be told.
fn print(text: impl Display) {
    let _ = write!(io::stdout(), "{text}");
}
