//! Monitors that misbehave: many, slow ones, and ones that send too much or nonsense.

use crate::events::assert_complete;
use crate::lttng::{Buffers, Mode, Producer, Setup};
use crate::process::retry;
use crate::relay::{Relay, skipped};
use crate::viewer::{Viewer, read_directory};
use crate::{end, ports, status, turn};
use socket2::{Domain, Socket, Type};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);
const LISTS: &[u8] = b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A session is recorded and seen meanwhile, and misses nothing; a monitor at another address is
/// answered.
#[test]
fn a_thousand_monitors_that_misbehave_disturb_nobody() {
    if skipped("it has no status port") {
        return;
    }
    let _turn = turn::take();
    let address = ports::local(ports::free_port());
    let relay = Relay::start_with(&["--status-port", &format!("tcp://{address}")]);
    let producer = Producer::start();
    let session = producer.session(&relay, "one", Setup::new(Mode::Live, Buffers::PerUser));
    let viewer = Viewer::attach(&relay, "one");
    let application = producer.launch(crate::UNHURRIED);
    viewer.wait_for_events();

    let header = [&b"GET /livez HTTP/1.1\r\nX: "[..], &vec![b'a'; 1 << 20]].concat();
    let mut open = Vec::new();
    for number in 0..1_000 {
        let mut socket = TcpStream::connect(address).expect("a relay");
        // Nothing, half a request, a question whose answer is not read, too much, nonsense.
        let sent: &[u8] = match number % 5 {
            0 => b"",
            1 => b"GET /status HT",
            2 => LISTS,
            3 => &header,
            _ => &[0xff; 64],
        };
        // One too many is closed at once.
        let _ = socket.write_all(sent);
        open.push(socket);
        if number % 100 == 0 {
            assert_eq!(alive(address), "ok\n");
        }
    }
    let run = application.finish();
    session.destroy();
    assert_complete(&viewer.finish(), &[run]);
    assert_complete(&read_directory(&relay.trace_directory("one")), &[run]);
    drop(open);
    // When the relay has seen that they have gone.
    let page = retry(PATIENCE, || status::try_get(address, "/metrics"));
    assert!(
        status::value(
            &page,
            "baton_connections_closed_total{port=\"status\",how=\"refused\"}"
        ) > 0
    );
    end([producer], relay);
}

/// The answer to a monitor at an address of its own.
fn alive(relay: SocketAddr) -> String {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let from = SocketAddr::from(([127, 0, 0, 2], 0));
    socket.bind(&from.into()).expect("an address");
    socket.connect(&relay.into()).expect("a relay");
    let mut socket = TcpStream::from(socket);
    let request = b"GET /livez HTTP/1.0\r\n\r\n";
    socket.write_all(request).expect("a relay that reads");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("an answer");
    let (_, body) = answer.split_once("\r\n\r\n").expect("an answer");
    body.to_owned()
}
