//! The listener: facts are entered in the ledger.

use baton_components::chunk::{Chunk, FileOfStream};
use baton_components::keys::{ChunkKey, StreamKey};
use baton_components::path::RelativePath;

use super::asking::{ask, draw};
use super::ledger::{ChunkNumber, Closed};
use super::{Job, Retain, Retention, policy};
use crate::facts::{ChunkEnd, MetadataGrew, NameFact, PacketKept, StreamClosed};
use crate::lists::{self, Entry};
use crate::requests::Request;

pub fn listen(retain: &mut Retain) {
    let names = std::mem::take(&mut retain.entities.names.facts);
    for fact in &names {
        match fact {
            NameFact::Made { chunk, file, path } => make(retain, *chunk, *file, path),
            NameFact::Removed(file) => {
                retain.retention.ledger.take_file(*file);
            }
            NameFact::Closed(end) => close(retain, end),
        }
    }
    // Other listeners read them, too.
    retain.entities.names.facts = names;
    for at in 0..retain.facts.kept.len() {
        let PacketKept {
            stream,
            file,
            bytes,
            ..
        } = retain.facts.kept[at];
        let ordinal = file;
        go_on_to(retain, stream, ordinal);
        let file = FileOfStream { stream, ordinal };
        retain.retention.ledger.add(file, bytes, 1);
        note_change(retain, file);
        let record = retain.entities.streams.get(stream);
        if record.is_none_or(|record| record.closed) {
            // It was confirmed after its stream has closed.
            finish_current(retain, stream);
        }
    }
    for at in 0..retain.facts.metadata.len() {
        let MetadataGrew {
            stream,
            file,
            bytes,
        } = retain.facts.metadata[at];
        let ordinal = file;
        let file = FileOfStream { stream, ordinal };
        retain.retention.ledger.add(file, bytes, 0);
        note_change(retain, file);
    }
    for at in 0..retain.facts.closed.len() {
        let StreamClosed(stream) = retain.facts.closed[at];
        finish_current(retain, stream);
    }
}

/// A file was made: its chunk may be new, or have moved.
fn make(retain: &mut Retain, key: ChunkKey, file: FileOfStream, path: &RelativePath) {
    let Some((number, mut entries)) = number_of(retain, key, path) else {
        // The chunk is closed already.
        return;
    };
    entries.push(Entry::File(path.clone()));
    retain.retention.ledger.make(number, file, path.clone());
    note(retain, number, &entries);
}

/// The number of a chunk, and what its list has to say of it before its next file.
fn number_of(
    retain: &mut Retain,
    key: ChunkKey,
    file: &RelativePath,
) -> Option<(ChunkNumber, Vec<Entry>)> {
    let chunk = retain.entities.chunks.get(key)?;
    let directory = chunk.directory();
    let mut entries = Vec::new();
    let number = if let Some(number) = chunk.list {
        number
    } else {
        let session = session_of(chunk, file);
        let number = draw(retain);
        retain.retention.ledger.begin(number, key, &session);
        entries.push(Entry::Session(session));
        if let Some(chunk) = retain.entities.chunks.get_mut(key) {
            chunk.list = Some(number);
        }
        number
    };
    note_directory(retain, number, &directory, &mut entries);
    Some((number, entries))
}

/// The directory of a chunk's session. Producers before 2.11 name whole paths:
/// `HOST/SESSION-TIME/…`.
fn session_of(chunk: &Chunk, file: &RelativePath) -> RelativePath {
    if chunk.session.is_root() {
        let above = file.names().take(2);
        above.fold(RelativePath::root(), |path, name| path.join(&name))
    } else {
        chunk.session.clone()
    }
}

/// Adds the directory of a chunk to its list if it is another one.
fn note_directory(
    retain: &mut Retain,
    number: ChunkNumber,
    directory: &RelativePath,
    entries: &mut Vec<Entry>,
) {
    if let Some(recorded) = retain.retention.ledger.recorded_mut(number)
        && recorded.directory != *directory
    {
        recorded.directory = directory.clone();
        entries.push(Entry::Directory(directory.clone()));
    }
}

