//! The sequence of a stream's trace files, with a limit of their size: a ring, or unlimited
//! in number. Files that no viewer can reach any more are released.

use baton_components::chunk::FileOfStream;
use baton_components::hold::Held;
use baton_components::keys::{
    ChunkKey, FileKey, SessionKey, StreamKey, TraceFileKey, ViewerStreamKey,
};
use baton_components::limits::AWAITED_FILES_PER_STREAM;
use baton_components::session::Session;
use baton_components::shares::Asset;
use baton_components::stream::Stream;
use baton_components::viewer_stream::ViewerStream;
use baton_components::wire::ctf_index::IndexRecord;

use super::{data_files, waiting_metadata};
use crate::entities::Entities;
use crate::ports::{StorageError, StorageErrorKind, StoragePort};

/// Finishes a file: a torn packet at its end is cut off, and metadata that waits is written
/// once more.
pub fn finish(entities: &mut Entities, storage: &mut StoragePort, key: TraceFileKey) {
    data_files::cut(entities, storage, key);
    waiting_metadata::write_again(entities, storage, key);
    if let Some(file) = entities.trace_files.get_mut(key) {
        file.finished = true;
    }
    note_awaited(entities, key);
}

/// Counts a finished file while it waits for descriptions of its packets: they hold it, and
/// it needs a descriptor of its own when the ring has reused its name.
pub fn note_awaited(entities: &mut Entities, key: TraceFileKey) {
    let Some(file) = entities.trace_files.get_mut(key) else {
        return;
    };
    let is_awaited = file.finished && file.awaited > 0;
    if std::mem::replace(&mut file.is_awaited, is_awaited) == is_awaited {
        return;
    }
    let Some(stream) = entities.streams.get_mut(file.stream) else {
        // The halves of its packets hold the stream.
        return;
    };
    let address = entities.sessions[&stream.session].address;
    if is_awaited {
        stream.awaited_files += 1;
        entities.shares.add(address, Asset::AwaitedFiles, 1);
    } else {
        stream.awaited_files -= 1;
        entities.shares.remove(address, Asset::AwaitedFiles, 1);
    }
}

/// Refuses a stream its next file while too many of its files wait for descriptions.
fn check_awaited(
    entities: &Entities,
    stream: &Stream,
    current: TraceFileKey,
) -> Result<(), StorageError> {
    let file = entities
        .trace_files
        .get(current)
        .filter(|file| file.awaited > 0);
    let Some(file) = file else {
        return Ok(());
    };
    let count = stream.awaited_files;
    let address = entities.sessions[&stream.session].address;
    let checked = entities.shares.check(address, Asset::AwaitedFiles, 1);
    let reason = match checked {
        Err(shortage) => shortage.to_string(),
        Ok(()) if count >= AWAITED_FILES_PER_STREAM => {
            format!("{count} files before it wait for indexes")
        }
        Ok(()) => return Ok(()),
    };
    Err(StorageError {
        kind: StorageErrorKind::Bound,
        action: "go on to the file after".into(),
        path: entities.files[&file.data].path.to_string(),
        reason,
    })
}

/// Begins the stream's next file if `size` more bytes would make the current one larger than
/// the stream's limit.
pub fn make_room(
    entities: &mut Entities,
    storage: &mut StoragePort,
    key: StreamKey,
    size: u64,
) -> Result<(), StorageError> {
    let Some(stream) = entities.streams.get(key) else {
        // The stream is gone, and writes nothing.
        return Ok(());
    };
    let (Some(current), Some(limit)) = (stream.files.back(), &stream.rare().limit) else {
        // It writes no file, or one without a limit.
        return Ok(());
    };
    let filled = entities.trace_files[current].size;
    if filled.saturating_add(size) <= limit.file_size {
        return Ok(());
    }
    let current = current.key();
    let stream = entities.streams.get(key);
    stream.map_or(Ok(()), |stream| check_awaited(entities, stream, current))?;
    let limit = entities.streams.get_mut(key);
    let Some(limit) = limit.and_then(|stream| stream.rare_mut().limit.as_mut()) else {
        return Ok(());
    };
    let number = limit.file_number;
    limit.file_number = number + 1;
    if limit.file_number == limit.file_count {
        limit.file_number = 0;
    }
    if let Err(error) = data_files::begin(entities, storage, key) {
        // The stream stays in its file, and tries again with the next packet.
        let stream = entities.streams.get_mut(key);
        if let Some(limit) = stream.and_then(|stream| stream.rare_mut().limit.as_mut()) {
            limit.file_number = number;
        }
        return Err(error);
    }
    finish(entities, storage, current);
    forget_unreachable(entities, key);
    Ok(())
}

