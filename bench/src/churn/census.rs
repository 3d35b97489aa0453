//! Number of records in the arenas of a relay.

use baton_systems::entities::Entities;

use super::family::{Counts, Kind};

/// Records that have a slot, of each kind.
pub fn counts(entities: &Entities) -> Counts {
    let counts = [
        (Kind::Connection, entities.connections.len()),
        (Kind::ViewerSession, entities.viewer_sessions.len()),
        (Kind::ViewerStream, entities.viewer_streams.len()),
        (Kind::Index, entities.indexes.len()),
        (Kind::Stream, entities.streams.len()),
        (Kind::Trace, entities.traces.len()),
        (Kind::Session, entities.sessions.len()),
        (Kind::Chunk, entities.chunks.len()),
        (Kind::TraceFile, entities.trace_files.len()),
        (Kind::File, entities.files.len()),
    ];
    counts.map(|(kind, count)| (kind, count as u64)).into()
}
