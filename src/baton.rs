//! The program `baton`. Parse, run, exit status: nothing else is here.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
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
        Action::Repair(plan) => run_repair(&plan),
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
            let config = config?;
            daemon::check(&config)?;
            say(config);
            Ok(())
        }
    }
}

fn run_repair(plan: &repair::Plan) -> Result<(), Box<dyn std::error::Error>> {
    let outcome = repair::repair(plan, &mut Told);
    let directory = os::shown(&plan.directory);
    match outcome.failures {
        0 if outcome.traces == 0 => Err(format!("there is no trace in {directory}").into()),
        0 => {
            if outcome.repairs == 0 {
                say(format_args!("{directory}: nothing to repair\n"));
            }
            Ok(())
        }
        1 => Err(format!("one thing in {directory} is not repaired").into()),
        more => Err(format!("{more} things in {directory} are not repaired").into()),
    }
}

/// Repairs are told as they are done.
struct Told;

impl repair::Listener for Told {
    fn done(&mut self, repair: &repair::Repair) {
        say(format_args!("{repair}\n"));
    }

    fn failed(&mut self, failure: &repair::Failure) {
        log_queue::say(format_args!("baton: {failure}"));
    }
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
