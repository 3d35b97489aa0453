//! Reader of CTF traces on disk, as relays write them: metadata, data files, indexes, and
//! their directories.
//!
//! `baton repair` and `baton replay` use it. It never writes.

pub mod description;
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

/// An error of reading: the file and the reason, in one line.
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
