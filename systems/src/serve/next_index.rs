//! GET_NEXT_INDEX: the next packet of a stream, or what is known instead.

use std::time::Duration;

use baton_components::keys::{TraceFileKey, ViewerStreamKey};
use baton_components::limits::NEW_STREAMS_PATIENCE;
use baton_components::viewer_session::{Question, ViewerSession};
use baton_components::viewer_stream::{Readable, ViewerStream};
use baton_components::wire::ctf_index::IndexRecord;
use baton_components::wire::viewer::reply::IndexReply;
use baton_components::wire::viewer::{NEW_METADATA, NEW_STREAM, NextIndexStatus};

use super::{Caller, Serve, announce, metadata, question};
use crate::entities::Entities;
use crate::ports::StoragePort;
use crate::record::index_records;
use crate::record::ring;
use crate::record::waiting_metadata;

/// Answers, unless there is nothing to tell and the question can wait: whether it was
/// answered.
pub fn answer(
    serve: &mut Serve,
    caller: Caller,
    handle: u64,
    last: Option<Question>,
    replies: &mut Vec<u8>,
) -> bool {
    let Some(key) = serve.viewer_stream(caller, handle) else {
        IndexReply::without_index(NextIndexStatus::Error, 0).encode(replies);
        return true;
    };
    let flags = flags(serve, caller, key);
    let reply = next(serve, caller, key, flags);
    let is_nothing = reply.status == NextIndexStatus::Retry && flags == 0;
    if is_nothing {
        let next = next_told(serve, key);
        if question::is_kept(serve, caller, key, last, next) {
            return false;
        }
    }
    reply.encode(replies);
    true
}

/// Where a viewer stream stands.
enum Next {
    /// At this record.
    Packet(TraceFileKey, u64),
    /// At a packet of which viewers are not told yet.
    Held,
    /// At a packet of which one half is missing.
    Waiting,
    /// After all that is complete.
    Drained,
}

fn next(serve: &mut Serve, caller: Caller, key: ViewerStreamKey, flags: u32) -> IndexReply {
    let entities = &mut serve.entities;
    if entities
        .viewer_streams
        .get(key)
        .is_some_and(|stream| stream.metadata().is_some())
    {
        return IndexReply::without_index(NextIndexStatus::Hup, flags & NEW_METADATA);
    }
    let at = told_at(serve, key);
    match seek_next(&mut serve.entities, &mut serve.storage, key, at) {
        // A viewer could make nothing of it.
        Next::Packet(..) if lacks_metadata(&serve.entities, key) => {
            IndexReply::without_index(NextIndexStatus::Retry, flags)
        }
        Next::Packet(file, record) => match deliver(serve, key, file, record) {
            Some(index) => IndexReply { flags, ..index },
            None => IndexReply::without_index(NextIndexStatus::Error, flags),
        },
        Next::Waiting => IndexReply::without_index(NextIndexStatus::Retry, flags),
        Next::Drained if is_closed(&serve.entities, key) => {
            announce::end(&mut serve.entities, key);
            IndexReply::without_index(NextIndexStatus::Hup, flags)
        }
        Next::Held | Next::Drained => idle(serve, caller, key, at, flags),
    }
}

/// Viewers are told of what had come by that time (monotonic): all, when no more comes.
fn told_at(serve: &Serve, key: ViewerStreamKey) -> Duration {
    let entities = &serve.entities;
    let stream = entities.viewer_streams.get(key);
    let stream = stream.and_then(|viewer| entities.streams.get(viewer.stream));
    let session = stream.and_then(|stream| entities.sessions.get(stream.session));
    if session.is_some_and(|session| session.producer_gone) {
        Duration::MAX
    } else {
        serve.now.monotonic
    }
}

/// When viewers are told of something that has come.
fn next_told(serve: &Serve, key: ViewerStreamKey) -> Option<Duration> {
    let (entities, at) = (&serve.entities, told_at(serve, key));
    let viewer_stream = entities.viewer_streams.get(key)?;
    let file = viewer_stream.file();
    let file = file.and_then(|file| entities.trace_files.get(file));
    let packets = file.and_then(|file| file.index.as_ref()?.told.as_ref()?.next(at));
    let stream = entities.streams.get(viewer_stream.stream)?;
    let described = stream.described.as_ref();
    let beacon = described.and_then(|described| described.told.as_ref()?.next(at));
    packets.into_iter().chain(beacon).min()
}

