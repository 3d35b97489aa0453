//! Writing trace files: a stream's data file and the index beside it.
//!
//! `size` of a [`TraceFile`] is where its next packet begins. Bytes of a packet that
//! is arriving stand beyond it, and are cut off if the packet never completes: a
//! torn packet at the end of a file makes a whole trace unreadable.

use std::os::fd::BorrowedFd;

use baton_components::chunk::Chunk;
use baton_components::file::File;
use baton_components::index::{Half, Index};
use baton_components::keys::{ChunkKey, FileKey, IndexKey, SessionKey, StreamKey, TraceFileKey};
use baton_components::path::RelativePath;
use baton_components::session::Session;
use baton_components::stream::{Stream, TraceFiles};
use baton_components::trace_file::{IndexFile, TraceFile};
use baton_components::wire::ctf_index::{IndexRecord, Version};

use crate::entities::Entities;
use crate::ports::{StorageError, StoragePort, Taken};
use crate::record::places;
use crate::record::waiting_metadata;

/// Directory of index files, beside the data files.
const INDEX_DIRECTORY: &[u8] = b"index";
pub const INDEX_ENDING: &[u8] = b".idx";

/// Makes the next data file of a stream, in its chunk, and its directory.
pub fn begin(
    entities: &mut Entities,
    storage: &mut StoragePort,
    key: StreamKey,
) -> Result<(), StorageError> {
    let Some(stream) = entities.streams.get(key) else {
        return Ok(());
    };
    let Some(place) = place(entities, key) else {
        return Ok(());
    };
    let ordinal = stream.next_ordinal;
    remove_old(entities, storage, &place)?;
    let data = create(entities, storage, &place)?;
    let file = entities.insert(TraceFile {
        stream: key,
        chunk: place.chunk,
        ordinal,
        data,
        index: None,
        size: 0,
        written: 0,
        extent: 0,
        waiting: None,
        awaited: 0,
        finished: false,
        cleared: false,
    });
    entities.disown::<File>(data);
    entities.relink(key, |stream: &mut Stream| {
        stream.files.push(file);
        stream.next_ordinal += 1;
    });
    entities.disown::<TraceFile>(file);
    Ok(())
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
    if let Err(error) = begin(entities, storage, key) {
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
        // What follows a rotation has all of it again.
        return (!stream.viewers.is_empty()).then_some(stream.chunk_ordinal);
    }
    let positions = stream.viewers.iter().filter_map(|key| {
        let file = entities.viewer_streams.get(*key)?.packets()?.file;
        let file = file.and_then(|file| entities.trace_files.get(file));
        Some(file.map_or(0, |file| file.ordinal))
    });
    positions.min()
}

/// Makes the index file of a stream's current file, if it has none.
pub fn begin_index(
    entities: &mut Entities,
    storage: &mut StoragePort,
    key: TraceFileKey,
) -> Result<(), StorageError> {
    let Some(file) = entities
        .trace_files
        .get(key)
        .filter(|file| file.index.is_none())
    else {
        return Ok(());
    };
    let Some(stream) = entities.streams.get(file.stream) else {
        return Ok(());
    };
    let Some(mut place) = place(entities, file.stream) else {
        return Ok(());
    };
    let minor = entities
        .sessions
        .get(stream.session)
        .map_or(0, |session| session.minor);
    let version = Version::for_minor(minor);
    place.make_index();
    let index = create(entities, storage, &place)?;
    let begun = storage.write(index, 0, &version.header());
    if begun.is_ok() {
        entities.relink(key, |file: &mut TraceFile| {
            file.index = Some(Box::new(IndexFile {
                file: index,
                version,
                committed: 0,
                fresh: Vec::new(),
                told: None,
            }));
        });
    } else if let Some(file) = entities.files.get(index)
        // Readers do without an index, but not with half a one.
        && let Err(error) = storage.remove_file(&file.path)
    {
        tracing::error!("half an index stays: {error}");
    }
    entities.disown::<File>(index);
    begun
}

/// A half does not wait any more: its file may be complete now.
pub fn end_half(entities: &mut Entities, key: IndexKey) {
    if let Some(Index {
        half: Half::Packet(place),
        ..
    }) = entities.indexes.get(key)
        && let Some(file) = entities.trace_files.get_mut(place.file)
    {
        file.awaited -= 1;
    }
    entities.disown::<Index>(key);
}

