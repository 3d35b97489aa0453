//! Load over the wire: producers and viewers of our own against any relay.
//!
//! Whole programs are measured, one after another on the same machine in the same
//! run: A B A B. Machines are noisy, so what counts is the ratio of the medians. Beside
//! them stands what the machine could do at best (`limits`).

mod commands;
mod compare;
mod exchange;
mod idle;
mod latency;
mod limits;
mod load;
mod measure;
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

/// What is to be measured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Programs that take a relay's options: the first is compared with each other.
    pub relays: Vec<String>,
    /// Only workloads with this in their names.
    pub only: String,
    /// Runs of each workload on each relay.
    pub rounds: usize,
    /// Where relays write; in memory (`/dev/shm`) disks do not matter.
    pub output: PathBuf,
    /// How much is sent, as a multiple of what is usual.
    pub scale: f64,
    pub format: Format,
}

/// Runs every workload of a plan; `show` gets the text of each when it is done.
pub fn run(plan: &Plan, mut show: impl FnMut(&str)) -> io::Result<()> {
    let mut workloads = Workload::all(plan.scale, raise_descriptors()?);
    workloads.retain(|workload| workload.name.contains(&plan.only));
    if workloads.is_empty() {
        let reason = format!("no workload has \"{}\" in its name", plan.only);
        return Err(io::Error::other(reason));
    }
    let stopped = stop_on_signals()?;
    let mut printer = print::Printer::new(plan.format);
    for workload in &workloads {
        show(&printer.print(&compare::compare(plan, workload, &stopped)?));
    }
    Ok(())
}

/// Becomes true when this process should end: relays and their files must not outlive
/// it. The second signal ends it at once.
fn stop_on_signals() -> io::Result<Arc<AtomicBool>> {
    let stopped = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_shutdown(signal, 1, Arc::clone(&stopped))?;
        flag::register(signal, Arc::clone(&stopped))?;
    }
    Ok(stopped)
}

/// Allows this process, and relays that it starts, as many descriptors as it may: both
/// need one or more for each connection. Gives how many.
fn raise_descriptors() -> io::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised)?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}