fn is_closed(entities: &Entities, key: ViewerStreamKey) -> bool {
    let viewer_stream = entities.viewer_streams.get(key);
    let stream = viewer_stream.and_then(|viewer| entities.streams.get(viewer.stream));
    stream.is_none_or(|stream| stream.closed)
}

/// Whether metadata of its trace waits for room on the disk.
fn lacks_metadata(entities: &Entities, key: ViewerStreamKey) -> bool {
    let viewer_stream = entities.viewer_streams.get(key);
    viewer_stream.is_some_and(|viewer| waiting_metadata::check(entities, viewer.stream).is_err())
}

/// All that viewers are told of was delivered: the stream is idle until a known time, or
/// nothing is known.
fn idle(
    serve: &mut Serve,
    caller: Caller,
    key: ViewerStreamKey,
    at: Duration,
    flags: u32,
) -> IndexReply {
    let entities = &serve.entities;
    let viewer_stream = entities.viewer_streams.get(key);
    let stream = viewer_stream.and_then(|viewer| entities.streams.get(viewer.stream));
    let described = stream.and_then(|stream| stream.described.as_ref());
    let known = described.and_then(|it| Some((it.class, it.told(at)?)));
    match known {
        Some((class, beacon)) if !must_ask_first(serve, caller, flags) => {
            IndexReply::inactive(beacon, class, flags)
        }
        _ => IndexReply::without_index(NextIndexStatus::Retry, flags),
    }
}

/// Whether a viewer may be told of no time, since it does not know streams that may
/// have events before that. One that goes on without asking for them is told.
fn must_ask_first(serve: &mut Serve, caller: Caller, flags: u32) -> bool {
    let now = serve.now.monotonic;
    let viewer = caller.session;
    let viewer = viewer.and_then(|key| serve.entities.viewer_sessions.get_mut(key));
    let Some(viewer) = viewer.filter(|_| flags & NEW_STREAM != 0) else {
        return false;
    };
    let since = *viewer.unheeded.get_or_insert(now);
    now < since + NEW_STREAMS_PATIENCE
}

/// Moves the position from file to file until it stands at a record or at the end.
fn seek_next(
    entities: &mut Entities,
    storage: &mut StoragePort,
    key: ViewerStreamKey,
    at: Duration,
) -> Next {
    loop {
        write_next(entities, storage, key, at);
        let Some(viewer_stream) = entities.viewer_streams.get(key) else {
            return Next::Drained;
        };
        let Some(stream) = entities.streams.get(viewer_stream.stream) else {
            return Next::Drained;
        };
        let Some(position) = viewer_stream.packets() else {
            return Next::Drained;
        };
        let here = position
            .file
            .and_then(|file| Some((file, entities.trace_files.get(file)?)));
        let Some((file, trace_file)) = here else {
            let Some(oldest) = stream.files.first().copied() else {
                return Next::Drained;
            };
            go_to(entities, key, oldest);
            continue;
        };
        // The files of a stream stand in the order of their ordinals.
        let passed = stream.files.partition_point(|other| {
            let other = entities.trace_files.get(*other);
            other.is_some_and(|other| other.ordinal <= trace_file.ordinal)
        });
        let newer = stream.files.get(passed).copied();
        let reachable = passed > 0 && stream.files[passed - 1] == file;
        match newer {
            // Its file was overwritten or cleared: what follows in it is lost.
            Some(newer) if !reachable => go_to(entities, key, newer),
            None if trace_file.cleared => return Next::Drained,
            _ if (trace_file.told(at)..trace_file.records()).contains(&position.record) => {
                return Next::Held;
            }
            _ if position.record < trace_file.committed() => {
                return Next::Packet(file, position.record);
            }
            Some(newer) if trace_file.is_settled() => go_to(entities, key, newer),
            Some(_) => return Next::Waiting,
            None if trace_file.has_unwritten() => return Next::Waiting,
            None => return Next::Drained,
        }
    }
}