/// Whether a packet of so many bytes may begin a file of the stream: the next of a ring or of a
/// rotation, or the index beside its first.
pub fn may_begin_file(entities: &Entities, key: StreamKey, size: u32) -> bool {
    let Some(stream) = entities.streams.get(key) else {
        return false;
    };
    let rare = stream.rare();
    let current = stream
        .current_file()
        .map(|file| &entities.trace_files[file]);
    rare.rotation.is_some()
        || current.is_some_and(|file| {
            let grown = file.size.saturating_add(size.into());
            let limit = rare.limit.as_ref().map(|limit| limit.file_size);
            file.index.is_none() || limit.is_some_and(|limit| grown > limit)
        })
}

/// Releases files that cannot be reached any more: those of the ring whose names were
/// reused, and in a session that is not live all but the last. Viewers that read one hold
/// it.
fn forget_unreachable(entities: &mut Entities, key: StreamKey) {
    let Some(stream) = entities.streams.get(key) else {
        // The stream is gone, with its files.
        return;
    };
    let kept = match &stream.rare().limit {
        _ if !is_served(entities, stream.session.key()) => 1,
        Some(limit) if limit.file_count > 0 => limit.file_count as usize,
        _ => return,
    };
    // Files of earlier chunks are released when viewers have passed them.
    let is_of_before =
        |file: &Held<TraceFileKey>| entities.trace_files[file].ordinal < stream.chunk_ordinal;
    let before = stream.files.partition_point(is_of_before);
    let unreachable = (stream.files.len() - before).saturating_sub(kept);
    let removed: Vec<TraceFileKey> = stream
        .files
        .iter()
        .skip(before)
        .take(unreachable)
        .map(Held::key)
        .collect();
    for file in removed {
        skip(entities, file);
    }
    if unreachable > 0 {
        entities.unlink(key, |stream: &mut Stream| {
            stream.files.drain(before..before + unreachable)
        });
    }
}

/// Notes that one more packet may be read, unless its file was removed before.
pub fn note_complete(
    entities: &mut Entities,
    key: StreamKey,
    file: TraceFileKey,
    record: &IndexRecord,
) {
    let Entities {
        trace_files,
        streams,
        sessions,
        ..
    } = entities;
    let (Some(file), Some(stream)) = (trace_files.get(file), streams.get_mut(key)) else {
        return;
    };
    let oldest = stream.files.front().map(|file| trace_files[file].ordinal);
    if oldest.is_some_and(|oldest| oldest <= file.ordinal) {
        stream.tally.readable += 1;
        let span = &mut sessions[&stream.session].span;
        span.add(record.timestamp_begin, record.timestamp_end);
    }
}

