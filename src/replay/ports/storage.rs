//! Storage of a replay: it gives the recorded outcomes. Files are really written, to the
//! replay's own storage.

use std::collections::BTreeMap;
use std::ops::Range;

use baton_components::connection::Extent;
use baton_components::keys::{ConnectionKey, FileKey};
use baton_components::path::RelativePath;
use baton_components::waits::Ticket;
use baton_systems::ports::Answer;
use baton_systems::ports::{Arrived, Storage, StorageError, StoragePort, Transfer};
use baton_systems::requests::{Breakage, FileEnd, Lane, Outcome, Request};

use crate::journal::record::Record;
use crate::journal::values::{Content, Failure};
use crate::replay::error::Error;
use crate::replay::script::{Shared, same};

pub struct ReplayStorage {
    shared: Shared,
    inner: StoragePort,
    /// The requests that are not answered. They are done when the recorded answer comes.
    asked: BTreeMap<Ticket, Request>,
}

impl ReplayStorage {
    pub fn new(shared: Shared, inner: StoragePort) -> Self {
        Self {
            shared,
            inner,
            asked: BTreeMap::new(),
        }
    }

    /// Repeats a call of the recorded relay, and gives the recorded outcome.
    fn act(
        &mut self,
        made: &Record,
        act: impl FnOnce(&mut StoragePort) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let mut script = self.shared.script();
        let verifies = script.verifies();
        let failure = script.ask(
            |record| is_same_call(record, made, verifies).then(|| owned(record.failure())),
            || made.to_string(),
        );
        if let Some(Some(failure)) = failure {
            return Err(failure);
        }
        drop(script);
        let outcome = act(&mut self.inner);
        self.done(outcome)
    }

    fn write_content(&mut self, key: FileKey, offset: u64, bytes: &[u8], content: Content) {
        self.shared.script().compared.file_bytes += bytes.len() as u64;
        let made = Record::Write {
            file: key.into(),
            offset,
            content,
        };
        self.post(&made, |inner| inner.write(key, offset, bytes));
    }

    /// Repeats a call of the recorded relay that has no outcome.
    fn post(&mut self, made: &Record, act: impl FnOnce(&mut StoragePort)) {
        let mut script = self.shared.script();
        let verifies = script.verifies();
        script.ask(
            |record| is_same_call(record, made, verifies).then_some(()),
            || made.to_string(),
        );
        drop(script);
        act(&mut self.inner);
    }

    /// Does what a commit is for, and gives the recorded outcome. A file that is whole there
    /// must be whole here; to one that failed nothing is added, since the restore that came
    /// after may be done already.
    fn commit_as(&mut self, lane: Lane, ends: &[FileEnd], recorded: &Outcome) {
        let Outcome::Committed { failed: there } = recorded else {
            return;
        };
        let is_whole = |end: &&FileEnd| !there.iter().any(|(failed, _)| *failed == end.data);
        let ends: Vec<FileEnd> = ends.iter().filter(is_whole).cloned().collect();
        let Outcome::Committed { failed: here } = self.inner.commit(lane, &ends) else {
            return;
        };
        for (_, Breakage { error, .. }) in here {
            // Its error stops the replay.
            let _ = self.done(Err(error));
        }
    }

    /// If the recorded call succeeded, the repeated call must succeed too.
    fn done(&self, outcome: Result<(), StorageError>) -> Result<(), StorageError> {
        if let Err(error) = &outcome {
            let mut script = self.shared.script();
            let tick = script.ticks;
            let error = error.clone();
            script.fail(Error::Storage { tick, error });
        }
        outcome
    }
}

impl Transfer for ReplayStorage {
    fn to_peer(
        &mut self,
        connection: ConnectionKey,
        file: FileKey,
        offset: u64,
        length: u64,
    ) -> Result<Option<u64>, StorageError> {
        let mut script = self.shared.script();
        let answer = script.send_file(connection.into(), file.into(), offset, length);
        if let Some(Ok(bytes)) = answer {
            script.compared.reply_bytes += bytes;
        }
        answer.transpose()
    }
}

