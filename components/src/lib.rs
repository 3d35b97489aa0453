//! The data of a relay: no behaviour.
//!
//! Records, their keys, the arenas that store them, and the byte layouts of both protocols.
//! Nothing here blocks or does I/O; the behaviour is in `baton-systems`.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

// First: its table makes the keys.
#[macro_use]
pub mod kinds;

pub mod arena;
pub mod batch;
pub mod chunk;
pub mod connection;
pub mod costs;
pub mod delayed;
pub mod directory;
pub mod few;
pub mod file;
pub mod hold;
pub mod index;
pub mod keys;
pub mod limits;
pub mod path;
pub mod places;
pub mod probes;
pub mod refusals;
pub mod rights;
pub mod session;
pub mod shares;
pub mod shown;
pub mod steps;
pub mod storage_error;
pub mod stream;
pub mod sweeps;
pub mod tally;
pub mod time;
pub mod totals;
pub mod trace;
pub mod trace_file;
pub mod viewer_session;
pub mod viewer_stream;
pub mod waits;
pub mod wire;
