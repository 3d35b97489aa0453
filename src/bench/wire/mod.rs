//! Load over the wire: producers and viewers of our own against any relay.
//!
//! Whole programs are measured, one after another on the same machine in the same
//! run: A B A B. Machines are noisy, so what counts is the ratio of the medians.

mod compare;
mod packet;
mod producer;
mod relay;
mod viewer;
mod workload;

use std::io;
use std::path::PathBuf;

pub use compare::Report;
pub use workload::Workload;

/// What is to be measured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Programs that take a relay's options: the first is compared with each other.
    pub relays: Vec<String>,
    pub workloads: Vec<Workload>,
    /// Runs of each workload on each relay.
    pub rounds: usize,
    /// Where relays write; in memory (`/dev/shm`) disks do not matter.
    pub output: PathBuf,
    /// How much is sent, as a multiple of what is usual.
    pub scale: f64,
}

/// Runs every workload of a plan; `show` gets each report when it is there.
pub fn run(plan: &Plan, mut show: impl FnMut(&Report)) -> io::Result<()> {
    for workload in &plan.workloads {
        show(&compare::compare(plan, *workload)?);
    }
    Ok(())
}
