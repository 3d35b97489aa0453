//! The relay of a replay in this process: real sockets and files, until the viewers have
//! read everything.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use baton_components::connection::Endpoint;
use baton_systems::entities::Entities;
use baton_systems::ports::{ChancePort, ClockPort, NetworkPort, StoragePort};
use baton_systems::settings::{HoldBack, Settings};
use baton_systems::tick::Relay;

use crate::daemon::{self, Error};
use crate::os::busy_poll::{self, BusyPoll};
use crate::os::chance::KernelChance;
use crate::os::clock::SystemClock;
use crate::os::network::{Idle, SocketNetwork};
use crate::os::pool::Pool;
use crate::os::reactor::Reactor;
use crate::os::signals::Stop;
use crate::os::storage::FileStorage;
use crate::os::tcp_timeouts::TcpTimeouts;
use crate::os::workers::Workers;

/// A relay that listens.
pub struct OwnRelay {
    relay: Relay,
    stop: Stop,
    idle: Idle,
    pub control: SocketAddr,
    pub data: SocketAddr,
    pub live: SocketAddr,
}

/// The reason why it stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All connections ended.
    Left,
    /// A signal asked to stop.
    Stopped,
}

impl OwnRelay {
    pub fn start(output: &Path, live: SocketAddr) -> Result<Self, Error> {
        let failed = |reason| Error::Output {
            path: output.to_owned(),
            reason,
        };
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let pool = Pool::of(limit.unwrap_or(DESCRIPTORS_MAX));
        let storage = FileStorage::open(output, pool.files).map_err(failed)?;
        let (stop, idle) = (Stop::default(), Idle::default());
        let reactor = Reactor::new(stop.clone(), BusyPoll::new(busy_poll::DEFAULT));
        let reactor = reactor.map_err(Error::Poll)?;
        let workers = Workers::new(reactor.waker());
        let mut network = SocketNetwork::new(
            reactor,
            idle.clone(),
            pool.connections,
            TcpTimeouts::default(),
        );
        let storage = storage
            .with_sockets(network.sockets())
            .with_workers(workers);
        let mut listen = |endpoint, address| {
            let listening = network.listen(endpoint, address);
            listening.map_err(|reason| Error::Listen {
                endpoint,
                address,
                reason,
            })
        };
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let control = listen(Endpoint::Control, any)?;
        let data = listen(Endpoint::Data, any)?;
        let live = listen(Endpoint::Live, live)?;
        let chance = KernelChance::new().map_err(Error::Chance)?;
        let relay = Relay::new(
            NetworkPort(Box::new(network)),
            StoragePort::new(Box::new(storage)),
            ClockPort(Box::new(SystemClock::new())),
            ChancePort(Box::new(chance)),
            Settings {
                // All streams are there before the first packet.
                hold_back: HoldBack::Fixed(Duration::ZERO),
                ..Settings::default()
            },
            cfg!(debug_assertions),
        );
        Ok(Self {
            relay,
            stop,
            idle,
            control,
            data,
            live,
        })
    }

    /// Serves until all peers have disconnected, including the producer, which is connected
    /// already. Signals on `start` when the viewers are attached.
    pub fn serve(mut self, viewers: usize, start: mpsc::Sender<()>) -> Result<End, Error> {
        let mut start = Some(start);
        let mut has_begun = false;
        let end = loop {
            if self.stop.is_asked() {
                break End::Stopped;
            }
            daemon::tick(&mut self.relay)?;
            let entities = self.relay.read::<Entities>();
            let attached = entities
                .viewer_sessions
                .iter()
                .filter(|(_, viewer)| !viewer.attached.is_empty());
            if attached.count() >= viewers
                && let Some(start) = start.take()
            {
                // A sender that failed has dropped its end of the channel.
                let _ = start.send(());
            }
            let is_empty = entities.connections.is_empty();
            has_begun |= !is_empty;
            if has_begun && is_empty {
                break End::Left;
            }
        };
        self.stop.ask();
        daemon::finish(&mut self.relay, &self.idle, None, |_| ())?;
        Ok(end)
    }
}

/// Number of descriptors if the system has no limit.
const DESCRIPTORS_MAX: u64 = 1 << 16;
