//! Metadata is kept in memory until it is in its file, since a trace with a gap in its metadata
//! cannot be read.
//!
//! Packets are not kept: they are large, and a missing packet does no harm. Packets that come
//! while the disk refuses their metadata are dropped too, since they could not be read if the
//! disk stays full.

use std::collections::VecDeque;

use baton_components::connection::Ending;
use baton_components::keys::{StreamKey, TraceFileKey};
use baton_components::limits::WAITING_METADATA_BYTES_MAX;
use baton_components::shares::{AddressKey, Asset, Shares};
use baton_components::stream::Stream;
use baton_components::time::Now;
use baton_components::totals::Written;
use baton_components::trace_file::{MetadataMessage, TraceFile, WaitingMetadata};
use bevy_ecs::system::{Res, ResMut};

use crate::agenda::Agenda;
use crate::entities::Entities;
use crate::ports::{StorageError, StorageErrorKind, StoragePort};
use crate::record::{RecordError, Recorder, batch, data_files};

/// Writes metadata once more that the disk has refused, before packets that need it; the answer
/// sets the timer for the next attempt.
pub fn retry(
    mut entities: ResMut<Entities>,
    mut storage: ResMut<StoragePort>,
    mut agenda: ResMut<Agenda>,
    now: Res<Now>,
) {
    agenda.is_metadata_due = false;
    for key in std::mem::take(&mut agenda.waiting_metadata) {
        if write_again(&mut entities, &mut storage, key) {
            continue;
        }
        // Another attempt is not answered yet.
        let file = entities.trace_files.get(key);
        if file.is_some_and(|file| refusal(file).is_some()) {
            agenda.expect_room(now.monotonic, key);
        }
    }
}

/// Keeps a message and writes it, unless the disk has refused those before it. Fails if more
/// than the limits would be kept then.
pub fn take(
    entities: &mut Entities,
    storage: &mut StoragePort,
    key: TraceFileKey,
    bytes: &[u8],
    padding: u32,
) -> Result<(), RecordError> {
    let stream = entities.trace_files.get(key).map(|file| file.stream);
    let Some(stream) = stream.and_then(|stream| entities.streams.get(stream)) else {
        return Ok(());
    };
    let address = entities.sessions[&stream.session].address;
    let message = MetadataMessage {
        bytes: bytes.to_owned(),
        padding,
    };
    let Entities {
        trace_files,
        shares,
        ..
    } = entities;
    let Some(file) = trace_files.get_mut(key) else {
        return Ok(());
    };
    if message.size() == 0 {
        return Ok(());
    }
    let refusal = refusal(file);
    if let (Some(why), Some(waiting)) = (&refusal, &file.waiting) {
        if waiting.size + message.size() > WAITING_METADATA_BYTES_MAX {
            return Err(RecordError::MetadataExcess(why.clone()));
        }
        for asset in COUNTED {
            shares.check(address, asset, message.memory_bytes())?;
        }
    }
    for asset in COUNTED {
        shares.add(address, asset, message.memory_bytes());
    }
    if refusal.is_none() {
        write(entities, storage, key, &message);
    }
    if let Some(file) = entities.trace_files.get_mut(key) {
        let waiting = file.waiting.get_or_insert_with(|| {
            Box::new(WaitingMetadata {
                address,
                messages: VecDeque::new(),
                size: 0,
                refusal: None,
            })
        });
        waiting.size += message.size();
        // The zeros come to be on disk.
        waiting.messages.push_back(message);
    }
    Ok(())
}

/// Whether a message of that size waits until those before it are in the file, since there is no
/// room for it beside them in memory.
pub fn lacks_room(entities: &Entities, stream: StreamKey, bytes: &[u8], padding: u32) -> bool {
    let Some(stream) = entities.streams.get(stream) else {
        return false;
    };
    let file = stream
        .current_file()
        .map(|file| &entities.trace_files[file]);
    let Some(waiting) = file.and_then(|file| file.waiting.as_ref()) else {
        return false;
    };
    let size = bytes.len() as u64 + u64::from(padding);
    let memory_bytes = MetadataMessage::memory_bytes_of(bytes);
    let has_room = |asset| {
        let checked = entities.shares.check(waiting.address, asset, memory_bytes);
        checked.is_ok()
    };
    waiting.size + size > WAITING_METADATA_BYTES_MAX || !COUNTED.into_iter().all(has_room)
}

/// The assets that a message which waits is counted in.
const COUNTED: [Asset; 2] = [Asset::WaitingMetadata, Asset::Memory];

/// Writes refused messages once more. Gives whether there are any, and no attempt is pending.
pub fn write_again(entities: &mut Entities, storage: &mut StoragePort, key: TraceFileKey) -> bool {
    // A stale key: the file was closed.
    let Some(file) = entities.trace_files.get(key) else {
        return false;
    };
    if refusal(file).is_none() || file.size > file.committed {
        return false;
    }
    data_files::restore(entities, storage, key);
    write_rest(entities, storage, key);
    let stream = entities.trace_files.get(key).map(|file| file.stream);
    if let Some(stream) = stream.and_then(|stream| entities.streams.get(stream)) {
        let session = stream.session.key();
        batch::want(entities, session);
    }
    true
}

