//! The program `baton`. Parse, run, exit status: nothing else is here.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use crate::cli::{self, Action, Replay};
use crate::config::{Config, Face};
use crate::options::Given;
use crate::os::log_queue::{self, FlushAtEnd};
use crate::os::signals;
use crate::{daemon, os, repair, replay, resend};

pub fn main() -> ExitCode {
    let _end = FlushAtEnd;
    signals::outlive_full_files();
    let outcome = match cli::parse() {
        Action::Relay(given) => run_relay(&given),
        Action::Repair(directory) => run_repair(&directory),
        Action::Replay(Replay::Journal(plan)) => run_replay(&plan),
        Action::Replay(Replay::Trace(plan)) => resend::run(&plan).map_err(Into::into),
        Action::Bench(words) => run_bench(&words),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log_queue::say(format_args!("baton: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run_relay(given: &[Given]) -> Result<(), Box<dyn std::error::Error>> {
    let mut warnings = Vec::new();
    let config = Config::resolve(given, Face::Baton, &mut warnings);
    for warning in &mut warnings {
        warning.insert_str(0, "baton: warning: ");
    }
    match config {
        Ok(config) if !config.check => Ok(daemon::run(&config, &warnings)?),
        config => {
            daemon::say_all(&warnings);
            say(config?);
            Ok(())
        }
    }
}

fn run_repair(directory: &Path) -> Result<(), Box<dyn std::error::Error>> {
    if os::recording::is_recorded(directory) {
        let directory = directory.display();
        return Err(format!("a relay is writing to {directory}: stop it before the repair").into());
    }
    let repairs = repair::repair(directory)?;
    for repair in &repairs {
        say(format_args!("{repair}\n"));
    }
    if repairs.is_empty() {
        say(format_args!("{}: nothing to repair\n", directory.display()));
    }
    for sign in os::recording::signs_of_killed(directory)? {
        std::fs::remove_file(sign)?;
    }
    Ok(())
}

fn run_replay(plan: &replay::Plan) -> Result<(), Box<dyn std::error::Error>> {
    Ok(replay::run(plan, &mut io::stdout().lock())?)
}

/// Becomes the program that measures, which stands beside this one.
fn run_bench(words: &[OsString]) -> Result<(), Box<dyn std::error::Error>> {
    let program = std::env::current_exe()?.with_file_name("baton-bench");
    let error = Command::new(&program).args(words).exec();
    let (program, why) = (program.display(), os::said(&error));
    let advice = "build it with: cargo build --release -p baton-bench";
    Err(format!("cannot run {program}: {why}; {advice}").into())
}

/// Prints; whoever has stopped reading need not be told.
fn say(text: impl Display) {
    let _ = write!(io::stdout(), "{text}");
}
