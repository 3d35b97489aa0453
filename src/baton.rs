//! The program `baton`. Parse, run, exit status: nothing else is here.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use crate::bench::{churn, wire};
use crate::cli::{self, Action, Replay};
use crate::config::{Config, Face};
use crate::options::Given;
use crate::{daemon, repair, replay, resend};

pub fn main() -> ExitCode {
    let outcome = match cli::parse() {
        Action::Relay(given) => run_relay(&given),
        Action::Repair(plan) => run_repair(&plan),
        Action::Replay(Replay::Journal(plan)) => run_replay(&plan),
        Action::Replay(Replay::Trace(plan)) => resend::run(&plan).map_err(Into::into),
        Action::BenchWire(plan) => run_bench_wire(plan),
        Action::BenchChurn(plan) => run_bench_churn(&plan),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("baton: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run_relay(given: &[Given]) -> Result<(), Box<dyn std::error::Error>> {
    let mut warnings = Vec::new();
    let config = Config::resolve(given, Face::Baton, &mut warnings);
    for warning in warnings {
        eprintln!("baton: warning: {warning}");
    }
    let config = config?;
    if config.check {
        daemon::check(&config)?;
        say(&config);
        return Ok(());
    }
    Ok(daemon::run(&config)?)
}

fn run_repair(plan: &repair::Plan) -> Result<(), Box<dyn std::error::Error>> {
    let outcome = repair::repair(plan, &mut Told);
    let directory = plan.directory.display();
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
        eprintln!("baton: {failure}");
    }
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
