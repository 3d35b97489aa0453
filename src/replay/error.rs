//! The errors of a replay.

use std::io;
use std::path::PathBuf;

use baton_components::kinds::Id;
use baton_systems::audit::Breach;
use baton_systems::ports::StorageError;

use crate::journal::block::ReadError;
use crate::os::{said, shown};

/// The reason why a replay did not reach the end, in one line.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read the journal {}: {reason}", shown(path))]
    Journal { path: PathBuf, reason: ReadError },
    #[error("the journal {} is valid up to tick {tick}: {reason}", shown(path))]
    Ends {
        path: PathBuf,
        tick: u64,
        reason: ReadError,
    },
    #[error("cannot write to {}: {}", shown(path), said(reason))]
    Output { path: PathBuf, reason: io::Error },
    #[error("{} is not empty: choose another directory for the replay", shown(.0))]
    NotEmpty(PathBuf),
    #[error("differs in tick {tick}: recorded was `{recorded}`, now `{now}`")]
    Differs {
        tick: u64,
        recorded: String,
        now: String,
    },
    #[error("tick {tick} cannot be replayed: {reason}")]
    Content { tick: u64, reason: String },
    #[error("tick {tick} cannot be replayed: {error}")]
    Storage { tick: u64, error: StorageError },
    #[error(
        "there is no {0} in these ticks; --show prints the kinds and keys of those that are there \
         at the end, --until ends earlier"
    )]
    NeverSeen(Id),
    #[error("the relay panics in tick {tick}")]
    Panic { tick: u64 },
    #[error("audit: breach in tick {tick}: {breach}{holders}")]
    Breach {
        tick: u64,
        breach: Breach,
        /// The holders that are probably wrong.
        holders: String,
    },
    #[error("cannot write to standard output: {}", said(.0))]
    Terminal(#[from] io::Error),
}
