//! Ports that no other case uses, of this run or of another one.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};

/// How many ports a run of the cases has to choose from.
const PORTS_EACH: u16 = 1_000;

/// The three ports of a relay.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    pub control: u16,
    pub data: u16,
    pub live: u16,
}

impl Ports {
    pub fn free() -> Self {
        Self {
            control: free_port(),
            data: free_port(),
            live: free_port(),
        }
    }
}

pub fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// A port without a listener.
///
/// Below the ports that the system gives to outgoing connections, so that no
/// connection of another case takes it before the relay does; and counted up,
/// so that no other case is given it either.
pub fn free_port() -> u16 {
    static RANGE: LazyLock<(u16, TcpListener)> = LazyLock::new(claim_ports);
    static NEXT: AtomicU16 = AtomicU16::new(0);
    (1..PORTS_EACH)
        .map(|_| RANGE.0 + 1 + NEXT.fetch_add(1, Ordering::Relaxed) % (PORTS_EACH - 1))
        .find(|port| TcpListener::bind(local(*port)).is_ok())
        .expect("a free port")
}

/// A range of ports for this process. Other runs of these cases see that it is taken by
/// its first port, which this one listens on as long as it lives.
fn claim_ports() -> (u16, TcpListener) {
    const FIRST: u16 = 10_000;
    const RANGES: u16 = 22;
    let own = (process::id() % u32::from(RANGES)) as u16;
    (0..RANGES)
        .map(|other| FIRST + (own + other) % RANGES * PORTS_EACH)
        .find_map(|first| Some((first, TcpListener::bind(local(first)).ok()?)))
        .expect("a range of ports that no other run has")
}
