//! Every limit and every timer, with its reason.
//!
//! Limits of a protocol's fields stand with the layouts in [`crate::wire`].

use std::time::Duration;

/// Bytes read from one connection at once, and so the most that wait in its input beside an
/// incomplete message. A packet of 64 KiB fits, with its header.
pub const RECEIVE_BYTES_MAX: usize = 72 * 1024;

/// Minimum of remaining payload for zero-copy from socket to file. Below this, copying
/// through a buffer is cheaper.
pub const PAYLOAD_TAKEN_BYTES_MIN: u32 = 32 * 1024;

/// Backpressure: with more unsent reply bytes than this, the peer's next command is not
/// read. A peer that does not read costs this much memory and one reply.
pub const UNSENT_BYTES_MAX: usize = 256 * 1024;

/// Packets and metadata up to this size are read and sent with their reply; larger ones are
/// sent from file to socket with zero-copy.
pub const BODY_COPIED_BYTES_MAX: u64 = 16 * 1024;

/// Bytes of a body per read where storage has no zero-copy.
pub const BODY_SLICE_BYTES: u64 = 256 * 1024;

/// Minimum of bytes that are fetched from the disk for a viewer (a cold read): the record or
/// packet that it asks for next is mostly behind the last one.
pub const FETCH_BYTES_MIN: u64 = 64 * 1024;

/// Bytes of packets moved to another chunk at once.
pub const COPY_SLICE_BYTES: u64 = 256 * 1024;

/// Connections accepted in one tick, so that a flood of them does not starve the existing
/// ones.
pub const ACCEPTS_PER_TICK: usize = 64;

/// Halves of packets that may wait for the other half in one stream. A consumer
/// has at most its ring of sub-buffers in flight; this is far above any ring.
pub const PENDING_INDEXES_PER_STREAM: usize = 1 << 16;

/// Maximum number of trace files of one stream that are finished and wait for descriptions of their packets.
/// Descriptions follow their packets at once: a few files wait where each has one packet.
pub const AWAITED_FILES_PER_STREAM: u32 = 64;

/// Maximum number of files and directories in one chunk: those of as many streams as a session may
/// have, and of many trace files.
pub const NAMES_PER_CHUNK_MAX: u64 = 1 << 20;

/// Maximum number of files and directories that are removed with one request to storage: what
/// else is asked for within the same directory waits for so many.
pub const NAMES_REMOVED_AT_ONCE: usize = 256;

/// Memory of a half that waits, about: its record, and its places in lists.
pub const HALF_BYTES: u64 = 192;

/// Memory of a viewer stream, about: its record, and its places in lists.
pub const VIEWER_STREAM_BYTES: u64 = 256;

/// Maximum delay of a group commit. A relay that is killed loses at most the index records of
/// this time; otherwise the delay cannot be observed.
pub const COMMIT_DELAY: Duration = Duration::from_millis(10);

/// The same, where the disk has refused a file repeatedly.
pub const COMMIT_RETRY: Duration = Duration::from_millis(100);

/// Number of cold reads that are done at a time: a disk that hangs leaves threads for others.
pub const READS_AT_ONCE: u64 = 8;

/// Time for which the answer to a probe of the disk is good: names are made until then without
/// another one. Within this time a disk may stop answering unnoticed. A probe of an idle disk takes
/// up to 0.3 ms, most of it for the change of threads.
pub const PROBE_AGE_MAX: Duration = Duration::from_millis(10);

/// The same for a message that has waited for the answer: its turn comes in this tick, or soon.
pub const PROBE_TURN_MAX: Duration = Duration::from_secs(1);

/// Time after which a disk that does not answer is an error in the log.
pub const PROBE_PATIENCE: Duration = Duration::from_secs(5);

/// Minimum pause after RETRY for long polling: the question that follows is kept until
/// there is a packet. A viewer that asks sooner is busy polling by itself.
pub const QUESTION_PAUSE_MIN: Duration = Duration::from_micros(500);

/// Time that a question is kept, in multiples of the viewer's pause: each saves one request.
pub const QUESTION_PAUSES: u32 = 10;

/// Maximum time that a question is kept: the pause of Babeltrace.
pub const QUESTION_PATIENCE: Duration = Duration::from_millis(100);

/// Default hold-back, the age at which packets and beacons are shown to viewers, in
/// sessions with buffers per process. The streams of an application that starts appear up
/// to 400 ms after its first event; no viewer may have seen a later time by then.
pub const LIVE_HOLD_BACK: Duration = Duration::from_millis(500);

/// Time without beacons (INACTIVE) for a viewer that got the flag NEW_STREAM and does not
/// ask for the new streams. Most viewers ask at once; Babeltrace before 2.0.6 does so only
/// with a packet.
pub const NEW_STREAMS_PATIENCE: Duration = Duration::from_secs(2);

