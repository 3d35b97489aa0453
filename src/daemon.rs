//! The daemon: ports opened, ticks run, an orderly end.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Instant;

use baton_components::connection::Port;
use baton_components::limits::SHUTDOWN_GRACE;
use baton_systems::audit::Audit;
use baton_systems::ports::{ClockPort, NetworkPort, StoragePort};
use baton_systems::tick::Relay;

use crate::config::Config;
use crate::os::clock::SystemClock;
use crate::os::marker::{self, Marker};
use crate::os::network::{Idle, SocketNetwork};
use crate::os::signals::Stop;
use crate::os::storage::FileStorage;

/// Why the relay did not start, or did not end well. One line for people.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot write to {}: {reason}", path.display())]
    Output { path: PathBuf, reason: io::Error },
    #[error("cannot listen on {address} for {} connections: {reason}", port.name())]
    Listen {
        port: Port,
        address: SocketAddr,
        reason: io::Error,
    },
    #[error("cannot wait for connections or signals: {0}")]
    Poll(io::Error),
    #[error("audit: breach in tick {tick}: {breach}")]
    Breach { tick: u64, breach: String },
    #[error("audit: not empty at the end: {0}")]
    Remains(String),
}

/// Runs a relay until it is told to stop.
pub fn run(config: &Config) -> Result<(), Error> {
    start_log(config.verbosity);
    let storage = FileStorage::open(&config.output).map_err(|reason| Error::Output {
        path: config.output.clone(),
        reason,
    })?;
    let stop = Stop::default();
    let idle = Idle::default();
    let mut network = SocketNetwork::new(stop.clone(), idle.clone()).map_err(Error::Poll)?;
    for (port, address) in config.listeners {
        network
            .listen(port, address)
            .map_err(|reason| Error::Listen {
                port,
                address,
                reason,
            })?;
    }
    if marker::has_crashed(&config.output) {
        tracing::warn!(
            "an earlier relay was killed here and may have left torn packets: baton repair {}",
            config.output.display()
        );
    }
    let _marker = Marker::set(&config.output).map_err(|reason| Error::Output {
        path: config.output.clone(),
        reason,
    })?;
    greet(config);
    let mut relay = Relay::new(
        NetworkPort(Box::new(network)),
        StoragePort(Box::new(storage)),
        ClockPort(Box::new(SystemClock::new())),
        config.settings.clone(),
        config.audit,
    );
    while !stop.is_asked() {
        tick(&mut relay)?;
    }
    finish(&mut relay, &idle)?;
    if config.audit {
        let ticks = relay.world.resource::<Audit>().ticks;
        eprintln!("baton: audit: clean after {ticks} ticks, nothing is left");
    }
    Ok(())
}

/// Takes in what peers had already sent, then lets everything go.
fn finish(relay: &mut Relay, idle: &Idle) -> Result<(), Error> {
    tracing::info!("stopping");
    relay.world.resource_mut::<NetworkPort>().stop_accepting();
    let begun = Instant::now();
    loop {
        tick(relay)?;
        if idle.is_idle() || begun.elapsed() >= SHUTDOWN_GRACE {
            break;
        }
    }
    relay.hang_up_all();
    tick(relay)?;
    let remains = relay.remains();
    if remains.is_empty() {
        Ok(())
    } else {
        Err(Error::Remains(remains.join(", ")))
    }
}

fn tick(relay: &mut Relay) -> Result<(), Error> {
    relay.tick();
    let audit = relay.world.resource::<Audit>();
    match audit.breaches.first() {
        None => Ok(()),
        Some(breach) => Err(Error::Breach {
            tick: audit.ticks,
            breach: breach.clone(),
        }),
    }
}

/// Says where the relay listens, where it writes, and what to try.
fn greet(config: &Config) {
    let [(_, control), (_, data), (_, live)] = config.listeners;
    eprintln!(
        "baton: producers connect to {control} (control) and {data} (data), viewers to {live}"
    );
    eprintln!("baton: traces are written to {}", config.output.display());
    eprintln!(
        "baton: try: lttng create demo --live --set-url={}",
        producer_url(control, data)
    );
}

/// The URL that makes a producer on this machine send here.
fn producer_url(control: SocketAddr, data: SocketAddr) -> String {
    let host = match control {
        address if address.ip().is_unspecified() || address.ip().is_loopback() => {
            "localhost".to_owned()
        }
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => format!("[{}]", address.ip()),
    };
    let scheme = if control.is_ipv6() { "net6" } else { "net" };
    match (control.port(), data.port()) {
        (5342, 5343) => format!("{scheme}://{host}"),
        (control, data) => format!("{scheme}://{host}:{control}:{data}"),
    }
}

fn start_log(verbosity: u8) {
    let level = match verbosity {
        0 => tracing::Level::INFO,
        1 => tracing::Level::DEBUG,
        _ => tracing::Level::TRACE,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .with_writer(io::stderr)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
        .init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_to_try_is_as_short_as_it_can_be() {
        let url = |control: &str, data: &str| {
            producer_url(control.parse().unwrap(), data.parse().unwrap())
        };
        assert_eq!(url("0.0.0.0:5342", "0.0.0.0:5343"), "net://localhost");
        assert_eq!(url("127.0.0.1:1", "127.0.0.1:2"), "net://localhost:1:2");
        assert_eq!(url("192.0.2.1:5342", "192.0.2.1:5343"), "net://192.0.2.1");
        assert_eq!(
            url("[2001:db8::1]:1", "[2001:db8::1]:2"),
            "net6://[2001:db8::1]:1:2"
        );
    }
}