/// Writes the records of the file in hand if the next one is among those that wait.
fn write_next(
    entities: &mut Entities,
    storage: &mut StoragePort,
    key: ViewerStreamKey,
    at: Duration,
) {
    let viewer_stream = entities.viewer_streams.get(key);
    let Some(position) = viewer_stream.and_then(ViewerStream::packets) else {
        return;
    };
    let file = position.file;
    if let Some(file) = file.and_then(|file| entities.trace_files.get_mut(file))
        && (file.committed()..file.told(at)).contains(&position.record)
    {
        // If this fails, `commit` says so and tries again.
        let _ = index_records::flush(storage, file);
    }
}

fn go_to(entities: &mut Entities, key: ViewerStreamKey, file: TraceFileKey) {
    entities.relink(key, |stream: &mut ViewerStream| {
        if let Some(position) = stream.packets_mut() {
            position.file = Some(file);
            position.record = 0;
        }
    });
    if let Some(stream) = entities.viewer_streams.get(key).map(|viewer| viewer.stream) {
        ring::forget_passed(entities, stream);
    }
}

/// Reads a record, and moves on. Nothing if it cannot be read.
fn deliver(
    serve: &mut Serve,
    key: ViewerStreamKey,
    file: TraceFileKey,
    record: u64,
) -> Option<IndexReply> {
    let trace_file = serve.entities.trace_files.get(file)?;
    let index = trace_file.index.as_ref()?;
    let mut bytes = [0; RECORD_SIZE_MAX];
    let bytes = bytes.get_mut(..index.version.record_size())?;
    let read = serve
        .storage
        .read(index.file, index.record_offset(record), bytes);
    let record = read
        .map_err(|error| tracing::error!("an index cannot be served: {error}"))
        .ok()
        .and_then(|()| IndexRecord::decode(index.version, bytes).ok())?;
    let end = record
        .offset_bytes
        .saturating_add(record.packet_size_bits / 8);
    let readable = Readable {
        file: trace_file.data,
        end: end.min(trace_file.size),
    };
    advance(&mut serve.entities, key, readable);
    Some(IndexReply {
        offset_bytes: record.offset_bytes,
        packet_size_bits: record.packet_size_bits,
        content_size_bits: record.content_size_bits,
        timestamp_begin: record.timestamp_begin,
        timestamp_end: record.timestamp_end,
        events_discarded: record.events_discarded,
        class: record.class,
        status: NextIndexStatus::Ok,
        flags: 0,
    })
}

fn advance(entities: &mut Entities, key: ViewerStreamKey, readable: Readable) {
    entities.relink(key, |stream: &mut ViewerStream| {
        if let Some(position) = stream.packets_mut() {
            position.record += 1;
            position.readable = Some(readable);
        }
    });
}

/// What the viewer should fetch before it goes on.
fn flags(serve: &Serve, caller: Caller, key: ViewerStreamKey) -> u32 {
    let Some(viewer) = serve.viewer_session(caller) else {
        return 0;
    };
    let mut flags = 0;
    if has_new_metadata(&serve.entities, viewer, key) {
        flags |= NEW_METADATA;
    }
    if viewer
        .attached
        .values()
        .any(|attachment| attachment.new_streams)
    {
        flags |= NEW_STREAM;
    }
    flags
}

/// Whether there is metadata of the stream's trace that the viewer does not have.
fn has_new_metadata(entities: &Entities, viewer: &ViewerSession, key: ViewerStreamKey) -> bool {
    let trace = entities.viewer_streams.get(key).map(|stream| stream.trace);
    let known = trace.and_then(|trace| viewer.traces.get(&trace));
    let stream = known.and_then(|known| known.metadata);
    stream.is_some_and(|stream| metadata::unread(entities, stream).is_some())
}

/// The larger of the two layouts of index records, in bytes.
const RECORD_SIZE_MAX: usize = 72;
