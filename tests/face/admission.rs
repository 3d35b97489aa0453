//! Access control: lists of addresses, which SIGHUP reads anew.

use crate::daemons::Foreground;
use crate::process::eventually;
use crate::sandbox;
use std::fs;
use std::io::{ErrorKind, Read as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);
/// How long a connection is looked at that is to stay open.
const LOOK: Duration = Duration::from_millis(50);

#[test]
fn sighup_reads_the_lists_anew_and_leaves_those_who_may_stay() {
    let directory = sandbox::home();
    let file = directory.path().join("relay.conf");
    let config = format!("--config={}", file.display());
    write(&file, "all", "none");
    let relay = Foreground::start(&[&config]);
    let producer = connect(&relay, "control");
    assert!(is_closed(&connect(&relay, "live"), PATIENCE));
    eventually("a line about the stranger", PATIENCE, || {
        relay.errors().contains("may not connect (--allow-viewers)")
    });

    write(&file, "127.0.0.1", "all");
    relay.relay.signal("HUP");
    eventually("a viewer may connect", PATIENCE, || {
        !is_closed(&connect(&relay, "live"), LOOK)
    });
    let viewer = connect(&relay, "live");
    assert!(!is_closed(&producer, LOOK));

    write(&file, "none", "all");
    relay.relay.signal("HUP");
    assert!(is_closed(&producer, PATIENCE));
    assert!(!is_closed(&viewer, LOOK));

    write(&file, "10.0.0.0/33", "none");
    relay.relay.signal("HUP");
    eventually("a line about the mistake", PATIENCE, || {
        relay.errors().contains("the old one stays")
    });
    assert!(!is_closed(&viewer, LOOK));
    assert!(!is_closed(&connect(&relay, "live"), LOOK));
    relay.end("TERM");
}

fn write(file: &Path, producers: &str, viewers: &str) {
    let text = format!("[relayd]\nallow-producers={producers}\nallow-viewers={viewers}\n");
    fs::write(file, text).expect("a configuration");
}

fn connect(relay: &Foreground, port: &str) -> TcpStream {
    TcpStream::connect(relay.relay.address(port)).expect("a connection")
}

/// Whether the relay closes a connection within that time.
fn is_closed(mut connection: &TcpStream, within: Duration) -> bool {
    connection.set_read_timeout(Some(within)).expect("a socket");
    match connection.read(&mut [0]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}
