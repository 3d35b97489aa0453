//! Handshakes: TLS connections of which the peer is not known yet. Those that succeed are
//! accepted; no system sees the others.
//!
//! Their number, their time and their work in one poll are limited. If there are too many, the
//! oldest of the address with the most ends: a flood from one address keeps no other out, and an
//! honest handshake takes two round trips, one that is held open takes longer.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read as _};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use baton_components::refusals::Refusals;
use baton_components::rights::Rights;
use baton_systems::more;

use super::counters::Counters;
use super::listeners::Accepted;
use super::reactor::{HANDSHAKE_NUMBERS, Reactor};
use super::said;
use super::tls::sealed::Sealed;
use super::tls::server::Server;
use super::tls::session::Session;

/// Open handshakes, and connections whose handshake succeeded.
#[derive(Debug)]
pub struct Handshakes {
    /// By number, the oldest first.
    open: BTreeMap<usize, Handshake>,
    next_number: usize,
    /// Those with something to do.
    ready: VecDeque<usize>,
    known: VecDeque<Known>,
    refusals: Refusals,
    began: Instant,
}

#[derive(Debug)]
struct Handshake {
    accepted: Accepted,
    /// None until its first byte: an idle connection costs no more than a plain one.
    tls: Option<Box<Sealed>>,
    deadline: Instant,
    is_ready: bool,
}

/// A connection whose peer is known.
#[derive(Debug)]
pub struct Known {
    pub accepted: Accepted,
    pub tls: Box<Sealed>,
    pub rights: Option<Box<Rights>>,
}

/// Maximum number of open handshakes.
const OPEN_MAX: usize = 256;
/// Handshakes that go on in one poll: each may take a millisecond of cryptography.
const STEPS_PER_POLL: usize = 8;
/// Bytes that are read at once: a handshake of one side has fewer.
const READ_BYTES: usize = 8 * 1024;
/// Maximum time of a handshake.
const PATIENCE: Duration = Duration::from_secs(10);
/// The first byte of every TLS connection: the type of a record of its handshake.
const FIRST_BYTE: u8 = 0x16;

impl Default for Handshakes {
    fn default() -> Self {
        Self {
            open: BTreeMap::new(),
            next_number: 0,
            ready: VecDeque::new(),
            known: VecDeque::new(),
            refusals: Refusals::default(),
            began: Instant::now(),
        }
    }
}

impl Handshakes {
    /// Number of connections here.
    pub fn len(&self) -> usize {
        self.open.len() + self.known.len()
    }

    /// Begins one.
    pub fn begin(&mut self, mut accepted: Accepted, reactor: &Reactor, counters: &Counters) {
        let number = self.next_number;
        self.next_number = (number + 1) % HANDSHAKE_NUMBERS;
        if let Err(error) = reactor.watch_handshake(&mut accepted.socket, number) {
            let why = format!("it cannot be polled: {error}");
            self.refuse(&accepted, &why, counters);
            return;
        }
        let handshake = Handshake {
            accepted,
            tls: None,
            deadline: Instant::now() + PATIENCE,
            is_ready: false,
        };
        self.open.insert(number, handshake);
        if self.open.len() > OPEN_MAX
            && let Some(ended) = self.open.remove(&self.most_greedy())
        {
            let why = "too many are open, and this is the oldest of the address with the most";
            self.refuse(&ended.accepted, why, counters);
        }
    }

    /// The oldest of the address with the most.
    fn most_greedy(&self) -> usize {
        // By address: how many there are, and the oldest of them.
        let mut addresses = BTreeMap::<IpAddr, (usize, Reverse<usize>)>::new();
        for (number, handshake) in &self.open {
            let address = handshake.accepted.address.ip();
            let (count, _) = addresses.entry(address).or_insert((0, Reverse(*number)));
            *count += 1;
        }
        let greediest = addresses.into_values().max();
        greediest.map_or(0, |(_, Reverse(oldest))| oldest)
    }

    /// Notes an event of the one with that number.
    pub fn wake(&mut self, number: usize) {
        if let Some(handshake) = self.open.get_mut(&number)
            && !std::mem::replace(&mut handshake.is_ready, true)
        {
            self.ready.push_back(number);
        }
    }

