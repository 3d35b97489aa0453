//! Cold reads: parts of files that viewers get, and that the page cache does not have.
//!
//! The thread that owns the world does not wait for them. Storage is asked to fetch such a part,
//! and meanwhile the viewer's request stays unread, or the rest of its reply unsent. Then the part
//! is read without another look: where memory is short it may be gone again, and the viewer
//! would never go on.

use baton_components::connection::{Connection, Extent, Fetch};
use baton_components::keys::ConnectionKey;
use baton_components::limits::FETCH_BYTES_MIN;
use baton_components::waits::{Waiter, Waits};

use crate::agenda::Agenda;
use crate::entities::Entities;
use crate::ports::{StorageError, StoragePort};
use crate::requests::Request;

/// A viewer's reads.
pub struct Reads<'a> {
    pub connection: ConnectionKey,
    pub fetch: &'a mut Option<Box<Fetch>>,
    pub storage: &'a mut StoragePort,
    pub waits: &'a mut Waits,
}

impl Reads<'_> {
    /// Reads a part of a file. False: the viewer waits for it.
    pub fn read(&mut self, wanted: Extent, into: &mut [u8]) -> Result<bool, StorageError> {
        match self.fetched(wanted)? {
            Some(true) => {
                let read = self.storage.read(wanted.file, wanted.offset, into);
                read.map(|()| true)
            }
            Some(false) => Ok(false),
            None => {
                let is_read = self.storage.read_at_hand(wanted, into)?;
                Ok(is_read || self.ask(wanted))
            }
        }
    }

    /// Whether a part of a file can be read. False: the viewer waits for it.
    pub fn is_at_hand(&mut self, wanted: Extent) -> Result<bool, StorageError> {
        let fetched = self.fetched(wanted)?;
        Ok(fetched.unwrap_or_else(|| self.storage.is_at_hand(wanted) || self.ask(wanted)))
    }

    /// Whether the viewer has waited for it, and goes on; false: it still waits. None: it has not
    /// waited. An answer is good for one read.
    fn fetched(&mut self, wanted: Extent) -> Result<Option<bool>, StorageError> {
        let Some(fetch) = self.fetch.take_if(|fetch| fetch.answer.is_some()) else {
            return Ok(self.fetch.as_ref().map(|_| false));
        };
        match fetch.answer {
            Some(outcome) if fetch.extent.contains(&wanted) => outcome.map(|()| Some(true)),
            // It was for another part.
            _ => Ok(None),
        }
    }

    /// Has it fetched. It is not there yet.
    fn ask(&mut self, wanted: Extent) -> bool {
        let size = wanted.size.max(FETCH_BYTES_MIN);
        let extent = Extent { size, ..wanted };
        let ticket = self.waits.add(Waiter::Viewer(self.connection));
        self.storage.ask(ticket, Request::Fetch(extent));
        let answer = None;
        *self.fetch = Some(Box::new(Fetch { extent, answer }));
        false
    }
}

/// Storage has answered: the viewer goes on.
pub fn answered(
    entities: &mut Entities,
    agenda: &mut Agenda,
    key: ConnectionKey,
    outcome: Result<(), StorageError>,
) {
    let connection = entities.connections.get_mut(key);
    let Some(viewer) = connection.and_then(Connection::viewer_mut) else {
        // It has left.
        return;
    };
    if let Some(fetch) = &mut viewer.fetch {
        fetch.answer.get_or_insert(outcome);
    }
    if viewer.body.is_some() {
        agenda.writable.ready(key);
    } else {
        agenda.viewers.ready(key);
    }
}
