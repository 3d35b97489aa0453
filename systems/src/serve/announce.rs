//! Announcing streams to viewers.
//!
//! Rules that clients depend on:
//! - a trace's metadata stream and its first data streams come in one reply; either
//!   alone hangs or crashes them;
//! - the metadata is announced again, and sent from its first byte, when all data
//!   streams of a trace that they know had ended and new ones come: they have thrown
//!   it away with the last data stream;
//! - a stream that was published is announced although it has closed since.

use baton_components::arena::Arena;
use baton_components::hold::Held;
use baton_components::keys::{
    ConnectionKey, SessionKey, StreamKey, TraceFileKey, ViewerSessionKey, ViewerStreamKey,
};
use baton_components::limits::VIEWER_STREAM_BYTES;
use baton_components::shares::{Asset, Shortage};
use baton_components::stream::Stream;
use baton_components::time::Now;
use baton_components::trace_file::TraceFile;
use baton_components::viewer_session::KnownTrace;
use baton_components::viewer_stream::{MetadataPosition, PacketPosition, Position, ViewerStream};
use baton_components::wire::viewer::StreamEntry;

use crate::agenda::Agenda;
use crate::entities::Entities;
use crate::facts::{Facts, StreamsPublished};
use crate::peers::waiting;

/// The position of a viewer in streams that exist when it attaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seek {
    /// At the oldest packet that can be read.
    Beginning,
    /// After the newest.
    Last,
}

/// Makes viewer streams for streams that were just published, so that viewers can read a
/// stream that closes before they ask for it. The producer's next turns pay for that.
pub(super) fn hear(entities: &mut Entities, agenda: &mut Agenda, now: &Now, facts: &Facts) {
    for StreamsPublished {
        by,
        session,
        streams,
    } in &facts.published
    {
        let changes = entities.changes;
        let record = entities.sessions.get(*session);
        let viewers = record.map(|session| session.viewers.clone());
        for viewer in viewers.into_iter().flatten() {
            match check_room(entities, viewer, streams.len()) {
                Ok(()) => prepare(entities, viewer, *session, streams, Seek::Beginning),
                Err(shortage) => {
                    let record = entities.viewer_sessions.get(viewer);
                    let connection = record.map_or_else(ConnectionKey::default, |it| it.connection);
                    waiting::refuse(entities, agenda, now, connection, &shortage);
                }
            }
        }
        agenda.control.charge(*by, entities.changes - changes);
    }
}

/// Whether a viewer may have so many more viewer streams: each takes memory.
pub fn check_room(
    entities: &Entities,
    viewer: ViewerSessionKey,
    streams: usize,
) -> Result<(), Shortage> {
    let Some(viewer) = entities.viewer_sessions.get(viewer) else {
        // It is gone, and takes none.
        return Ok(());
    };
    let bytes = streams as u64 * VIEWER_STREAM_BYTES;
    entities.shares.check(viewer.address, Asset::Memory, bytes)
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
        // A session that is over has no stream.
        return;
    };
    let Some(address) = entities.viewer_sessions.get(viewer).map(|it| it.address) else {
        // It is gone, and nothing is announced to it.
        return;
    };
    for key in streams {
        let Some(stream) = entities.streams.get(*key).filter(|stream| stream.published) else {
            continue;
        };
        let is_metadata = stream.is_metadata();
        let (file, record) = if is_metadata {
            // Metadata is read from its first byte whatever was asked.
            (stream.current_file(), 0)
        } else {
            position(&entities.trace_files, stream, seek)
        };
        let ordinal = file.filter(|_| !is_metadata);
        let ordinal = ordinal.map_or(0, |file| entities.trace_files[file].ordinal);
        let (file, trace) = (file.map(Held::key), stream.trace.key());
        let viewer_stream = entities.insert(|links| {
            let file = file.map(|file| links.hold(file));
            let position = if is_metadata {
                Position::Metadata(MetadataPosition { file, sent: 0 })
            } else {
                Position::Packets(PacketPosition {
                    file,
                    record,
                    readable: None,
                })
            };
            ViewerStream {
                viewer_session: viewer,
                stream: links.hold(*key),
                trace,
                address,
                announced: false,
                position,
            }
        });
        let shares = &mut entities.shares;
        shares.add(address, Asset::Memory, VIEWER_STREAM_BYTES);
        if let Some(stream) = entities.streams.get_mut(*key) {
            stream.rare_mut().viewers.insert((ordinal, viewer_stream));
        }
        enlist(entities, id, viewer_stream);
    }
}

/// Lists a new viewer stream of an attached session, to be announced.
fn enlist(entities: &mut Entities, session: u64, key: ViewerStreamKey) {
    let Some(viewer_stream) = entities.viewer_streams.get(key) else {
        return;
    };
    let stream = &entities.streams[&viewer_stream.stream];
    let trace = viewer_stream.trace;
    let Some(viewer) = entities
        .viewer_sessions
        .get_mut(viewer_stream.viewer_session)
    else {
        // It is gone, and nothing is announced to it.
        return;
    };
    viewer.streams.insert(stream.viewer_id, key);
    let Some(attachment) = viewer.attached.get_mut(&session) else {
        return;
    };
    viewer.with_news.insert(session);
    attachment.streams.insert(stream.viewer_id);
    let trace_id = entities.traces[&stream.trace].id;
    attachment.touched.insert(trace_id, trace);
    let known = attachment.traces.entry(trace).or_default();
    let waiting = if stream.is_metadata() {
        &mut known.waiting_metadata
    } else {
        &mut known.waiting_data
    };
    waiting.insert(stream.number, key);
}