/// Bytes of a session that trigger a commit: more of them make its writes no cheaper.
pub const COMMIT_BYTES: u64 = 256 * 1024;

/// Default size of the write buffer: bytes of all sessions that wait to be written. Beyond it
/// the connections that bring more are not read.
pub const WRITE_BUFFER_BYTES_MAX: u64 = 64 << 20;

/// One session may fill one part of so many: a slow disk leaves room to others.
pub const WRITE_BUFFER_PARTS: u64 = 8;

/// The part of the descriptors for files that one session may have open for writes that are not
/// confirmed. A file that is being written is not closed, and reopened for another, before.
pub const UNCONFIRMED_FILES_PARTS: u64 = 16;

/// So many files it may have in any case.
pub const UNCONFIRMED_FILES_MIN: u64 = 8;

/// Attempts in turn to bring a file back to what is known to be in it, without anything else
/// to write to it.
pub const RESTORES_MAX: u8 = 10;

/// Maximum bytes of metadata of one trace that wait for room on the disk, with their padding.
/// A large program has some hundred thousand.
pub const WAITING_METADATA_BYTES_MAX: u64 = 4 << 20;

/// Maximum bytes of such metadata of all traces together, in memory: without padding.
pub const WAITING_METADATA_BYTES_TOTAL_MAX: u64 = 64 << 20;

/// Period of attempts to write such metadata. Packets are lost until one succeeds.
pub const WAITING_METADATA_RETRY: Duration = Duration::from_millis(100);

/// Maximum time that viewers of an ended session wait for data that could not be written: the
/// disk may stay full, and viewers must reach the end.
pub const DISK_PATIENCE: Duration = Duration::from_secs(10);

/// Rate limit of the log: minimum time between two lines about refused commands of one
/// connection.
pub const REFUSALS_LOGGED_EVERY: Duration = Duration::from_secs(10);

/// Maximum number of sessions that are named in one line of the log, or in lines about the
/// same.
pub const LISTED_NAMES_MAX: usize = 8;

/// Time from the first packet that is announced to a warning that no data connection brings
/// any. Producers send a packet before they announce it.
pub const DATA_PATIENCE: Duration = Duration::from_secs(5);

/// Period of attempts to move or delete the files of a completed chunk, after a failure of
/// the disk.
pub const CHUNK_RETRY: Duration = Duration::from_secs(10);

/// Maximum number of these attempts: an hour. After a longer failure `baton repair`
/// restores the hidden chunks.
pub const CHUNK_RETRIES_MAX: u32 = 360;

/// Time that a session waits for announced packets after its control connection or its last
/// data connection ended, while it has no data connection. A new one may exist, with its
/// first packet unread.
pub const DRAIN_GRACE: Duration = Duration::from_secs(10);

/// Number of ended sessions that viewers can still read, with `--serve all`. Each costs two
/// descriptors per stream.
pub const KEPT_SESSIONS: usize = 32;

/// Number of closed streams of one session that viewers can still read, with `--serve all`:
/// a session may have thousands of short-lived processes.
pub const KEPT_STREAMS_PER_SESSION: usize = 256;

/// Time after a request of a light viewer in which it is taken to go on: it asks for an index, then for
/// its packet.
pub const WATCHED_FOR: Duration = Duration::from_millis(2);

/// Number of streams of sessions that end, and of viewers that leave, that are closed or let go of in
/// one tick: about a millisecond of work.
pub const STREAMS_SWEPT_PER_TICK: usize = 256;

/// Number of streams of one session in a turn of it, if several sessions of many streams end.
pub const STREAMS_SWEPT_PER_TURN: usize = 64;

/// Number of directories of ended snapshot sessions that are remembered for their session
/// daemon. A later snapshot of a forgotten one gets a new directory.
pub const SNAPSHOT_PLACES: usize = 256;

/// Maximum time from accept to the first message of a control or live connection. Producers
/// and viewers send it at once.
pub const HANDSHAKE_PATIENCE: Duration = Duration::from_mins(1);

/// Maximum time that a peer may not read its replies. A user may stop a viewer for a while;
/// after this time its connection is closed and its memory freed.
pub const REPLY_PATIENCE: Duration = Duration::from_mins(10);

/// Maximum number of sessions, with those that are over and still read.
pub const SESSIONS_MAX: u64 = 1 << 16;

/// Maximum number of streams of all sessions, with those that are closed and still read.
pub const STREAMS_MAX: u64 = 1 << 20;

/// Maximum number of open streams of one session: far above the processes and CPUs of any machine.
pub const STREAMS_PER_SESSION_MAX: u32 = 1 << 18;

