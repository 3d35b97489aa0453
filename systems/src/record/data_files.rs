//! Data files: the packets of a stream, one after another.
//!
//! `size` of a [`TraceFile`] is the offset of its next packet. Bytes of a packet that is
//! arriving are written beyond it, and cut off if the packet is not completed, since a torn
//! packet at the end of a file makes the whole trace unreadable.
//!
//! Nothing here fails: the answer to the commit of the batch tells what is in the file.

use std::ops::Range;

use baton_components::file::File;
use baton_components::keys::{ConnectionKey, FileKey, StreamKey, TraceFileKey};
use baton_components::stream::Stream;
use baton_components::trace_file::TraceFile;

use super::batch;
use super::file_paths::{self, FilePath};
use crate::entities::Entities;
use crate::ports::{Arrived, StorageError, StoragePort};

/// Creates the next data file of a stream in its chunk, and the directory for it.
pub fn begin(
    entities: &mut Entities,
    storage: &mut StoragePort,
    key: StreamKey,
) -> Result<(), StorageError> {
    file_paths::choose_name(entities, key);
    let Some(stream) = entities.streams.get(key) else {
        return Ok(());
    };
    let ordinal = stream.next_ordinal;
    let Some(path) = FilePath::current(entities, key, ordinal) else {
        return Ok(());
    };
    file_paths::remove_old(entities, storage, &path)?;
    let data = file_paths::create(entities, storage, &path)?;
    let file = entities.insert(|links| TraceFile {
        stream: key,
        chunk: path.chunk,
        ordinal,
        data: links.hold(data),
        index: None,
        size: 0,
        written: 0,
        committed: 0,
        failures: 0,
        waiting: None,
        awaited: 0,
        is_awaited: false,
        finished: false,
        cleared: false,
    });
    entities.disown::<File>(data);
    entities.link(key, file, |stream: &mut Stream, file| {
        stream.files.push_back(file);
        stream.next_ordinal += 1;
    });
    entities.disown::<TraceFile>(file);
    Ok(())
}

/// Copies a range of another file behind the complete packets of this one.
pub fn move_in(
    entities: &mut Entities,
    storage: &mut StoragePort,
    key: TraceFileKey,
    from: FileKey,
    range: Range<u64>,
) {
    let bytes = range.end - range.start;
    write_with(entities, key, |data, at| {
        storage.copy(from, range, data, at);
        bytes
    });
}

/// Writes bytes of a packet that is arriving, from memory.
pub fn write(entities: &mut Entities, storage: &mut StoragePort, key: TraceFileKey, bytes: &[u8]) {
    write_with(entities, key, |data, at| {
        storage.write(data, at, bytes);
        bytes.len() as u64
    });
}

/// Writes bytes of a packet that is arriving, from its connection's input.
pub fn append(
    entities: &mut Entities,
    storage: &mut StoragePort,
    key: TraceFileKey,
    bytes: Arrived<'_>,
) {
    write_with(entities, key, |data, at| {
        storage.write_arrived(data, at, bytes);
        bytes.bytes().len() as u64
    });
}

/// Moves bytes of a packet that is arriving, at most `length`, from its connection with
/// zero-copy; gives how many.
pub fn take(
    entities: &mut Entities,
    storage: &mut StoragePort,
    key: TraceFileKey,
    length: u64,
    from: ConnectionKey,
) -> u64 {
    write_with(entities, key, |data, at| {
        storage.to_file(from, data, at, length)
    })
}

/// Writes behind what was written to a file; gives how many bytes.
fn write_with(
    entities: &mut Entities,
    key: TraceFileKey,
    write: impl FnOnce(FileKey, u64) -> u64,
) -> u64 {
    let Some(file) = entities.trace_files.get_mut(key) else {
        return 0;
    };
    let bytes = write(file.data.key(), file.written);
    file.written += bytes;
    if bytes > 0 {
        batch::note(entities, key, bytes);
    }
    bytes
}

/// Completes the packet that was written: adds its padding, which the producer announces and
/// does not send, as zeros. Returns the packet's size in bytes.
pub fn complete(
    entities: &mut Entities,
    storage: &mut StoragePort,
    key: TraceFileKey,
    padding: u32,
) -> u64 {
    let Some(file) = entities.trace_files.get_mut(key) else {
        return 0;
    };
    if padding > 0 {
        file.written += u64::from(padding);
        storage.resize(file.data.key(), file.written);
    }
    let size = file.written - file.size;
    file.size = file.written;
    batch::note(entities, key, 0);
    size
}

/// Truncates the file after the last complete packet.
pub fn cut(entities: &mut Entities, storage: &mut StoragePort, key: TraceFileKey) {
    let Some(file) = entities.trace_files.get_mut(key) else {
        return;
    };
    if file.written == file.size {
        return;
    }
    file.written = file.size;
    storage.resize(file.data.key(), file.size);
    batch::note(entities, key, 0);
}

/// Brings a file that could not be written, and its index, back to what is in them.
pub fn restore(entities: &mut Entities, storage: &mut StoragePort, key: TraceFileKey) {
    let Some(file) = entities.trace_files.get_mut(key) else {
        return;
    };
    file.size = file.committed;
    file.written = file.committed;
    storage.restore(file.data.key(), file.size);
    if let Some(index) = &mut file.index {
        index.go_back();
        storage.restore(index.file.key(), index.committed);
    }
}
