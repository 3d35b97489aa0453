//! `--hook`: a command that runs for each archived chunk.

use std::process::Command;

use crate::Error;
use crate::chunk::Chunk;
use crate::mark::Mark;

/// The place that a mark has when a command was run.
pub fn place(command: &str) -> String {
    format!("hook:{command}")
}

/// Runs the command by a shell, and waits for its end.
pub fn run(command: &str, chunk: &Chunk, mark: &Mark) -> Result<(), Error> {
    let status = Command::new("sh")
        .args(["-c", command])
        .env("BATON_CHUNK", &chunk.root)
        .env("BATON_ARCHIVE", format!("{}/{}", mark.to, mark.directory))
        // It has no business with the bucket.
        .env_remove("AWS_SECRET_ACCESS_KEY")
        .env_remove("AWS_SESSION_TOKEN")
        .status()
        .map_err(|reason| Error::Other(format!("cannot run sh: {}", baton::said(&reason))))?;
    if status.success() {
        return Ok(());
    }
    Err(Error::Other(format!("the hook ended with {status}")))
}
