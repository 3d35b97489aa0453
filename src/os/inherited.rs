//! Listening sockets that were opened for this process by whoever started it: systemd.

use std::env;
use std::io;
use std::net::TcpListener;

use baton_components::connection::Port;
use listenfd::ListenFd;

/// Takes them. Their names tell which is which (control, data, live); without names
/// they come in that order. To be called before a fork: they are for one process.
pub fn listeners() -> io::Result<Vec<(Port, TcpListener)>> {
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut sockets = ListenFd::from_env();
    let mut listeners = Vec::new();
    for at in 0..sockets.len() {
        if let Some(listener) = sockets.take_tcp_listener(at)?
            && let Some(port) = port(&names, at)
        {
            listeners.push((port, listener));
        }
    }
    Ok(listeners)
}

fn port(names: &str, at: usize) -> Option<Port> {
    let of_name = |name: &str| Port::ALL.into_iter().find(|port| port.name() == name);
    if names.split(':').any(|name| of_name(name).is_some()) {
        names.split(':').nth(at).and_then(of_name)
    } else {
        Port::ALL.get(at).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_count_more_than_order() {
        assert_eq!(port("", 1), Some(Port::Data));
        assert_eq!(port("baton.socket:baton.socket", 0), Some(Port::Control));
        assert_eq!(port("live:control", 0), Some(Port::Live));
        assert_eq!(port("live:other", 1), None);
        assert_eq!(port("", 3), None);
    }
}
