//! Listeners: they accept connections, which wait in the backlog while there is no
//! descriptor for them. A stranger, whom the gate does not let in, is closed at once.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use baton_components::connection::Endpoint;
use baton_components::refusals::Refusals;
use baton_systems::more;
use mio::net::{TcpListener, TcpStream};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::counters::Counters;
use super::gate::Gate;
use super::reactor::Reactor;
use super::tcp_timeouts::TcpTimeouts;

/// All listeners, in the order of their numbers in the reactor.
#[derive(Debug, Default)]
pub struct Listeners(Vec<Listener>);

#[derive(Debug)]
struct Listener {
    endpoint: Endpoint,
    is_tls: bool,
    socket: TcpListener,
    state: Backlog,
    /// The warning that connections wait was logged. It is logged once, until none waits.
    has_said: bool,
    strangers: Refusals,
}

/// A connection that was accepted.
#[derive(Debug)]
pub struct Accepted {
    pub socket: TcpStream,
    pub endpoint: Endpoint,
    /// It begins with a TLS handshake.
    pub is_tls: bool,
    pub address: SocketAddr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Backlog {
    Empty,
    /// Connections may wait.
    Waiting,
    /// Connections wait, since there is no descriptor for them.
    Starved,
}

/// Backlog of a listener.
const BACKLOG: i32 = 128;
/// Time before accept is tried again after there was no descriptor.
const STARVED_RETRY: Duration = Duration::from_millis(100);
/// Strangers that are closed before others get their turn.
const STRANGERS_PER_ACCEPT: usize = 64;

/// A socket that listens at an address.
pub fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

impl Listeners {
    /// Adds a socket that listens. Returns its address.
    pub fn add(
        &mut self,
        reactor: &Reactor,
        endpoint: Endpoint,
        is_tls: bool,
        socket: std::net::TcpListener,
        timeouts: &TcpTimeouts,
    ) -> io::Result<SocketAddr> {
        socket.set_nonblocking(true)?;
        // Connections inherit the options of their listener. TCP_NODELAY: each write is a
        // whole reply, so Nagle's algorithm would only add latency.
        SockRef::from(&socket).set_tcp_nodelay(true)?;
        timeouts.apply(&socket)?;
        let mut socket = TcpListener::from_std(socket);
        let address = socket.local_addr()?;
        reactor.watch_listener(&mut socket, self.0.len())?;
        self.0.push(Listener {
            endpoint,
            is_tls,
            socket,
            state: Backlog::Empty,
            has_said: false,
            strangers: Refusals::default(),
        });
        Ok(address)
    }

    /// Time until the next attempt to accept, at most `timeout`.
    pub fn patience(&self, timeout: Option<Duration>) -> Option<Duration> {
        let waits = |state| self.0.iter().any(|listener| listener.state == state);
        if waits(Backlog::Waiting) {
            Some(Duration::ZERO)
        } else if waits(Backlog::Starved) {
            Some(timeout.map_or(STARVED_RETRY, |timeout| timeout.min(STARVED_RETRY)))
        } else {
            timeout
        }
    }

    /// Notes that connections wait at the listener with that number. A closed listener is
    /// ignored.
    pub fn connected(&mut self, number: usize) {
        if let Some(listener) = self.0.get_mut(number) {
            listener.state = Backlog::Waiting;
        }
    }

    /// Retries connections for which there was no descriptor.
    pub fn try_again(&mut self) {
        for listener in &mut self.0 {
            if listener.state == Backlog::Starved {
                listener.state = Backlog::Waiting;
            }
        }
    }

    /// Accepts the next connection that the gate lets in; without `has_room` they stay in the
    /// backlog.
    pub fn accept(&mut self, has_room: bool, gate: &Gate, counters: &Counters) -> Option<Accepted> {
        let mut strangers = 0;
        for listener in &mut self.0 {
            while listener.state == Backlog::Waiting && strangers < STRANGERS_PER_ACCEPT {
                let accepted = if has_room {
                    listener.socket.accept()
                } else {
                    Err(io::Error::other(
                        "as many are open as the descriptor pool allows",
                    ))
                };
                match accepted {
                    Ok((_, address)) if !gate.lets_in(listener.endpoint, address.ip()) => {
                        strangers += 1;
                        counters.add_stranger(listener.endpoint);
                        listener.turn_away(address);
                    }
                    Ok((socket, address)) => {
                        return Some(Accepted {
                            socket,
                            endpoint: listener.endpoint,
                            is_tls: listener.is_tls,
                            address,
                        });
                    }
                    Err(error) => listener.refuse(&error),
                }
            }
        }
        None
    }
}

impl Listener {
    /// Logs a stranger: of a run of them only the first has a line.
    fn turn_away(&mut self, address: SocketAddr) {
        let since_boot = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let now = Duration::from_secs(since_boot.tv_sec.unsigned_abs());
        if let Some(before) = self.strangers.add(now) {
            let endpoint = self.endpoint;
            let (name, option) = (endpoint.name(), Gate::option(endpoint));
            tracing::warn!(
                peer = %address,
                "{name} connection: this address may not connect ({option}); connection closed{}",
                more(before)
            );
        }
    }

    /// Sets the state of the backlog after an accept that failed.
    fn refuse(&mut self, error: &io::Error) {
        self.state = match error.kind() {
            io::ErrorKind::WouldBlock => Backlog::Empty,
            // The peer has given up, or a signal came: the next connection may be there.
            io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted => Backlog::Waiting,
            _ => Backlog::Starved,
        };
        match self.state {
            Backlog::Empty => self.has_said = false,
            Backlog::Starved if !self.has_said => {
                self.has_said = true;
                tracing::warn!(
                    "{} connections wait in the backlog: {error}",
                    self.endpoint.name()
                );
            }
            Backlog::Waiting | Backlog::Starved => {}
        }
    }
}
