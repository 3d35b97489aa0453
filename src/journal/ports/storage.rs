//! Storage whose calls and failures are recorded.

use baton_components::keys::{ConnectionKey, FileKey};
use baton_components::path::RelativePath;
use baton_components::waits::Ticket;
use baton_systems::ports::Answer;
use baton_systems::ports::{Arrived, Storage, StorageError, StoragePort, Taken, Transfer};
use baton_systems::requests::Request;

use crate::journal::book::Journal;
use crate::journal::record::Record;
use crate::journal::values::{Content, Failure};

/// Piece size of copies of bytes that are about to be cut off a file.
const SAVED_BYTES: u64 = 1 << 20;

pub struct RecordedStorage {
    inner: StoragePort,
    journal: Journal,
}

impl RecordedStorage {
    pub fn new(inner: StoragePort, journal: Journal) -> Self {
        Self { inner, journal }
    }

    /// Copies bytes into the journal that it refers to and that are about to be cut off
    /// their file.
    fn save(&mut self, file: FileKey, size: u64) {
        let mut offset = size;
        loop {
            let end = self.journal.book().referenced(file);
            let length = end.saturating_sub(offset).min(SAVED_BYTES);
            if length == 0 {
                return self.journal.book().unrefer(file, size);
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

    fn to_file(
        &mut self,
        connection: ConnectionKey,
        file: FileKey,
        offset: u64,
        length: u64,
    ) -> Taken {
        if !self.journal.book().lets_go(connection) {
            return Taken::NOTHING;
        }
        let taken = self.inner.to_file(connection, file, offset, length);
        if taken == Taken::NOTHING {
            return taken;
        }
        let mut book = self.journal.book();
        book.pass(connection, file, offset, taken.bytes);
        book.record(&Record::Take {
            connection: connection.into(),
            file: file.into(),
            offset,
            length,
            bytes: taken.bytes,
            failure: failure(&taken.written),
        });
        drop(book);
        taken
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

    fn create_file(&mut self, key: FileKey, path: &RelativePath) -> Result<(), StorageError> {
        let outcome = self.inner.create_file(key, path);
        self.journal.book().record(&Record::CreateFile {
            file: key.into(),
            path: path.as_bytes(),
            failure: failure(&outcome),
        });
        outcome
    }

    fn write(&mut self, key: FileKey, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        let outcome = self.inner.write(key, offset, bytes);
        let mut book = self.journal.book();
        book.record(&Record::Write {
            file: key.into(),
            offset,
            content: Content::made(bytes),
            failure: failure(&outcome),
        });
        outcome
    }

    fn write_arrived(
        &mut self,
        key: FileKey,
        offset: u64,
        arrived: Arrived<'_>,
    ) -> Result<(), StorageError> {
        let outcome = self.inner.write_arrived(key, offset, arrived);
        let mut book = self.journal.book();
        let content = book.content(arrived);
        if outcome.is_ok() {
            book.refer(key, offset, &content);
        }
        book.record(&Record::Write {
            file: key.into(),
            offset,
            content,
            failure: failure(&outcome),
        });
        outcome
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

    fn resize(&mut self, key: FileKey, size: u64) -> Result<(), StorageError> {
        self.save(key, size);
        let outcome = self.inner.resize(key, size);
        self.journal.book().record(&Record::Resize {
            file: key.into(),
            size,
            failure: failure(&outcome),
        });
        outcome
    }

    fn close(&mut self, key: FileKey) {
        self.inner.close(key);
        let mut book = self.journal.book();
        book.unrefer(key, 0);
        book.record(&Record::CloseFile(key.into()));
    }

    fn ask(&mut self, ticket: Ticket, request: Request) {
        let record = Record::asked(ticket, &request);
        self.journal.book().record(&record);
        self.inner.ask(ticket, request);
    }

    fn answers(&mut self, into: &mut Vec<Answer>) {
        let known = into.len();
        self.inner.answers(into);
        let mut book = self.journal.book();
        for answer in &into[known..] {
            book.record(&Record::answered(answer));
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
