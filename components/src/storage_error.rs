//! Failures of storage, with what code and people need to know of them.

use std::borrow::Cow;

/// A failure of storage: operation, path and reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot {action} {path}: {reason}")]
pub struct StorageError {
    /// The kind of failure, for code that handles kinds differently.
    pub kind: StorageErrorKind,
    /// The operation that failed, as a verb for messages: "write to", "rename".
    pub action: Cow<'static, str>,
    /// The path, for messages only: it may have been shortened or escaped.
    pub path: String,
    /// The operating system's reason, for messages.
    pub reason: String,
}

/// The kinds of storage failures that are handled differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorageErrorKind {
    /// Disk full, quota exceeded, or maximum file size reached.
    Full,
    /// Permission denied, or the path leads out of the output directory.
    Denied,
    /// The file or directory, or its parent, does not exist (any more).
    Gone,
    /// The name exists already, or a parent is not a directory.
    InTheWay,
    /// Any other failure: an I/O error, a file that is shorter than expected.
    Broken,
    /// A bound of the relay's own: storage was not asked.
    Bound,
    /// A user wants it to be kept.
    Pinned,
}
