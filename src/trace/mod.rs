//! Traces on disk, as relays leave them: metadata, data files, indexes, and the
//! directories that they are in.
//!
//! `baton repair` and `baton replay` read them; nothing here writes.

pub mod index_file;
pub mod metadata;
pub mod recording;

pub mod layout;
pub mod packets;
pub mod slices;

mod json;
#[cfg(test)]
pub mod testing;
mod tsdl;

use std::io;
use std::path::{Path, PathBuf};

use crate::os::{said, shown};

/// What cannot be read, and why. One line for people.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}: {reason}", shown(path))]
pub struct TraceError {
    path: PathBuf,
    reason: String,
}

impl TraceError {
    pub fn new(path: &Path, reason: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            reason: reason.into(),
        }
    }

    fn io(path: &Path) -> impl Fn(io::Error) -> Self {
        move |reason| Self::new(path, said(&reason))
    }
}