/// Maximum time in which nothing more comes of a message of a control or live connection
/// that has begun. Peers send a message at once, but a user may stop them.
pub const MESSAGE_PATIENCE: Duration = REPLY_PATIENCE;

/// The same, of a packet on a data connection, of which the relay keeps nothing in memory.
/// Consumer daemons may be stopped for long, by a debugger or with their machine.
pub const PACKET_PATIENCE: Duration = Duration::from_hours(1);

/// Bytes that may wait in memory for each connection, however little memory is left for peers: any
/// command but metadata and rotations, and most replies.
pub const MEMORY_FREE_BYTES: u64 = 32 << 10;

/// Bytes that each TLS connection counts for in memory beside those that wait: its session of some
/// 10 KB, and up to three records on their way through it.
pub const TLS_CONNECTION_BYTES: u64 = 64 << 10;

/// Largest relative path of a session's directory, in bytes. A path has 4095 at most,
/// and below this one are the directories of an archive and of a trace, and a file.
pub const SESSION_PATH_BYTES_MAX: usize = 3072;

/// Most names in that path: each is looked up when the session is created.
pub const SESSION_PATH_NAMES_MAX: usize = 64;

/// Maximum time of a shutdown for data that is already in flight.
pub const SHUTDOWN_GRACE: Duration = Duration::from_millis(500);

/// Maximum time of a shutdown for requests that the disk has not answered. A service manager
/// waits longer before it kills (systemd: 90 seconds).
pub const SHUTDOWN_DISK_PATIENCE: Duration = Duration::from_secs(10);

/// Connections that ask about the relay at the same time. A monitor has one.
pub const STATUS_CONNECTIONS_MAX: u64 = 16;

/// Maximum time from the accept of such a connection to its end, or to the next slice of a list:
/// a request is short, and so is an answer.
pub const STATUS_PATIENCE: Duration = Duration::from_secs(5);

/// Maximum size of a request about the relay, in bytes. Those of browsers are below 2000.
pub const STATUS_REQUEST_BYTES_MAX: usize = 8 * 1024;

/// Default number of sessions with figures of their own in `/metrics`: a time series costs its reader memory
/// for hours after it ended.
pub const METRICS_SESSIONS: u32 = 200;

/// The most that may be asked for: they are written in one tick.
pub const METRICS_SESSIONS_MAX: u32 = 2000;

/// Channels with losses that the last line of a session names.
pub const LOSSY_CHANNELS_MAX: usize = 8;

/// Time between two surveys of the chunks on disk: users remove some, pin some, and an archive
/// marks some.
pub const SURVEY_PERIOD: Duration = Duration::from_mins(10);

/// Chunks that a survey looks at before it answers: an answer is taken in one tick.
pub const SURVEY_CHUNKS: usize = 512;

/// Entries that a list of what was made of a chunk may have before it is written anew without
/// the files that are gone.
pub const LIST_ENTRIES_MIN: u64 = 1000;

/// The same for each file that is there: a list is written anew when most of it is of others.
pub const LIST_ENTRIES_PER_FILE: u64 = 8;

/// Maximum number of chunks and files that a tick begins to remove. A file costs it two
/// renames.
pub const REMOVALS_PER_TICK: usize = 16;

/// Time after which a viewer cannot ask any more for a packet of a file that was removed. It
/// asks at once, if it is awake.
pub const REMOVED_PATIENCE: Duration = Duration::from_secs(10);

/// Time between two looks at removed files that viewers hold.
pub const HELD_PERIOD: Duration = Duration::from_secs(1);

/// Time between two looks at ages.
pub const AGE_PERIOD: Duration = Duration::from_mins(1);

/// Time for which a date that has jumped forward must hold before what is old by it is
/// removed.
pub const DATE_PATIENCE: Duration = Duration::from_hours(24);

/// Time between two looks at the free space of the disk, while packets come: what comes in
/// between is to be less than the reserve.
pub const RESERVE_PERIOD: Duration = Duration::from_millis(250);

/// The same while there is less free than is to be.
pub const RESERVE_PERIOD_LOW: Duration = Duration::from_secs(1);

/// The size of the trace files into which streams are cut, if there is a cap: the part of the
/// cap that one file may have, for each stream. More parts, and what is removed at a time is
/// less; fewer, and there are fewer files.
pub const CUT_PARTS: u64 = 32;

/// Files need not be smaller than this, as long as a stream has half as many of them.
pub const CUT_BYTES_MIN: u64 = 4 << 20;

/// Removal of a file of this size takes some 6 ms of processor time (ext4).
pub const CUT_BYTES_MAX: u64 = 64 << 20;

/// Streams that a cap is divided among at least.
pub const CUT_STREAMS_MIN: u64 = 8;