/// Adds a record to those that the next [`flush`] writes; gives how many bytes wait.
pub fn record(file: &mut TraceFile, record: &IndexRecord) -> usize {
    let Some(index) = &mut file.index else {
        return 0;
    };
    record.encode(index.version, &mut index.fresh);
    index.fresh.len()
}

/// Writes the records that are complete in one go; from then on viewers may see them.
/// Those that cannot be written are kept for the next try.
pub fn flush(storage: &mut StoragePort, file: &mut TraceFile) -> Result<(), StorageError> {
    let index = file.index.as_mut().filter(|index| !index.fresh.is_empty());
    let Some(index) = index else { return Ok(()) };
    let offset = index.record_offset(index.committed);
    storage.write(index.file, offset, &index.fresh)?;
    index.committed += index.fresh_records();
    index.fresh.clear();
    // Most streams are idle most of the time.
    index.fresh.shrink_to(2 * index.version.record_size());
    Ok(())
}

/// Writes the next bytes of a packet that is arriving.
pub fn write(
    storage: &mut StoragePort,
    file: &mut TraceFile,
    bytes: &[u8],
) -> Result<(), StorageError> {
    let written = storage.write(file.data, file.written, bytes);
    // A failed write may have left a part.
    file.written += bytes.len() as u64;
    file.extent = file.extent.max(file.written);
    written
}

/// Moves the next bytes of a packet that is arriving, at most `length`, from where they
/// come.
pub fn take(
    storage: &mut StoragePort,
    file: &mut TraceFile,
    length: u64,
    from: BorrowedFd<'_>,
) -> Taken {
    let taken = storage.take(file.data, file.written, length, from);
    file.written += taken.bytes;
    file.extent = file.extent.max(file.written);
    taken
}

/// What was written is complete once zeros that were announced and not sent follow
/// it. Gives the size of the packet, in bytes.
pub fn complete(
    storage: &mut StoragePort,
    file: &mut TraceFile,
    padding: u32,
) -> Result<u64, StorageError> {
    if file.extent > file.written {
        // What was torn and could not be cut off is no padding.
        storage.resize(file.data, file.written)?;
        file.extent = file.written;
    }
    if padding > 0 {
        file.written += u64::from(padding);
        storage.resize(file.data, file.written)?;
        file.extent = file.written;
    }
    let size = file.written - file.size;
    file.size = file.written;
    Ok(size)
}

/// Takes back what stands beyond the last complete packet. If that fails, the next
/// packet is written over it.
pub fn cut(storage: &mut StoragePort, file: &mut TraceFile) {
    file.written = file.size;
    if file.extent == file.size {
        return;
    }
    match storage.resize(file.data, file.size) {
        Ok(()) => file.extent = file.size,
        Err(error) => tracing::error!("a torn packet stays at the end of a file: {error}"),
    }
}

/// The stream writes no more to this file: what waits goes to disk now, a torn
/// packet at its end is cut off.
pub fn finish(entities: &mut Entities, storage: &mut StoragePort, key: TraceFileKey) {
    if let Some(file) = entities.trace_files.get_mut(key) {
        // What the disk does not take is tried again until the file goes.
        let _ = flush(storage, file);
        let _ = waiting_metadata::flush(&entities.files, storage, file);
        file.finished = true;
        cut(storage, file);
    }
}

/// Records that cannot be written are lost, and what was written of them is cut off:
/// readers find the packets without their index.
pub fn give_up_records(storage: &mut StoragePort, file: &mut TraceFile, error: &StorageError) {
    let Some(index) = &mut file.index else { return };
    tracing::error!("{} index records are lost: {error}", index.fresh_records());
    index.fresh.clear();
    if let Err(error) = storage.resize(index.file, index.record_offset(index.committed)) {
        tracing::error!("a torn record stays at the end of an index: {error}");
    }
}

/// Where a file goes.
#[derive(Clone)]
struct Place {
    stream: StreamKey,
    is_metadata: bool,
    chunk: ChunkKey,
    /// Below the chunk's directory.
    directory: RelativePath,
    name: Vec<u8>,
}

impl Place {
    /// From a data file to the index beside it.
    fn make_index(&mut self) {
        self.directory = named(&self.directory, INDEX_DIRECTORY);
        self.name.extend_from_slice(INDEX_ENDING);
    }

