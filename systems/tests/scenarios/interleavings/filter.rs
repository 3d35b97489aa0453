//! What scripts leave out, since Baton is known to be wrong there. Each is to be
//! removed with the defect.

/// Off, to look for all that is wrong.
const ON: bool = option_env!("BATON_UNFILTERED").is_none();

/// A file of a ring that is written over and gets no packet keeps the index of what it
/// had before. Such an index is not looked at.
pub const STALE_INDEX_STAYS: bool = ON;

/// Packets that move to another chunk are lost or stay where they were, if the
/// stream's files are limited. Such streams make none between a sample and the
/// end of the rotation.
pub const LIMITED_EXCESS_IS_LOST: bool = ON;

/// A session whose producer has gone holds its chunk as long as a viewer has it
/// attached: the other consumers' rotation never ends. They begin none.
pub const OVER_SESSIONS_HOLD_CHUNKS: bool = ON;

/// A viewer that asks for the metadata of a trace whose metadata stream has closed,
/// before it asks for streams that it was not told of, never hears of them. It asks
/// for streams first.
pub const METADATA_ENDS_TOO_EARLY: bool = ON;
