//! The operating system: sockets, files, signals and clocks, behind the ports of the
//! systems. Nothing else in the project touches them.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use baton_components::shown::Shown;

pub mod archiver;
mod buffers;
pub mod busy_poll;
pub mod chance;
pub mod clock;
mod copy;
pub mod counters;
pub mod directories;
mod files;
pub mod gate;
pub mod handshakes;
pub mod health;
pub mod inherited;
mod lanes;
pub mod listeners;
pub mod log_places;
pub mod log_queue;
mod lookout;
pub mod memory;
mod names;
pub mod network;
pub mod open_files;
pub mod own_file;
mod page_cache;
pub mod peer;
pub mod pipe;
pub mod pool;
mod probe;
pub mod range_lock;
pub mod reactor;
pub mod recent;
pub mod recording;
pub mod root;
pub mod run_directory;
pub mod signals;
pub mod sockets;
pub mod storage;
pub mod tcp_timeouts;
pub mod tls;
pub mod usage;
mod watchdog;
pub mod workers;
pub mod writers;

/// A path for messages, escaped, since a peer may have named a part of it.
pub fn shown(path: &Path) -> Shown<'_> {
    Shown(path.as_os_str().as_bytes())
}

/// The text of an error, without the error number that Rust appends.
pub fn said(reason: &io::Error) -> String {
    let text = reason.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

/// Whether standard error goes to journald, which names it by its device and inode.
pub fn standard_error_is_journal() -> bool {
    let Ok(named) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    let own = rustix::fs::fstat(rustix::stdio::stderr());
    own.is_ok_and(|own| named == format!("{}:{}", own.st_dev, own.st_ino))
}

/// Prints all of a text on standard output. A reader that has gone need not be told.
pub fn print(text: impl Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match write!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => {
            let said = said(&error);
            Err(io::Error::other(format!(
                "cannot write to standard output: {said}"
            )))
        }
        Ok(()) => Ok(()),
    }
}
