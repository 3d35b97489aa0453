//! What scripts leave out, since Baton is known to be wrong there. Each is to be
//! removed with the defect.

/// Off, to look for all that is wrong.
const ON: bool = option_env!("BATON_UNFILTERED").is_none();

/// A file of a ring that is written over and gets no packet keeps the index of what it
/// had before. Such an index is not looked at.
pub const STALE_INDEX_STAYS: bool = ON;

/// A packet that is arriving when its stream moves to another chunk does not go on to
/// the next file there, though it makes the one larger than the limit.
pub const ARRIVING_IGNORES_LIMITS: bool = ON;

/// The padding of packets that move to another chunk counts when it is looked whether
/// they fit into a file; it does not when they arrive.
pub const PADDING_COUNTS_WHEN_MOVED: bool = true;

/// A session whose producer has gone holds its chunk as long as a viewer has it
/// attached: the other consumers' rotation never ends. They begin none.
pub const OVER_SESSIONS_HOLD_CHUNKS: bool = ON;

/// A viewer that asks for the metadata of a trace whose metadata stream has closed,
/// before it asks for streams that it was not told of, never hears of them. It asks
/// for streams first.
pub const METADATA_ENDS_TOO_EARLY: bool = ON;

/// A new index of which the header cannot be written stays open for ever if it cannot
/// be removed either. Nothing fails to be removed.
pub const HALF_AN_INDEX_LEAKS: bool = ON;
