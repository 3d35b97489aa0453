//! The network whose input and output are recorded.

use std::time::Duration;

use baton_components::connection::Endpoint;
use baton_components::keys::ConnectionKey;
use baton_components::rights::Pattern;
use baton_systems::ports::{Network, NetworkPort, Newcomer, Received, Transmitted};

use crate::journal::book::{FLUSH_PERIOD_NS, Journal};
use crate::journal::digest::digest;
use crate::journal::record::Record;
use crate::journal::values::{Came, Left};

pub struct RecordedNetwork {
    inner: NetworkPort,
    journal: Journal,
    /// The listener of the connection that was accepted last.
    accepted: Option<Endpoint>,
}

impl RecordedNetwork {
    pub fn new(inner: NetworkPort, journal: Journal) -> Self {
        Self {
            inner,
            journal,
            accepted: None,
        }
    }

    /// Ends the previous tick: the bytes that it left unconsumed are recorded.
    fn settle(&mut self) {
        let mut book = self.journal.book();
        for connection in book.take_touched() {
            book.settle(connection, self.inner.input(connection));
        }
    }

    /// Polls. The wait is at most a second while records are not flushed.
    fn wait(
        &mut self,
        timeout: Option<Duration>,
        readable: &mut Vec<ConnectionKey>,
        writable: &mut Vec<ConnectionKey>,
    ) -> bool {
        let first = Duration::from_nanos(FLUSH_PERIOD_NS);
        let is_dirty = self.journal.book().is_dirty();
        if !is_dirty || timeout.is_some_and(|timeout| timeout <= first) {
            return self.inner.poll(timeout, readable, writable);
        }
        let known = readable.len() + writable.len();
        if self.inner.poll(Some(first), readable, writable) {
            // The tick that follows has an answer to read.
            return true;
        }
        if readable.len() + writable.len() > known {
            return false;
        }
        self.journal.book().flush();
        let rest = timeout.map(|timeout| timeout.saturating_sub(first));
        self.inner.poll(rest, readable, writable)
    }
}

/// Ends the last tick, which no other follows.
impl Drop for RecordedNetwork {
    fn drop(&mut self) {
        self.settle();
    }
}

impl Network for RecordedNetwork {
    fn poll(
        &mut self,
        timeout: Option<Duration>,
        readable: &mut Vec<ConnectionKey>,
        writable: &mut Vec<ConnectionKey>,
    ) -> bool {
        self.settle();
        let known = (readable.len(), writable.len());
        let is_woken = self.wait(timeout, readable, writable);
        let mut book = self.journal.book();
        book.begin_tick();
        for key in &readable[known.0..] {
            book.record(&Record::Readable((*key).into()));
        }
        for key in &writable[known.1..] {
            book.record(&Record::Writable((*key).into()));
        }
        is_woken
    }

    fn accept(&mut self) -> Option<Newcomer> {
        let newcomer = self.inner.accept()?;
        self.accepted = Some(newcomer.endpoint);
        self.journal.book().record(&Record::Accept {
            endpoint: newcomer.endpoint.into(),
            peer: &newcomer.peer,
        });
        if newcomer.has_tls {
            self.journal.book().record(&Record::Tls);
        }
        if let Some(rights) = &newcomer.rights {
            self.journal.book().record(&Record::Rights {
                hosts: texts(rights.hosts.as_deref()),
                sessions: texts(rights.sessions.as_deref()),
            });
        }
        Some(newcomer)
    }

    fn adopt(&mut self, key: ConnectionKey) {
        self.inner.adopt(key);
        let mut book = self.journal.book();
        book.open(key, self.accepted.take());
        book.record(&Record::Adopt(key.into()));
    }

    fn stop_accepting(&mut self) {
        self.inner.stop_accepting();
        self.journal.book().record(&Record::StopAccepting);
    }

    fn receive(&mut self, key: ConnectionKey, budget: usize) -> Received {
        let known = self.inner.input(key).len();
        let received = self.inner.receive(key, budget);
        let bytes = self.inner.input(key).get(known..).unwrap_or_default();
        let mut book = self.journal.book();
        let recorded = book.receive(key, bytes);
        book.record(&Record::Receive {
            connection: key.into(),
            outcome: Came::from(&received),
            count: bytes.len() as u64,
            bytes: recorded,
        });
        received
    }

    fn input(&self, key: ConnectionKey) -> &[u8] {
        self.inner.input(key)
    }

    fn consume(&mut self, key: ConnectionKey, count: usize) {
        let mut book = self.journal.book();
        book.consume(key, count, self.inner.input(key));
        self.inner.consume(key, count);
    }

    fn send(&mut self, key: ConnectionKey, bytes: &[u8]) {
        self.inner.send(key, bytes);
        self.journal.book().record(&Record::Send {
            connection: key.into(),
            length: bytes.len() as u64,
            digest: digest(bytes),
        });
    }

    fn unsent(&self, key: ConnectionKey) -> usize {
        self.inner.unsent(key)
    }

    fn transmit(&mut self, key: ConnectionKey, more: bool) -> Transmitted {
        let transmitted = self.inner.transmit(key, more);
        self.journal.book().record(&Record::Transmit {
            connection: key.into(),
            outcome: Left::from(&transmitted),
            unsent: self.inner.unsent(key) as u64,
        });
        transmitted
    }

    fn acknowledge(&mut self, key: ConnectionKey) {
        self.inner.acknowledge(key);
    }

    fn close(&mut self, key: ConnectionKey) {
        let mut book = self.journal.book();
        book.settle(key, self.inner.input(key));
        self.inner.close(key);
        book.close(key);
    }
}

fn texts(patterns: Option<&[Pattern]>) -> Option<Vec<String>> {
    Some(patterns?.iter().map(|it| it.text().to_owned()).collect())
}
