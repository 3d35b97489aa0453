//! GET_NEXT_INDEX: the index of the next packet of a stream, or HUP, INACTIVE or RETRY.

use std::time::Duration;

use baton_components::connection::Extent;
use baton_components::hold::Held;
use baton_components::keys::{FileKey, TraceFileKey, ViewerStreamKey};
use baton_components::limits::NEW_STREAMS_PATIENCE;
use baton_components::stream::Stream;
use baton_components::viewer_session::{Question, ViewerSession};
use baton_components::viewer_stream::{Readable, ViewerStream};
use baton_components::wire::ctf_index::IndexRecord;
use baton_components::wire::viewer::reply::IndexReply;
use baton_components::wire::viewer::{NEW_METADATA, NEW_STREAM, NextIndexStatus};

use super::{Caller, Serve, announce, metadata, question};
use crate::entities::Entities;
use crate::peers::receive::Pause;
use crate::record::ring;
use crate::record::waiting_metadata;

/// Replies, unless the request waits: for the disk, or since the reply would be RETRY and the
/// question can be kept.
pub fn answer(
    serve: &mut Serve,
    caller: Caller,
    handle: u64,
    last: Option<Question>,
    replies: &mut Vec<u8>,
) -> Option<Pause> {
    let Some(key) = serve.viewer_stream(caller, handle) else {
        IndexReply::without_index(NextIndexStatus::Error, 0).encode(replies);
        return None;
    };
    let flags = flags(serve, caller, key);
    let Some(reply) = next(serve, caller, key, flags) else {
        return Some(Pause::Disk);
    };
    let is_nothing = reply.status == NextIndexStatus::Retry && flags == 0;
    if is_nothing {
        let next = next_told(serve, key);
        if question::is_kept(serve, caller, key, last, next) {
            return Some(Pause::Input);
        }
    }
    reply.encode(replies);
    None
}

/// The position of a viewer stream.
enum Next {
    /// At this record.
    Packet(TraceFileKey, u64),
    /// At a packet that is still held back.
    Held,
    /// At a packet of which one half is missing, or whose record or metadata is not confirmed.
    Waiting,
    /// After all complete packets.
    Drained,
}

/// None: the record is not at hand.
fn next(serve: &mut Serve, caller: Caller, key: ViewerStreamKey, flags: u32) -> Option<IndexReply> {
    let entities = &mut serve.entities;
    if entities
        .viewer_streams
        .get(key)
        .is_some_and(|stream| stream.metadata().is_some())
    {
        let reply = IndexReply::without_index(NextIndexStatus::Hup, flags & NEW_METADATA);
        return Some(reply);
    }
    let at = told_at(serve, key);
    let next = match seek_next(&mut serve.entities, key, at) {
        // A viewer could make nothing of it.
        Next::Packet(..) if lacks_metadata(&serve.entities, key) => Next::Waiting,
        next => next,
    };
    Some(match next {
        Next::Packet(file, record) => match read(serve, caller, file, record)? {
            Ok(record) => {
                deliver(serve, key, file, &record);
                let index = IndexReply::with_index(&record);
                IndexReply { flags, ..index }
            }
            Err(Unreadable) => IndexReply::without_index(NextIndexStatus::Error, flags),
        },
        Next::Waiting if serve.is_past_waiting(key) => end(serve, key, flags),
        Next::Waiting => IndexReply::without_index(NextIndexStatus::Retry, flags),
        Next::Drained if is_closed(&serve.entities, key) => end(serve, key, flags),
        Next::Held | Next::Drained => idle(serve, caller, key, at, flags),
    })
}

fn end(serve: &mut Serve, key: ViewerStreamKey, flags: u32) -> IndexReply {
    announce::end(&mut serve.entities, key);
    IndexReply::without_index(NextIndexStatus::Hup, flags)
}

/// Viewers see packets that arrived up to that time (monotonic); all of them, once the
/// session has ended.
fn told_at(serve: &Serve, key: ViewerStreamKey) -> Duration {
    let entities = &serve.entities;
    let stream = stream_of(entities, key);
    if stream.is_some_and(|stream| entities.sessions[&stream.session].is_producer_gone()) {
        Duration::MAX
    } else {
        serve.now.monotonic
    }
}

