//! How a peer that vanished without a word is noticed: by the kernel, which asks it.
//!
//! On by default: a machine that lost its power would hold its sessions and their files
//! for ever.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    /// None: connections are not probed.
    pub keep_alive: Option<KeepAlive>,
    /// How long sent bytes may stay without an answer from the peer's system.
    pub timeout: Option<Duration>,
}

/// When a silent connection is probed. None leaves it to the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    pub idle: Option<Duration>,
    pub interval: Option<Duration>,
    pub probes: Option<u32>,
}

/// Two minutes of silence, of which one passes before the first probe: longer than a
/// link takes to come back, shorter than an administrator waits.
impl Default for Watch {
    fn default() -> Self {
        Self {
            keep_alive: Some(KeepAlive {
                idle: Some(Duration::from_mins(1)),
                interval: Some(Duration::from_secs(10)),
                probes: Some(6),
            }),
            timeout: None,
        }
    }
}

impl Watch {
    pub fn apply(&self, socket: &impl AsFd) -> io::Result<()> {
        let socket = SockRef::from(socket);
        if let Some(keep_alive) = self.keep_alive {
            let mut wanted = TcpKeepalive::new();
            if let Some(idle) = keep_alive.idle {
                wanted = wanted.with_time(idle);
            }
            if let Some(interval) = keep_alive.interval {
                wanted = wanted.with_interval(interval);
            }
            if let Some(probes) = keep_alive.probes {
                wanted = wanted.with_retries(probes);
            }
            // Turns it on, too.
            socket.set_tcp_keepalive(&wanted)?;
        }
        if self.timeout.is_some() {
            socket.set_tcp_user_timeout(self.timeout)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_socket_is_watched_as_wanted() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let socket = SockRef::from(&stream);
        let mut watch = Watch {
            keep_alive: None,
            timeout: None,
        };
        watch.apply(&stream).unwrap();
        assert!(!socket.keepalive().unwrap());
        watch = Watch::default();
        watch.timeout = Some(Duration::from_millis(1500));
        watch.apply(&stream).unwrap();
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_mins(1));
        assert_eq!(
            socket.tcp_keepalive_interval().unwrap(),
            Duration::from_secs(10)
        );
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 6);
        assert_eq!(
            socket.tcp_user_timeout().unwrap(),
            Some(Duration::from_millis(1500))
        );
    }
}
