//! One key type for each kind of entity.
//!
//! A key names a slot of one arena and the generation of the record in it, so a
//! key of a record that is gone finds nothing, and a `StreamKey` cannot be looked
//! up among sessions. Keys never go on a wire: see [`crate::directory`].

use slotmap::new_key_type;

new_key_type! {
    /// A connection of a producer or of a viewer.
    pub struct ConnectionKey;
    /// What one CREATE_SESSION of a producer made.
    pub struct SessionKey;
    /// The streams of one session that share a path.
    pub struct TraceKey;
    /// One ring buffer of a channel, or the metadata of a trace.
    pub struct StreamKey;
    /// A packet of which one half, its bytes or its description, has come.
    pub struct IndexKey;
    /// A time slice of a session: the directory that its files are in.
    pub struct ChunkKey;
    /// A data file of a stream together with its index file.
    pub struct TraceFileKey;
    /// An open file.
    pub struct FileKey;
    /// What one viewer connection follows.
    pub struct ViewerSessionKey;
    /// A viewer's position in one stream.
    pub struct ViewerStreamKey;
}