/// Writes the messages that are kept and not written.
fn write_rest(entities: &mut Entities, storage: &mut StoragePort, key: TraceFileKey) {
    let Some(file) = entities.trace_files.get_mut(key) else {
        return;
    };
    let (mut at, written) = (file.committed, file.size);
    let Some(waiting) = file.waiting.take() else {
        return;
    };
    for message in &waiting.messages {
        if at >= written {
            write(entities, storage, key, message);
        }
        at += message.size();
    }
    if let Some(file) = entities.trace_files.get_mut(key) {
        file.waiting = Some(waiting);
    }
}

fn write(
    entities: &mut Entities,
    storage: &mut StoragePort,
    key: TraceFileKey,
    message: &MetadataMessage,
) {
    data_files::write(entities, storage, key, &message.bytes);
    data_files::complete(entities, storage, key, message.padding);
}

/// So many bytes more are in the file.
pub fn confirm(
    entities: &mut Entities,
    storage: &mut StoragePort,
    key: TraceFileKey,
    mut bytes: u64,
) {
    let Entities {
        trace_files,
        shares,
        ..
    } = entities;
    let Some(file) = trace_files.get_mut(key) else {
        return;
    };
    let Some(waiting) = &mut file.waiting else {
        return;
    };
    while let Some(message) = waiting.messages.pop_front_if(|it| it.size() <= bytes) {
        bytes -= message.size();
        waiting.size -= message.size();
        release(shares, waiting.address, &message);
    }
    let was_refused = waiting.refusal.take().is_some();
    if waiting.messages.is_empty() {
        file.waiting = None;
    }
    if !was_refused {
        return;
    }
    if let Some(file) = entities.trace_files.get(key) {
        let path = path(entities, file);
        tracing::warn!("the metadata in {path} is complete again");
    }
    write_rest(entities, storage, key);
}

/// The disk has refused what is kept for the file, if anything is.
pub fn refused(recorder: &mut Recorder, key: TraceFileKey, error: &StorageError) {
    let Recorder {
        entities,
        agenda,
        now,
        ..
    } = recorder;
    let Entities {
        trace_files,
        streams,
        sessions,
        connections,
        traces,
        shares,
        totals,
        ..
    } = &mut **entities;
    let Some(file) = trace_files.get_mut(key) else {
        return;
    };
    let Some(waiting) = &mut file.waiting else {
        return;
    };
    let is_first = waiting.refusal.replace(error.to_string()).is_none();
    let has_room = |asset| shares.check(waiting.address, asset, 0).is_ok();
    let is_excess = waiting.size > WAITING_METADATA_BYTES_MAX || !COUNTED.into_iter().all(has_room);
    agenda.expect_room(now.monotonic, key);
    let Some(stream) = streams.get(file.stream) else {
        return;
    };
    traces[&stream.trace].waiting = Some(key);
    if !is_first {
        return;
    }
    totals.fail(Written::Metadata);
    tracing::error!("cannot write metadata yet, packets are lost: {error}");
    let session = &sessions[&stream.session];
    if let Some(connection) = connections.get_mut(session.control).filter(|_| is_excess) {
        let reason = RecordError::MetadataExcess(error.to_string());
        tracing::warn!(
            peer = connection.peer,
            "control connection of session {session}: {reason}; connection closed"
        );
        agenda.close(session.control, connection, Ending::Fault);
    }
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

/// Fails if metadata of the stream's trace waits: its packets could not be read.
pub fn check(entities: &Entities, stream: &Stream) -> Result<(), StorageError> {
    let waiting = entities.traces[&stream.trace].waiting;
    let file = waiting.and_then(|file| entities.trace_files.get(file));
    match file {
        Some(file) if refusal(file).is_some() => Err(StorageError {
            kind: StorageErrorKind::Full,
            action: "use".into(),
            path: path(entities, file),
            reason: "it waits for room on the disk".to_owned(),
        }),
        _ => Ok(()),
    }
}

/// Gives up the waiting metadata of a file that is freed. Readers find the metadata up to the
/// last message that was written.
pub fn give_up(entities: &mut Entities, file: &mut TraceFile) {
    let Some(why) = refusal(file) else {
        drop_waiting(&mut entities.shares, file);
        return;
    };
    let path = path(entities, file);
    let bytes = drop_waiting(&mut entities.shares, file);
    tracing::error!("{bytes} bytes of metadata in {path} are lost: {why}");
}

/// Why the disk has refused metadata of the file, if it has.
fn refusal(file: &TraceFile) -> Option<String> {
    file.waiting.as_ref()?.refusal.clone()
}

/// For messages.
fn path(entities: &Entities, file: &TraceFile) -> String {
    entities.files[&file.data].path.to_string()
}
