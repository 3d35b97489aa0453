//! Known weaknesses that the models allow. Each is to be removed with its reason.

/// The padding of packets that move to another chunk counts when it is looked whether
/// they fit into a file; it does not when they arrive.
pub const PADDING_COUNTS_WHEN_MOVED: bool = true;
