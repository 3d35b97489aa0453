//! What the models allow although Baton is wrong there. Each is to be removed with the
//! defect.

/// Off (`BATON_UNFILTERED` in the environment of the build), to look for all that is
/// wrong.
const ON: bool = option_env!("BATON_UNFILTERED").is_none();

/// A stream that moves to another chunk while nothing is arriving goes on to the next
/// file there if a packet that moved is larger than the limit; in a ring of one file
/// that packet is lost.
pub const NOTHING_ARRIVING_GOES_ON: bool = ON;

/// The padding of packets that move to another chunk counts when it is looked whether
/// they fit into a file; it does not when they arrive.
pub const PADDING_COUNTS_WHEN_MOVED: bool = true;
