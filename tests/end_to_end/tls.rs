//! TLS as users have it: `baton tunnel`, stunnel and openssl, with certificates for both sides.

use crate::guarded::{Guarded, PATIENCE, assert_tunnel_says, one_session, session_during};
use crate::lttng::{Buffers, Mode, Producer, Setup};
use crate::ports::Ports;
use crate::process::{Process, eventually};
use crate::relay::{Relay, skipped};
use crate::tunnel::{self, Certificates, Tunnel, baton, connect, is_closed};
use crate::viewer::Viewer;
use crate::{BRIEF, end, events, sandbox, turn};
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;

const LIVE: Setup = Setup::new(Mode::Live, Buffers::PerUser);

#[test]
fn every_event_comes_through_tunnels_live_and_on_disk() {
    let Some(guarded) = Guarded::start(&["producer", "viewer"], &[]) else {
        return;
    };
    let [producers, viewers] = ["producer", "viewer"].map(|client| guarded.tunnel(client));
    one_session(&guarded.relay, "one", &producers, &viewers);
    drop((producers, viewers));
    guarded.end();
}

#[test]
fn large_packets_come_through_a_tunnel() {
    let Some(guarded) = Guarded::start(&["both"], &[]) else {
        return;
    };
    let tunnel = guarded.tunnel("both");
    let setup = Setup {
        channel: &["--subbuf-size=1M", "--num-subbuf=4"],
        ..LIVE
    };
    session_during(
        &guarded.relay,
        "large",
        setup,
        [&tunnel; 2],
        |producer, _| vec![producer.launch(crate::BULKY).finish()],
    );
    drop(tunnel);
    guarded.end();
}

#[test]
fn stunnel_brings_plain_lttng_to_a_relay_with_tls() {
    let Some(guarded) = Guarded::start(&["both"], &[]) else {
        return;
    };
    let stunnel = Tunnel::start_stunnel(&guarded.certificates, "both", guarded.ports);
    one_session(&guarded.relay, "one", &stunnel, &stunnel);
    drop(stunnel);
    guarded.end();
}

/// With the original behind stunnel, too.
#[test]
fn a_tunnel_brings_plain_lttng_to_stunnel_before_a_relay() {
    let _turn = turn::take();
    let certificates = Certificates::make(&["both"]);
    for relay in [Relay::start(), Relay::start_original()] {
        let stunnel = Tunnel::start_stunnel_server(&certificates, relay.ports());
        let tunnel = Tunnel::start(&certificates, "both", stunnel.ports());
        one_session(&relay, "one", &tunnel, &tunnel);
        drop((tunnel, stunnel));
        end([], relay);
    }
}

/// Each has a line on the side that can do something about it, and often on both.
#[test]
fn mistakes_are_named_on_both_sides() {
    let Some(guarded) = Guarded::start(&["known"], &[]) else {
        return;
    };
    let Guarded {
        certificates,
        relay,
        ports,
        ..
    } = &guarded;
    let others = Certificates::make(&["stranger"]);
    // Plain LTTng at a port with TLS. (One line for a run of refusals: each has its endpoint
    // and its relay.)
    let mut plain = connect(ports.control);
    plain.write_all(&[0; 16]).expect("a connection");
    assert!(is_closed(&mut plain));
    guarded.assert_says("the peer speaks no TLS");
    // TLS at a plain port.
    let mut tls = connect(relay.ports().control);
    tls.write_all(&[0x16, 3, 1, 2, 0, 1]).expect("a connection");
    assert!(is_closed(&mut tls));
    let tunnel = Tunnel::start(certificates, "known", relay.ports());
    let mut near = connect(tunnel.ports().live);
    assert!(is_closed(&mut near));
    assert_tunnel_says(&tunnel, "its port may have no TLS");
    // A CA that the tunnel does not know.
    let tunnel = Tunnel::start(&others, "stranger", *ports);
    assert!(is_closed(&mut connect(tunnel.ports().live)));
    assert_tunnel_says(&tunnel, "a CA that is not known here");
    drop(tunnel);
    // openssl says what it is told.
    let told = guarded.s_client("known", &[]);
    assert!(told.contains("Verify return code: 0 (ok)"), "{told}");
    let old = guarded.s_client("known", &["-tls1_2"]);
    assert!(old.contains("alert protocol version"), "{old}");
    for ending in ["pem", "key"] {
        let name = format!("stranger.{ending}");
        tunnel::copy(&others.path(&name), &certificates.path(&name));
    }
    let unknown = guarded.s_client("stranger", &["-ign_eof"]);
    assert!(unknown.contains("unknown ca"), "{unknown}");
    guarded.end();
}

