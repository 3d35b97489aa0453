//! Streams: how they begin.

use std::collections::VecDeque;

use baton_components::keys::{ChunkKey, SessionKey, StreamKey, TraceKey};
use baton_components::path::RelativePath;
use baton_components::stream::{FileLimit, Kind, Stream, TraceFiles};
use baton_components::trace::Trace;
use smallvec::SmallVec;

use super::{RecordError, Recorder, data_files, places};

/// A stream that is to be recorded.
#[derive(Debug)]
pub struct NewStream {
    /// Its id for producers: no open stream has it.
    pub handle: u64,
    pub viewer_id: u64,
    /// The directory of its trace, below that of its session's chunk.
    pub path: RelativePath,
    pub channel: SmallVec<[u8; 16]>,
    pub kind: Kind,
    pub limit: Option<Box<FileLimit>>,
}

pub fn begin(
    recorder: &mut Recorder,
    own: SessionKey,
    new: NewStream,
) -> Result<StreamKey, RecordError> {
    let session = recorder.entities.sessions.get(own);
    let chunk = session.and_then(|session| session.chunk);
    let chunk = chunk.ok_or(RecordError::NoChunk)?;
    occupy(recorder, own, chunk, &new.path)?;
    let trace = find_or_make_trace(recorder, own, new.path);
    let Recorder {
        entities,
        directory,
        storage,
        ..
    } = recorder;
    let handle = new.handle;
    let key = entities.insert(Stream {
        number: directory.stream_numbers.draw(),
        handle,
        viewer_id: new.viewer_id,
        trace,
        session: own,
        channel: new.channel,
        kind: new.kind,
        chunk: Some(chunk),
        rotation: None,
        files: TraceFiles::new(),
        limit: new.limit,
        next_ordinal: 0,
        chunk_ordinal: 0,
        last_data: None,
        last_index: None,
        arriving: None,
        pending: VecDeque::new(),
        described: None,
        lost: 0,
        published: false,
        unheard: false,
        closing: None,
        closed: false,
        checked_round: 0,
        viewers: Vec::new(),
    });
    // The stream has its trace now.
    entities.disown::<Trace>(trace);
    if let Some(session) = entities.sessions.get_mut(own) {
        session.stream_count += 1;
    }
    if let Err(error) = data_files::begin(entities, storage, key) {
        entities.disown::<Stream>(key);
        return Err(error.into());
    }
    if let Some(session) = entities.sessions.get_mut(own) {
        session.open_streams.push_back(key);
        session.unpublished.push(key);
        session.unchecked += 1;
    }
    directory.streams.insert(handle, key);
    Ok(key)
}

/// Producers before 2.11 name whole paths: the directory of a trace becomes the
/// session's, unless it is another's or lies in another's. (Later ones have a directory of
/// their own.)
fn occupy(
    recorder: &mut Recorder,
    own: SessionKey,
    chunk: ChunkKey,
    trace: &RelativePath,
) -> Result<(), RecordError> {
    let Recorder {
        entities,
        directory,
        storage,
        ..
    } = recorder;
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

fn find_or_make_trace(recorder: &mut Recorder, own: SessionKey, path: RelativePath) -> TraceKey {
    let name = (own, path);
    if let Some(trace) = recorder.directory.traces.get(&name).copied()
        && recorder.entities.traces.contains(trace)
    {
        return trace;
    }
    let id = recorder.directory.trace_ids.draw();
    let trace = Trace {
        id,
        session: own,
        path: name.1.clone(),
        waiting: None,
    };
    let trace = recorder.entities.insert(trace);
    recorder.directory.traces.insert(name, trace);
    trace
}
