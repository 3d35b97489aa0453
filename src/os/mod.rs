//! The operating system: sockets, files, signals and clocks, behind the ports of the
//! systems. Nothing else in the project touches them.

pub mod busy_poll;
pub mod clock;
pub mod directories;
pub mod health;
pub mod inherited;
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

/// The reason alone, without the number that Rust adds.
pub fn said(reason: &std::io::Error) -> String {
    let text = reason.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}
