//! What a relay's things are.
//!
//! Records, their keys, the arenas that keep them, and the byte layouts of both
//! protocols. Data only: nothing here acts, waits, or touches a socket or a file.
//! What happens to these things is in `baton-systems`.
#![forbid(unsafe_code)]

// First: its table makes the keys.
#[macro_use]
pub mod kinds;

pub mod arena;
pub mod chunk;
pub mod connection;
pub mod delayed;
pub mod directory;
pub mod file;
pub mod hold;
pub mod index;
pub mod keys;
pub mod limits;
pub mod path;
pub mod places;
pub mod session;
pub mod shown;
pub mod stream;
pub mod time;
pub mod trace;
pub mod trace_file;
pub mod viewer_session;
pub mod viewer_stream;
pub mod wire;
