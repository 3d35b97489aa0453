//! The program `baton`. Parse, run, exit status: nothing else is here.

use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use crate::bench::{churn, wire};
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
        Action::BenchWire(plan) => run_bench_wire(plan),
        Action::BenchChurn(plan) => run_bench_churn(&plan),
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
    if os::marker::is_written(directory) {
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
    os::marker::forget_crashes(directory);
    Ok(())
}

fn run_replay(plan: &replay::Plan) -> Result<(), Box<dyn std::error::Error>> {
    Ok(replay::run(plan, &mut io::stdout().lock())?)
}

fn run_bench_wire(mut plan: wire::Plan) -> Result<(), Box<dyn std::error::Error>> {
    if plan.relays.is_empty() {
        let own = std::env::current_exe()?;
        plan.relays.push(own.display().to_string());
    }
    Ok(wire::run(&plan, |text| say(text))?)
}

fn run_bench_churn(plan: &churn::Plan) -> Result<(), Box<dyn std::error::Error>> {
    let print = |measures: &churn::Measures| say(plan.format.print(measures));
    Ok(churn::run(plan, print)?)
}

/// Prints; whoever has stopped reading need not be told.
fn say(text: impl Display) {
    let _ = write!(io::stdout(), "{text}");
}