/// The first position of a viewer, a file and a record; no file if the stream has none yet.
fn position<'a>(
    files: &Arena<TraceFileKey, TraceFile>,
    stream: &'a Stream,
    seek: Seek,
) -> (Option<&'a Held<TraceFileKey>>, u64) {
    let is_of_before = |file: &Held<TraceFileKey>| files[file].ordinal < stream.chunk_ordinal;
    let before = stream.files.partition_point(is_of_before);
    let mut current = stream.files.iter().skip(before);
    match seek {
        Seek::Beginning => (current.next(), 0),
        Seek::Last => {
            // Packets may still become complete in a file that is not written any more.
            let file = current.find(|file| !files[*file].is_settled());
            (file, file.map_or(0, |file| files[file].records()))
        }
    }
}

/// Removes the streams that can be announced now from the waiting ones, and returns them
/// trace by trace, in the order in which they were published. Only traces that got streams
/// since the last time are looked at: no other change makes streams announceable.
pub fn announce(
    entities: &mut Entities,
    viewer: ViewerSessionKey,
    session: u64,
) -> Vec<ViewerStreamKey> {
    let Entities {
        viewer_sessions,
        viewer_streams,
        ..
    } = &mut *entities;
    let Some(record) = viewer_sessions.get_mut(viewer) else {
        return Vec::new();
    };
    record.with_news.remove(&session);
    let Some(attachment) = record.attached.get_mut(&session) else {
        return Vec::new();
    };
    let mut ready = Ready::default();
    for trace in std::mem::take(&mut attachment.touched).into_values() {
        if let Some(known) = attachment.traces.get_mut(&trace) {
            attachment.open_data += ready.take_from(known, viewer_streams);
        }
    }
    for key in ready.again {
        rewind_metadata(entities, key);
    }
    ready.streams
}

/// Viewer streams that can be announced.
#[derive(Default)]
struct Ready {
    streams: Vec<ViewerStreamKey>,
    /// Metadata streams among them that the viewer knows: it is sent them from their first
    /// byte.
    again: Vec<ViewerStreamKey>,
}

impl Ready {
    /// Takes what waits of a trace, unless its metadata or its first data stream is missing.
    /// Gives the number of data streams.
    fn take_from(
        &mut self,
        known: &mut KnownTrace,
        viewer_streams: &mut Arena<ViewerStreamKey, ViewerStream>,
    ) -> u32 {
        let is_there = |key: &ViewerStreamKey| viewer_streams.contains(*key);
        let told = known.metadata.filter(is_there);
        let is_read = known.open_data > 0;
        let has_metadata = told.is_some() || is_read || !known.waiting_metadata.is_empty();
        let has_data = is_read || !known.waiting_data.is_empty();
        if !has_metadata || !has_data {
            return 0;
        }
        if let Some(told) = told.filter(|_| !is_read && known.waiting_metadata.is_empty()) {
            self.again.push(told);
            self.streams.push(told);
        }
        let metadata = std::mem::take(&mut known.waiting_metadata);
        let data = std::mem::take(&mut known.waiting_data);
        let data_count = data.len() as u32;
        known.metadata = metadata.values().next_back().copied().or(known.metadata);
        known.open_data += data_count;
        let first = self.streams.len();
        self.streams.extend(metadata.values().chain(data.values()));
        for key in &self.streams[first..] {
            if let Some(viewer_stream) = viewer_streams.get_mut(*key) {
                viewer_stream.announced = true;
            }
        }
        data_count
    }
}

/// The wire entries of announced streams.
pub fn entries<'a>(entities: &'a Entities, announced: &[ViewerStreamKey]) -> Vec<StreamEntry<'a>> {
    announced
        .iter()
        .filter_map(|key| {
            let viewer_stream = entities.viewer_streams.get(*key)?;
            let stream = &entities.streams[&viewer_stream.stream];
            let trace = &entities.traces[&stream.trace];
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

/// Whether streams of its trace wait to be announced, which need its metadata.
pub fn is_needed(entities: &Entities, metadata: &ViewerStream) -> bool {
    let stream = &entities.streams[&metadata.stream];
    let session = entities.sessions[&stream.session].id;
    let viewer = entities.viewer_sessions.get(metadata.viewer_session);
    let attachment = viewer.and_then(|viewer| viewer.attached.get(&session));
    let known = attachment.and_then(|attachment| attachment.traces.get(&metadata.trace));
    known.is_some_and(KnownTrace::has_waiting)
}

/// Ends a viewer stream, after the viewer got HUP or the end of metadata.
pub fn end(entities: &mut Entities, key: ViewerStreamKey) {
    let Some(viewer_stream) = entities.viewer_streams.get(key) else {
        // It has ended already.
        return;
    };
    let viewer = viewer_stream.viewer_session;
    let trace = viewer_stream.trace;
    let counted = viewer_stream.announced && viewer_stream.packets().is_some();
    let stream = &entities.streams[&viewer_stream.stream];
    let session = entities.sessions[&stream.session].id;
    if let Some(viewer) = entities.viewer_sessions.get_mut(viewer) {
        viewer.streams.remove(&stream.viewer_id);
        if let Some(attachment) = viewer.attached.get_mut(&session) {
            attachment.streams.remove(&stream.viewer_id);
            attachment.open_data -= u32::from(counted);
            if let Some(known) = attachment.traces.get_mut(&trace) {
                known.open_data -= u32::from(counted);
                known.metadata.take_if(|known| *known == key);
                known.waiting_metadata.remove(&stream.number);
                known.waiting_data.remove(&stream.number);
                if known.is_over() {
                    attachment.traces.remove(&trace);
                }
            }
        }
    }
    entities.disown::<ViewerStream>(key);
}

fn rewind_metadata(entities: &mut Entities, key: ViewerStreamKey) {
    entities.relink(key, |stream: &mut ViewerStream, _| {
        stream.position = Position::Metadata(MetadataPosition::default());
    });
}