/// Notes that viewers do not get what they have not read of a file, which is removed.
fn skip(entities: &mut Entities, key: TraceFileKey) {
    let Entities {
        trace_files,
        streams,
        sessions,
        viewer_streams,
        viewer_sessions,
        ..
    } = entities;
    let Some(file) = trace_files.get(key) else {
        return;
    };
    let stream = streams.get_mut(file.stream);
    let Some(stream) = stream.filter(|stream| !stream.is_metadata()) else {
        return;
    };
    let readable = &mut stream.tally.readable;
    *readable = readable.saturating_sub(file.committed_records());
    let session = sessions[&stream.session].id;
    // Viewers in later files have passed it.
    for (ordinal, viewer) in stream
        .rare()
        .viewers
        .range(..(file.ordinal + 1, ViewerStreamKey::default()))
    {
        let Some(viewer_stream) = viewer_streams.get(*viewer) else {
            continue;
        };
        let is_in_it = *ordinal == file.ordinal;
        let position = viewer_stream.packets().filter(|_| is_in_it);
        let read = position.map_or(0, |position| position.record);
        let viewer = viewer_sessions.get_mut(viewer_stream.viewer_session);
        if let Some(attachment) = viewer.and_then(|viewer| viewer.attached.get_mut(&session)) {
            attachment.reading.packets += file.committed_records().saturating_sub(read);
        }
    }
}

/// Whether viewers may attach the session: live ones, and those that the relay keeps.
pub fn is_served(entities: &Entities, key: SessionKey) -> bool {
    let live = entities.sessions.get(key).is_some_and(Session::is_live);
    live || entities.sessions.is_owned(key)
}

/// Releases files of earlier chunks that no viewer still has to read: the oldest.
pub fn forget_passed(entities: &mut Entities, key: StreamKey) {
    // Listeners that have not read the fact of its publication may need all files.
    let stream = entities.streams.get(key).filter(|stream| !stream.unheard);
    let Some(stream) = stream else {
        // The stream is gone, with its files; or listeners have not read of it.
        return;
    };
    // A session that is kept can be read from its last chunk on when it is over.
    let stays = stream.chunk.is_some() || entities.sessions.is_owned(stream.session.key());
    let current = stays.then_some(stream.chunk_ordinal);
    let first_kept = current.into_iter().chain(oldest_read(stream)).min();
    let is_passed = |file: &&Held<TraceFileKey>| {
        first_kept.is_none_or(|first| entities.trace_files[*file].ordinal < first)
    };
    let passed = stream.files.iter().take_while(is_passed).count();
    let records = stream.files.iter().take(passed);
    let records = records.map(|it| entities.trace_files[it].committed_records());
    let records: u64 = records.sum();
    if passed > 0 {
        entities.unlink(key, |stream: &mut Stream| {
            stream.tally.readable = stream.tally.readable.saturating_sub(records);
            stream.files.drain(..passed)
        });
    }
}

/// The ordinal of the oldest file that a viewer of the stream has not passed.
fn oldest_read(stream: &Stream) -> Option<u64> {
    let (ordinal, _) = stream.rare().viewers.first()?;
    // The metadata file that follows a rotation has all of it again.
    Some(if stream.is_metadata() {
        stream.chunk_ordinal
    } else {
        *ordinal
    })
}

/// The stream that a viewer stream reads, and the ordinal of the file that it is in: the key
/// by which a stream lists its viewers.
pub fn place_of(entities: &Entities, key: ViewerStreamKey) -> Option<(StreamKey, u64)> {
    let viewer_stream = entities.viewer_streams.get(key)?;
    let ordinal = file_of(entities, viewer_stream);
    Some((viewer_stream.stream.key(), ordinal))
}

/// The ordinal of the file that it is in; 0 in metadata, and before it has one.
pub fn file_of(entities: &Entities, viewer_stream: &ViewerStream) -> u64 {
    let packets = viewer_stream.packets();
    let file = packets.and_then(|packets| packets.file.as_ref());
    file.map_or(0, |file| entities.trace_files[file].ordinal)
}

