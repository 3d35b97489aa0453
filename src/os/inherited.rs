//! Socket activation: listening sockets that systemd opened for this process.

use std::env;
use std::io;
use std::net::TcpListener;

use baton_components::connection::Endpoint;
use listenfd::ListenFd;

/// Takes the sockets. They are identified by their names (control, data, live), or without
/// names by that order. Call this before a fork, since they belong to one process.
pub fn listeners() -> io::Result<Vec<(Endpoint, TcpListener)>> {
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut sockets = ListenFd::from_env();
    let mut listeners = Vec::new();
    for at in 0..sockets.len() {
        if let Some(listener) = sockets.take_tcp_listener(at)?
            && let Some(endpoint) = endpoint(&names, at)
        {
            listeners.push((endpoint, listener));
        }
    }
    Ok(listeners)
}

fn endpoint(names: &str, at: usize) -> Option<Endpoint> {
    let of_name = |name: &str| {
        Endpoint::ALL
            .into_iter()
            .find(|endpoint| endpoint.name() == name)
    };
    if names.split(':').any(|name| of_name(name).is_some()) {
        names.split(':').nth(at).and_then(of_name)
    } else {
        Endpoint::ALL.get(at).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_count_more_than_order() {
        assert_eq!(endpoint("", 1), Some(Endpoint::Data));
        assert_eq!(
            endpoint("baton.socket:baton.socket", 0),
            Some(Endpoint::Control)
        );
        assert_eq!(endpoint("live:control", 0), Some(Endpoint::Live));
        assert_eq!(endpoint("live:other", 1), None);
        assert_eq!(endpoint("", 3), Some(Endpoint::Status));
        assert_eq!(endpoint("", 4), None);
    }
}
