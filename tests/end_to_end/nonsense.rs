//! A peer of the producers' ports that does not keep to the protocol.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// How long a relay may take to close the connection.
const PATIENCE: Duration = Duration::from_secs(10);

/// The command that opens a control connection.
pub const VERSION: u32 = 5;

/// A command as it crosses the control port, with a length that need not be true.
pub fn command(number: u32, announced_length: u64, payload: &[u8]) -> Vec<u8> {
    let circuit = 0_u64;
    [
        &circuit.to_be_bytes()[..],
        &announced_length.to_be_bytes(),
        &number.to_be_bytes(),
        &0_u32.to_be_bytes(),
        payload,
    ]
    .concat()
}

/// Bytes without a meaning, the same in every run.
pub fn noise() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..4_096)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 56) as u8
        })
        .collect()
}

/// Says `words` to a relay and no more; the relay must close the connection.
///
/// Returns the address that the relay has seen.
pub fn say(relay: SocketAddr, words: &[u8]) -> SocketAddr {
    let mut connection = TcpStream::connect(relay).expect("a connection to the relay");
    connection
        .set_read_timeout(Some(PATIENCE))
        .expect("a time-out");
    // A relay may close at the first word that it does not like.
    let _ = connection.write_all(words);
    let address = connection.local_addr().expect("an address of our own");
    let _ = connection.shutdown(Shutdown::Write);
    match connection.read_to_end(&mut Vec::new()) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => {
            panic!("the relay keeps the connection: {error}")
        }
        _ => address,
    }
}
