//! The relay daemon and its tools, behind two names: `baton` and `lttng-relayd`.
//!
//! The programs themselves only call [`baton::main`] and [`lttng_relayd::main`].

pub mod baton;
pub mod cli;
pub mod lttng_relayd;

mod bench;
mod config;
mod daemon;
mod detach;
mod getopt;
mod options;
mod os;
mod producer;
mod repair;
mod resend;
mod trace;
