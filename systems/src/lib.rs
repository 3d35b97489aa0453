//! The behaviour of a relay: systems over the data of `baton-components`.
//!
//! Each system is a plain function over the world; [`tick`] has their order. Sockets,
//! files and clocks are behind the traits of [`ports`].
#![forbid(unsafe_code)]
// The parameters of a system come by value.
#![allow(clippy::needless_pass_by_value)]

pub mod agenda;
pub mod audit;
pub mod census;
mod chance;
pub mod client;
mod cold_reads;
pub mod count;
pub mod deadlines;
mod described;
pub mod durability;
pub mod entities;
mod facts;
mod gathering;
mod ingest;
pub mod lists;
pub mod memory;
mod named;
mod peers;
mod poll;
pub mod ports;
mod probe;
mod reclaim;
mod record;
pub mod requests;
pub mod retain;
mod serve;
pub mod settings;
pub mod status;
pub mod sync_paths;
pub mod tick;
mod turns;
pub mod usage;

/// The end of a log line about refusals, for those below the ports too.
pub use peers::refusals::more;