/// A file was removed from the disk, and its stream goes on: viewers that are in it go on
/// behind it. Gives the open files of it, which viewers may hold for a packet that they asked
/// for.
pub fn remove(entities: &mut Entities, removed: FileOfStream) -> Vec<FileKey> {
    let Entities {
        streams,
        trace_files,
        ..
    } = &mut *entities;
    let Some(stream) = streams.get(removed.stream) else {
        // A stream that is gone has no viewers any more.
        return Vec::new();
    };
    let is_before = |file: &Held<TraceFileKey>| trace_files[file].ordinal < removed.ordinal;
    let at = stream.files.partition_point(is_before);
    let held = stream.files.get(at);
    let held = held.filter(|file| trace_files[*file].ordinal == removed.ordinal);
    let Some(key) = held.map(Held::key) else {
        // It was passed by all viewers.
        return Vec::new();
    };
    let next = stream.files.get(at + 1).map(Held::key);
    let up_to = (removed.ordinal + 1, ViewerStreamKey::default());
    let viewers = stream.rare().viewers.range(..up_to);
    let in_it = viewers.filter(|(ordinal, _)| *ordinal == removed.ordinal);
    let viewers: Vec<ViewerStreamKey> = in_it.map(|(_, viewer)| *viewer).collect();
    let Some(file) = trace_files.get(key) else {
        return Vec::new();
    };
    let index = file.index.as_ref().map(|index| index.file.key());
    let open = [Some(file.data.key()), index].into_iter().flatten();
    let open = open.collect();
    skip(entities, key);
    for viewer in viewers {
        move_on(entities, viewer, key, next);
    }
    entities.unlink(removed.stream, |stream: &mut Stream| {
        stream.files.remove(at)
    });
    open
}

/// Moves a viewer from a file to the next one, if it is in that file.
fn move_on(
    entities: &mut Entities,
    viewer: ViewerStreamKey,
    from: TraceFileKey,
    next: Option<TraceFileKey>,
) {
    let viewer_stream = entities.viewer_streams.get(viewer);
    let file = viewer_stream.and_then(ViewerStream::file);
    if file.is_none_or(|file| *file != from) {
        // It reads metadata, or has no file yet.
        return;
    }
    let before = place_of(entities, viewer);
    entities.relink(viewer, |stream: &mut ViewerStream, links| {
        if let Some(position) = stream.packets_mut() {
            position.file = next.map(|next| links.hold(next));
            position.record = 0;
        } else if let Some(position) = stream.metadata_mut() {
            position.file = None;
        }
    });
    let after = place_of(entities, viewer);
    if let (Some((stream, before)), Some((_, after))) = (before, after)
        && let Some(stream) = entities.streams.get_mut(stream)
    {
        let viewers = &mut stream.rare_mut().viewers;
        viewers.remove(&(before, viewer));
        viewers.insert((after, viewer));
    }
}

/// Takes the packets of a removed file from the viewers that may still ask for them.
pub fn withhold(entities: &mut Entities, stream: StreamKey, data: &[FileKey]) {
    let Some(stream) = entities.streams.get(stream) else {
        return;
    };
    let viewers: Vec<_> = stream
        .rare()
        .viewers
        .iter()
        .map(|(_, viewer)| *viewer)
        .collect();
    for viewer in viewers {
        let viewer_stream = entities.viewer_streams.get(viewer);
        let readable = viewer_stream.and_then(|it| it.packets()?.readable.as_ref());
        if readable.is_some_and(|it| data.contains(&it.file.key())) {
            entities.relink(viewer, |stream: &mut ViewerStream, _| {
                if let Some(position) = stream.packets_mut() {
                    position.readable = None;
                }
            });
        }
    }
}

/// A file was deleted with its chunk: viewers get nothing more of it.
pub fn withdraw(entities: &mut Entities, chunk: ChunkKey, made: FileOfStream) {
    let Entities {
        streams,
        trace_files,
        ..
    } = &mut *entities;
    let Some(stream) = streams.get_mut(made.stream) else {
        // A stream that is gone has no viewers any more.
        return;
    };
    stream.tally.clear();
    let is_before = |file: &Held<TraceFileKey>| trace_files[file].ordinal < made.ordinal;
    let at = stream.files.partition_point(is_before);
    if let Some(held) = stream.files.get(at) {
        let file = &mut trace_files[held];
        if file.chunk == chunk && file.ordinal == made.ordinal {
            file.cleared = true;
            let key = held.key();
            skip(entities, key);
            entities.unlink(made.stream, |stream: &mut Stream| stream.files.remove(at));
        }
    }
}