    /// Time until there is something to do, at most `timeout`.
    pub fn patience(&self, timeout: Option<Duration>) -> Option<Duration> {
        if !self.ready.is_empty() || !self.known.is_empty() {
            return Some(Duration::ZERO);
        }
        let Some((_, oldest)) = self.open.first_key_value() else {
            return timeout;
        };
        let left = oldest.deadline.saturating_duration_since(Instant::now());
        Some(timeout.map_or(left, |timeout| timeout.min(left)))
    }

    /// Goes on with those that are ready, and ends those whose time is over.
    pub fn work(&mut self, server: Option<&Server>, counters: &Counters) {
        for _ in 0..STEPS_PER_POLL {
            let Some(number) = self.ready.pop_front() else {
                break;
            };
            let Some(mut handshake) = self.open.remove(&number) else {
                continue;
            };
            handshake.is_ready = false;
            match handshake.go_on(server) {
                Ok(Step::Waits) => {
                    self.open.insert(number, handshake);
                }
                Ok(Step::Left) => {}
                Ok(Step::Done(rights)) => {
                    if let Some(tls) = handshake.tls {
                        self.known.push_back(Known {
                            accepted: handshake.accepted,
                            tls,
                            rights: rights.map(Box::new),
                        });
                    }
                }
                Err(mistake) => self.refuse(&handshake.accepted, &mistake, counters),
            }
        }
        let now = Instant::now();
        while let Some(oldest) = self.open.first_entry()
            && oldest.get().deadline <= now
        {
            let handshake = oldest.remove();
            self.refuse(&handshake.accepted, "it takes too long", counters);
        }
    }

    /// The next connection whose peer is known.
    pub fn take_known(&mut self) -> Option<Known> {
        self.known.pop_front()
    }

    /// Counts and logs the end of one. Of a run of them only the first has a line.
    fn refuse(&mut self, accepted: &Accepted, mistake: &str, counters: &Counters) {
        counters.add_failed_handshake(accepted.endpoint);
        if let Some(before) = self.refusals.add(self.began.elapsed()) {
            let endpoint = accepted.endpoint.name();
            tracing::warn!(
                peer = %accepted.address,
                "{endpoint} connection: TLS handshake: {mistake}; connection closed{}",
                more(before)
            );
        }
    }
}

enum Step {
    Waits,
    /// The peer has gone without a byte: it may have looked whether the port is open.
    Left,
    Done(Option<Rights>),
}

impl Handshake {
    /// Takes what has come, and answers. An error is a sentence.
    fn go_on(&mut self, server: Option<&Server>) -> Result<Step, String> {
        let server = server.ok_or("this relay has no certificate any more")?;
        let endpoint = self.accepted.endpoint;
        let socket = &self.accepted.socket;
        let mut buffer = [0; READ_BYTES];
        loop {
            let is_silent = self.tls.is_none();
            let count = match (&*socket).read(&mut buffer) {
                Ok(0) if is_silent => return Ok(Step::Left),
                Ok(0) => return Err("the peer has closed the connection".to_owned()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) if is_silent => return Ok(Step::Left),
                Err(error) => return Err(said(&error)),
            };
            let tls = match &mut self.tls {
                Some(tls) => tls,
                None if buffer[0] != FIRST_BYTE => {
                    return Err(
                        "the peer speaks no TLS: plain LTTng has to come by baton tunnel or \
                         stunnel, or to a tcp:// port"
                            .to_owned(),
                    );
                }
                None => {
                    let session = Session::server(server.config(endpoint));
                    let session = session.map_err(|error| error.to_string())?;
                    self.tls.insert(Box::new(Sealed::new(session)))
                }
            };
            let opened = tls.session.open(&buffer[..count], &mut [], &mut 0);
            let pushed = tls.push_own(socket);
            opened.map_err(|error| server.sentence(endpoint, &error))?;
            pushed.map_err(|error| said(&error))?;
            if !tls.session.is_handshaking() {
                break;
            }
        }
        let Some(tls) = &mut self.tls else {
            return Ok(Step::Waits);
        };
        // An event may mean that there is room for the rest of an answer.
        tls.push_own(socket).map_err(|error| said(&error))?;
        if tls.session.is_handshaking() {
            return Ok(Step::Waits);
        }
        let rights = server.rights(endpoint, tls.session.peer_certificates())?;
        Ok(Step::Done(rights))
    }
}
