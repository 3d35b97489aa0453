//! Paths that are synced: which comes before which.
//!
//! Data files come before the indexes that describe them, and metadata last of the files. A
//! directory comes after those in it.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;

use baton_components::chunk::FileOfStream;
use baton_components::path::RelativePath;
use baton_components::trace_file::INDEX_ENDING;

/// Paths that are to be synced.
#[derive(Debug, Default)]
pub struct SyncPaths {
    data: Vec<RelativePath>,
    indexes: Vec<RelativePath>,
    metadata: Vec<RelativePath>,
    directories: BTreeSet<RelativePath>,
}

impl SyncPaths {
    /// Adds a file.
    pub fn add(&mut self, path: RelativePath, is_metadata: bool) {
        let list = if is_metadata {
            &mut self.metadata
        } else if path.name().ends_with(INDEX_ENDING) {
            &mut self.indexes
        } else {
            &mut self.data
        };
        list.push(path);
    }

    /// Adds these directories below one, it, and those above it.
    pub fn add_directories(&mut self, directory: &RelativePath, below: &BTreeSet<RelativePath>) {
        let below = below.iter().map(|made| directory.join(made));
        self.directories.extend(below);
        let above = iter::successors(Some(directory.clone()), RelativePath::parent);
        self.directories.extend(above);
    }

    /// Adds all names of a chunk.
    pub fn add_chunk(&mut self, names: &Names) {
        for path in names.files.keys() {
            self.add(names.directory.join(path), path.name() == METADATA);
        }
        self.add_directories(&names.directory, &names.directories);
    }

    /// Files and directories, each in their order.
    pub fn in_order(self) -> (Vec<RelativePath>, Vec<RelativePath>) {
        let mut files = self.data;
        files.extend(self.indexes);
        files.extend(self.metadata);
        // A path sorts before those below it.
        (files, self.directories.into_iter().rev().collect())
    }
}

/// The names of a chunk that is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The directory of its session.
    pub session: RelativePath,
    /// Its own directory.
    pub directory: RelativePath,
    /// Files, below its directory.
    pub files: BTreeMap<RelativePath, FileOfStream>,
    /// Directories, below its directory.
    pub directories: BTreeSet<RelativePath>,
}

const METADATA: &[u8] = b"metadata";
