//! The listener: facts are entered in the ledger.

use baton_components::chunk::{Chunk, FileOfStream};
use baton_components::keys::StreamKey;
use baton_components::path::RelativePath;

use super::asking::{ask, number_of};
use super::ledger::{ChunkNumber, Closed};
use super::{Job, Retain, Retention, policy};
use crate::facts::{ChunkEnd, Made, MetadataGrew, NameFact, PacketsKept, StreamClosed};
use crate::lists::{self, Entry};
use crate::requests::Request;

pub fn listen(retain: &mut Retain) {
    let names = std::mem::take(&mut retain.entities.names.facts);
    for fact in &names {
        match fact {
            NameFact::Made(made) => make(retain, made),
            NameFact::Removed(file) => {
                retain.retention.ledger.take_file(*file);
            }
            NameFact::Closed(end) => close(retain, end),
        }
    }
    // Other listeners read them, too.
    retain.entities.names.facts = names;
    for at in 0..retain.facts.kept.len() {
        let PacketsKept {
            stream,
            file,
            packets,
            bytes,
            ..
        } = retain.facts.kept[at];
        let ordinal = file;
        go_on_to(retain, stream, ordinal);
        let file = FileOfStream { stream, ordinal };
        retain.retention.ledger.add(file, bytes, packets);
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

/// A file was made: its chunk may be new, or have moved, or be condemned by now.
fn make(retain: &mut Retain, made: &Made) {
    let number = number_of(retain, made.ordinal);
    let mut entries = Vec::new();
    let is_new = retain.retention.ledger.recorded(number).is_none();
    let session = session_of(made);
    if is_new {
        let ledger = &mut retain.retention.ledger;
        ledger.begin(number, made.chunk, &session);
        entries.push(Entry::Session(session.clone()));
    }
    // The directory of a condemned chunk is noted when it is closed.
    let chunk = retain.entities.chunks.get(made.chunk);
    if let Some(directory) = chunk.map(Chunk::directory) {
        note_directory(retain, number, &directory, &mut entries);
    }
    entries.push(Entry::File(made.path.clone()));
    let ledger = &mut retain.retention.ledger;
    ledger.make(number, made.file, made.path.clone());
    note(retain, number, &entries);
    if is_new {
        // The one before was set aside for it.
        note_moves(retain, &session);
    }
}

/// The directory of a chunk's session. Producers before 2.11 name whole paths:
/// `HOST/SESSION-TIME/…`.
fn session_of(made: &Made) -> RelativePath {
    if made.session.is_root() {
        let above = made.path.names().take(2);
        above.fold(RelativePath::root(), |path, name| path.join(&name))
    } else {
        made.session.clone()
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

/// Adds entries to the list of a chunk, or writes it anew if it has become long.
fn note(retain: &mut Retain, number: ChunkNumber, entries: &[Entry]) {
    let path = lists::path(number);
    let ledger = &mut retain.retention.ledger;
    let recorded = ledger.recorded_mut(number);
    let is_long = recorded.is_some_and(|recorded| {
        recorded.entries += entries.len() as u64;
        recorded.has_long_list()
    });
    let request = if is_long {
        // These are among them.
        let all = ledger.entries(number);
        if let Some(recorded) = ledger.recorded_mut(number) {
            recorded.entries = all.len() as u64;
        }
        let bytes = encode(&all);
        Request::Replace { path, bytes }
    } else {
        let bytes = encode(entries);
        Request::Append { path, bytes }
    };
    ask(retain, request, Job::Note);
}

fn encode(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        entry.encode(&mut bytes);
    }
    bytes
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
    let number = number_of(retain, end.ordinal);
    let Some((recorded, bytes, packets)) = retain.retention.ledger.end(number) else {
        return;
    };
    let session = recorded.session;
    if end.is_deleted {
        let request = Request::Remove {
            within: lists::path(number),
            files: vec![lists::path(number)],
            directories: Vec::new(),
        };
        ask(retain, request, Job::Note);
    } else {
        let closed = Entry::Closed(retain.now.unix_s);
        note(
            retain,
            number,
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
        retain.retention.ledger.close(number, chunk);
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
