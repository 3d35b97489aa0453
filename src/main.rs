//! `baton`: the relay daemon and its tools.
//!
//! Parse, run, exit status: nothing else is here.

mod cli;
mod config;
mod daemon;
mod os;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let options = cli::Cli::parse().into_relay();
    match config::Config::resolve(options)
        .map_err(daemon::Error::from)
        .and_then(daemon::run)
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("baton: {error}");
            ExitCode::FAILURE
        }
    }
}
