//! The program `baton-bench`. Parse, run, exit status: nothing else is here.

use std::error::Error;
use std::process::ExitCode;

use baton_bench::cli::{self, Action};
use baton_bench::{churn, wire};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("baton bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    match cli::parse()? {
        Action::Wire(plan) => run_wire(plan),
        Action::Churn(plan) => run_churn(&plan),
    }
}

fn run_wire(mut plan: wire::Plan) -> Result<(), Box<dyn Error>> {
    if plan.relays.is_empty() {
        let relay = std::env::current_exe()?.with_file_name("baton");
        plan.relays.push(relay.display().to_string());
    }
    Ok(wire::run(&plan, |text| baton::print(text))?)
}

fn run_churn(plan: &churn::Plan) -> Result<(), Box<dyn Error>> {
    let print = |measures: &churn::Measures| baton::print(plan.format.print(measures));
    Ok(churn::run(plan, print)?)
}
