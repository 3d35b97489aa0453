//! A cache of descriptors of recently used directories.
//!
//! Many files are created in few directories, and resolving a path costs more than creating
//! a file.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use baton_components::path::RelativePath;

/// The cached descriptors, most recently used first.
#[derive(Debug, Default)]
pub struct Directories(Vec<(RelativePath, Arc<OwnedFd>)>);

impl Directories {
    /// The directory of that path, or the deepest known one above it, while it still has a
    /// name; and the rest of the path, which is to be resolved there.
    pub fn find_at_or_above(
        &mut self,
        path: &RelativePath,
    ) -> Option<(Arc<OwnedFd>, RelativePath)> {
        loop {
            let above = self.0.iter().enumerate();
            let above = above.filter(|(_, (known, _))| path.is_at_or_below(known));
            let (at, _) = above.max_by_key(|(_, (known, _))| known.as_bytes().len())?;
            let is_there = rustix::fs::fstat(&self.0[at].1).is_ok_and(|it| it.st_nlink > 0);
            if !is_there {
                self.0.remove(at);
                continue;
            }
            self.0[..=at].rotate_right(1);
            let (known, handle) = &self.0[0];
            return Some((Arc::clone(handle), path.below(known)?));
        }
    }

    pub fn remember(&mut self, path: &RelativePath, handle: &Arc<OwnedFd>) {
        self.0.truncate(HANDLES_MAX - 1);
        self.0.insert(0, (path.clone(), Arc::clone(handle)));
    }

    /// Drops the directories at or below a path that was removed or renamed.
    pub fn forget(&mut self, path: &RelativePath) {
        self.0.retain(|(known, _)| !known.is_at_or_below(path));
    }
}

/// Maximum number of descriptors in the cache.
pub const HANDLES_MAX: usize = 8;
