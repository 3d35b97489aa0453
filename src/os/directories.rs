//! Handles of directories that were used lately.
//!
//! Files are made in few directories, many at a time: to resolve a path anew for each
//! costs more than to make the file.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use baton_components::path::RelativePath;

/// Some handles, the last used one first.
#[derive(Debug, Default)]
pub struct Directories(Vec<(RelativePath, Arc<OwnedFd>)>);

impl Directories {
    /// The directory of that path, while it still has a name.
    pub fn find(&mut self, path: &RelativePath) -> Option<Arc<OwnedFd>> {
        let at = self.0.iter().position(|(known, _)| known == path)?;
        let is_there = rustix::fs::fstat(&self.0[at].1).is_ok_and(|it| it.st_nlink > 0);
        if !is_there {
            self.0.remove(at);
            return None;
        }
        self.0[..=at].rotate_right(1);
        Some(Arc::clone(&self.0[0].1))
    }

    pub fn remember(&mut self, path: &RelativePath, handle: &Arc<OwnedFd>) {
        self.0.truncate(HANDLES_MAX - 1);
        self.0.insert(0, (path.clone(), Arc::clone(handle)));
    }

    /// What is at that path, or below, is not there any more.
    pub fn forget(&mut self, path: &RelativePath) {
        self.0.retain(|(known, _)| !known.is_at_or_below(path));
    }
}

/// Descriptors that this costs.
pub const HANDLES_MAX: usize = 8;
