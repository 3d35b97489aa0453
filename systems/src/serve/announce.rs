//! Which streams a viewer is told of, and when.
//!
//! Rules that clients depend on:
//! - a trace's metadata stream and its first data streams come in one reply; either
//!   alone hangs or crashes them;
//! - the metadata is announced again, and sent from its first byte, when all data
//!   streams of a trace that they know had ended and new ones come: they have thrown
//!   it away with the last data stream;
//! - a stream that was published is announced although it has closed since.

use baton_components::keys::{SessionKey, StreamKey, TraceKey, ViewerSessionKey, ViewerStreamKey};
use baton_components::viewer_stream::{MetadataPosition, PacketPosition, Position, ViewerStream};
use baton_components::wire::viewer::StreamEntry;

use crate::entities::Entities;
use crate::facts::{Facts, StreamsPublished};

/// Where a viewer begins in streams that it finds when it attaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seek {
    /// At the oldest packet that can be read.
    Beginning,
    /// After the newest.
    Last,
}

/// Viewers of a session get viewer streams for what was published now, so that a stream
/// that closes before they ask is not lost to them.
pub(super) fn hear(entities: &mut Entities, facts: &Facts) {
    for StreamsPublished { session, streams } in &facts.published {
        let record = entities.sessions.get(*session);
        let viewers = record.map(|session| session.viewers.clone());
        for viewer in viewers.into_iter().flatten() {
            prepare(entities, viewer, *session, streams, Seek::Beginning);
        }
    }
}

/// Gives a viewer session viewer streams for those of `streams` that are published.
pub fn prepare(
    entities: &mut Entities,
    viewer: ViewerSessionKey,
    session: SessionKey,
    streams: &[StreamKey],
    seek: Seek,
) {
    let Some(id) = entities.sessions.get(session).map(|session| session.id) else {
        return;
    };
    for key in streams {
        let Some(stream) = entities.streams.get(*key).filter(|stream| stream.published) else {
            continue;
        };
        let id_for_viewers = stream.viewer_id;
        let position = if stream.is_metadata() {
            // Metadata is read from its first byte whatever was asked.
            let file = stream.current_file();
            Position::Metadata(MetadataPosition { file, sent: 0 })
        } else {
            Position::Packets(position(entities, *key, seek))
        };
        let trace = stream.trace;
        let viewer_stream = entities.insert(ViewerStream {
            viewer_session: viewer,
            stream: *key,
            trace,
            announced: false,
            position,
        });
        if let Some(stream) = entities.streams.get_mut(*key) {
            stream.viewers.push(viewer_stream);
        }
        if let Some(viewer) = entities.viewer_sessions.get_mut(viewer) {
            viewer.streams.insert(id_for_viewers, viewer_stream);
            if let Some(attachment) = viewer.attached.get_mut(&id) {
                attachment.unannounced.push(viewer_stream);
                attachment.new_streams = true;
            }
        }
    }
}

/// Where a viewer begins: nowhere yet, if the stream has no file.
fn position(entities: &Entities, key: StreamKey, seek: Seek) -> PacketPosition {
    let Some(stream) = entities.streams.get(key) else {
        return PacketPosition::default();
    };
    let mut files = stream.files.iter().filter_map(|key| {
        let file = entities.trace_files.get(*key)?;
        (file.ordinal >= stream.chunk_ordinal).then_some((*key, file))
    });
    let (file, record) = match seek {
        Seek::Beginning => (files.next(), 0),
        Seek::Last => {
            // Packets may still become complete in a file that is not written any more.
            let file = files.find(|(_, file)| !file.is_settled());
            (file, file.map_or(0, |(_, file)| file.records()))
        }
    };
    let file = file.map(|(key, _)| key);
    PacketPosition {
        file,
        record,
        readable: None,
    }
}

/// Takes the streams that can be announced now out of those that wait; gives them in
/// the order in which they were published.
pub fn announce(
    entities: &mut Entities,
    viewer: ViewerSessionKey,
    session: u64,
) -> Vec<ViewerStreamKey> {
    let waiting = match entities.viewer_sessions.get_mut(viewer) {
        Some(record) => match record.attached.get_mut(&session) {
            Some(attachment) => {
                attachment.new_streams = false;
                std::mem::take(&mut attachment.unannounced)
            }
            None => return Vec::new(),
        },
        None => return Vec::new(),
    };
    let mut announced = Vec::new();
    let mut kept = Vec::new();
    for trace in traces_of(entities, &waiting) {
        let (metadata, data): (Vec<_>, Vec<_>) = waiting
            .iter()
            .copied()
            .filter(|key| {
                entities
                    .viewer_streams
                    .get(*key)
                    .is_some_and(|s| s.trace == trace)
            })
            .partition(|key| {
                entities
                    .viewer_streams
                    .get(*key)
                    .is_some_and(|s| s.metadata().is_some())
            });
        let known = known_metadata(entities, viewer, trace);
        let open_data = open_data(entities, viewer, trace);
        let has_metadata = known.is_some() || open_data > 0 || !metadata.is_empty();
        if !data.is_empty() && has_metadata {
            if open_data == 0
                && let Some(again) = known.filter(|_| metadata.is_empty())
            {
                rewind_metadata(entities, again);
                announced.push(again);
            }
            announced.extend(metadata);
            announced.extend(data);
        } else if open_data > 0 {
            announced.extend(metadata);
            kept.extend(data);
        } else {
            kept.extend(metadata);
            kept.extend(data);
        }
    }
    for key in &announced {
        mark_announced(entities, viewer, session, *key);
    }
    if let Some(record) = entities.viewer_sessions.get_mut(viewer)
        && let Some(attachment) = record.attached.get_mut(&session)
    {
        attachment.unannounced = kept;
    }
    announced
}

