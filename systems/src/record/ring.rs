//! The files of a stream: it goes on from one to the next, in a ring or without end, and
//! forgets those that nobody can find any more.

use baton_components::keys::{SessionKey, StreamKey, TraceFileKey};
use baton_components::session::Session;
use baton_components::stream::{Stream, TraceFiles};

use super::{data_files, index_records, waiting_metadata};
use crate::entities::Entities;
use crate::ports::{StorageError, StoragePort};

/// The stream writes no more to this file: what waits goes to disk now, a torn
/// packet at its end is cut off.
pub fn finish(entities: &mut Entities, storage: &mut StoragePort, key: TraceFileKey) {
    if let Some(file) = entities.trace_files.get_mut(key) {
        // Records that the disk does not take are tried again until the file goes.
        let _ = index_records::flush(storage, file);
        let _ = waiting_metadata::flush(&entities.files, storage, file);
        file.finished = true;
        data_files::cut(storage, file);
    }
}

/// Goes on to the stream's next file if `size` more bytes would make the current one
/// larger than the stream's limit.
pub fn make_room(
    entities: &mut Entities,
    storage: &mut StoragePort,
    key: StreamKey,
    size: u64,
) -> Result<(), StorageError> {
    let Some(stream) = entities.streams.get_mut(key) else {
        return Ok(());
    };
    let Some(current) = stream.current_file() else {
        return Ok(());
    };
    let Some(limit) = &mut stream.limit else {
        return Ok(());
    };
    let filled = entities
        .trace_files
        .get(current)
        .map_or(0, |file| file.size);
    if filled.saturating_add(size) <= limit.file_size {
        return Ok(());
    }
    let number = limit.file_number;
    limit.file_number = number + 1;
    if limit.file_number == limit.file_count {
        limit.file_number = 0;
    }
    if let Err(error) = data_files::begin(entities, storage, key) {
        // The stream stays in its file, and tries again with the next packet.
        let stream = entities.streams.get_mut(key);
        if let Some(limit) = stream.and_then(|stream| stream.limit.as_mut()) {
            limit.file_number = number;
        }
        return Err(error);
    }
    finish(entities, storage, current);
    forget_unreachable(entities, key);
    Ok(())
}

/// Files of the ring whose names were used again cannot be found any more; and in a
/// session that is not live nobody looks for any but the last. Who reads one keeps
/// it.
fn forget_unreachable(entities: &mut Entities, key: StreamKey) {
    let Some(stream) = entities.streams.get(key) else {
        return;
    };
    let kept = match &stream.limit {
        _ if !is_served(entities, stream.session) => 1,
        Some(limit) if limit.file_count > 0 => limit.file_count as usize,
        _ => return,
    };
    // Those of chunks before are forgotten when viewers have passed them.
    let before = stream.files.partition_point(|file| {
        let file = entities.trace_files.get(*file);
        file.is_some_and(|file| file.ordinal < stream.chunk_ordinal)
    });
    let unreachable = (stream.files.len() - before).saturating_sub(kept);
    if unreachable > 0 {
        entities.relink(key, |stream: &mut Stream| {
            stream.files.drain(before..before + unreachable);
        });
    }
}

/// Whether viewers may attach the session: live ones, and those that the relay keeps.
pub fn is_served(entities: &Entities, key: SessionKey) -> bool {
    let live = entities.sessions.get(key).is_some_and(Session::is_live);
    live || entities.sessions.is_owned(key)
}

/// Files of chunks before the current one are kept for viewers that still read them,
/// and for nobody else; cleared ones for nobody at all.
pub fn forget_passed(entities: &mut Entities, key: StreamKey) {
    // Listeners that have not heard of the stream yet may want all of it.
    let stream = entities.streams.get(key).filter(|stream| !stream.unheard);
    let Some(stream) = stream else {
        return;
    };
    // A session that is kept can be read from its last chunk on when it is over.
    let stays = stream.chunk.is_some() || entities.sessions.is_owned(stream.session);
    let current = stays.then_some(stream.chunk_ordinal);
    let read = oldest_read(entities, stream);
    let is_kept = |file: &TraceFileKey| {
        entities.trace_files.get(*file).is_some_and(|file| {
            let since = |first: Option<u64>| first.is_some_and(|first| file.ordinal >= first);
            !file.cleared && (since(current) || since(read))
        })
    };
    let kept: TraceFiles = stream.files.iter().copied().filter(is_kept).collect();
    if kept.len() < stream.files.len() {
        entities.relink(key, |stream: &mut Stream| stream.files = kept);
    }
}

/// The ordinal of the oldest file that a viewer of the stream has not passed.
fn oldest_read(entities: &Entities, stream: &Stream) -> Option<u64> {
    if stream.is_metadata() {
        // The file that follows a rotation has all of it again.
        return (!stream.viewers.is_empty()).then_some(stream.chunk_ordinal);
    }
    let positions = stream.viewers.iter().filter_map(|key| {
        let file = entities.viewer_streams.get(*key)?.packets()?.file;
        let file = file.and_then(|file| entities.trace_files.get(file));
        Some(file.map_or(0, |file| file.ordinal))
    });
    positions.min()
}
