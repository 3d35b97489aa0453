//! The relay daemon and its tools, behind two names: `baton` and `lttng-relayd`.
//!
//! The programs themselves only call [`baton::main`] and [`lttng_relayd::main`].

pub mod baton;
// For benches/churn.rs.
#[doc(hidden)]
pub mod bench;
pub mod cli;
pub mod lttng_relayd;

mod config;
mod daemon;
mod detach;
mod getopt;
mod journal;
mod log;
mod options;
mod os;
mod producer;
mod repair;
mod replay;
mod resend;
mod trace;