/// Adds entries to the list of a chunk.
fn note(retain: &mut Retain, number: ChunkNumber, entries: &[Entry]) {
    let mut bytes = Vec::new();
    for entry in entries {
        entry.encode(&mut bytes);
    }
    let path = lists::path(number);
    ask(retain, Request::Append { path, bytes }, Job::Note);
}

/// A stream writes another file than before.
fn go_on_to(retain: &mut Retain, stream: StreamKey, ordinal: u64) {
    let now = retain.now.monotonic;
    let retention = &mut *retain.retention;
    let before = retention.current.insert(stream, ordinal);
    if let Some(before) = before.filter(|before| *before != ordinal) {
        let file = FileOfStream {
            stream,
            ordinal: before,
        };
        retention.ledger.finish(file, now);
    }
}

fn finish_current(retain: &mut Retain, stream: StreamKey) {
    let now = retain.now.monotonic;
    let retention = &mut *retain.retention;
    if let Some(ordinal) = retention.current.remove(&stream) {
        retention
            .ledger
            .finish(FileOfStream { stream, ordinal }, now);
    }
}

/// The policy is to look at the session of a file, if it is above its cap.
fn note_change(retain: &mut Retain, file: FileOfStream) {
    let Retention {
        caps,
        ledger,
        changed,
        ..
    } = &mut *retain.retention;
    let Some(cap) = caps.session_size else {
        return;
    };
    let piece = ledger.piece(file);
    let recorded = piece.and_then(|piece| ledger.recorded(piece.chunk));
    if let Some(session) = recorded.map(|recorded| &recorded.session)
        && ledger
            .account(session)
            .is_some_and(|it| it.bytes > policy::target(cap))
        && !changed.contains(session)
    {
        changed.insert(session.clone());
    }
}

/// A chunk is closed. Other chunks of its session may have moved.
fn close(retain: &mut Retain, end: &ChunkEnd) {
    let Some((recorded, bytes, packets)) = retain.retention.ledger.end(end.number) else {
        return;
    };
    let session = recorded.session;
    if end.is_deleted {
        let request = Request::Remove {
            within: lists::path(end.number),
            files: vec![lists::path(end.number)],
            directories: Vec::new(),
        };
        ask(retain, request, Job::Note);
    } else {
        let closed = Entry::Closed(retain.now.unix_s);
        note(
            retain,
            end.number,
            &[Entry::Directory(end.directory.clone()), closed],
        );
        let finished = retain.retention.ledger.stamp(retain.now.monotonic);
        let streams = &retain.entities.streams;
        let is_there = |file: &FileOfStream| streams.contains(file.stream);
        let chunk = Closed {
            session: session.clone(),
            bytes,
            packets,
            finished,
            is_archived: false,
            is_pinned: false,
            files: recorded.files.into_iter().filter(is_there).collect(),
        };
        retain.retention.ledger.close(end.number, chunk);
    }
    note_moves(retain, &session);
    retain.retention.changed.insert(session);
}

/// Adds to the lists of a session's chunks where they are now.
fn note_moves(retain: &mut Retain, session: &RelativePath) {
    let account = retain.retention.ledger.account(session);
    let numbers: Vec<_> = account.map_or_else(Vec::new, |it| it.recorded.iter().copied().collect());
    for number in numbers {
        let recorded = retain.retention.ledger.recorded(number);
        let chunk = recorded.and_then(|it| retain.entities.chunks.get(it.chunk));
        let Some(directory) = chunk.map(Chunk::directory) else {
            continue;
        };
        let mut entries = Vec::new();
        note_directory(retain, number, &directory, &mut entries);
        if !entries.is_empty() {
            note(retain, number, &entries);
        }
    }
}
