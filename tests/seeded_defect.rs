//! A relay with a defect on purpose: connections that end do not release what they held.
//!
//! `cargo test --features seeded-defect --test seeded_defect`. A replay of such a relay's
//! journal finds the defect, and says when it struck, what was held, and by whom.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(10);

const CREATE_SESSION: u32 = 2;
const VERSION: u32 = 5;

#[test]
fn a_release_that_was_left_out_is_found() {
    let directory = tempfile::tempdir().expect("a directory");
    let journal = directory.path().join("journal");
    let ports = [0; 3].map(|_| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        listener.local_addr().expect("an address").port()
    });
    let mut relay = relay(directory.path(), &journal, ports);
    converse(ports[0]);
    // The session should be over now; the relay does not know that it is not.
    signal(&relay, "TERM");
    let status = relay.wait().expect("the end of the relay");
    assert!(!status.success(), "nothing is left of the session");

    let replay = Command::new(env!("CARGO_BIN_EXE_baton"))
        .args(["replay", "--audit"])
        .arg(&journal)
        .output()
        .expect("a replay");
    assert_eq!(replay.status.code(), Some(1));
    let found = String::from_utf8_lossy(&replay.stderr);
    let (start, rest) = found.split_once(": ").expect("a message");
    assert_eq!(start, "baton");
    let rest = rest
        .strip_prefix("audit: breach in tick ")
        .expect("a breach");
    let (tick, breach) = rest.split_once(": ").expect("a tick");
    assert_eq!(
        breach,
        "session 1v1 counts 1 holders, its records declare 0; \
         connection 1v1 held it before the tick and does no more\n"
    );

    // Until the tick before all was well.
    let tick: u64 = tick.parse().expect("a number");
    let before = Command::new(env!("CARGO_BIN_EXE_baton"))
        .args(["replay", "--audit", "--until", &(tick - 1).to_string()])
        .arg(&journal)
        .output()
        .expect("a replay");
    assert!(before.status.success());
}

fn relay(directory: &Path, journal: &Path, [control, data, live]: [u16; 3]) -> Child {
    let url = |port| format!("tcp://127.0.0.1:{port}");
    Command::new(env!("CARGO_BIN_EXE_baton"))
        .args(["-C", &url(control), "-D", &url(data), "-L", &url(live)])
        .arg("--output")
        .arg(directory.join("traces"))
        .arg("--journal")
        .arg(journal)
        .env("LTTNG_HOME", directory)
        .stderr(fs::File::create(directory.join("log")).expect("a log"))
        .stdout(Stdio::null())
        .spawn()
        .expect("a relay")
}

/// A producer that creates a session and goes, and one that comes after it.
fn converse(port: u16) {
    let mut producer = connect(port);
    ask(&mut producer, VERSION, &[0, 0, 0, 2, 0, 0, 0, 10], 8);
    let mut session = b"leak".to_vec();
    session.resize(255, 0);
    session.extend(b"host");
    session.resize(255 + 64, 0);
    session.extend([0; 8]);
    let reply = ask(&mut producer, CREATE_SESSION, &session, 12);
    assert_eq!(reply[8..], 10_u32.to_be_bytes(), "reply to CREATE_SESSION");
    drop(producer);
    // When this one is answered the relay has seen the end of the first.
    let mut next = connect(port);
    ask(&mut next, VERSION, &[0, 0, 0, 2, 0, 0, 0, 10], 8);
}

fn connect(port: u16) -> TcpStream {
    let begun = Instant::now();
    loop {
        match TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
            Ok(connection) => {
                let set = connection.set_read_timeout(Some(PATIENCE));
                set.expect("a time-out");
                return connection;
            }
            Err(error) if begun.elapsed() > PATIENCE => panic!("no relay listens: {error}"),
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}

fn ask(connection: &mut TcpStream, command: u32, payload: &[u8], reply: usize) -> Vec<u8> {
    let mut question = [0; 8].to_vec();
    question.extend((payload.len() as u64).to_be_bytes());
    question.extend(command.to_be_bytes());
    question.extend([0; 4]);
    question.extend(payload);
    connection.write_all(&question).expect("a relay that reads");
    let mut bytes = vec![0; reply];
    connection.read_exact(&mut bytes).expect("a reply");
    bytes
}

fn signal(relay: &Child, name: &str) {
    let pid = relay.id().to_string();
    let sent = Command::new("kill").args(["-s", name, &pid]).status();
    assert!(sent.expect("the program kill").success());
}