impl Storage for ReplayStorage {
    fn create_directory(&mut self, path: &RelativePath) -> Result<(), StorageError> {
        let made = Record::CreateDirectory {
            path: path.as_bytes(),
            failure: None,
        };
        self.act(&made, |inner| inner.create_directory(path))
    }

    fn claim_directory(&mut self, path: &RelativePath) -> Result<bool, StorageError> {
        let answer = self.shared.script().ask(
            |record| match record {
                Record::ClaimDirectory { path: of, answer } => told(of, path, answer),
                _ => None,
            },
            || format!("directory {path} is claimed"),
        );
        // At the end of the script the claim succeeds, so that the relay does not try more
        // names.
        let claimed = answer.unwrap_or(Ok(true))?;
        if claimed {
            let made = self.inner.create_directory(path);
            self.done(made)?;
        }
        Ok(claimed)
    }

    fn exists(&mut self, path: &RelativePath) -> Result<bool, StorageError> {
        let answer = self.shared.script().ask(
            |record| match record {
                Record::Exists { path: of, answer } => told(of, path, answer),
                _ => None,
            },
            || format!("it is asked whether {path} exists"),
        );
        answer.unwrap_or(Ok(false))
    }

    fn has_name(
        &mut self,
        directory: &RelativePath,
        _: fn(&[u8]) -> bool,
    ) -> Result<bool, StorageError> {
        let answer = self.shared.script().ask(
            |record| match record {
                Record::HasName { path: of, answer } => told(of, directory, answer),
                _ => None,
            },
            || format!("a name is looked for in {directory}"),
        );
        answer.unwrap_or(Ok(false))
    }

    fn rename(&mut self, from: &RelativePath, to: &RelativePath) -> Result<(), StorageError> {
        let made = Record::Rename {
            from: from.as_bytes(),
            to: to.as_bytes(),
            failure: None,
        };
        self.act(&made, |inner| inner.rename(from, to))
    }

    fn remove_directory(&mut self, path: &RelativePath) -> Result<(), StorageError> {
        let made = Record::RemoveDirectory {
            path: path.as_bytes(),
            failure: None,
        };
        self.act(&made, |inner| inner.remove_directory(path))
    }

    fn remove_file(&mut self, path: &RelativePath) -> Result<(), StorageError> {
        let made = Record::RemoveFile {
            path: path.as_bytes(),
            failure: None,
        };
        self.act(&made, |inner| inner.remove_file(path))
    }

    fn create_file(
        &mut self,
        key: FileKey,
        path: &RelativePath,
        lane: Lane,
    ) -> Result<(), StorageError> {
        let made = Record::CreateFile {
            file: key.into(),
            path: path.as_bytes(),
            failure: None,
        };
        self.act(&made, |inner| inner.create_file(key, path, lane))
    }

    fn write(&mut self, key: FileKey, offset: u64, bytes: &[u8]) {
        self.write_content(key, offset, bytes, Content::made(bytes));
    }

    fn write_arrived(&mut self, key: FileKey, offset: u64, arrived: Arrived<'_>) {
        let consumed = self.shared.script().consumed(arrived.connection().into());
        let content = Content::arrived(arrived, consumed);
        self.write_content(key, offset, arrived.bytes(), content);
    }

    fn copy(&mut self, from: FileKey, range: Range<u64>, to: FileKey, offset: u64) {
        let made = Record::Copy {
            from: from.into(),
            start: range.start,
            end: range.end,
            to: to.into(),
            offset,
        };
        self.post(&made, |inner| inner.copy(from, range, to, offset));
    }

    fn read(&mut self, key: FileKey, offset: u64, into: &mut [u8]) -> Result<(), StorageError> {
        let made = Record::Read {
            file: key.into(),
            offset,
            length: into.len() as u64,
            failure: None,
        };
        self.act(&made, |inner| inner.read(key, offset, into))
    }