/// A viewer sees its team's sessions alone, and a producer is of its own hosts alone.
#[test]
fn rules_keep_teams_apart() {
    let clients = ["here", "elsewhere", "viewer-a", "viewer-b"];
    let guarded = Guarded::start_with(&clients, |certificates| {
        let rules = certificates.path("rules.toml");
        let host = sandbox::host();
        let text = format!(
            "[[rule]]\nname = \"here\"\nroles = [\"producer\"]\nhosts = [\"{host}\"]\n\
             [[rule]]\nname = \"elsewhere\"\nroles = [\"producer\"]\nhosts = [\"other-*\"]\n\
             [[rule]]\nname = \"viewer-a\"\nroles = [\"viewer\"]\nsessions = [\"a-*\"]\n\
             [[rule]]\nname = \"viewer-b\"\nroles = [\"viewer\"]\nsessions = [\"b-*\"]\n"
        );
        fs::write(&rules, text).expect("rules");
        vec!["--tls-rules".to_owned(), certificates.file("rules.toml")]
    });
    let Some(guarded) = guarded else {
        return;
    };
    let relay = &guarded.relay;
    let [here, elsewhere, a, b] = clients.map(|client| guarded.tunnel(client));
    let producer = Producer::start();
    let session = producer.session_at(&here.producer_url(), "a-shop", LIVE);

    let list = |tunnel: &Tunnel| {
        let url = format!("net://127.0.0.1:{}", tunnel.ports().live);
        let mut command = std::process::Command::new("babeltrace2");
        let command = command.args(["--input-format=lttng-live", &url]);
        let output = command.output().expect("babeltrace2");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(list(&a).contains("a-shop"));
    assert!(!list(&b).contains("a-shop"));
    // A producer is no viewer, and a viewer no producer.
    assert!(is_closed(&mut connect(here.ports().live)));
    assert_tunnel_says(&here, "its rules do not allow this");
    relay.wait_for_line(&["rule 1 does not make here a viewer"]);

    let viewer = Viewer::attach_at(relay, &a.viewer_url("a-shop"), "a-shop");
    let run = producer.launch(BRIEF).finish();
    session.destroy();
    events::assert_complete(&viewer.finish(), &[run]);

    let url = format!("--set-url={}", elsewhere.producer_url());
    let created = producer.attempt(&["create", "stolen", &url]);
    let _ = created.and_then(|_| {
        producer.attempt(&["enable-event", "--userspace", "--session=stolen", "baton:*"])?;
        producer.attempt(&["start", "stolen"])
    });
    relay.wait_for_line(&["is not one that the rule of its certificate names"]);
    let _ = producer.attempt(&["destroy", "--no-wait", "stolen"]);
    drop((here, elsewhere, a, b, producer));
    guarded.end();
}

#[test]
fn sighup_swaps_certificates_while_a_session_runs() {
    let Some(guarded) = Guarded::start(&["both"], &[]) else {
        return;
    };
    let certificates = &guarded.certificates;
    let tunnel = guarded.tunnel("both");
    session_during(&guarded.relay, "one", LIVE, [&tunnel; 2], |producer, _| {
        let before = producer.launch(BRIEF).finish();

        // Another certificate of the same CA.
        fs::create_dir(certificates.path("new")).expect("a directory");
        for name in ["ca.key", "ca.pem"] {
            let new = certificates.path(&format!("new/{name}"));
            tunnel::copy(&certificates.path(name), &new);
        }
        let mut command = baton("certificates");
        command.arg(certificates.path("new"));
        let made = command.args(["--relay", "localhost"]).output();
        assert!(made.expect("baton certificates").status.success());
        let shown = || {
            let told = guarded.s_client("both", &[]);
            assert!(told.contains("Verify return code: 0 (ok)"), "{told}");
            let (_, certificate) = told.split_once("BEGIN CERTIFICATE").expect("a certificate");
            certificate.split_once("END").expect("its end").0.to_owned()
        };
        let old = shown();
        for name in ["relay.key", "relay.pem"] {
            let new = certificates.path(&format!("new/{name}"));
            tunnel::copy(&new, &certificates.path(name));
        }
        assert_eq!(shown(), old);
        guarded.relay.signal("HUP");
        eventually("another certificate", PATIENCE, || shown() != old);

        vec![before, producer.launch(BRIEF).finish()]
    });
    drop(tunnel);
    guarded.end();
}

/// With the same certificate: a peer that speaks 1.2 comes in where the option says so.
#[test]
fn tls_1_2_is_spoken_where_it_is_asked_for() {
    let Some(guarded) = Guarded::start(&["both"], &[]) else {
        return;
    };
    let told = guarded.s_client("both", &["-tls1_2"]);
    assert!(told.contains("alert protocol version"), "{told}");
    guarded.assert_says("--tls-minimum 1.2 allows 1.2");
    guarded.end();

    let guarded = Guarded::start(&["both"], &["--tls-minimum", "1.2"]);
    let guarded = guarded.expect("the relay has TLS");
    let told = guarded.s_client("both", &["-tls1_2"]);
    assert!(told.contains("Protocol  : TLSv1.2"), "{told}");
    assert!(told.contains("Verify return code: 0 (ok)"), "{told}");
    let old = "sslVersion = TLSv1.2\n";
    let stunnel = Tunnel::start_stunnel_with(&guarded.certificates, "both", guarded.ports, old);
    one_session(&guarded.relay, "one", &stunnel, &stunnel);
    // Those of 1.3 come in as well.
    let tunnel = guarded.tunnel("both");
    one_session(&guarded.relay, "two", &tunnel, &tunnel);
    drop((stunnel, tunnel));
    guarded.end();
}

/// Certificates of the same CA that are not valid: before, after, or any more.
#[test]
fn certificates_that_expired_or_were_revoked_are_refused() {
    let guarded = Guarded::start_with(&["good", "stolen"], |certificates| {
        certificates.issue("past", "20200101000000Z", "20200201000000Z");
        certificates.issue("future", "20400101000000Z", "20400201000000Z");
        certificates.revoke(&[]);
        vec!["--tls-revoked".to_owned(), certificates.file("revoked.pem")]
    });
    let Some(guarded) = guarded else {
        return;
    };
    for name in ["past", "future"] {
        // Those that are let in would wait.
        let told = guarded.s_client(name, &["-ign_eof"]);
        assert!(told.contains("alert certificate expired"), "{told}");
        // The second is in the run of the first, which has the line.
        guarded.assert_says("has expired on 2020-02-01");
    }
    let tunnel = guarded.tunnel("stolen");
    let mut open = connect(tunnel.ports().live);
    open.write_all(&tunnel::viewer_request())
        .expect("a connection");
    let mut reply = [0; 4];
    open.read_exact(&mut reply).expect("a reply");

    guarded.certificates.revoke(&["stolen"]);
    guarded.relay.signal("HUP");
    // Of one that is open, and of the next.
    eventually("the end of the connection", PATIENCE, || {
        is_closed(&mut open)
    });
    // Of a run of failures a tunnel tells the first.
    drop(tunnel);
    let tunnel = guarded.tunnel("stolen");
    assert!(is_closed(&mut connect(tunnel.ports().live)));
    assert_tunnel_says(&tunnel, "the certificate here was revoked");
    let told = guarded.s_client("good", &[]);
    assert!(told.contains("Verify return code: 0 (ok)"), "{told}");
    drop(tunnel);
    guarded.end();
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let _turn = turn::take();
    if skipped("it has no TLS") {
        return;
    }
    let certificates = Certificates::make(&[]);
    let key = certificates.path("relay.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("a mode");
    let home = sandbox::home();
    let ports = Ports::free();
    let mut command = crate::relay::command(ports, &home.path().join("traces"), home.path());
    command.args(certificates.relay_options(Ports::free()));
    let mut relay = Process::spawn(&mut command, home.path(), "relay");
    assert!(!relay.wait(PATIENCE).success());
    let errors = relay.errors();
    assert_eq!(errors.lines().count(), 1, "{errors}");
    assert!(
        errors.contains("can be read by others (mode 644): chmod 600"),
        "{errors}"
    );
}