/// The wire entries of announced streams.
pub fn entries<'a>(entities: &'a Entities, announced: &[ViewerStreamKey]) -> Vec<StreamEntry<'a>> {
    announced
        .iter()
        .filter_map(|key| {
            let viewer_stream = entities.viewer_streams.get(*key)?;
            let stream = entities.streams.get(viewer_stream.stream)?;
            let trace = entities.traces.get(viewer_stream.trace)?;
            Some(StreamEntry {
                stream: stream.viewer_id,
                trace: trace.id,
                metadata: stream.is_metadata(),
                path: trace.path.as_bytes(),
                channel: &stream.channel,
            })
        })
        .collect()
}

/// Whether data streams of its trace wait to be announced: they need its metadata.
pub fn is_needed(entities: &Entities, metadata: &ViewerStream) -> bool {
    let viewer = entities.viewer_sessions.get(metadata.viewer_session);
    let mut waiting = viewer
        .into_iter()
        .flat_map(|viewer| viewer.attached.values())
        .flat_map(|attachment| &attachment.unannounced);
    waiting.any(|key| {
        let waiting = entities.viewer_streams.get(*key);
        waiting.is_some_and(|waiting| waiting.trace == metadata.trace)
    })
}

/// A viewer was told that a stream is over: its viewer stream ends.
pub fn end(entities: &mut Entities, key: ViewerStreamKey) {
    let Some(viewer_stream) = entities.viewer_streams.get(key) else {
        return;
    };
    let viewer = viewer_stream.viewer_session;
    let trace = viewer_stream.trace;
    let counted = viewer_stream.announced && viewer_stream.packets().is_some();
    let stream = entities.streams.get(viewer_stream.stream);
    let id_for_viewers = stream.map(|stream| stream.viewer_id);
    let session = stream.and_then(|stream| entities.sessions.get(stream.session));
    let session = session.map(|session| session.id);
    if let Some(viewer) = entities.viewer_sessions.get_mut(viewer) {
        if let Some(id) = id_for_viewers {
            viewer.streams.remove(&id);
        }
        if counted {
            if let Some(known) = viewer.traces.get_mut(&trace) {
                known.open_data -= 1;
            }
            if let Some(attachment) = session.and_then(|id| viewer.attached.get_mut(&id)) {
                attachment.open_data -= 1;
            }
        }
    }
    entities.disown::<ViewerStream>(key);
}

/// The traces of these viewer streams, each once, in the order of their ids.
fn traces_of(entities: &Entities, waiting: &[ViewerStreamKey]) -> Vec<TraceKey> {
    let mut traces: Vec<(u64, TraceKey)> = waiting
        .iter()
        .filter_map(|key| entities.viewer_streams.get(*key))
        .filter_map(|stream| Some((entities.traces.get(stream.trace)?.id, stream.trace)))
        .collect();
    traces.sort_unstable();
    traces.dedup();
    traces.into_iter().map(|(_, key)| key).collect()
}

fn known_metadata(
    entities: &Entities,
    viewer: ViewerSessionKey,
    trace: TraceKey,
) -> Option<ViewerStreamKey> {
    let known = entities
        .viewer_sessions
        .get(viewer)?
        .traces
        .get(&trace)?
        .metadata?;
    entities.viewer_streams.contains(known).then_some(known)
}

fn open_data(entities: &Entities, viewer: ViewerSessionKey, trace: TraceKey) -> u32 {
    let viewer = entities.viewer_sessions.get(viewer);
    viewer
        .and_then(|viewer| viewer.traces.get(&trace))
        .map_or(0, |known| known.open_data)
}

fn rewind_metadata(entities: &mut Entities, key: ViewerStreamKey) {
    entities.relink(key, |stream: &mut ViewerStream| {
        stream.position = Position::Metadata(MetadataPosition::default());
    });
}

fn mark_announced(
    entities: &mut Entities,
    viewer: ViewerSessionKey,
    session: u64,
    key: ViewerStreamKey,
) {
    let Some(viewer_stream) = entities.viewer_streams.get_mut(key) else {
        return;
    };
    let Some(viewer) = entities.viewer_sessions.get_mut(viewer) else {
        return;
    };
    let known = viewer.traces.entry(viewer_stream.trace).or_default();
    if viewer_stream.metadata().is_some() {
        known.metadata = Some(key);
    } else {
        known.open_data += 1;
        if let Some(attachment) = viewer.attached.get_mut(&session) {
            attachment.open_data += 1;
        }
    }
    viewer_stream.announced = true;
}
