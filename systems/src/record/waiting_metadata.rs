//! Metadata that could not be written is kept in memory until the disk has room, since a
//! trace with a gap in its metadata cannot be read.
//!
//! Packets are not kept: they are large, and a missing packet does no harm. Packets whose
//! metadata waits are dropped too, since they could not be read if the disk stays full.

use std::collections::VecDeque;

use baton_components::arena::Arena;
use baton_components::file::File;
use baton_components::keys::FileKey;
use baton_components::limits::WAITING_METADATA_BYTES_MAX;
use baton_components::shares::{AddressKey, Asset, Shares};
use baton_components::stream::Stream;
use baton_components::time::Now;
use baton_components::trace_file::{MetadataMessage, TraceFile, WaitingMetadata};
use bevy_ecs::system::{Res, ResMut};

use crate::agenda::Agenda;
use crate::entities::Entities;
use crate::ports::{StorageError, StorageErrorKind, StoragePort};
use crate::record::{RecordError, data_files};

type Files = Arena<FileKey, File>;

/// Tries once to write the waiting metadata of each file, before packets that need it; after
/// a failure again when the timer expires.
pub fn retry(
    mut entities: ResMut<Entities>,
    mut storage: ResMut<StoragePort>,
    mut agenda: ResMut<Agenda>,
    now: Res<Now>,
) {
    agenda.is_metadata_due = false;
    let Entities {
        trace_files,
        files,
        shares,
        ..
    } = &mut *entities;
    for key in std::mem::take(&mut agenda.waiting_metadata) {
        // A stale key: the file was closed.
        let file = trace_files.get_mut(key);
        if file.is_some_and(|file| flush(files, shares, &mut storage, file).is_err()) {
            agenda.expect_room(now.monotonic, key);
        }
    }
}

/// Writes a message, or keeps it. Fails if more than the limits would be kept.
pub fn take(
    files: &Files,
    shares: &mut Shares,
    address: AddressKey,
    storage: &mut StoragePort,
    file: &mut TraceFile,
    bytes: &[u8],
    padding: u32,
) -> Result<(), RecordError> {
    let size = bytes.len() as u64 + u64::from(padding);
    let waiting = file.waiting.as_ref().map_or(0, |waiting| waiting.size);
    let is_excess = waiting + size > WAITING_METADATA_BYTES_MAX;
    let memory_bytes = MetadataMessage::memory_bytes_of(bytes);
    let room = COUNTED.map(|asset| shares.check(address, asset, memory_bytes));
    if file.waiting.is_none() || is_excess || room.iter().any(Result::is_err) {
        let written = flush(files, shares, storage, file)
            .and_then(|()| append(storage, file, bytes, padding));
        match written {
            Ok(()) => return Ok(()),
            Err(error) if is_excess => return Err(RecordError::MetadataExcess(error)),
            Err(error) => {
                room.into_iter().collect::<Result<(), _>>()?;
                tracing::error!("cannot write metadata yet, packets are lost: {error}");
            }
        }
    }
    for asset in COUNTED {
        shares.add(address, asset, memory_bytes);
    }
    let waiting = file.waiting.get_or_insert_with(|| {
        Box::new(WaitingMetadata {
            address,
            messages: VecDeque::new(),
            size: 0,
        })
    });
    waiting.size += size;
    // The zeros come to be on disk.
    waiting.messages.push_back(MetadataMessage {
        bytes: bytes.to_owned(),
        padding,
    });
    Ok(())
}

/// The assets that a message which waits is counted in.
const COUNTED: [Asset; 2] = [Asset::WaitingMetadata, Asset::Memory];

/// Writes the waiting messages, as far as there is room.
pub fn flush(
    files: &Files,
    shares: &mut Shares,
    storage: &mut StoragePort,
    file: &mut TraceFile,
) -> Result<(), StorageError> {
    let Some(mut waiting) = file.waiting.take() else {
        return Ok(());
    };
    while let Some(message) = waiting.messages.pop_front() {
        if let Err(error) = append(storage, file, &message.bytes, message.padding) {
            waiting.messages.push_front(message);
            file.waiting = Some(waiting);
            return Err(error);
        }
        waiting.size -= message.bytes.len() as u64 + u64::from(message.padding);
        release(shares, waiting.address, &message);
    }
    let path = path(files, file);
    tracing::warn!("the metadata in {path} is complete again");
    Ok(())
}

/// Drops the waiting messages. Returns how many bytes they have.
pub fn drop_waiting(shares: &mut Shares, file: &mut TraceFile) -> usize {
    let Some(waiting) = file.waiting.take() else {
        return 0;
    };
    for message in &waiting.messages {
        release(shares, waiting.address, message);
    }
    waiting.messages.iter().map(|it| it.bytes.len()).sum()
}

/// Uncounts a message that waits no longer.
fn release(shares: &mut Shares, address: AddressKey, message: &MetadataMessage) {
    for asset in COUNTED {
        shares.remove(address, asset, message.memory_bytes());
    }
}

/// Appends a whole message or nothing, since viewers must not see a part of one.
fn append(
    storage: &mut StoragePort,
    file: &mut TraceFile,
    bytes: &[u8],
    padding: u32,
) -> Result<(), StorageError> {
    data_files::write(storage, file, bytes)
        .and_then(|()| data_files::complete(storage, file, padding))
        .map(|_| ())
        .inspect_err(|_| data_files::cut(storage, file))
}

/// Fails if metadata of the stream's trace waits: its packets could not be read.
pub fn check(entities: &Entities, stream: &Stream) -> Result<(), StorageError> {
    let waiting = entities.traces[&stream.trace].waiting;
    let file = waiting.and_then(|file| entities.trace_files.get(file));
    match file {
        Some(file) if file.waiting.is_some() => Err(StorageError {
            kind: StorageErrorKind::Full,
            action: "use".into(),
            path: path(&entities.files, file),
            reason: "it waits for room on the disk".to_owned(),
        }),
        _ => Ok(()),
    }
}

/// Gives up the waiting metadata of a file that is freed. Readers find the metadata up to the
/// last message that was written.
pub fn give_up(files: &Files, shares: &mut Shares, file: &mut TraceFile, error: &StorageError) {
    let path = path(files, file);
    let bytes = drop_waiting(shares, file);
    tracing::error!("{bytes} bytes of metadata in {path} are lost: {error}");
}

/// For messages.
fn path(files: &Files, file: &TraceFile) -> String {
    files[&file.data].path.to_string()
}
