//! Finished chunks of traces in object storage, and back: `baton archive`, `ls`, `fetch`,
//! `prune`, `serve`.
//!
//! A program of its own beside the relay: what faces producers and viewers never has the keys
//! of the bucket, and uploads never touch its thread. It needs nothing but the files on disk, so
//! it works beside an `lttng-relayd` too.

pub mod archive;
pub mod cli;
pub mod fetch;
pub mod list;
pub mod prune;
pub mod serve;

mod attempt;
mod checksum;
mod chunk;
mod delete;
mod facts;
mod find;
mod frames;
mod hook;
mod keys;
mod manifest;
mod mark;
mod metrics;
mod plan;
mod progress;
mod queue;
mod read;
mod store;
mod upload;
mod verify;
mod work;

use std::io;
use std::path::{Path, PathBuf};

use baton::{said, shown};

pub use store::StoreError;

/// Why something could not be done, in one line for people.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{what} {}: {}", shown(path), said(reason))]
    File {
        what: &'static str,
        path: PathBuf,
        reason: io::Error,
    },
    #[error("{0}")]
    Printed(#[from] io::Error),
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    #[error("the manifest {key} is not to be trusted, and nothing of it is used: {reason}")]
    Manifest { key: String, reason: String },
    /// The chunk was taken for finished, and was not.
    #[error("it changed while it was read; the next run takes it again")]
    Changed,
    #[error("{0}")]
    Other(String),
}

impl Error {
    fn file(what: &'static str, path: &Path) -> impl Fn(io::Error) -> Self {
        move |reason| Self::File {
            what,
            path: path.to_owned(),
            reason,
        }
    }
}

/// A line on standard error: progress, and what went wrong while the work goes on.
fn say(text: std::fmt::Arguments<'_>) {
    progress::aside(|| eprintln!("{text}"));
}
