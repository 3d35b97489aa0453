//! What the arenas of a relay hold.

use baton_components::arena::Arena;
use baton_components::chunk::Chunk;
use baton_components::connection::Connection;
use baton_components::file::File;
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
use bevy_ecs::world::World;

use super::family::{Counts, Kind};

/// Records that have a slot, of each kind.
pub fn counts(world: &World) -> Counts {
    Counts::from([
        (Kind::Connection, len::<ConnectionKey, Connection>(world)),
        (
            Kind::ViewerSession,
            len::<ViewerSessionKey, ViewerSession>(world),
        ),
        (
            Kind::ViewerStream,
            len::<ViewerStreamKey, ViewerStream>(world),
        ),
        (Kind::Index, len::<IndexKey, Index>(world)),
        (Kind::Stream, len::<StreamKey, Stream>(world)),
        (Kind::Trace, len::<TraceKey, Trace>(world)),
        (Kind::Session, len::<SessionKey, Session>(world)),
        (Kind::Chunk, len::<ChunkKey, Chunk>(world)),
        (Kind::TraceFile, len::<TraceFileKey, TraceFile>(world)),
        (Kind::File, len::<FileKey, File>(world)),
    ])
}

fn len<K, T>(world: &World) -> u64
where
    K: slotmap::Key + Send + Sync + 'static,
    T: Send + Sync + 'static,
{
    world.resource::<Arena<K, T>>().len() as u64
}
