//! The relay as a service: readiness and socket activation.

use crate::process::{Process, eventually};
use crate::relay::{self, Relay};
use crate::sandbox;
use baton_systems::client::{connect, request};
use std::io::{ErrorKind, Read, Write};
use std::iter;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(5);

/// The socket of a service manager.
struct Manager {
    path: PathBuf,
    socket: UnixDatagram,
}

impl Manager {
    fn new(directory: &Path) -> Self {
        let path = directory.join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a deadline");
        Self { path, socket }
    }

    /// The next notification.
    fn hear(&self) -> String {
        let mut bytes = [0; 100];
        // A process that was stopped and continued gets EINTR from its wait.
        let length = loop {
            match self.socket.recv(&mut bytes) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                received => break received.expect("a notification"),
            }
        };
        let text = String::from_utf8_lossy(&bytes[..length]);
        text.trim_end().to_owned()
    }
}

#[test]
fn readiness_and_the_end_are_notified() {
    let directory = sandbox::home();
    let manager = Manager::new(directory.path());
    let mut command = relay::command(directory.path());
    command.env("NOTIFY_SOCKET", &manager.path);
    let mut process = Process::spawn(&mut command, directory.path(), "relay");
    assert_eq!(manager.hear(), "READY=1");
    let relay = Relay::running_in(directory);
    assert!(TcpStream::connect(relay.address("live")).is_ok());
    relay.signal("TERM");
    assert_eq!(manager.hear(), "STOPPING=1");
    process.wait_for_success(PATIENCE);
}

#[test]
fn a_watchdog_is_fed_while_nothing_happens() {
    let directory = sandbox::home();
    let manager = Manager::new(directory.path());
    let mut command = relay::command(directory.path());
    command.env("NOTIFY_SOCKET", &manager.path);
    command.env("WATCHDOG_USEC", "100000");
    let mut process = Process::spawn(&mut command, directory.path(), "relay");
    assert_eq!(manager.hear(), "READY=1");
    for _ in 0..10 {
        assert_eq!(manager.hear(), "WATCHDOG=1");
    }
    let relay = Relay::running_in(directory);
    relay.signal("TERM");
    // It is fed until the relay stops, and while it does.
    let last = iter::repeat_with(|| manager.hear()).find(|heard| heard != "WATCHDOG=1");
    assert_eq!(last.as_deref(), Some("STOPPING=1"));
    process.wait_for_success(PATIENCE);
}

#[test]
fn a_socket_that_was_opened_before_is_used() {
    let directory = sandbox::home();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("its address");
    let mut early = TcpStream::connect(address).expect("a connection before the relay is there");
    let inner = relay::command(directory.path());
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg("exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=live exec lttng-relayd \"$@\"")
        .arg("sh")
        .args(inner.get_args());
    relay::surround(&mut command, directory.path());
    command.stdin(OwnedFd::from(listener)).stderr(Stdio::null());
    let mut child = command.spawn().expect("a shell");
    let pid = relay::pid_file(directory.path());
    eventually("a relay", PATIENCE, || pid.exists());
    let relay = Relay::running_in(directory);
    assert_eq!(relay.address("live"), address);
    assert_ne!(relay.address("control"), address);
    let connect = request(connect(4));
    early.write_all(&connect).expect("a relay that listens");
    early.set_read_timeout(Some(PATIENCE)).expect("a deadline");
    early.read_exact(&mut [0; 20]).expect("its answer");
    relay.terminate();
    assert!(child.wait().expect("its end").success());
}