    fn is_at_hand(&mut self, extent: Extent) -> bool {
        let made = Record::not_at_hand(extent);
        self.shared.script().ask_whether(same(&made)).is_none()
    }

    fn resize(&mut self, key: FileKey, size: u64) {
        let file = key.into();
        let made = Record::Resize { file, size };
        self.post(&made, |inner| inner.resize(key, size));
    }

    fn restore(&mut self, key: FileKey, size: u64) {
        let file = key.into();
        let made = Record::Restore { file, size };
        self.post(&made, |inner| inner.restore(key, size));
    }

    fn commit(&mut self, lane: Lane, ends: &[FileEnd]) -> Outcome {
        self.inner.commit(lane, ends)
    }

    fn close(&mut self, key: FileKey) {
        let made = Record::CloseFile(key.into());
        self.shared.script().ask(same(&made), || made.to_string());
        self.inner.close(key);
    }

    fn ask(&mut self, ticket: Ticket, request: Request) {
        let made = Record::asked(ticket, &request);
        self.shared.script().ask(same(&made), || made.to_string());
        self.asked.insert(ticket, request);
    }

    fn answers(&mut self, into: &mut Vec<Answer>) {
        let answer = |record: &Record| match record {
            Record::Answer { ticket, failure } => {
                let outcome = owned(failure.as_ref()).map_or(Ok(Outcome::Done), Err);
                Some((Ticket(*ticket), outcome))
            }
            Record::Surveyed {
                ticket,
                found,
                last,
            } => {
                let (found, last) = (found.clone(), *last);
                Some((Ticket(*ticket), Ok(Outcome::Surveyed { found, last })))
            }
            Record::Committed { ticket, failed } => {
                let failed = failed.iter().map(|(file, sound, failure)| {
                    let (sound, error) = (*sound, failure.clone().into());
                    (file.key(), Breakage { sound, error })
                });
                let failed = failed.collect();
                Some((Ticket(*ticket), Ok(Outcome::Committed { failed })))
            }
            Record::Space { ticket, free_bytes } => {
                let free_bytes = *free_bytes;
                Some((Ticket(*ticket), Ok(Outcome::Space { free_bytes })))
            }
            _ => None,
        };
        loop {
            let answered = self.shared.script().ask_whether(answer);
            let Some((ticket, outcome)) = answered else {
                return;
            };
            let outcome = match (self.asked.remove(&ticket), outcome) {
                (Some(request), Ok(Outcome::Done)) => {
                    let outcome = self.inner.act(&request);
                    self.done(outcome.map(drop)).map(|()| Outcome::Done)
                }
                (Some(Request::Commit { lane, ends }), Ok(recorded)) => {
                    self.commit_as(lane, &ends, &recorded);
                    Ok(recorded)
                }
                // Nothing was done, or what was found is not here.
                (_, outcome) => outcome,
            };
            into.push(Answer { ticket, outcome });
        }
    }
}

/// The recorded answer about a path, if the record is of this path.
fn told(
    recorded: &[u8],
    path: &RelativePath,
    answer: &Result<bool, Failure>,
) -> Option<Result<bool, StorageError>> {
    (recorded == path.as_bytes()).then(|| answer.clone().map_err(StorageError::from))
}

/// Whether a record is of that call of storage, whatever its outcome.
fn is_same_call(record: &Record, made: &Record, verifies: bool) -> bool {
    let record = record.clone().without_failure();
    match (&record, made) {
        (
            Record::Write {
                file,
                offset,
                content,
                ..
            },
            Record::Write {
                file: own_file,
                offset: own_offset,
                content: own,
                ..
            },
        ) if !verifies => (file, offset, content.length()) == (own_file, own_offset, own.length()),
        (record, made) => record == made,
    }
}

fn owned(failure: Option<&Failure>) -> Option<StorageError> {
    failure.map(|failure| StorageError::from(failure.clone()))
}
