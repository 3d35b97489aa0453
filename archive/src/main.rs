//! The program `baton-archive`. Parse, run, exit status: nothing else is here.

use std::process::ExitCode;

use baton_archive::cli::{self, Action};
use baton_archive::{Error, archive, fetch, list, prune, serve};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("baton {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode, String> {
    // The keys of a bucket are in the environment.
    let hidden = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    hidden.map_err(|error| format!("archive: {error}"))?;
    let action = cli::parse().map_err(|error| format!("archive: {error}"))?;
    let named = |verb: &str| {
        let verb = verb.to_owned();
        move |error: Error| format!("{verb}: {error}")
    };
    let is_done = match &action {
        Action::Archive(plan) => archive::run(plan).map_err(named("archive"))?,
        Action::List(plan) => list::run(plan).map_err(named("ls"))?,
        Action::Fetch(plan) => fetch::run(plan).map_err(named("fetch"))?,
        Action::Prune(plan) => prune::run(plan).map_err(named("prune"))?,
        Action::Serve(plan) => serve::run(plan).map_err(named("serve"))?,
    };
    Ok(if is_done {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
