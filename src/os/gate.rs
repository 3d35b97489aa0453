//! The gate: who may connect. It can be replaced while the relay runs.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use baton_components::connection::Endpoint;

use super::peer::Peer;
use super::tls::server::Server;
use crate::addresses::Allowed;

/// The conditions on a peer. The default lets everybody in.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    pub producers: Allowed,
    pub viewers: Allowed,
    pub monitors: Allowed,
    /// For listeners with TLS.
    pub tls: Option<Arc<Server>>,
}

/// Hands a new gate to the network, which takes it in its next poll.
#[derive(Clone, Debug, Default)]
pub struct NextGate(Arc<Mutex<Option<Gate>>>);

impl Gate {
    /// The addresses that may connect to an endpoint.
    pub fn allowed(&self, endpoint: Endpoint) -> &Allowed {
        match endpoint {
            Endpoint::Control | Endpoint::Data => &self.producers,
            Endpoint::Live => &self.viewers,
            Endpoint::Status => &self.monitors,
        }
    }

    /// The option that names them.
    pub fn option(endpoint: Endpoint) -> &'static str {
        match endpoint {
            Endpoint::Control | Endpoint::Data => "--allow-producers",
            Endpoint::Live => "--allow-viewers",
            Endpoint::Status => "--allow-status",
        }
    }

    /// Whether a connection may stay, or why not.
    pub fn keeps(&self, peer: &Peer) -> Result<(), String> {
        let endpoint = peer.endpoint;
        // One that has gone has no address, and ends by itself.
        let address = peer.socket.stream.peer_addr();
        if address.is_ok_and(|it| !self.lets_in(endpoint, it.ip())) {
            let option = Self::option(endpoint);
            return Err(format!("its address may connect no longer ({option})"));
        }
        let Some(tls) = &peer.tls else {
            return Ok(());
        };
        let server = self.tls.as_ref();
        let server = server.ok_or("this relay has no certificate any more")?;
        let rights = server.rights(endpoint, tls.sealed.session.peer_certificates())?;
        if rights.as_ref() == tls.rights.as_deref() {
            Ok(())
        } else {
            Err("its rights have changed (--tls-rules): it has to connect again".to_owned())
        }
    }

    pub fn lets_in(&self, endpoint: Endpoint, address: IpAddr) -> bool {
        self.allowed(endpoint).has(address)
    }
}

impl NextGate {
    pub fn put(&self, gate: Gate) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(gate);
    }

    pub fn take(&self) -> Option<Gate> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
