//! The reactor: one poll for everything that the relay waits for.
//!
//! The token of a socket gives the recipient of its events. A connection's token is its key,
//! so a late event for a closed descriptor has a stale key and is ignored, even if the
//! descriptor's number is in use again. Smaller tokens are of signals, listeners and guests.
//!
//! Readiness is edge-triggered: a socket that is not drained causes no new event, so its
//! reader must come back by itself.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use baton_components::keys::ConnectionKey;
use mio::event::{Event, Source};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Registry, Token, Waker};
use signal_hook_mio::v1_0::Signals;
use slotmap::{Key, KeyData};

use super::busy_poll::BusyPoll;
use super::log_queue;
use super::signals::{self, Reload, Stop};
use super::watchdog::Watchdog;

pub struct Reactor {
    poll: Poll,
    events: Events,
    busy_poll: BusyPoll,
    waker: Arc<Waker>,
    signals: Signals,
    stop: Stop,
    reload: Reload,
    watchdog: Option<Watchdog>,
    guests: Vec<Box<dyn Guest>>,
}

/// A service beside the relay's own that runs on the same loop, such as the health socket.
pub trait Guest: Send + Sync {
    /// Handles an event of the socket that the guest registered with that number.
    fn react(&mut self, number: usize, seat: &Seat<'_>);
}

/// A guest's place in the reactor, where it registers its sockets.
#[derive(Clone, Copy, Debug)]
pub struct Seat<'a> {
    registry: &'a Registry,
    /// The token of its number 0.
    first: usize,
}

/// The recipient of an event that the reactor does not handle itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipient {
    /// The listener with the number that it was registered with.
    Listener(usize),
    Connection(ConnectionKey),
    /// The handshake with the number that it was registered with.
    Handshake(usize),
}

const SIGNALS: Token = Token(0);
const WAKER: Token = Token(1);
const FIRST_LISTENER: usize = 2;
const FIRST_GUEST: usize = 1 << 16;
/// Number of tokens of each guest.
pub const GUEST_NUMBERS: usize = 1 << 16;
const FIRST_HANDSHAKE: usize = 1 << 31;
/// Numbers of handshakes, used in turn: many more than there are handshakes.
pub const HANDSHAKE_NUMBERS: usize = 1 << 31;
/// A key's version, the upper half, is never 0.
const FIRST_CONNECTION: usize = 1 << 32;

/// Maximum number of events per poll.
const EVENTS: usize = 1024;

impl Reactor {
    /// A reactor whose `stop` is set by SIGINT and SIGTERM.
    pub fn new(stop: Stop, busy_poll: BusyPoll) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut signals = Signals::new(signals::TAKEN)?;
        poll.registry()
            .register(&mut signals, SIGNALS, Interest::READABLE)?;
        Ok(Self {
            waker: Arc::new(Waker::new(poll.registry(), WAKER)?),
            poll,
            events: Events::with_capacity(EVENTS),
            busy_poll,
            signals,
            stop,
            reload: Reload::default(),
            watchdog: Watchdog::of_service(),
            guests: Vec::new(),
        })
    }

    /// The flag that SIGHUP sets.
    pub fn reload(&self) -> Reload {
        self.reload.clone()
    }

    /// Ends a wait from another thread.
    pub fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    /// Whether a waker has ended the last wait.
    pub fn was_woken(&self) -> bool {
        self.events.iter().any(|event| event.token() == WAKER)
    }

    /// Registers a listener. Its events have its number.
    pub fn watch_listener(&self, socket: &mut TcpListener, number: usize) -> io::Result<()> {
        let token = Token(FIRST_LISTENER + number);
        let registry = self.poll.registry();
        registry.register(socket, token, Interest::READABLE)
    }

    /// Registers a connection. Its events have its key.
    pub fn watch_connection(&self, socket: &mut TcpStream, key: ConnectionKey) -> io::Result<()> {
        let token = Token(key.data().as_ffi() as usize);
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(socket, token, interest)
    }

    /// Registers a connection of which the peer is not known yet. Its events have its number,
    /// which is below [`HANDSHAKE_NUMBERS`].
    pub fn watch_handshake(&self, socket: &mut TcpStream, number: usize) -> io::Result<()> {
        let token = Token(FIRST_HANDSHAKE + number);
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(socket, token, interest)
    }

    /// A handshake is over: from now on its events have the key of its connection.
    pub fn watch_known(&self, socket: &mut TcpStream, key: ConnectionKey) -> io::Result<()> {
        let token = Token(key.data().as_ffi() as usize);
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().reregister(socket, token, interest)
    }

    /// Adds the guest that `arrive` makes, which registers its sockets with the seat.
    pub fn invite<G: Guest + 'static>(
        &mut self,
        arrive: impl FnOnce(&Seat<'_>) -> io::Result<G>,
    ) -> io::Result<()> {
        let seat = Seat::of(self.poll.registry(), self.guests.len());
        self.guests.push(Box::new(arrive(&seat)?));
        Ok(())
    }

    /// Notes that a peer was sent a reply: its next message may come at once, so busy polling
    /// may be worthwhile.
    pub fn answered(&mut self) {
        self.busy_poll.answered();
    }

    /// Waits for events, for ever without `patience`; a relay that is to stop does not wait,
    /// and one with a watchdog not for longer than that.
    /// Events of signals and guests are handled here; the others are in [`Reactor::events`].
    pub fn wait(&mut self, patience: Option<Duration>) {
        let patience = if self.stop.is_asked() {
            Some(Duration::ZERO)
        } else {
            patience
        };
        let patience = match &mut self.watchdog {
            Some(watchdog) => Some(watchdog.feed(patience)),
            None => patience,
        };
        let waited = self
            .busy_poll
            .wait(&mut self.poll, &mut self.events, patience);
        if let Err(error) = waited {
            // A signal may interrupt the wait, without an event; there is no other error.
            // The wait is not restarted, since frequent signals could then delay its
            // timeout for ever.
            assert!(
                error.kind() == io::ErrorKind::Interrupted,
                "cannot wait for events: {error}"
            );
        }
        for event in &self.events {
            if event.token() == SIGNALS {
                for signal in self.signals.pending() {
                    if signals::stops(signal) {
                        self.stop.ask();
                    } else if signals::reloads(signal) {
                        log_queue::reopen();
                        self.reload.ask();
                    }
                }
            } else if let Some((guest, number)) = guest_of(event.token())
                && let Some(host) = self.guests.get_mut(guest)
            {
                host.react(number, &Seat::of(self.poll.registry(), guest));
            }
        }
    }

    /// Events of listeners and connections that the last wait found.
    pub fn events(&self) -> impl Iterator<Item = (Recipient, &Event)> {
        let events = self.events.iter();
        events.filter_map(|event| Some((recipient_of(event.token())?, event)))
    }
}