/// Time when viewers see a packet or beacon that has just arrived.
fn next_told(serve: &Serve, key: ViewerStreamKey) -> Option<Duration> {
    let (entities, at) = (&serve.entities, told_at(serve, key));
    let viewer_stream = entities.viewer_streams.get(key)?;
    let file = viewer_stream.file().map(|file| &entities.trace_files[file]);
    let packets = file.and_then(|file| file.index.as_ref()?.told.as_ref()?.next(at));
    let stream = &entities.streams[&viewer_stream.stream];
    let described = stream.described.as_ref();
    let beacon = described.and_then(|described| described.told.as_ref()?.next(at));
    packets.into_iter().chain(beacon).min()
}

fn is_closed(entities: &Entities, key: ViewerStreamKey) -> bool {
    stream_of(entities, key).is_none_or(|stream| stream.closed)
}

/// The stream that a viewer stream reads; none if it has ended.
fn stream_of(entities: &Entities, key: ViewerStreamKey) -> Option<&Stream> {
    let viewer_stream = entities.viewer_streams.get(key)?;
    Some(&entities.streams[&viewer_stream.stream])
}

/// Whether metadata of its trace waits for room on the disk.
fn lacks_metadata(entities: &Entities, key: ViewerStreamKey) -> bool {
    let stream = stream_of(entities, key);
    stream.is_some_and(|stream| waiting_metadata::check(entities, stream).is_err())
}

/// The reply after all visible packets were sent: INACTIVE if a beacon is known, or RETRY.
fn idle(
    serve: &mut Serve,
    caller: Caller,
    key: ViewerStreamKey,
    at: Duration,
    flags: u32,
) -> IndexReply {
    let entities = &serve.entities;
    let described = stream_of(entities, key).and_then(|stream| stream.described.as_ref());
    let known = described.and_then(|it| Some((it.class, it.told(at)?)));
    match known {
        Some((class, beacon)) if !must_ask_first(serve, caller, flags) => {
            IndexReply::inactive(beacon, class, flags)
        }
        _ => IndexReply::without_index(NextIndexStatus::Retry, flags),
    }
}

/// Whether a viewer must not get a beacon, since it does not know new streams that may have
/// earlier events. A viewer that does not ask for them in time gets beacons again.
fn must_ask_first(serve: &mut Serve, caller: Caller, flags: u32) -> bool {
    let now = serve.now.monotonic;
    let viewer = caller.session;
    let viewer = viewer.and_then(|key| serve.entities.viewer_sessions.get_mut(key));
    let Some(viewer) = viewer.filter(|_| flags & NEW_STREAM != 0) else {
        // There is nothing to ask for.
        return false;
    };
    let since = *viewer.unheeded.get_or_insert(now);
    now < since + NEW_STREAMS_PATIENCE
}

/// Moves the position from file to file until it stands at a record or at the end.
fn seek_next(entities: &mut Entities, key: ViewerStreamKey, at: Duration) -> Next {
    loop {
        let Some(viewer_stream) = entities.viewer_streams.get(key) else {
            // It has ended: there is nothing more in it.
            return Next::Drained;
        };
        let stream = &entities.streams[&viewer_stream.stream];
        let Some(position) = viewer_stream.packets() else {
            // Metadata has no packets.
            return Next::Drained;
        };
        let Some(file) = &position.file else {
            let Some(oldest) = stream.files.front().map(Held::key) else {
                return Next::Drained;
            };
            go_to(entities, key, oldest);
            continue;
        };
        let trace_file = &entities.trace_files[file];
        // The files of a stream stand in the order of their ordinals.
        let is_passed =
            |other: &Held<TraceFileKey>| entities.trace_files[other].ordinal <= trace_file.ordinal;
        let passed = stream.files.partition_point(is_passed);
        let newer = stream.files.get(passed).map(Held::key);
        let reachable = passed > 0 && stream.files[passed - 1] == *file;
        match newer {
            // Its file was overwritten or cleared: what follows in it is lost.
            Some(newer) if !reachable => go_to(entities, key, newer),
            None if trace_file.cleared => return Next::Drained,
            _ if (trace_file.told(at)..trace_file.records()).contains(&position.record) => {
                return Next::Held;
            }
            _ if position.record < trace_file.committed_records() => {
                return Next::Packet(file.key(), position.record);
            }
            Some(newer) if trace_file.is_settled() => go_to(entities, key, newer),
            Some(_) => return Next::Waiting,
            None if trace_file.has_unwritten() => return Next::Waiting,
            None => return Next::Drained,
        }
    }
}

