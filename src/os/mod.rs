//! The operating system: sockets, files, signals and clocks, behind the ports of the
//! systems. Nothing else in the project touches them.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use baton_components::shown::Shown;

pub mod busy_poll;
pub mod chance;
pub mod clock;
pub mod directories;
pub mod health;
pub mod inherited;
pub mod log_queue;
pub mod network;
pub mod open_files;
pub mod own_file;
pub mod pipe;
pub mod pool;
pub mod range_lock;
pub mod recording;
pub mod root;
pub mod run_directory;
pub mod signals;
pub mod storage;
pub mod watch;
pub mod writers;

/// A path, of which a part may have been named by a peer.
pub fn shown(path: &Path) -> Shown<'_> {
    Shown(path.as_os_str().as_bytes())
}

/// The reason alone, without the number that Rust adds.
pub fn said(reason: &std::io::Error) -> String {
    let text = reason.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}
