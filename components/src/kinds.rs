//! The kinds of entity: one table, from which key types, names and arenas are made.
//!
//! A new kind is a record with its holds, a row here, and its last rites in the
//! reclamation pass.

use std::fmt;
use std::str::FromStr;

use slotmap::{Key, KeyData};

/// Hands the table to the macro `$apply`: for each kind, in the order of reclamation
/// (whatever a kind holds comes after it), its arena, the module and type of its record,
/// its key, its name and the word for several of them.
#[macro_export]
macro_rules! for_each_kind {
    ($apply:ident) => {
        $apply! {
            /// A connection of a producer or of a viewer.
            connections: connection::Connection, ConnectionKey, "connection", "connections";
            /// The sessions that one viewer connection follows.
            viewer_sessions: viewer_session::ViewerSession, ViewerSessionKey, "viewer session", "viewer sessions";
            /// A viewer's position in one stream.
            viewer_streams: viewer_stream::ViewerStream, ViewerStreamKey, "viewer stream", "viewer streams";
            /// A packet of which one half, its bytes or its description, has come.
            indexes: index::Index, IndexKey, "index", "indexes";
            /// Writes of a session that one commit confirms.
            batches: batch::Batch, BatchKey, "batch", "batches";
            /// One ring buffer of a channel, or the metadata of a trace.
            streams: stream::Stream, StreamKey, "stream", "streams";
            /// The streams of one session that share a path.
            traces: trace::Trace, TraceKey, "trace", "traces";
            /// The session that one CREATE_SESSION of a producer made.
            sessions: session::Session, SessionKey, "session", "sessions";
            /// A time slice of a session: the directory that its files are in.
            chunks: chunk::Chunk, ChunkKey, "chunk", "chunks";
            /// A data file of a stream together with its index file.
            trace_files: trace_file::TraceFile, TraceFileKey, "trace file", "trace files";
            /// An open file.
            files: file::File, FileKey, "file", "files";
        }
    };
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $arena:ident: $module:ident::$record:ident, $key:ident, $name:literal, $plural:literal;)*) => {
        /// A kind of record, in the order of reclamation.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $($(#[$doc])* $record,)*
        }

        impl Kind {
            /// All kinds, in the order of reclamation.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$record,)*];

            /// The name of one record of the kind, such as `viewer stream`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$record => $name,)*
                }
            }

            /// The word for several of them.
            pub fn plural(self) -> &'static str {
                match self {
                    $(Self::$record => $plural,)*
                }
            }
        }

        $(impl EntityKey for $crate::keys::$key {
            const KIND: Kind = Kind::$record;
        })*
    };
}

for_each_kind!(kinds);

/// A key together with the kind of its record.
pub trait EntityKey: Key {
    /// The kind of the records that such keys name.
    const KIND: Kind;
}

/// A record by its kind and key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    /// The kind, which selects the arena.
    pub kind: Kind,
    /// The slot in that arena, with the record's generation.
    pub key: KeyData,
}

impl<K: EntityKey> From<K> for Id {
    fn from(key: K) -> Self {
        Self {
            kind: K::KIND,
            key: key.data(),
        }
    }
}

/// `stream 3v1`: the kind, the slot, and the generation of the record in it.
impl fmt::Display for Id {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {:?}", self.kind.name(), self.key)
    }
}

/// The text is not the id of a record; it is part of the message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a kind and a key, such as `stream:3v1`")]
pub struct NotAnId(String);

/// Reads `stream 3v1`, or `stream:3v1`; `viewer-stream` is also a viewer stream.
impl FromStr for Id {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let wrong = || NotAnId(text.to_owned());
        let (kind, key) = text.rsplit_once([':', ' ']).ok_or_else(wrong)?;
        let kind = kind.replace('-', " ");
        let kind = Kind::ALL.into_iter().find(|it| it.name() == kind);
        let (slot, generation) = key.split_once('v').ok_or_else(wrong)?;
        let slot: u32 = slot.parse().map_err(|_| wrong())?;
        let generation: u32 = generation.parse().map_err(|_| wrong())?;
        Ok(Self {
            kind: kind.ok_or_else(wrong)?,
            key: KeyData::from_ffi(u64::from(generation) << 32 | u64::from(slot)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::Chunk;
    use crate::connection::Connection;
    use crate::file::File;
    use crate::index::Index;
    use crate::session::Session;
    use crate::stream::Stream;
    use crate::trace::Trace;
    use crate::trace_file::TraceFile;
    use crate::viewer_session::ViewerSession;
    use crate::viewer_stream::ViewerStream;

    /// A relay has hundreds of thousands of some of them: what few have is in a box.
    #[test]
    fn records_are_small() {
        for (kind, bytes, bytes_max) in [
            (Kind::Connection, size_of::<Connection>(), 168),
            (Kind::ViewerSession, size_of::<ViewerSession>(), 152),
            (Kind::ViewerStream, size_of::<ViewerStream>(), 80),
            (Kind::Index, size_of::<Index>(), 96),
            (Kind::Stream, size_of::<Stream>(), 280),
            (Kind::Trace, size_of::<Trace>(), 40),
            (Kind::Session, size_of::<Session>(), 432),
            (Kind::Chunk, size_of::<Chunk>(), 232),
            (Kind::TraceFile, size_of::<TraceFile>(), 96),
            (Kind::File, size_of::<File>(), 16),
        ] {
            assert!(bytes <= bytes_max, "{}: {bytes}", kind.name());
        }
    }

    #[test]
    fn a_printed_id_is_read_again() {
        for kind in Kind::ALL {
            let key = KeyData::from_ffi((5 << 32) + 12);
            let id = Id { kind, key };
            let text = id.to_string();
            assert_eq!(text, format!("{} 12v5", kind.name()));
            assert_eq!(text.parse(), Ok(id));
            let typed = format!("{}:12v5", kind.name().replace(' ', "-"));
            assert_eq!(typed.parse(), Ok(id));
        }
        for wrong in [
            "", "stream", "stream:", "stream:3", "3v1", "cat:3v1", "stream:v",
        ] {
            assert!(wrong.parse::<Id>().is_err(), "{wrong}");
        }
    }
}
