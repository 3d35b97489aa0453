//! ADD_STREAM, STREAMS_SENT, CLOSE_STREAM: the life of a stream as its producer
//! tells it.

use std::borrow::Cow;
use std::collections::VecDeque;

use baton_components::directory::Lot;
use baton_components::keys::{ChunkKey, SessionKey, TraceKey};
use baton_components::path::{NAME_BYTES_MAX, PathError, RelativePath, check_name, shortened};
use baton_components::stream::{Closing, FileLimit, Kind, Stream, TraceFiles};
use baton_components::trace::Trace;
use baton_components::wire::producer::{AddStream, CloseStream, NONE, code, reply};

use super::fault::{Fault, Reason};
use super::{Ingest, old_paths};
use crate::chance;
use crate::record::closing;
use crate::record::places;
use crate::record::trace_files::{self, INDEX_ENDING};
use crate::serve::announce;
use crate::settings::Grouping;

/// Directories in the path of a stream of one process.
const PER_PROCESS: [&[u8]; 2] = [b"ust", b"pid"];

/// The name that makes a stream a trace's metadata.
const METADATA: &[u8] = b"metadata";

/// The name of the stream and its files: short enough for a file system with what is put
/// behind it, the number of a trace file and the ending of an index.
fn name<'a>(command: &AddStream<'a>) -> Cow<'a, [u8]> {
    let number = match (command.tracefile_size, command.tracefile_count) {
        (0, _) => String::new(),
        // As many as there may be, where their number has no limit.
        (_, count) => format!("_{}", count.wrapping_sub(1)),
    };
    let behind = number.len() + INDEX_ENDING.len();
    shortened(command.channel, NAME_BYTES_MAX - behind)
}

/// Adds a stream. Its file exists, empty, when the reply leaves; viewers see the
/// stream with the next STREAMS_SENT.
pub fn add(
    ingest: &mut Ingest,
    own: SessionKey,
    command: &AddStream,
    replies: &mut Vec<u8>,
) -> Result<(), Fault> {
    let path = match check(ingest, own, command) {
        Ok(path) => path,
        Err(reason) => {
            reply::stream_added(replies, NONE, code::UNKNOWN_ERR);
            return Err(reason.stay());
        }
    };
    let Ingest {
        directory, chance, ..
    } = &mut *ingest;
    let handle = chance::unused_id(directory, chance, Lot::Handle);
    match try_add(ingest, own, command, handle, path) {
        Ok(()) => {
            reply::stream_added(replies, handle, code::OK);
            Ok(())
        }
        Err(reason) => {
            reply::stream_added(replies, handle, code::UNKNOWN_ERR);
            Err(reason.stay())
        }
    }
}

/// The stream's path, relative to its session's chunk.
fn check(ingest: &Ingest, own: SessionKey, command: &AddStream) -> Result<RelativePath, Reason> {
    // Old producers send absolute paths that mean "below the output directory".
    let path = command.path.strip_prefix(b"/").unwrap_or(command.path);
    let refused = |error| Reason::name("stream path", command.path, error);
    let parsed = RelativePath::parse(path).map_err(refused)?;
    check_name(command.channel)
        .map_err(|error| Reason::name("channel name", command.channel, error))?;
    let session = ingest.entities.sessions.get(own).ok_or(Reason::NoSession)?;
    if session.origin.is_some() || ingest.settings.grouping == Grouping::Host {
        return Ok(parsed);
    }
    let time = ingest.clock.civil(session.created_s);
    let stamp = time.ok_or(Reason::Time(session.created_s))?.session_stamp();
    let sorted = old_paths::by_session(path, &session.name, &stamp);
    RelativePath::parse(&sorted.ok_or(refused(PathError::Empty))?).map_err(refused)
}

