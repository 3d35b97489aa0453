//! The relay daemon and its tools, behind two names: `baton` and `lttng-relayd`.
//!
//! The programs themselves only call [`baton::main`] and [`lttng_relayd::main`].

pub mod baton;
pub mod cli;
pub mod lttng_relayd;
// For the benchmarks: a producer, and how the relay waits for its sockets.
#[doc(hidden)]
pub mod producer;
#[doc(hidden)]
pub use os::{busy_poll, said};
// For the fuzz targets.
#[doc(hidden)]
pub mod fuzzing;

mod config;
mod daemon;
mod detach;
mod getopt;
mod journal;
mod log;
mod options;
mod os;
mod repair;
mod replay;
mod resend;
mod trace;