fn go_to(entities: &mut Entities, key: ViewerStreamKey, file: TraceFileKey) {
    let before = ring::place_of(entities, key);
    entities.relink(key, |stream: &mut ViewerStream, links| {
        if let Some(position) = stream.packets_mut() {
            position.file = Some(links.hold(file));
            position.record = 0;
        }
    });
    if let (Some((stream, before)), Some((_, after))) = (before, ring::place_of(entities, key)) {
        if let Some(stream) = entities.streams.get_mut(stream) {
            let viewers = &mut stream.rare_mut().viewers;
            viewers.remove(&(before, key));
            viewers.insert((after, key));
        }
        ring::forget_passed(entities, stream);
    }
}

/// A record cannot be read, or is none.
struct Unreadable;

/// Reads a record. None: it is not at hand.
fn read(
    serve: &mut Serve,
    caller: Caller,
    file: TraceFileKey,
    record: u64,
) -> Option<Result<IndexRecord, Unreadable>> {
    let trace_file = serve.entities.trace_files.get(file);
    let Some(index) = trace_file.and_then(|file| file.index.as_ref()) else {
        return Some(Err(Unreadable));
    };
    let version = index.version;
    let mut bytes = [0; RECORD_SIZE_MAX];
    let bytes = &mut bytes[..version.record_size()];
    let wanted = Extent {
        file: index.file.key(),
        offset: index.record_offset(record),
        size: bytes.len() as u64,
    };
    match serve.read(caller.connection, wanted, bytes) {
        Ok(true) => Some(IndexRecord::decode(version, bytes).map_err(|_| Unreadable)),
        Ok(false) => None,
        Err(error) => {
            tracing::error!("an index cannot be served: {error}");
            Some(Err(Unreadable))
        }
    }
}

/// The viewer gets a record: the position advances.
fn deliver(serve: &mut Serve, key: ViewerStreamKey, file: TraceFileKey, record: &IndexRecord) {
    let Some(trace_file) = serve.entities.trace_files.get(file) else {
        return;
    };
    let end = record
        .offset_bytes
        .saturating_add(record.packet_size_bits / 8);
    let (data, end) = (trace_file.data.key(), end.min(trace_file.committed));
    advance(&mut serve.entities, key, data, end);
    note_read(&mut serve.entities, key, record.timestamp_end);
}

/// Moves the position after a record, and allows GET_PACKET up to the end of its packet.
fn advance(entities: &mut Entities, key: ViewerStreamKey, data: FileKey, end: u64) {
    entities.relink(key, |stream: &mut ViewerStream, links| {
        if let Some(position) = stream.packets_mut() {
            position.record += 1;
            let file = links.hold(data);
            position.readable = Some(Readable { file, end });
        }
    });
}

/// Notes that the viewer got a packet, which ends then.
fn note_read(entities: &mut Entities, key: ViewerStreamKey, end: u64) {
    let Some(viewer_stream) = entities.viewer_streams.get(key) else {
        return;
    };
    let stream = &entities.streams[&viewer_stream.stream];
    let session = entities.sessions[&stream.session].id;
    let viewer = entities
        .viewer_sessions
        .get_mut(viewer_stream.viewer_session);
    if let Some(attachment) = viewer.and_then(|viewer| viewer.attached.get_mut(&session)) {
        attachment.reading.take(end);
    }
}

/// The flags: items that the viewer should fetch before it goes on.
fn flags(serve: &Serve, caller: Caller, key: ViewerStreamKey) -> u32 {
    let Some(viewer) = serve.viewer_session(caller) else {
        // Without a session nothing is attached, and nothing new.
        return 0;
    };
    let mut flags = 0;
    if has_new_metadata(&serve.entities, viewer, key) {
        flags |= NEW_METADATA;
    }
    if !viewer.with_news.is_empty() {
        flags |= NEW_STREAM;
    }
    flags
}

/// Whether there is metadata of the stream's trace that the viewer does not have.
fn has_new_metadata(entities: &Entities, viewer: &ViewerSession, key: ViewerStreamKey) -> bool {
    let Some(viewer_stream) = entities.viewer_streams.get(key) else {
        // It has ended, and needs no metadata.
        return false;
    };
    let stream = &entities.streams[&viewer_stream.stream];
    let attachment = viewer.attached.get(&entities.sessions[&stream.session].id);
    let known = attachment.and_then(|attachment| attachment.traces.get(&viewer_stream.trace));
    let metadata = known.and_then(|known| known.metadata);
    metadata.is_some_and(|metadata| metadata::unread(entities, metadata).is_some())
}

/// The larger of the two layouts of index records, in bytes.
const RECORD_SIZE_MAX: usize = 72;
