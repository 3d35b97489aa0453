//! The load generator: producers and viewers over the network against any relay.
//!
//! Whole programs are measured in alternating runs on the same machine: A B A B. Machines
//! are noisy, so compare the ratios of the medians. `limits` has the machine's lower
//! bounds.

mod bare;
mod commands;
mod compare;
mod exchange;
mod idle;
mod latency;
mod limits;
mod load;
mod measure;
mod neighbours;
mod packet;
mod print;
mod producer;
mod relay;
mod stored;
mod usage;
mod viewer;
mod workload;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

pub use print::Format;
use workload::Workload;

/// The options of the benchmark.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Programs that take a relay's options: the first is compared with each other.
    pub relays: Vec<String>,
    /// Only workloads with this in their names.
    pub only: String,
    /// Runs of each workload on each relay.
    pub rounds: usize,
    /// Directory that relays write to; in memory (`/dev/shm`) the disk does not matter.
    pub output: PathBuf,
    /// Factor of the amounts that are sent.
    pub scale: f64,
    pub format: Format,
}

/// Runs every workload of a plan; `show` gets the text of each when it is done.
pub fn run(plan: &Plan, mut show: impl FnMut(&str) -> io::Result<()>) -> io::Result<()> {
    let mut workloads = Workload::all(plan.scale, raise_descriptors()?);
    workloads.retain(|workload| workload.name.contains(&plan.only));
    if workloads.is_empty() {
        let reason = format!("no workload has \"{}\" in its name", plan.only);
        return Err(io::Error::other(reason));
    }
    let stopped = stop_on_signals()?;
    let mut printer = print::Printer::new(plan.format);
    for workload in &workloads {
        show(&printer.print(&compare::compare(plan, workload, &stopped)?))?;
    }
    Ok(())
}

/// Becomes true at the first signal: relays and their files must not outlive this process.
/// The second signal ends it at once.
fn stop_on_signals() -> io::Result<Arc<AtomicBool>> {
    let stopped = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_shutdown(signal, 1, Arc::clone(&stopped))?;
        flag::register(signal, Arc::clone(&stopped))?;
    }
    Ok(stopped)
}

/// Raises the limit of descriptors of this process and its relays to the hard limit, since
/// both need one or more for each connection. Returns the limit.
fn raise_descriptors() -> io::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised)?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}
