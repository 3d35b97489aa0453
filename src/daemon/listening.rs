//! The listeners of a relay: those of the configuration, or the sockets of systemd.

use std::net::{SocketAddr, TcpListener};

use baton_components::connection::Endpoint;
use baton_systems::settings::Ports;

use super::Error;
use crate::config::{Config, Listener};
use crate::options::Face;
use crate::os::network::SocketNetwork;

/// Where the relay listens.
pub struct Listening(Vec<Listener>);

impl Listening {
    /// Opens all listeners. Sockets of systemd take the place of those without TLS.
    pub fn open(
        network: &mut SocketNetwork,
        config: &Config,
        inherited: Vec<(Endpoint, TcpListener)>,
    ) -> Result<Self, Error> {
        // The original says what the system says, and scripts may look for that.
        if config.face == Face::Baton
            && inherited.is_empty()
            && let Some((one, other, address)) = config.clash()
        {
            return Err(Error::SamePort {
                one,
                other,
                address,
            });
        }
        let mut listening = Vec::new();
        for (endpoint, socket) in inherited {
            let address = network
                .listen_on(endpoint, socket)
                .map_err(Error::Inherited)?;
            listening.push(Listener {
                endpoint,
                address,
                is_tls: false,
            });
        }
        let inherited: Vec<Endpoint> = listening.iter().map(|it| it.endpoint).collect();
        let is_ours = |it: &&Listener| it.is_tls || !inherited.contains(&it.endpoint);
        for listener in config.listeners.iter().filter(is_ours) {
            listening.push(listen(network, listener)?);
        }
        for listener in config.status.listeners.iter().filter(is_ours) {
            match listen(network, listener) {
                Ok(opened) => listening.push(opened),
                Err(error) if config.status.are_wanted => return Err(error),
                // Nobody has asked for it.
                Err(error) => tracing::warn!("nobody can ask about this relay: {error}"),
            }
        }
        Ok(Self(listening))
    }

    /// The addresses without TLS.
    pub fn plain(&self) -> Vec<(Endpoint, SocketAddr)> {
        let plain = self.0.iter().filter(|it| !it.is_tls);
        plain.map(|it| (it.endpoint, it.address)).collect()
    }

    /// One address for each endpoint, without TLS if there is one.
    pub fn main(&self) -> Vec<(Endpoint, SocketAddr)> {
        let of = |endpoint| Some((endpoint, self.of(endpoint)?.address));
        Endpoint::ALL.into_iter().filter_map(of).collect()
    }

    /// The listener of an endpoint, without TLS if there is one.
    pub fn of(&self, endpoint: Endpoint) -> Option<&Listener> {
        let all = || self.0.iter().filter(move |it| it.endpoint == endpoint);
        all().find(|it| !it.is_tls).or_else(|| all().next())
    }

    /// The ports that peers are sent to.
    pub fn ports(&self) -> Ports {
        let mut ports = Ports::default();
        for (endpoint, address) in self.main() {
            let port = address.port();
            match endpoint {
                Endpoint::Control => ports.control = port,
                Endpoint::Data => ports.data = port,
                Endpoint::Live => ports.live = port,
                Endpoint::Status => ports.status = Some(port),
            }
        }
        ports
    }
}

/// Opens a listener. The system may choose its port.
fn listen(network: &mut SocketNetwork, listener: &Listener) -> Result<Listener, Error> {
    let Listener {
        endpoint,
        address,
        is_tls,
    } = *listener;
    let opened = if is_tls {
        network.listen_tls(endpoint, address)
    } else {
        network.listen(endpoint, address)
    };
    let address = opened.map_err(|reason| Error::Listen {
        endpoint,
        address,
        reason,
    })?;
    Ok(Listener {
        endpoint,
        address,
        is_tls,
    })
}
