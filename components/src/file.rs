//! An open file. The descriptor is the storage's, under the same key.

use crate::hold::Holder;
use crate::kinds::Id;
use crate::path::RelativePath;

/// The record of an open file, which is closed when the last holder releases it.
#[derive(Debug)]
pub struct File {
    /// Path when it was created, below the output directory, for messages. Its directory
    /// may have been renamed since.
    pub path: RelativePath,
}

impl Holder for File {
    fn holds(&self, _: &mut dyn FnMut(Id)) {}
}
