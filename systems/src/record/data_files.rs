//! Data files: the packets of a stream, one after another.
//!
//! `size` of a [`TraceFile`] is the offset of its next packet. Bytes of a packet that is
//! arriving are written beyond it, and cut off if the packet is not completed, since a torn
//! packet at the end of a file makes the whole trace unreadable.

use std::ops::Range;

use baton_components::file::File;
use baton_components::keys::{ConnectionKey, FileKey, StreamKey};
use baton_components::stream::Stream;
use baton_components::trace_file::TraceFile;

use super::file_paths::{self, FilePath};
use crate::entities::Entities;
use crate::ports::{Arrived, StorageError, StoragePort, Taken};

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
        extent: 0,
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
    storage: &mut StoragePort,
    file: &mut TraceFile,
    from: FileKey,
    range: Range<u64>,
) -> Result<(), StorageError> {
    let bytes = range.end - range.start;
    let copied = storage.copy(from, range, file.data.key(), file.written);
    advance(file, bytes);
    copied
}

/// Writes bytes of a packet that is arriving, from memory.
pub fn write(
    storage: &mut StoragePort,
    file: &mut TraceFile,
    bytes: &[u8],
) -> Result<(), StorageError> {
    let written = storage.write(file.data.key(), file.written, bytes);
    advance(file, bytes.len() as u64);
    written
}

/// Writes bytes of a packet that is arriving, from its connection's input.
pub fn append(
    storage: &mut StoragePort,
    file: &mut TraceFile,
    bytes: Arrived<'_>,
) -> Result<(), StorageError> {
    let written = storage.write_arrived(file.data.key(), file.written, bytes);
    advance(file, bytes.bytes().len() as u64);
    written
}

/// Moves bytes of a packet that is arriving, at most `length`, from its connection with
/// zero-copy.
pub fn take(
    storage: &mut StoragePort,
    file: &mut TraceFile,
    length: u64,
    from: ConnectionKey,
) -> Taken {
    let taken = storage.to_file(from, file.data.key(), file.written, length);
    advance(file, taken.bytes);
    taken
}

/// Counts bytes whether or not their write succeeded: after a failure, a part of them may be
/// in the file.
fn advance(file: &mut TraceFile, bytes: u64) {
    file.written += bytes;
    file.extent = file.extent.max(file.written);
}

/// Completes the packet that was written: adds its padding, which the producer announces and
/// does not send, as zeros. Returns the packet's size in bytes.
pub fn complete(
    storage: &mut StoragePort,
    file: &mut TraceFile,
    padding: u32,
) -> Result<u64, StorageError> {
    if file.extent > file.written {
        // The rest of a torn packet that could not be cut off must not become padding.
        storage.resize(file.data.key(), file.written)?;
        file.extent = file.written;
    }
    if padding > 0 {
        file.written += u64::from(padding);
        storage.resize(file.data.key(), file.written)?;
        file.extent = file.written;
    }
    let size = file.written - file.size;
    file.size = file.written;
    Ok(size)
}

/// Truncates the file after the last complete packet. If that fails, the next packet
/// overwrites the torn one.
pub fn cut(storage: &mut StoragePort, file: &mut TraceFile) {
    file.written = file.size;
    if file.extent == file.size {
        return;
    }
    match storage.resize(file.data.key(), file.size) {
        Ok(()) => file.extent = file.size,
        Err(error) => tracing::error!("cannot cut a torn packet off a file: {error}"),
    }
}
