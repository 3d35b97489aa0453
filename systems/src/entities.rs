//! All arenas together, and the only code that counts holds.
//!
//! A record says what it holds ([`Holder::holds`]). Here those holds are taken when
//! it comes ([`Entities::insert`]), follow when its links change
//! ([`Entities::relink`]) and are released when it goes ([`Entities::release_all`]).

use baton_components::arena::Arena;
use baton_components::chunk::Chunk;
use baton_components::connection::Connection;
use baton_components::file::File;
use baton_components::hold::{Hold, Holder};
use baton_components::index::Index;
use baton_components::keys::{
    ChunkKey, ConnectionKey, FileKey, IndexKey, SessionKey, StreamKey, TraceFileKey, TraceKey,
    ViewerSessionKey, ViewerStreamKey,
};
use baton_components::session::Session;
use baton_components::stream::Stream;
use baton_components::trace::Trace;
use baton_components::trace_file::TraceFile;
use baton_components::viewer_session::ViewerSession;
use baton_components::viewer_stream::ViewerStream;
use bevy_ecs::resource::Resource;

/// The arenas, in the order of reclamation: whatever a kind holds comes after it. One
/// resource: most systems work on most of them.
#[derive(Debug, Default, Resource)]
pub struct Entities {
    pub connections: Arena<ConnectionKey, Connection>,
    pub viewer_sessions: Arena<ViewerSessionKey, ViewerSession>,
    pub viewer_streams: Arena<ViewerStreamKey, ViewerStream>,
    pub indexes: Arena<IndexKey, Index>,
    pub streams: Arena<StreamKey, Stream>,
    pub traces: Arena<TraceKey, Trace>,
    pub sessions: Arena<SessionKey, Session>,
    pub chunks: Arena<ChunkKey, Chunk>,
    pub trace_files: Arena<TraceFileKey, TraceFile>,
    pub files: Arena<FileKey, File>,
}

/// A kind of record, and where its arena is.
pub trait Entity: Holder + Send + Sync + Sized + 'static {
    type Key: slotmap::Key + Send + Sync;

    fn arena(entities: &mut Entities) -> &mut Arena<Self::Key, Self>;
}

impl Entities {
    /// Adds a record, owned, and takes what it holds.
    pub fn insert<E: Entity>(&mut self, record: E) -> E::Key {
        for hold in holds_of(&record) {
            self.hold(hold);
        }
        E::arena(self).insert(record)
    }

    /// Changes a living record, its links included: what it holds afterwards is
    /// held, what it held before is released. Does nothing on a stale key.
    pub fn relink<E: Entity>(&mut self, key: E::Key, change: impl FnOnce(&mut E)) {
        let Some(record) = E::arena(self).get_mut(key) else {
            return;
        };
        let before = holds_of(record);
        change(record);
        let after = holds_of(record);
        for hold in after {
            self.hold(hold);
        }
        for hold in before {
            self.release(hold);
        }
    }

    /// The owner of a record lets go; nothing the second time.
    pub fn disown<E: Entity>(&mut self, key: E::Key) {
        E::arena(self).disown(key);
    }

    /// Releases what a record that was taken out of its arena held.
    pub fn release_all(&mut self, record: &impl Holder) {
        for hold in holds_of(record) {
            self.release(hold);
        }
    }

    fn hold(&mut self, hold: Hold) {
        match hold {
            Hold::ViewerSession(key) => self.viewer_sessions.hold(key),
            Hold::Stream(key) => self.streams.hold(key),
            Hold::Trace(key) => self.traces.hold(key),
            Hold::Session(key) => self.sessions.hold(key),
            Hold::TraceFile(key) => self.trace_files.hold(key),
            Hold::Chunk(key) => self.chunks.hold(key),
            Hold::File(key) => self.files.hold(key),
        }
    }

    fn release(&mut self, hold: Hold) {
        match hold {
            Hold::ViewerSession(key) => self.viewer_sessions.release(key),
            Hold::Stream(key) => self.streams.release(key),
            Hold::Trace(key) => self.traces.release(key),
            Hold::Session(key) => self.sessions.release(key),
            Hold::TraceFile(key) => self.trace_files.release(key),
            Hold::Chunk(key) => self.chunks.release(key),
            Hold::File(key) => self.files.release(key),
        }
    }
}

/// A record's holds. Most records have one or two: these stay on the stack.
fn holds_of(record: &impl Holder) -> Holds {
    let mut holds = Holds::new();
    record.holds(&mut |hold| holds.push(hold));
    holds
}

type Holds = smallvec::SmallVec<[Hold; 8]>;

macro_rules! entity {
    ($($record:ty, $key:ty, $arena:ident;)*) => {
        $(impl Entity for $record {
            type Key = $key;

            fn arena(entities: &mut Entities) -> &mut Arena<$key, $record> {
                &mut entities.$arena
            }
        })*
    };
}

entity! {
    Connection, ConnectionKey, connections;
    ViewerSession, ViewerSessionKey, viewer_sessions;
    ViewerStream, ViewerStreamKey, viewer_streams;
    Index, IndexKey, indexes;
    Stream, StreamKey, streams;
    Trace, TraceKey, traces;
    Session, SessionKey, sessions;
    TraceFile, TraceFileKey, trace_files;
    Chunk, ChunkKey, chunks;
    File, FileKey, files;
}
