//! Every limit and every timer, with its reason.
//!
//! Limits of a protocol's fields stand with the layouts in [`crate::wire`].

use std::time::Duration;

/// Bytes read from one connection in one tick. Enough for many small messages at
/// once and for a large packet in a few reads; small enough that a busy connection
/// does not keep the others waiting.
pub const RECEIVE_BYTES_PER_TICK: usize = 256 * 1024;

/// What is left of a packet's payload goes from the network to its file by itself, if it
/// is at least this much. Less is copied at less cost.
pub const PAYLOAD_TAKEN_BYTES_MIN: u32 = 128 * 1024;

/// Bytes of large packets that one connection brings in one tick.
pub const PAYLOAD_BYTES_PER_TICK: u64 = 1024 * 1024;

/// Replies waiting for a peer beyond which its next command is left unread. A
/// peer that does not read costs this much memory and one reply.
pub const UNSENT_BYTES_MAX: usize = 256 * 1024;

/// A packet or metadata up to this size is read and sent with its reply; a larger one
/// goes from the file to the peer by itself.
pub const BODY_COPIED_BYTES_MAX: u64 = 16 * 1024;

/// Bytes of a large body that one viewer gets in one tick, so that the others are not
/// kept waiting.
pub const BODY_BYTES_PER_TICK: u64 = 1024 * 1024;

/// Bytes of a body read at once where a network has no descriptor.
pub const BODY_SLICE_BYTES: u64 = 256 * 1024;

/// Bytes of packets moved to another chunk at once.
pub const COPY_SLICE_BYTES: u64 = 256 * 1024;

/// Connections accepted in one tick, so that a flood of them does not stop those
/// already there.
pub const ACCEPTS_PER_TICK: usize = 64;

/// Halves of packets that may wait for the other half in one stream. A consumer
/// has at most its ring of sub-buffers in flight; this is far above any ring.
pub const PENDING_INDEXES_PER_STREAM: usize = 1 << 16;

/// How long index records may wait to be written together. What a relay that is killed
/// loses of them is no more than that; nobody else sees that they wait.
pub const COMMIT_DELAY: Duration = Duration::from_millis(10);

/// A viewer that was told that there is no packet and asks again after such a pause has
/// its question kept until there is one. Who asks sooner waits by asking.
pub const QUESTION_PAUSE_MIN: Duration = Duration::from_micros(500);

/// How many times its pause a question is kept: so many of its questions are spared.
pub const QUESTION_PAUSES: u32 = 10;

/// How long a question is kept at most: the pause that Babeltrace makes.
pub const QUESTION_PATIENCE: Duration = Duration::from_millis(100);

/// How old packets and beacons are when viewers are told of them, in sessions with buffers
/// per process, if nothing else was chosen. The streams of an application that starts
/// appear up to 400 ms after its first event; by then nobody may have been told of a
/// later time.
pub const LIVE_HOLD_BACK: Duration = Duration::from_millis(500);

/// How long a viewer that does not ask for the new streams that it was told of is told of
/// no time. Whoever heeds them asks at once; Babeltrace before 2.0.6 does so only with a
/// packet.
pub const NEW_STREAMS_PATIENCE: Duration = Duration::from_secs(2);

/// Index records of one file that are written without waiting for more: some two
/// hundred.
pub const COMMIT_BYTES: usize = 16 * 1024;

/// Index records of one file that wait for room on the disk: some ten thousand.
pub const UNWRITTEN_RECORDS_BYTES_MAX: usize = 1 << 20;

/// Metadata of one trace that waits for room on the disk. That of a large program is
/// some hundred thousand bytes.
pub const WAITING_METADATA_BYTES_MAX: u64 = 4 << 20;

/// How often it is tried to write such metadata, if nothing else makes a tick.
pub const WAITING_METADATA_RETRY: Duration = Duration::from_secs(1);

/// How often a line of the log is written for the commands of one connection that are
/// refused, however many they are.
pub const REFUSALS_LOGGED_EVERY: Duration = Duration::from_secs(10);

/// How often it is tried to move or delete the files of a chunk that is over, where the
/// disk did not do it at once.
pub const CHUNK_RETRY: Duration = Duration::from_secs(10);

/// How many times that is tried: an hour. A disk that fails for longer needs people, and
/// `baton repair` finds what is hidden.
pub const CHUNK_RETRIES_MAX: u32 = 360;

/// How long a session waits for packets that were announced, after its control connection
/// or its last data connection ended and while no data connection of it is known. One may
/// be there, with its first packet unread.
pub const DRAIN_GRACE: Duration = Duration::from_secs(10);

/// Sessions that are over and can still be read, where viewers may read all. Each
/// costs two descriptors a stream.
pub const KEPT_SESSIONS: usize = 32;

/// Closed streams of one session that can still be read, where viewers may read all:
/// a session may see thousands of short-lived processes.
pub const KEPT_STREAMS_PER_SESSION: usize = 256;

/// Directories of snapshots whose sessions are over that are still known as those of
/// their session daemon. A snapshot of one that was forgotten gets a new directory.
pub const SNAPSHOT_PLACES: usize = 256;

/// How long a control or live connection may be there without a word. Producers and
/// viewers begin at once.
pub const HANDSHAKE_PATIENCE: Duration = Duration::from_mins(1);

/// How long a peer may leave its replies untaken. A viewer may be stopped for a while
/// by whoever looks at it; the little that it holds is given back in the end.
pub const REPLY_PATIENCE: Duration = Duration::from_mins(10);

/// Largest relative path of a session's directory, in bytes. A path has 4095 at most,
/// and below this one are the directories of an archive and of a trace, and a file.
pub const SESSION_PATH_BYTES_MAX: usize = 3072;

/// How long a stop may go on finishing what peers had already sent.
pub const SHUTDOWN_GRACE: Duration = Duration::from_millis(500);
