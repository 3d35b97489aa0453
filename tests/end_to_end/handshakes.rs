//! Handshakes at the ports of a relay with TLS that come to no end, or to no good one: nobody gets
//! in by them, and nobody else notices.

use crate::guarded::{Guarded, PATIENCE, one_session, session_disturbed_by};
use crate::ports::Ports;
use crate::tunnel::{self, Certificates, connect, is_closed};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::Shutdown;

/// Balancers look every few seconds whether a port is open.
#[test]
fn a_peer_that_leaves_without_a_byte_has_no_line() {
    let Some(guarded) = Guarded::start(&[], &[]) else {
        return;
    };
    let live = guarded.ports.live;
    for _ in 0..10 {
        drop(connect(live));
    }
    // Of a run of failures the first has a line.
    let mut plain = connect(live);
    plain.write_all(&[0; 16]).expect("a connection");
    assert!(is_closed(&mut plain));
    guarded.relay.wait_for_line(&["the peer speaks no TLS"]);
    guarded.end();
}

/// A session is recorded and seen meanwhile, and misses nothing.
#[test]
fn a_thousand_unfinished_handshakes_disturb_nobody() {
    let Some(guarded) = Guarded::start(&["both"], &[]) else {
        return;
    };
    let tunnel = guarded.tunnel("both");
    let mut unfinished = Vec::new();
    session_disturbed_by(&guarded.relay, &tunnel, || {
        unfinished.extend((0..1_000).map(|number| {
            let mut socket = connect(guarded.ports.control);
            // Nothing, the begin of a record, a record of nonsense, another protocol.
            let sent = [
                &[][..],
                &[0x16, 3, 1, 2, 0],
                &[0x16, 3, 1, 0, 4, 1, 0, 0, 0],
                b"GET / HTTP/1.1\r\n\r\n",
            ];
            // One that was the oldest may be closed already.
            let _ = socket.write_all(sent[number % sent.len()]);
            socket
        }));
    });
    // Others come in, too.
    one_session(&guarded.relay, "two", &tunnel, &tunnel);
    drop((tunnel, unfinished));
    guarded.end();
}

/// A renegotiation is work that a peer can ask for again and again: it is refused.
#[test]
fn a_renegotiation_is_refused_and_nobody_else_notices() {
    let Some(guarded) = Guarded::start(&["both"], &["--tls-minimum", "1.2"]) else {
        return;
    };
    let tunnel = guarded.tunnel("both");
    session_disturbed_by(&guarded.relay, &tunnel, || {
        for _ in 0..20 {
            let told = guarded.s_client_saying("R\n", "both", &["-tls1_2"]);
            assert!(told.contains("RENEGOTIATING"), "{told}");
            assert!(told.contains("no renegotiation"), "{told}");
        }
    });
    drop(tunnel);
    guarded.end();
}

#[test]
fn a_handshake_that_is_cut_lets_nobody_in() {
    disturbed_by(|certificates, ports, sent| {
        // The request is the last of it, in a record of its own.
        let handshake = sent.len() - 5 - tunnel::sealed_size(tunnel::viewer_request().len());
        for at in (1..handshake).step_by(handshake / 40) {
            let cut = tunnel::viewer_cut_after(at, certificates, "both", ports.live);
            assert_no_reply(&cut.told);
        }
        "TLS handshake: the peer has closed the connection"
    });
}

#[test]
fn a_handshake_of_garbage_lets_nobody_in() {
    disturbed_by(|_, ports, sent| {
        for at in (0..sent.len()).step_by(sent.len() / 40) {
            let mut flipped = sent.to_vec();
            flipped[at] ^= 0x20;
            assert_no_reply(&sent_as_it_is(ports, &flipped));
            let mut replaced = sent.to_vec();
            replaced[at..].fill(at as u8);
            assert_no_reply(&sent_as_it_is(ports, &replaced));
        }
        "TLS handshake: "
    });
}

/// All that an honest viewer has sent, its certificate and its request included.
#[test]
fn a_handshake_that_was_recorded_lets_nobody_in() {
    disturbed_by(|_, ports, sent| {
        for _ in 0..20 {
            assert_no_reply(&sent_as_it_is(ports, sent));
        }
        "TLS handshake: "
    });
}

/// Records a session through a tunnel, and disturbs it meanwhile. The disturber gets the bytes of
/// a viewer that came in, and says what the relay's log has about its own.
fn disturbed_by(disturb: impl Fn(&Certificates, Ports, &[u8]) -> &'static str) {
    let Some(guarded) = Guarded::start(&["both"], &[]) else {
        return;
    };
    let (certificates, ports) = (&guarded.certificates, guarded.ports);
    let tunnel = guarded.tunnel("both");
    session_disturbed_by(&guarded.relay, &tunnel, || {
        let honest = tunnel::viewer_cut_after(usize::MAX, certificates, "both", ports.live);
        assert!(has_reply(&honest.told), "{honest:x?}");
        let line = disturb(certificates, ports, &honest.sent);
        guarded.relay.wait_for_line(&[line]);
    });
    drop(tunnel);
    guarded.end();
}

/// Sends these bytes and the end of the connection; returns what comes until that is closed.
fn sent_as_it_is(ports: Ports, bytes: &[u8]) -> Vec<u8> {
    let mut socket = connect(ports.live);
    // The relay may have closed it before the last byte.
    let _ = socket.write_all(bytes);
    let _ = socket.shutdown(Shutdown::Write);
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let mut told = Vec::new();
    if let Err(error) = socket.read_to_end(&mut told) {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
    told
}

/// Whether a relay's reply to a viewer is in these bytes: it has a record of its own.
fn has_reply(told: &[u8]) -> bool {
    let reply = tunnel::sealed_size(tunnel::VIEWER_REPLY_BYTES);
    tunnel::records(told).contains(&reply)
}

fn assert_no_reply(told: &[u8]) {
    assert!(!has_reply(told), "{told:x?}");
}
