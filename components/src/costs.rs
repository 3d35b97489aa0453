//! Costs of work, and the budgets of a connection and of a tick.
//!
//! Work is counted and not timed, so that the order of service follows from the input alone.
//! The unit is a byte that is moved once: some half a nanosecond.

/// A message is found in the input, decoded and executed, or a packet begins and ends; its
/// bytes and those of its reply are counted beside it.
pub const MESSAGE: u64 = 1024;

/// A call to storage, whatever it does: a name that is looked up, made, moved or removed, a
/// write. Bytes that it moves are counted beside it, and a call that makes the directories of
/// a deep path counts once for each.
pub const STORAGE_CALL: u64 = 8 * 1024;

/// A request of a viewer makes a record, or drops one: there is one for each stream of a
/// session that it attaches. (A producer's command makes a few at most, which are in
/// [`MESSAGE`].)
pub const RECORD: u64 = 2 * 1024;

/// A session or stream is written in a list for a monitor; its bytes are counted beside it.
pub const LISTED: u64 = 6 * 1024;

/// Streams that a command rotates at once: each makes a file or two.
pub const ROTATED_AT_ONCE: usize = 16;

/// Directories of a deep path that are made at once.
pub const LEVELS_MADE_AT_ONCE: usize = 16;

/// Sessions of which a viewer's list has entries that are written at once: of some 350 bytes each,
/// so many fit into a light turn.
pub const LIST_SLICE_SESSIONS: usize = 192;

/// Work of a connection in one tick before it has to take turns with others. Enough for a
/// packet of 64 KiB, and small enough that a crowd delays nobody for long.
pub const LIGHT_TURN: u64 = 96 * 1024;

/// Bytes of a file that are looked for, and fetched, before they are sent: the work of the longest
/// turn.
pub const HEAVY_TURN: u64 = TICK;

/// Work of one tick on light connections of one kind, and as much on those that take turns, of which
/// each has one turn of that length at most. The last of them may exceed it.
pub const TICK: u64 = 256 * 1024;

/// Work of one tick on those that take turns, where others wait for it: all commands and requests, and
/// packets while a light viewer asks, which waits for one tick with each of its requests. Packets
/// that nobody watches go in fewer, larger pieces.
pub const SHORT_TICK: u64 = 128 * 1024;
