//! `--hook`: a command that runs for each archived chunk.

use std::process::Command;

use crate::Error;
use crate::chunk::Chunk;
use crate::mark::Mark;

/// The place that a mark has when a command was run.
pub fn place(command: &str) -> String {
    format!("hook:{command}")
}

/// Runs the command for a chunk, which is where the mark says, if it has one.
pub fn run(command: &str, chunk: &Chunk, mark: Option<&Mark>) -> Result<(), Error> {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).env("BATON_CHUNK", &chunk.root);
    match mark {
        Some(mark) => shell.env("BATON_ARCHIVE", format!("{}/{}", mark.to, mark.directory)),
        None => shell.env_remove("BATON_ARCHIVE"),
    };
    let status = shell
        // It has no business with the bucket.
        .env_remove("AWS_SECRET_ACCESS_KEY")
        .env_remove("AWS_SESSION_TOKEN")
        .env_remove("AWS_CONTAINER_AUTHORIZATION_TOKEN")
        .status()
        .map_err(|reason| Error::Other(format!("cannot run sh: {}", baton::said(&reason))))?;
    if status.success() {
        return Ok(());
    }
    Err(Error::Other(format!("the hook ended with {status}")))
}

/// The mark of a chunk for which the command was run.
pub fn mark(command: &str, digest: &str, stored: Option<Mark>) -> Mark {
    let (id, directory) = stored.map(|it| (it.id, it.directory)).unwrap_or_default();
    Mark {
        to: place(command),
        id,
        directory,
        digest: digest.to_owned(),
        is_going: false,
    }
}