fn try_add(
    ingest: &mut Ingest,
    own: SessionKey,
    command: &AddStream,
    handle: u64,
    path: RelativePath,
) -> Result<(), Reason> {
    if path.is_root() {
        return Err(Reason::name("stream path", command.path, PathError::Empty));
    }
    let session = ingest.entities.sessions.get(own).ok_or(Reason::NoSession)?;
    let chunk = session.chunk.ok_or(Reason::NoChunk)?;
    let limit = (command.tracefile_size > 0).then(|| {
        Box::new(FileLimit {
            file_size: command.tracefile_size,
            file_count: command.tracefile_count,
            file_number: 0,
        })
    });
    let channel = name(command);
    occupy(ingest, own, chunk, &path)?;
    hold_back(ingest, own, &path);
    let trace = find_or_make_trace(ingest, own, path);
    let Ingest {
        directory, chance, ..
    } = &mut *ingest;
    let viewer_id = chance::unused_id(directory, chance, Lot::ViewerStream);
    directory.drawn.insert((Lot::Handle, handle));
    directory.drawn.insert((Lot::ViewerStream, viewer_id));
    let number = directory.stream_numbers.draw();
    let stream = ingest.entities.insert(Stream {
        number,
        handle,
        viewer_id,
        trace,
        session: own,
        channel: (*channel).into(),
        kind: if command.channel == METADATA {
            Kind::Metadata
        } else {
            Kind::Data
        },
        chunk: Some(chunk),
        rotation: None,
        files: TraceFiles::new(),
        limit,
        next_ordinal: 0,
        chunk_ordinal: 0,
        last_data: None,
        last_index: None,
        arriving: None,
        pending: VecDeque::new(),
        described: None,
        lost: 0,
        published: false,
        closing: None,
        closed: false,
        checked_round: 0,
        viewers: Vec::new(),
    });
    // The stream has its trace now.
    ingest.entities.disown::<Trace>(trace);
    if let Some(session) = ingest.entities.sessions.get_mut(own) {
        session.stream_count += 1;
    }
    if let Err(error) = trace_files::begin(&mut ingest.entities, &mut ingest.storage, stream) {
        ingest.entities.disown::<Stream>(stream);
        return Err(error.into());
    }
    if let Some(session) = ingest.entities.sessions.get_mut(own) {
        session.open_streams.push_back(stream);
        session.unpublished.push(stream);
        session.unchecked += 1;
    }
    ingest.directory.streams.insert(handle, stream);
    Ok(())
}

/// Producers before 2.11 name whole paths: the directory of a trace becomes the
/// session's, unless it is another's or lies in another's. (Later ones have a directory of
/// their own.)
fn occupy(
    ingest: &mut Ingest,
    own: SessionKey,
    chunk: ChunkKey,
    trace: &RelativePath,
) -> Result<(), Reason> {
    let Ingest {
        entities,
        directory,
        storage,
        ..
    } = ingest;
    let entities = &mut **entities;
    let (Some(session), Some(chunk)) = (
        entities.sessions.get_mut(own),
        entities.chunks.get_mut(chunk),
    ) else {
        return Ok(());
    };
    if chunk.id.is_some() || chunk.directories.contains(trace) {
        return Ok(());
    }
    places::occupy_trace(directory, storage, session, trace)?;
    chunk.directories.insert(trace.clone());
    Ok(())
}

/// Viewers are told of what comes in a session later than it comes, if applications may
/// have streams of their own, which appear after their first event.
fn hold_back(ingest: &mut Ingest, own: SessionKey, path: &RelativePath) {
    let directories: Vec<&[u8]> = path.components().collect();
    let is_per_process = directories.windows(2).any(|two| two == PER_PROCESS);
    if let Some(time) = ingest.settings.hold_back.of(is_per_process)
        && trace_files::is_served(&ingest.entities, own)
        && let Some(session) = ingest.entities.sessions.get_mut(own)
    {
        session.hold_back = time;
    }
}

fn find_or_make_trace(ingest: &mut Ingest, own: SessionKey, path: RelativePath) -> TraceKey {
    let name = (own, path);
    if let Some(trace) = ingest.directory.traces.get(&name).copied()
        && ingest.entities.traces.contains(trace)
    {
        return trace;
    }
    let id = ingest.directory.trace_ids.draw();
    let trace = Trace {
        id,
        session: own,
        path: name.1.clone(),
        waiting: None,
    };
    let trace = ingest.entities.insert(trace);
    ingest.directory.traces.insert(name, trace);
    trace
}

/// Publishes all streams added since the last time, together.
pub fn sent(ingest: &mut Ingest, own: SessionKey, replies: &mut Vec<u8>) {
    if let Some(session) = ingest.entities.sessions.get_mut(own) {
        let added = std::mem::take(&mut session.unpublished);
        let viewers = session.viewers.clone();
        for stream in &added {
            if let Some(stream) = ingest.entities.streams.get_mut(*stream) {
                stream.published = true;
            }
        }
        // Viewers get their viewer streams now, so that a stream that closes
        // before they ask again is not lost to them.
        for viewer in viewers {
            announce::prepare(
                &mut ingest.entities,
                viewer,
                own,
                &added,
                announce::Seek::Beginning,
            );
        }
    }
    reply::code(replies, code::OK);
}

/// Closes a stream when its last packet has come: now, or later. The reply does
/// not wait.
pub fn close(
    ingest: &mut Ingest,
    own: SessionKey,
    command: CloseStream,
    replies: &mut Vec<u8>,
) -> Result<(), Fault> {
    let stream = ingest.stream_of(own, command.stream).map_err(|reason| {
        reply::code(replies, code::UNKNOWN_ERR);
        reason.abort()
    })?;
    if let Some(stream) = ingest.entities.streams.get_mut(stream) {
        let last_sequence = (command.last_sequence != NONE).then_some(command.last_sequence);
        stream.closing = Some(Box::new(Closing { last_sequence }));
    }
    closing::try_close(
        &mut ingest.entities,
        &mut ingest.directory,
        &mut ingest.storage,
        stream,
    );
    reply::code(replies, code::OK);
    Ok(())
}
