//! Daemonization: a child process that continues, and a parent that exits when the child is
//! ready, or reports its error.
//!
//! The child writes to a pipe that it is ready, or its error. If the child dies, the parent
//! sees the end of the pipe at once.

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::process;

use crate::config::Detach;

/// The two processes after the fork.
#[derive(Debug)]
pub enum Split {
    Parent(Waiting),
    Child(Readiness),
}

/// The parent, with its end of the pipe.
#[derive(Debug)]
pub struct Waiting(PipeReader);

/// The child, with its end of the pipe.
#[derive(Debug)]
pub struct Readiness {
    pipe: PipeWriter,
    /// The null device, if the console is to be closed.
    null: Option<File>,
}

/// The message of a child that is ready. Any other message is an error.
const READY: &[u8] = b"ready";

/// Forks the child, in a session of its own. One fork is enough: the relay opens no
/// terminal, so it cannot acquire a controlling terminal again.
pub fn split(detach: Detach) -> io::Result<Split> {
    let null = match detach {
        Detach::Daemon => Some(File::options().read(true).write(true).open("/dev/null")?),
        Detach::Background | Detach::Foreground => None,
    };
    let (reader, pipe) = io::pipe()?;
    // SAFETY: this process has one thread: no lock can be held by a thread that the
    // child does not have, so the child may do all that its parent may.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            drop(reader);
            rustix::process::setsid()?;
            Ok(Split::Child(Readiness { pipe, null }))
        }
        _ => Ok(Split::Parent(Waiting(reader))),
    }
}

impl Waiting {
    /// Waits for the child's message, and returns its error.
    pub fn outcome(mut self) -> Result<(), String> {
        let mut word = Vec::new();
        match self.0.read_to_end(&mut word) {
            Ok(_) if word == READY => Ok(()),
            Ok(0) => Err("the daemon ended before it was ready".to_owned()),
            Ok(_) => Err(String::from_utf8_lossy(&word).into_owned()),
            Err(error) => Err(format!("cannot read from the daemon process: {error}")),
        }
    }
}

impl Readiness {
    /// Closes the console, then releases the parent, so that readers of the console see its
    /// end.
    pub fn ready(mut self) -> io::Result<()> {
        match &self.null {
            Some(null) => {
                rustix::stdio::dup2_stdin(null)?;
                rustix::stdio::dup2_stdout(null)?;
                rustix::stdio::dup2_stderr(null)?;
            }
            None => rustix::stdio::dup2_stdin(File::open("/dev/null")?)?,
        }
        // A parent that was killed does not read the message.
        let _ = self.pipe.write_all(READY);
        Ok(())
    }

    /// Ends this process, and makes the parent print the error.
    pub fn failed(mut self, reason: &str) -> ! {
        let _ = self.pipe.write_all(reason.as_bytes());
        process::exit(1)
    }
}