impl<'a> Seat<'a> {
    /// The seat of the guest with that number.
    pub fn of(registry: &'a Registry, guest: usize) -> Self {
        Self {
            registry,
            first: FIRST_GUEST + guest * GUEST_NUMBERS,
        }
    }

    /// Registers a socket. Its events have that number, which is below [`GUEST_NUMBERS`].
    /// Closing the socket removes it.
    pub fn register(
        &self,
        socket: &mut impl Source,
        number: usize,
        interest: Interest,
    ) -> io::Result<()> {
        let token = Token(self.first + number);
        self.registry.register(socket, token, interest)
    }
}

/// The guest of a token, and the number of its socket.
pub fn guest_of(Token(token): Token) -> Option<(usize, usize)> {
    let at = token.checked_sub(FIRST_GUEST)?;
    (token < FIRST_HANDSHAKE).then_some((at / GUEST_NUMBERS, at % GUEST_NUMBERS))
}

fn recipient_of(Token(token): Token) -> Option<Recipient> {
    if token >= FIRST_CONNECTION {
        let key = KeyData::from_ffi(token as u64);
        Some(Recipient::Connection(key.into()))
    } else if token >= FIRST_HANDSHAKE {
        Some(Recipient::Handshake(token - FIRST_HANDSHAKE))
    } else if (FIRST_LISTENER..FIRST_GUEST).contains(&token) {
        Some(Recipient::Listener(token - FIRST_LISTENER))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use slotmap::SlotMap;

    use super::*;

    #[test]
    fn a_token_tells_who_an_event_is_for() {
        let mut keys = SlotMap::<ConnectionKey, ()>::with_key();
        let mut key = keys.insert(());
        for _ in 0..1000 {
            let token = Token(key.data().as_ffi() as usize);
            assert_eq!(recipient_of(token), Some(Recipient::Connection(key)));
            assert_eq!(guest_of(token), None);
            keys.remove(key);
            key = keys.insert(());
        }
        for (token, guest) in [
            (FIRST_GUEST, (0, 0)),
            (FIRST_GUEST + GUEST_NUMBERS - 1, (0, GUEST_NUMBERS - 1)),
            (FIRST_GUEST + GUEST_NUMBERS + 7, (1, 7)),
        ] {
            assert_eq!(guest_of(Token(token)), Some(guest));
            assert_eq!(recipient_of(Token(token)), None);
        }
        for number in [0, HANDSHAKE_NUMBERS - 1] {
            let handshake = Token(FIRST_HANDSHAKE + number);
            assert_eq!(recipient_of(handshake), Some(Recipient::Handshake(number)));
            assert_eq!(guest_of(handshake), None);
        }
        let listener = Token(FIRST_LISTENER + 2);
        assert_eq!(recipient_of(listener), Some(Recipient::Listener(2)));
        assert_eq!((guest_of(listener), guest_of(SIGNALS)), (None, None));
        for token in [SIGNALS, WAKER] {
            assert_eq!((recipient_of(token), guest_of(token)), (None, None));
        }
    }
}
