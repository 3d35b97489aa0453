//! The program `baton-bench`. Parse, run, exit status: nothing else is here.

use std::error::Error;
use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use baton_bench::cli::{self, Action};
use baton_bench::{churn, wire};

fn main() -> ExitCode {
    let outcome = match cli::parse() {
        Action::Wire(plan) => run_wire(plan),
        Action::Churn(plan) => run_churn(&plan),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("baton bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run_wire(mut plan: wire::Plan) -> Result<(), Box<dyn Error>> {
    if plan.relays.is_empty() {
        let relay = std::env::current_exe()?.with_file_name("baton");
        plan.relays.push(relay.display().to_string());
    }
    Ok(wire::run(&plan, |text| say(text))?)
}

fn run_churn(plan: &churn::Plan) -> Result<(), Box<dyn Error>> {
    let print = |measures: &churn::Measures| say(plan.format.print(measures));
    Ok(churn::run(plan, print)?)
}

/// Prints; a reader that has gone needs no error.
fn say(text: impl Display) {
    let _ = write!(io::stdout(), "{text}");
}
