//! ADD_STREAM, STREAMS_SENT, CLOSE_STREAM: the commands for the life of a stream.

use std::borrow::Cow;

use baton_components::directory::Lot;
use baton_components::keys::{ConnectionKey, SessionKey};
use baton_components::path::{NAME_BYTES_MAX, PathError, RelativePath, check_name, shortened};
use baton_components::stream::{FileLimit, StreamKind};
use baton_components::trace_file::INDEX_ENDING;
use baton_components::wire::producer::{AddStream, CloseStream, NONE, code, reply};

use super::fault::{Fault, Reason};
use super::{Ingest, Progress, old_paths};
use crate::chance;
use crate::record::NewStream;
use crate::record::ring;
use crate::settings::Grouping;

/// Directories in the path of a stream of one process.
const PER_PROCESS: [&[u8]; 2] = [b"ust", b"pid"];

/// The name that makes a stream a trace's metadata.
const METADATA: &[u8] = b"metadata";

/// The name of the stream and its files: short enough for a file system with what is put
/// behind it, the number of a trace file and the ending of an index.
fn name<'a>(command: &AddStream<'a>, limit: Option<&FileLimit>) -> Cow<'a, [u8]> {
    let number = limit.map_or_else(String::new, |limit| {
        // As many as there may be, where their number has no limit.
        format!("_{}", limit.file_count.wrapping_sub(1))
    });
    let behind = number.len() + INDEX_ENDING.len();
    shortened(command.channel, NAME_BYTES_MAX - behind)
}

/// Adds a stream, or makes some of the directories of a deep path before. The file of the stream
/// exists, empty, when the reply leaves; viewers see the stream with the next STREAMS_SENT.
pub fn add(
    ingest: &mut Ingest,
    own: SessionKey,
    command: &AddStream,
    replies: &mut Vec<u8>,
) -> Result<Progress, Fault> {
    let path = match check(ingest, own, command) {
        Ok(path) => path,
        Err(reason) => {
            reply::stream_added(replies, NONE, code::UNKNOWN_ERR);
            return Err(reason.stay());
        }
    };
    if !ingest.record.make_way(own, &path) {
        return Ok(Progress::Part);
    }
    let Ingest { record, chance, .. } = &mut *ingest;
    let handle = chance::handle(&record.directory, chance);
    match try_add(ingest, own, command, handle, path) {
        Ok(()) => {
            reply::stream_added(replies, handle, code::OK);
            Ok(Progress::Whole)
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
    let session = ingest.session(own)?;
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
    let kind = if command.channel == METADATA {
        StreamKind::Metadata
    } else {
        StreamKind::Data
    };
    let limit = limit(ingest, command, kind);
    hold_back(ingest, own, &path);
    let Ingest { record, chance, .. } = ingest;
    let new = NewStream {
        handle,
        viewer_id: chance::id(chance, Lot::ViewerStream),
        path,
        channel: (*name(command, limit.as_ref())).into(),
        kind,
        limit: limit.map(Box::new),
    };
    record.begin_stream(own, new)?;
    Ok(())
}

/// The limit of its files: that of its producer, or one with which the oldest of them can be
/// removed, if there is a cap.
fn limit(ingest: &Ingest, command: &AddStream, kind: StreamKind) -> Option<FileLimit> {
    let wanted = Some(command.tracefile_size).filter(|size| *size > 0);
    let streams = ingest.record.directory.streams.len() as u64;
    let is_cut = kind == StreamKind::Data && command.tracefile_count == 0;
    let cut = is_cut.then(|| ingest.settings.caps().cut_bytes(streams));
    let file_size = wanted.into_iter().chain(cut.flatten()).min()?;
    Some(FileLimit {
        file_size,
        file_count: command.tracefile_count,
        file_number: 0,
    })
}

/// Sets the session's hold-back: applications with buffers per process have streams of
/// their own, which appear after their first event.
fn hold_back(ingest: &mut Ingest, own: SessionKey, path: &RelativePath) {
    let directories: Vec<&[u8]> = path.components().collect();
    let is_per_process = directories.windows(2).any(|two| two == PER_PROCESS);
    if let Some(time) = ingest.settings.hold_back.of(is_per_process)
        && ring::is_served(&ingest.record.entities, own)
        && let Some(session) = ingest.record.entities.sessions.get_mut(own)
    {
        session.hold_back = time;
    }
}

/// Publishes all streams added since the last time, together.
pub fn sent(ingest: &mut Ingest, by: ConnectionKey, own: SessionKey, replies: &mut Vec<u8>) {
    ingest.record.publish(own, by);
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
    let last_sequence = (command.last_sequence != NONE).then_some(command.last_sequence);
    ingest.record.close(stream, last_sequence);
    reply::code(replies, code::OK);
    Ok(())
}
