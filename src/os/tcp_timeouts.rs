//! TCP keep-alive and user timeout: how a peer that vanished is noticed.
//!
//! On by default: otherwise a machine that lost its power would keep its sessions and their
//! files open for ever.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpTimeouts {
    /// None: connections are not probed.
    pub keep_alive: Option<KeepAlive>,
    /// Maximum time that sent bytes may stay unacknowledged (`TCP_USER_TIMEOUT`).
    pub timeout: Option<Duration>,
}

/// The times of keep-alive probes. None: the default of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    pub idle: Option<Duration>,
    pub interval: Option<Duration>,
    pub probes: Option<u32>,
}

/// Default: two minutes of silence, of which one passes before the first probe: longer than a
/// link takes to come back, shorter than an administrator waits.
impl Default for TcpTimeouts {
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

impl TcpTimeouts {
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
            // This enables keep-alive, too.
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
    fn a_socket_has_the_timeouts_that_are_wanted() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let socket = SockRef::from(&stream);
        let mut timeouts = TcpTimeouts {
            keep_alive: None,
            timeout: None,
        };
        timeouts.apply(&stream).unwrap();
        assert!(!socket.keepalive().unwrap());
        timeouts = TcpTimeouts::default();
        timeouts.timeout = Some(Duration::from_millis(1500));
        timeouts.apply(&stream).unwrap();
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
