//! Storage whose calls and failures are recorded.

use std::collections::BTreeMap;
use std::ops::Range;

use baton_components::connection::Extent;
use baton_components::keys::{ConnectionKey, FileKey};
use baton_components::path::RelativePath;
use baton_components::waits::Ticket;
use baton_systems::ports::Answer;
use baton_systems::ports::{Arrived, Storage, StorageError, StoragePort, Transfer};
use baton_systems::requests::{FileEnd, Lane, Outcome, Request};

use crate::journal::book::Journal;
use crate::journal::record::Record;
use crate::journal::values::{Content, Failure};

/// Piece size of copies of bytes that are about to be cut off a file.
const SAVED_BYTES: u64 = 1 << 20;

pub struct RecordedStorage {
    inner: StoragePort,
    journal: Journal,
    /// Parts of files that the journal refers to and that are not known to be there.
    unconfirmed: BTreeMap<FileKey, Vec<Part>>,
    /// The files of each commit that is not answered.
    asked: BTreeMap<Ticket, Vec<FileKey>>,
}

/// A part of a file.
struct Part {
    offset: u64,
    bytes: Vec<u8>,
    /// The commit that tells of it.
    ticket: Option<Ticket>,
}

impl RecordedStorage {
    pub fn new(inner: StoragePort, journal: Journal) -> Self {
        Self {
            inner,
            journal,
            unconfirmed: BTreeMap::new(),
            asked: BTreeMap::new(),
        }
    }

    /// Notes that the journal refers to a part of a file.
    fn expect(&mut self, file: FileKey, offset: u64, bytes: &[u8]) {
        let part = Part {
            offset,
            bytes: bytes.to_vec(),
            ticket: None,
        };
        self.unconfirmed.entry(file).or_default().push(part);
    }

    /// Storage has answered: bytes that came to their file need not be kept. A file that has
    /// failed is restored.
    fn settle(&mut self, answer: &Answer) {
        for file in self.asked.remove(&answer.ticket).unwrap_or_default() {
            let has_failed = match &answer.outcome {
                Ok(Outcome::Committed { failed }) => failed.iter().any(|(it, _)| *it == file),
                _ => true,
            };
            let parts = self.unconfirmed.get_mut(&file);
            if let Some(parts) = parts.filter(|_| !has_failed) {
                parts.retain(|part| part.ticket != Some(answer.ticket));
            }
        }
    }

    /// Copies bytes into the journal that it refers to and that are about to be cut off
    /// their file.
    fn save(&mut self, file: FileKey, size: u64) {
        let parts = self.unconfirmed.get_mut(&file);
        let parts = parts.map_or_else(Vec::new, |parts| {
            let is_cut = |part: &mut Part| part.end() > size;
            parts.extract_if(.., is_cut).collect()
        });
        // The bytes before are in the file.
        let begin = parts.first().map(|part: &Part| part.offset);
        let mut offset = size;
        loop {
            let end = self.journal.book().referenced(file);
            let end = begin.unwrap_or(end).min(end);
            let length = end.saturating_sub(offset).min(SAVED_BYTES);
            if length == 0 {
                break;
            }
            let mut bytes = vec![0; length as usize];
            if self.inner.read(file, offset, &mut bytes).is_ok() {
                self.journal.book().record(&Record::Saved {
                    file: file.into(),
                    offset,
                    bytes: &bytes,
                });
            }
            offset += length;
        }
        for part in parts {
            part.save(file, size, &self.journal);
        }
        self.journal.book().unrefer(file, size);
    }
}

impl Part {
    fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }

    /// Copies the bytes from an offset of the file on into the journal.
    fn save(&self, file: FileKey, from: u64, journal: &Journal) {
        let skipped = from.saturating_sub(self.offset);
        let bytes = self.bytes.get(skipped as usize..).unwrap_or_default();
        journal.book().record(&Record::Saved {
            file: file.into(),
            offset: self.offset + skipped,
            bytes,
        });
    }
}

impl Transfer for RecordedStorage {
    fn to_peer(
        &mut self,
        connection: ConnectionKey,
        file: FileKey,
        offset: u64,
        length: u64,
    ) -> Result<Option<u64>, StorageError> {
        let outcome = self.inner.to_peer(connection, file, offset, length);
        if let Some(answer) = answer(&outcome).transpose() {
            self.journal.book().record(&Record::SendFile {
                connection: connection.into(),
                file: file.into(),
                offset,
                length,
                answer,
            });
        }
        outcome
    }
}

impl Storage for RecordedStorage {
    fn create_directory(&mut self, path: &RelativePath) -> Result<(), StorageError> {
        let outcome = self.inner.create_directory(path);
        self.journal.book().record(&Record::CreateDirectory {
            path: path.as_bytes(),
            failure: failure(&outcome),
        });
        outcome
    }

    fn begin_recording(&mut self, directory: &RelativePath) {
        self.inner.begin_recording(directory);
    }

    fn end_recording(&mut self, directory: &RelativePath) {
        self.inner.end_recording(directory);
    }

    fn claim_directory(&mut self, path: &RelativePath) -> Result<bool, StorageError> {
        let outcome = self.inner.claim_directory(path);
        self.journal.book().record(&Record::ClaimDirectory {
            path: path.as_bytes(),
            answer: answer(&outcome),
        });
        outcome
    }

    fn exists(&mut self, path: &RelativePath) -> Result<bool, StorageError> {
        let outcome = self.inner.exists(path);
        self.journal.book().record(&Record::Exists {
            path: path.as_bytes(),
            answer: answer(&outcome),
        });
        outcome
    }

