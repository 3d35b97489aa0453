//! `baton tunnel`: plain LTTng on this machine, TLS to a relay. One thread, one poll; another
//! thread looks the relay's name up.

mod lookup;
mod pair;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use baton_components::connection::Endpoint;
use baton_components::refusals::Refusals;
use baton_systems::more;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use signal_hook_mio::v1_0::Signals;
use slotmap::{DefaultKey, Key as _, KeyData, SlotMap};

use self::lookup::{Addresses, Lookup};
use self::pair::{Buffers, Pair, Then};
use crate::os::log_queue::say;
use crate::os::tls::client;
use crate::os::tls::credentials::{Minimum, Mistake};
use crate::os::tls::session::Session;
use crate::os::{listeners, said, signals};

/// Where to listen, and the relay to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub host: String,
    /// Its ports, in the order of [`Endpoint::ALL`].
    pub relay_ports: [u16; 3],
    pub ca: PathBuf,
    /// Certificate and key.
    pub identity: Option<(PathBuf, PathBuf)>,
    pub minimum: Minimum,
    pub listen: IpAddr,
    /// The ports here, in the same order; none: not for those peers.
    pub ports: [Option<u16>; 3],
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Tls(#[from] Mistake),
    #[error("\"{0}\" is no name that a certificate can have")]
    Host(String),
    #[error(
        "cannot listen on {address} for {} connections: {}; choose another address with --listen, or \
         another port with --{}-port",
        endpoint.name(),
        said(reason),
        endpoint.name()
    )]
    Listen {
        endpoint: Endpoint,
        address: SocketAddr,
        reason: io::Error,
    },
    #[error("cannot poll for connections and signals: {}", said(.0))]
    Poll(#[from] io::Error),
}

const SIGNALS: Token = Token(0);
const ADDRESSES: Token = Token(1);
const FIRST_LISTENER: usize = 2;
/// The token of both sockets of a pair is its key, whose version, the upper half, is never 0.
const FIRST_PAIR: usize = 1 << 32;
/// Maximum number of connections.
const PAIRS_MAX: usize = 4096;
const EVENTS: usize = 256;
/// Time before accept is tried again after there was no descriptor.
const STARVED_RETRY: Duration = Duration::from_millis(100);

/// Runs until it is told to stop.
pub fn run(plan: &Plan) -> Result<(), Error> {
    let host = plan.host.clone();
    let mut tunnel = Tunnel::start(plan, move || lookup::addresses(&host))?;
    let mut events = Events::with_capacity(EVENTS);
    while tunnel.turn(&mut events)? {}
    Ok(())
}

struct Tunnel<'a> {
    plan: &'a Plan,
    config: Arc<ClientConfig>,
    relay: ServerName<'static>,
    poll: Poll,
    signals: Signals,
    listeners: Vec<(Endpoint, TcpListener)>,
    /// Listeners whose connections wait in the backlog, since there is no descriptor for them.
    starved: Vec<usize>,
    lookup: Lookup,
    /// Connections that wait for the relay's address.
    waiting: Vec<(Endpoint, TcpStream)>,
    pairs: SlotMap<DefaultKey, Pair>,
    /// Pairs that have more to do than their turn allowed.
    again: Vec<DefaultKey>,
    buffers: Buffers,
    failures: Refusals,
    began: Instant,
}

impl<'a> Tunnel<'a> {
    fn start(
        plan: &'a Plan,
        resolve: impl Fn() -> Addresses + Send + 'static,
    ) -> Result<Self, Error> {
        let host = plan.host.clone();
        let relay = ServerName::try_from(host).map_err(|_| Error::Host(plan.host.clone()))?;
        let config = config(plan)?;
        let poll = Poll::new()?;
        let mut signals = Signals::new(signals::TAKEN)?;
        let registry = poll.registry();
        registry.register(&mut signals, SIGNALS, Interest::READABLE)?;
        let lookup = Lookup::start(Waker::new(registry, ADDRESSES)?, resolve)?;
        let mut listeners = Vec::new();
        for (endpoint, port) in PORTS.into_iter().zip(plan.ports) {
            let Some(port) = port else { continue };
            let address = SocketAddr::new(plan.listen, port);
            let listen = || {
                let mut listener = TcpListener::from_std(listeners::bind(address)?);
                let token = Token(FIRST_LISTENER + listeners.len());
                registry.register(&mut listener, token, Interest::READABLE)?;
                Ok((listener.local_addr()?, listener))
            };
            let (address, listener) = listen().map_err(|reason| Error::Listen {
                endpoint,
                address,
                reason,
            })?;
            let name = endpoint.name();
            say(format_args!(
                "baton: tunnel: {name} connections to {address}"
            ));
            listeners.push((endpoint, listener));
        }
        Ok(Self {
            plan,
            config,
            relay,
            poll,
            signals,
            listeners,
            starved: Vec::new(),
            lookup,
            waiting: Vec::new(),
            pairs: SlotMap::new(),
            again: Vec::new(),
            buffers: Buffers::default(),
            failures: Refusals::default(),
            began: Instant::now(),
        })
    }

