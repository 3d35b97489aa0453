//! A daemon: a child that goes on, and a parent that ends when the child is ready or
//! tells why it is not.
//!
//! A pipe from the child carries one of two words: it listens, or what went wrong. A
//! child that dies says neither, and the end of the pipe tells that at once.

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::process;

use crate::config::Detach;

/// The two processes that go on from here.
#[derive(Debug)]
pub enum Split {
    Parent(Waiting),
    Child(Readiness),
}

/// The parent's end.
#[derive(Debug)]
pub struct Waiting(PipeReader);

/// The child's end.
#[derive(Debug)]
pub struct Readiness {
    pipe: PipeWriter,
    /// The null device, if the console is to be left.
    null: Option<File>,
}

/// The word of a child that is ready. All else is what went wrong.
const READY: &[u8] = b"ready";

/// Makes the child, in a session of its own. One fork is enough: the relay opens no
/// terminal, so it cannot get one again.
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
    /// Waits for the child's word; gives what went wrong.
    pub fn outcome(mut self) -> Result<(), String> {
        let mut word = Vec::new();
        match self.0.read_to_end(&mut word) {
            Ok(_) if word == READY => Ok(()),
            Ok(0) => Err("the daemon ended before it was ready".to_owned()),
            Ok(_) => Err(String::from_utf8_lossy(&word).into_owned()),
            Err(error) => Err(format!("no word from the daemon: {error}")),
        }
    }
}

impl Readiness {
    /// Leaves the console, then lets the parent go: what reads the console finds its end.
    pub fn ready(mut self) -> io::Result<()> {
        match &self.null {
            Some(null) => {
                rustix::stdio::dup2_stdin(null)?;
                rustix::stdio::dup2_stdout(null)?;
                rustix::stdio::dup2_stderr(null)?;
            }
            None => rustix::stdio::dup2_stdin(File::open("/dev/null")?)?,
        }
        // A parent that was killed does not need to know.
        let _ = self.pipe.write_all(READY);
        Ok(())
    }

    /// Ends this process, and has the parent say why.
    pub fn failed(mut self, reason: &str) -> ! {
        let _ = self.pipe.write_all(reason.as_bytes());
        process::exit(1)
    }
}
