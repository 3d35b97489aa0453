//! `baton`: the relay daemon and its tools.
//!
//! Parse, run, exit status: nothing else is here.

mod cli;
mod config;
mod daemon;
mod os;
mod repair;

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use cli::Action;

fn main() -> ExitCode {
    let outcome = match cli::Cli::parse().action() {
        Action::Relay(options) => run_relay(options),
        Action::Repair(directory) => run_repair(&directory),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("baton: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run_relay(options: cli::RelayOptions) -> Result<(), Box<dyn std::error::Error>> {
    Ok(daemon::run(&config::Config::resolve(options)?)?)
}

fn run_repair(directory: &Path) -> Result<(), Box<dyn std::error::Error>> {
    if os::marker::is_written(directory) {
        let directory = directory.display();
        return Err(format!("a relay is writing to {directory}: stop it before the repair").into());
    }
    let repairs = repair::repair(directory)?;
    for repair in &repairs {
        println!("{repair}");
    }
    if repairs.is_empty() {
        println!("{}: nothing to repair", directory.display());
    }
    os::marker::forget_crashes(directory);
    Ok(())
}
