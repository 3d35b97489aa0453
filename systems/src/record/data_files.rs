//! Data files: where a stream's packets stand, one after another.
//!
//! `size` of a [`TraceFile`] is where its next packet begins. Bytes of a packet that
//! is arriving stand beyond it, and are cut off if the packet never completes: a
//! torn packet at the end of a file makes a whole trace unreadable.

use std::os::fd::BorrowedFd;

use baton_components::file::File;
use baton_components::keys::StreamKey;
use baton_components::stream::Stream;
use baton_components::trace_file::TraceFile;

use super::file_paths::{self, FilePath};
use crate::entities::Entities;
use crate::ports::{StorageError, StoragePort, Taken};

/// Makes the next data file of a stream, in its chunk, and its directory.
pub fn begin(
    entities: &mut Entities,
    storage: &mut StoragePort,
    key: StreamKey,
) -> Result<(), StorageError> {
    let Some(stream) = entities.streams.get(key) else {
        return Ok(());
    };
    let Some(path) = FilePath::current(entities, key) else {
        return Ok(());
    };
    let ordinal = stream.next_ordinal;
    file_paths::remove_old(entities, storage, &path)?;
    let data = file_paths::create(entities, storage, &path)?;
    let file = entities.insert(TraceFile {
        stream: key,
        chunk: path.chunk,
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

/// The bytes written are complete once zeros that were announced and not sent follow
/// it. Gives the size of the packet, in bytes.
pub fn complete(
    storage: &mut StoragePort,
    file: &mut TraceFile,
    padding: u32,
) -> Result<u64, StorageError> {
    if file.extent > file.written {
        // A torn end that could not be cut off is no padding.
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
