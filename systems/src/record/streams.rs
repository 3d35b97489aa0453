//! Creation and publication of streams.

use std::collections::VecDeque;

use baton_components::costs::LEVELS_MADE_AT_ONCE;
use baton_components::keys::{ChunkKey, SessionKey, StreamKey, TraceKey};
use baton_components::path::RelativePath;
use baton_components::shares::{AddressKey, Asset};
use baton_components::stream::{FileLimit, Rare, Stream, StreamKind, TraceFiles};
use baton_components::tally::StreamTally;
use baton_components::trace::Trace;
use smallvec::SmallVec;

use super::{RecordError, Recorder, data_files, file_paths, places};

/// A stream that is to be recorded.
#[derive(Debug)]
pub struct NewStream {
    /// Its id for producers, which no open stream has.
    pub handle: u64,
    pub viewer_id: u64,
    /// The directory of its trace, below that of its session's chunk.
    pub path: RelativePath,
    pub channel: SmallVec<[u8; 16]>,
    pub kind: StreamKind,
    pub limit: Option<Box<FileLimit>>,
}

/// Makes some of the directories for a stream whose path is deep; false: more are to be made. Nothing
/// is made for one that cannot begin: [`begin`] finds that out, and says it.
pub fn make_way(recorder: &mut Recorder, own: SessionKey, path: &RelativePath) -> bool {
    if path.components().nth(LEVELS_MADE_AT_ONCE).is_none() {
        return true;
    }
    let Ok((chunk, _)) = may_begin(recorder, own) else {
        return true;
    };
    let Recorder {
        entities, storage, ..
    } = recorder;
    let made = file_paths::make_some(entities, storage, chunk, path);
    made.unwrap_or(true)
}

/// Whether the session may have another stream. Gives where that would be, and whose it would be.
fn may_begin(recorder: &Recorder, own: SessionKey) -> Result<(ChunkKey, AddressKey), RecordError> {
    let session = recorder.entities.sessions.get(own);
    let session = session.ok_or(RecordError::NoChunk)?;
    let chunk = session.chunk.as_ref().ok_or(RecordError::NoChunk)?.key();
    let shares = &recorder.entities.shares;
    let count = session.open_streams.len();
    if count as u64 >= shares.limit(Asset::StreamsOfSession) {
        return Err(RecordError::TooManyStreams(count));
    }
    shares.check(session.address, Asset::Streams, 1)?;
    Ok((chunk, session.address))
}

// Long because: a stream has many fields, and each begins here.
pub fn begin(
    recorder: &mut Recorder,
    own: SessionKey,
    new: NewStream,
) -> Result<StreamKey, RecordError> {
    let (chunk, address) = may_begin(recorder, own)?;
    occupy(recorder, own, chunk, &new.path)?;
    let trace = find_or_make_trace(recorder, own, new.path);
    let Recorder {
        entities,
        directory,
        storage,
        ..
    } = recorder;
    let handle = new.handle;
    let number = directory.stream_numbers.draw();
    let key = entities.insert(|links| Stream {
        number,
        handle,
        viewer_id: new.viewer_id,
        trace: links.hold(trace),
        session: links.hold(own),
        channel: new.channel,
        kind: new.kind,
        chunk: Some(links.hold(chunk)),
        files: TraceFiles::new(),
        awaited_files: 0,
        next_ordinal: 0,
        chunk_ordinal: 0,
        last_data: None,
        last_index: None,
        arriving: None,
        pending: VecDeque::new(),
        described: None,
        tally: StreamTally::default(),
        published: false,
        unheard: false,
        closed: false,
        checked_round: 0,
        rare: Rare::limited(new.limit),
    });
    entities.shares.add(address, Asset::Streams, 1);
    // The stream has its trace now.
    entities.disown::<Trace>(trace);
    if let Some(session) = entities.sessions.get_mut(own) {
        session.stream_count += 1;
        session.streams_added += 1;
    }
    if let Err(error) = data_files::begin(entities, storage, key) {
        entities.disown::<Stream>(key);
        return Err(error.into());
    }
    if let Some(session) = entities.sessions.get_mut(own) {
        session.open_streams.insert(number, key);
        session.unpublished.insert(number, key);
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
        // `begin` has found both; without them there is nothing to occupy.
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
    let trace = recorder.entities.insert(|links| Trace {
        id,
        session: links.hold(own),
        path: name.1.clone(),
        waiting: None,
    });
    recorder.directory.traces.insert(name, trace);
    trace
}