    fn has_name(
        &mut self,
        directory: &RelativePath,
        is_sought: fn(&[u8]) -> bool,
    ) -> Result<bool, StorageError> {
        let outcome = self.inner.has_name(directory, is_sought);
        self.journal.book().record(&Record::HasName {
            path: directory.as_bytes(),
            answer: answer(&outcome),
        });
        outcome
    }

    fn rename(&mut self, from: &RelativePath, to: &RelativePath) -> Result<(), StorageError> {
        let outcome = self.inner.rename(from, to);
        self.journal.book().record(&Record::Rename {
            from: from.as_bytes(),
            to: to.as_bytes(),
            failure: failure(&outcome),
        });
        outcome
    }

    fn remove_directory(&mut self, path: &RelativePath) -> Result<(), StorageError> {
        let outcome = self.inner.remove_directory(path);
        self.journal.book().record(&Record::RemoveDirectory {
            path: path.as_bytes(),
            failure: failure(&outcome),
        });
        outcome
    }

    fn remove_file(&mut self, path: &RelativePath) -> Result<(), StorageError> {
        let outcome = self.inner.remove_file(path);
        self.journal.book().record(&Record::RemoveFile {
            path: path.as_bytes(),
            failure: failure(&outcome),
        });
        outcome
    }

    fn create_file(
        &mut self,
        key: FileKey,
        path: &RelativePath,
        lane: Lane,
    ) -> Result<(), StorageError> {
        let outcome = self.inner.create_file(key, path, lane);
        self.journal.book().record(&Record::CreateFile {
            file: key.into(),
            path: path.as_bytes(),
            failure: failure(&outcome),
        });
        outcome
    }

    fn write(&mut self, key: FileKey, offset: u64, bytes: &[u8]) {
        self.inner.write(key, offset, bytes);
        self.journal.book().record(&Record::Write {
            file: key.into(),
            offset,
            content: Content::made(bytes),
        });
    }

    fn write_arrived(&mut self, key: FileKey, offset: u64, arrived: Arrived<'_>) {
        self.inner.write_arrived(key, offset, arrived);
        let mut book = self.journal.book();
        let content = book.content(arrived);
        let refers = book.refer(key, offset, &content);
        book.record(&Record::Write {
            file: key.into(),
            offset,
            content,
        });
        drop(book);
        if refers {
            self.expect(key, offset, arrived.bytes());
        }
    }

    fn copy(&mut self, from: FileKey, range: Range<u64>, to: FileKey, offset: u64) {
        let record = Record::Copy {
            from: from.into(),
            start: range.start,
            end: range.end,
            to: to.into(),
            offset,
        };
        self.journal.book().record(&record);
        self.inner.copy(from, range, to, offset);
    }

    fn read(&mut self, key: FileKey, offset: u64, into: &mut [u8]) -> Result<(), StorageError> {
        let outcome = self.inner.read(key, offset, into);
        self.journal.book().record(&Record::Read {
            file: key.into(),
            offset,
            length: into.len() as u64,
            failure: failure(&outcome),
        });
        outcome
    }

    fn is_at_hand(&mut self, extent: Extent) -> bool {
        let is_at_hand = self.inner.is_at_hand(extent);
        if !is_at_hand {
            let record = Record::not_at_hand(extent);
            self.journal.book().record(&record);
        }
        is_at_hand
    }

    fn resize(&mut self, key: FileKey, size: u64) {
        self.save(key, size);
        self.inner.resize(key, size);
        let file = key.into();
        self.journal.book().record(&Record::Resize { file, size });
    }

    fn restore(&mut self, key: FileKey, size: u64) {
        self.save(key, size);
        // The bytes before are in the file.
        self.unconfirmed.remove(&key);
        self.inner.restore(key, size);
        let file = key.into();
        self.journal.book().record(&Record::Restore { file, size });
    }

    fn commit(&mut self, lane: Lane, ends: &[FileEnd]) -> Outcome {
        self.inner.commit(lane, ends)
    }

    fn close(&mut self, key: FileKey) {
        self.inner.close(key);
        self.unconfirmed.remove(&key);
        let mut book = self.journal.book();
        book.unrefer(key, 0);
        book.record(&Record::CloseFile(key.into()));
    }

    fn ask(&mut self, ticket: Ticket, request: Request) {
        let record = Record::asked(ticket, &request);
        self.journal.book().record(&record);
        if let Request::Commit { ends, .. } = &request {
            for end in ends {
                let parts = self.unconfirmed.get_mut(&end.data).into_iter().flatten();
                for part in parts.filter(|part| part.ticket.is_none()) {
                    part.ticket = Some(ticket);
                }
            }
            let files = ends.iter().map(|end| end.data);
            self.asked.insert(ticket, files.collect());
        }
        self.inner.ask(ticket, request);
    }

    fn answers(&mut self, into: &mut Vec<Answer>) {
        let known = into.len();
        self.inner.answers(into);
        for answer in &into[known..] {
            self.settle(answer);
            self.journal.book().record(&Record::answered(answer));
        }
    }

    fn has_answers(&self) -> bool {
        self.inner.has_answers()
    }
}

fn failure<T>(outcome: &Result<T, StorageError>) -> Option<Failure<'_>> {
    outcome.as_ref().err().map(Failure::from)
}

fn answer<T: Copy>(outcome: &Result<T, StorageError>) -> Result<T, Failure<'_>> {
    outcome.as_ref().copied().map_err(Failure::from)
}