    /// Waits for something to do, and does it. Returns whether it goes on.
    fn turn(&mut self, events: &mut Events) -> Result<bool, Error> {
        let patience = if self.again.is_empty() {
            (!self.starved.is_empty()).then_some(STARVED_RETRY)
        } else {
            Some(Duration::ZERO)
        };
        match self.poll.poll(events, patience) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        let mut ready = std::mem::take(&mut self.again);
        for number in std::mem::take(&mut self.starved) {
            self.accept(number);
        }
        for event in events.iter() {
            match event.token() {
                SIGNALS => {
                    if self.is_stopped_by_signal() {
                        return Ok(false);
                    }
                }
                ADDRESSES => self.connect_waiting(),
                Token(token) if token < FIRST_PAIR => self.accept(token - FIRST_LISTENER),
                Token(token) => ready.push(key_of(token)),
            }
        }
        ready.sort_unstable();
        ready.dedup();
        for key in ready {
            self.go_on(key);
        }
        Ok(true)
    }

    /// Handles signals: SIGHUP reads the certificates anew.
    fn is_stopped_by_signal(&mut self) -> bool {
        for signal in self.signals.pending() {
            if signals::stops(signal) {
                return true;
            }
            if signals::reloads(signal) {
                match config(self.plan) {
                    Ok(config) => {
                        self.config = config;
                        say(format_args!(
                            "baton: tunnel: the certificates were read anew"
                        ));
                    }
                    Err(error) => say(format_args!(
                        "baton: tunnel: the certificates are not read anew, the old ones stay: \
                         {error}"
                    )),
                }
            }
        }
        false
    }

    /// Accepts the connections that wait at a listener.
    fn accept(&mut self, number: usize) {
        while let Some((endpoint, listener)) = self.listeners.get(number) {
            let endpoint = *endpoint;
            match listener.accept() {
                Ok(_) if self.pairs.len() + self.waiting.len() >= PAIRS_MAX => {
                    self.say_failure(endpoint, "too many connections are open");
                }
                Ok((near, _)) => {
                    self.waiting.push((endpoint, near));
                    self.lookup.ask();
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return,
                    // The program has given up, or a signal came: the next may be there.
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted => {}
                    _ => {
                        self.starved.push(number);
                        self.say_failure(endpoint, &said(&error));
                        return;
                    }
                },
            }
        }
    }

    /// Connects to the relay for those that wait, when its addresses are known.
    fn connect_waiting(&mut self) {
        let Some(addresses) = self.lookup.answer() else {
            return;
        };
        for (endpoint, near) in std::mem::take(&mut self.waiting) {
            let connected = match &addresses {
                Ok(addresses) => self.connect(endpoint, near, addresses),
                Err(reason) => Err(said(reason)),
            };
            if let Err(failure) = connected {
                self.say_failure(endpoint, &failure);
            }
        }
    }

    /// An error is a sentence.
    fn connect(
        &mut self,
        endpoint: Endpoint,
        near: TcpStream,
        addresses: &[SocketAddr],
    ) -> Result<(), String> {
        let port = self.port(endpoint);
        let to = addresses.iter().map(|it| SocketAddr::new(it.ip(), port));
        let session = Session::client(Arc::clone(&self.config), self.relay.clone());
        let session = session.map_err(|error| error.to_string())?;
        let mut pair = Pair::new(endpoint, near, to.collect(), session)?;
        let registry = self.poll.registry();
        let mut registered = Ok(());
        let key = self.pairs.insert_with_key(|key| {
            registered = pair.register(registry, token_of(key));
            pair
        });
        if registered.is_err() {
            self.pairs.remove(key);
        }
        registered.map_err(|error| said(&error))
    }

    fn port(&self, endpoint: Endpoint) -> u16 {
        let ports = PORTS.into_iter().zip(self.plan.relay_ports);
        let found = ports.into_iter().find(|(it, _)| *it == endpoint);
        found.map_or(0, |(_, port)| port)
    }

    fn go_on(&mut self, key: DefaultKey) {
        let Some(pair) = self.pairs.get_mut(key) else {
            // Both sockets had an event, and the first one was its end.
            return;
        };
        match pair.go_on(&mut self.buffers, self.poll.registry(), token_of(key)) {
            Then::Wait => {}
            Then::GoOn => self.again.push(key),
            Then::End(failure) => {
                let endpoint = pair.endpoint;
                self.pairs.remove(key);
                if let Some(failure) = failure {
                    self.say_failure(endpoint, &failure);
                }
            }
        }
    }

    /// Says why a connection failed. Of a run of them only the first has a line.
    fn say_failure(&mut self, endpoint: Endpoint, failure: &str) {
        if let Some(before) = self.failures.add(self.began.elapsed()) {
            let (host, port) = (&self.plan.host, self.port(endpoint));
            let (name, more) = (endpoint.name(), more(before));
            say(format_args!(
                "baton: tunnel: {name} connection to {host}:{port}: {failure}{more}"
            ));
        }
    }
}

const PORTS: [Endpoint; 3] = [Endpoint::Control, Endpoint::Data, Endpoint::Live];

fn config(plan: &Plan) -> Result<Arc<ClientConfig>, Mistake> {
    let identity = plan.identity.as_ref();
    let identity = identity.map(|(certificate, key)| (&**certificate, &**key));
    let (config, warning) = client::config(&plan.ca, identity, plan.minimum)?;
    if let Some(warning) = warning {
        say(format_args!("baton: tunnel: warning: {warning}"));
    }
    Ok(config)
}

fn token_of(key: DefaultKey) -> Token {
    Token(key.data().as_ffi() as usize)
}

fn key_of(token: usize) -> DefaultKey {
    KeyData::from_ffi(token as u64).into()
}
