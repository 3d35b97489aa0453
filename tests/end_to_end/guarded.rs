//! A relay with TLS, and sessions that are recorded and seen through tunnels.

use crate::application::Run;
use crate::events::assert_complete;
use crate::lttng::{Buffers, Mode, Producer, Setup};
use crate::ports::Ports;
use crate::process::eventually;
use crate::relay::{Relay, skipped};
use crate::tunnel::{Certificates, Tunnel, s_client_saying};
use crate::turn::{self, Turn};
use crate::viewer::{Viewer, read_directory};
use crate::{BRIEF, UNHURRIED, end};
use std::time::Duration;

pub const PATIENCE: Duration = Duration::from_secs(20);

/// A relay that has ports with TLS beside the plain ones, and certificates for it and its
/// clients.
#[derive(Debug)]
pub struct Guarded {
    pub certificates: Certificates,
    pub relay: Relay,
    /// Those with TLS.
    pub ports: Ports,
    _turn: Turn,
}

impl Guarded {
    /// Takes a turn, and starts one for these clients, with more options; none if the relay under
    /// test has no TLS.
    pub fn start(clients: &[&str], options: &[&str]) -> Option<Self> {
        let options = options.iter().map(|it| (*it).to_owned()).collect();
        Self::start_with(clients, |_| options)
    }

    /// As [`Self::start`], with options that name files beside the certificates.
    pub fn start_with(
        clients: &[&str],
        options: impl FnOnce(&Certificates) -> Vec<String>,
    ) -> Option<Self> {
        let turn = turn::take();
        if skipped("it has no TLS") {
            return None;
        }
        let certificates = Certificates::make(clients);
        let options = options(&certificates);
        let (relay, ports) = certificates.start_relay(&options);
        Some(Self {
            certificates,
            relay,
            ports,
            _turn: turn,
        })
    }

    /// Starts a tunnel to it, with the certificate of a client.
    pub fn tunnel(&self, client: &str) -> Tunnel {
        Tunnel::start(&self.certificates, client, self.ports)
    }

    /// Has openssl connect to the live port with the certificate of a client; returns what it
    /// prints.
    pub fn s_client(&self, client: &str, arguments: &[&str]) -> String {
        self.s_client_saying("", client, arguments)
    }

    /// The same with something to say.
    pub fn s_client_saying(&self, words: &str, client: &str, arguments: &[&str]) -> String {
        let [ca, certificate, key] = [
            "ca.pem".to_owned(),
            format!("{client}.pem"),
            format!("{client}.key"),
        ]
        .map(|name| self.certificates.file(&name));
        let known = ["-CAfile", &ca, "-cert", &certificate, "-key", &key];
        s_client_saying(words, self.ports.live, &[&known, arguments].concat())
    }

    pub fn assert_says(&self, words: &str) {
        eventually(words, PATIENCE, || self.relay.log().contains(words));
    }

    /// The end of a case: tunnels and producers are gone.
    pub fn end(self) {
        end([], self.relay);
    }
}

pub fn assert_tunnel_says(tunnel: &Tunnel, words: &str) {
    eventually(words, PATIENCE, || tunnel.errors().contains(words));
}

/// One session from a producer to a viewer, each through a tunnel.
pub fn one_session(relay: &Relay, name: &str, producers: &Tunnel, viewers: &Tunnel) {
    let setup = Setup::new(Mode::Live, Buffers::PerUser);
    session_during(relay, name, setup, [producers, viewers], |producer, _| {
        vec![producer.launch(BRIEF).finish()]
    });
}

/// Records a session, which a viewer follows, while something happens in which applications
/// run: nothing of these is missed. `tunnels`: of the producer and of the viewer.
pub fn session_during(
    relay: &Relay,
    name: &str,
    setup: Setup,
    tunnels: [&Tunnel; 2],
    happens: impl FnOnce(&Producer, &Viewer) -> Vec<Run>,
) {
    let [producers, viewers] = tunnels;
    let producer = Producer::start();
    let session = producer.session_at(&producers.producer_url(), name, setup);
    let viewer = Viewer::attach_at(relay, &viewers.viewer_url(name), name);
    let runs = happens(&producer, &viewer);
    session.destroy();
    assert_complete(&viewer.finish(), &runs);
    assert_complete(&read_directory(&relay.trace_directory(name)), &runs);
}

/// Something happens while a session is recorded through a tunnel, and seen: nothing is missed.
pub fn session_disturbed_by(relay: &Relay, tunnel: &Tunnel, happens: impl FnOnce()) {
    let setup = Setup::new(Mode::Live, Buffers::PerUser);
    session_during(relay, "one", setup, [tunnel; 2], |producer, viewer| {
        let application = producer.launch(UNHURRIED);
        viewer.wait_for_events();
        happens();
        vec![application.finish()]
    });
}