    /// Below the chunk's directory.
    fn path(&self) -> RelativePath {
        named(&self.directory, &self.name)
    }
}

/// A data file that was made before makes room for the next of its name, and so does its
/// index, which tells nothing about that. (Those that read them keep them.)
fn remove_old(
    entities: &mut Entities,
    storage: &mut StoragePort,
    data: &Place,
) -> Result<(), StorageError> {
    let mut index = data.clone();
    index.make_index();
    let Some(chunk) = entities.chunks.get_mut(data.chunk) else {
        return Ok(());
    };
    let directory = chunk.directory();
    for (path, of_any) in [(index.path(), false), (data.path(), data.is_metadata)] {
        let owner = chunk.files.get(&path);
        if owner.is_some_and(|owner| of_any || *owner == data.stream) {
            storage.remove_file(&directory.join(&path))?;
            chunk.files.remove(&path);
        }
    }
    Ok(())
}

/// Where a stream's current data file goes; nowhere if the stream has no chunk. Its
/// name is the channel's, with a number where another stream of the chunk has that: a
/// file is written over by its own stream only. (A trace has one metadata file,
/// whatever is sent.)
fn place(entities: &Entities, key: StreamKey) -> Option<Place> {
    let stream = entities.streams.get(key)?;
    let chunk = stream.chunk?;
    let directory = entities.traces.get(stream.trace)?.path.clone();
    let files = &entities.chunks.get(chunk)?.files;
    let number = stream.limit.as_ref().map(|limit| limit.file_number);
    let mut name = numbered(&stream.channel, number);
    let mut count = 1;
    while !stream.is_metadata()
        && files
            .get(&named(&directory, &name))
            .is_some_and(|owner| *owner != key)
    {
        count += 1;
        let channel = [&*stream.channel, format!("-{count}").as_bytes()].concat();
        name = numbered(&channel, number);
    }
    Some(Place {
        stream: key,
        is_metadata: stream.is_metadata(),
        chunk,
        directory,
        name,
    })
}

/// The name of a data file: with its number if the stream's files are limited.
pub fn numbered(name: &[u8], number: Option<u64>) -> Vec<u8> {
    let mut name = name.to_vec();
    if let Some(number) = number {
        name.extend_from_slice(format!("_{number}").as_bytes());
    }
    name
}

/// A new file with its directory, owned by the caller until somebody holds it.
fn create(
    entities: &mut Entities,
    storage: &mut StoragePort,
    place: &Place,
) -> Result<FileKey, StorageError> {
    let chunk = entities
        .chunks
        .get_mut(place.chunk)
        .expect("law of holds: a stream holds its chunk");
    let chunk_directory = chunk.directory();
    let directory = chunk_directory.join(&place.directory);
    make_directories(storage, chunk, &place.directory)?;
    let path = named(&directory, &place.name);
    let key = entities.insert(File { path: path.clone() });
    match storage.create_file(key, &path) {
        Ok(()) => {
            if let Some(chunk) = entities.chunks.get_mut(place.chunk) {
                let path = path.below(&chunk_directory);
                let path = path.expect("law: a chunk's files are below its directory");
                chunk.files.insert(path, place.stream);
            }
            Ok(key)
        }
        Err(error) => {
            entities.disown::<File>(key);
            Err(error)
        }
    }
}

/// Makes the directories of a chunk down to this one. Those that were made before are
/// made again if they are gone.
fn make_directories(
    storage: &mut StoragePort,
    chunk: &mut Chunk,
    directory: &RelativePath,
) -> Result<(), StorageError> {
    let mut missing = Vec::new();
    let mut above = Some(directory.clone());
    while let Some(path) = above.filter(|path| !path.is_root() && !chunk.directories.contains(path))
    {
        above = path.parent();
        missing.push(path);
    }
    if missing.is_empty() {
        return storage.create_directory(&chunk.directory().join(directory));
    }
    for path in missing.into_iter().rev() {
        places::make_own(storage, &chunk.directory().join(&path))?;
        chunk.directories.insert(path);
    }
    Ok(())
}

fn named(directory: &RelativePath, name: &[u8]) -> RelativePath {
    directory
        .child(name)
        .expect("law: channel names were checked when the stream was added")
}
