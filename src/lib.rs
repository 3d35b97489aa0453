//! The relay daemon and its tools, behind two names: `baton` and `lttng-relayd`.
//!
//! The programs themselves only call [`baton::main`] and [`lttng_relayd::main`].

pub mod baton;
pub mod cli;
pub mod lttng_relayd;
// For the benchmarks: a producer, how the relay waits for its sockets, and words for people.
#[doc(hidden)]
pub mod producer;
#[doc(hidden)]
pub use os::{busy_poll, print, said};
// For the archive: what traces tell, whether a relay records, files beneath a directory.
#[doc(hidden)]
pub mod trace;
#[doc(hidden)]
pub use baton_systems::usage::Archive;
#[doc(hidden)]
pub use os::archiver::note;
#[doc(hidden)]
pub use os::recording::{is_recorded, relays};
#[doc(hidden)]
pub use os::root::Root;
#[doc(hidden)]
pub use os::shown;
#[doc(hidden)]
pub use os::writers::Writers;
#[doc(hidden)]
pub mod url;
// For the fuzz targets.
#[doc(hidden)]
pub mod fuzzing;

mod addresses;
mod certificates;
mod config;
mod daemon;
mod detach;
mod getopt;
mod journal;
mod log;
mod monitor;
mod options;
mod os;
mod pins;
mod progress;
mod repair;
mod replay;
mod resend;
mod rules;
mod tunnel;
