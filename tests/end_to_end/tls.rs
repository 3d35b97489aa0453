//! TLS as users have it: `baton tunnel`, stunnel and openssl, with certificates for both sides.

use crate::events::assert_complete;
use crate::lttng::{Buffers, Mode, Producer, Setup};
use crate::process::{Process, eventually};
use crate::relay::{Relay, skipped};
use crate::tunnel::{self, Certificates, Tunnel, baton, connect, is_closed, s_client};
use crate::viewer::{Viewer, read_directory};
use crate::{BRIEF, end, sandbox, turn};
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

pub const PATIENCE: Duration = Duration::from_secs(20);

pub const NEEDS_TLS: &str = "it has no TLS";

/// One session from a producer to a viewer, each by its own way.
fn one_session(relay: &Relay, producers: &str, viewers: &str) {
    one_session_of(relay, "one", producers, viewers);
}

pub fn one_session_of(relay: &Relay, name: &str, producers: &str, viewers: &str) {
    let producer = Producer::start();
    let setup = Setup::new(Mode::Live, Buffers::PerUser);
    let session = producer.session_at(producers, name, setup);
    let viewer = Viewer::attach_at(relay, viewers, name);
    let run = producer.launch(BRIEF).finish();
    session.destroy();
    assert_complete(&viewer.finish(), &[run]);
    assert_complete(&read_directory(&relay.trace_directory(name)), &[run]);
}

#[test]
fn every_event_comes_through_tunnels_live_and_on_disk() {
    let _turn = turn::take();
    if skipped(NEEDS_TLS) {
        return;
    }
    let certificates = Certificates::make(&["producer", "viewer"]);
    let (relay, ports) = certificates.start_relay(&[]);
    let producers = Tunnel::start(&certificates, "producer", ports);
    let viewers = Tunnel::start(&certificates, "viewer", ports);
    one_session(
        &relay,
        &producers.producer_url(),
        &viewers.viewer_url("one"),
    );
    drop((producers, viewers));
    end([], relay);
}

#[test]
fn large_packets_come_through_a_tunnel() {
    let _turn = turn::take();
    if skipped(NEEDS_TLS) {
        return;
    }
    let certificates = Certificates::make(&["both"]);
    let (relay, ports) = certificates.start_relay(&[]);
    let tunnel = Tunnel::start(&certificates, "both", ports);
    let producer = Producer::start();
    let setup = Setup {
        channel: &["--subbuf-size=1M", "--num-subbuf=4"],
        ..Setup::new(Mode::Live, Buffers::PerUser)
    };
    let session = producer.session_at(&tunnel.producer_url(), "large", setup);
    let viewer = Viewer::attach_at(&relay, &tunnel.viewer_url("large"), "large");
    let run = producer.launch(crate::BULKY).finish();
    session.destroy();
    assert_complete(&viewer.finish(), &[run]);
    assert_complete(&read_directory(&relay.trace_directory("large")), &[run]);
    drop(tunnel);
    end([producer], relay);
}

#[test]
fn stunnel_brings_plain_lttng_to_a_relay_with_tls() {
    let _turn = turn::take();
    if skipped(NEEDS_TLS) {
        return;
    }
    let certificates = Certificates::make(&["both"]);
    let (relay, ports) = certificates.start_relay(&[]);
    let stunnel = Tunnel::start_stunnel(&certificates, "both", ports);
    one_session(&relay, &stunnel.producer_url(), &stunnel.viewer_url("one"));
    drop(stunnel);
    end([], relay);
}

/// With the original behind stunnel, too.
#[test]
fn a_tunnel_brings_plain_lttng_to_stunnel_before_a_relay() {
    let _turn = turn::take();
    let certificates = Certificates::make(&["both"]);
    for relay in [Relay::start(), Relay::start_original()] {
        let stunnel = Tunnel::start_stunnel_server(&certificates, relay.ports());
        let tunnel = Tunnel::start(&certificates, "both", stunnel.ports());
        one_session(&relay, &tunnel.producer_url(), &tunnel.viewer_url("one"));
        drop((tunnel, stunnel));
        end([], relay);
    }
}

/// Each has a line on the side that can do something about it, and often on both.
#[test]
fn mistakes_are_named_on_both_sides() {
    let _turn = turn::take();
    if skipped(NEEDS_TLS) {
        return;
    }
    let certificates = Certificates::make(&["known"]);
    let others = Certificates::make(&["stranger"]);
    let (relay, ports) = certificates.start_relay(&[]);
    let says = |wanted: &str| {
        eventually(wanted, PATIENCE, || relay.log().contains(wanted));
    };
    // Plain LTTng at a port with TLS. (One line for a run of refusals: each has its endpoint
    // and its relay.)
    let mut plain = connect(ports.control);
    plain.write_all(&[0; 16]).expect("a connection");
    assert!(is_closed(&mut plain));
    says("the peer speaks no TLS");
    // TLS at a plain port.
    let mut tls = connect(relay.ports().control);
    tls.write_all(&[0x16, 3, 1, 2, 0, 1]).expect("a connection");
    assert!(is_closed(&mut tls));
    let tunnel = Tunnel::start(&certificates, "known", relay.ports());
    let mut near = connect(tunnel.ports().live);
    assert!(is_closed(&mut near));
    eventually("the tunnel says so", PATIENCE, || {
        tunnel.errors().contains("its port may have no TLS")
    });
    // A CA that the tunnel does not know.
    let tunnel = Tunnel::start(&others, "stranger", ports);
    assert!(is_closed(&mut connect(tunnel.ports().live)));
    eventually("the tunnel says so", PATIENCE, || {
        tunnel.errors().contains("a CA that is not known here")
    });
    drop(tunnel);
    let (ca, certificate) = (certificates.file("ca.pem"), others.file("stranger.pem"));
    let key = others.file("stranger.key");
    let known = [
        certificates.file("known.pem"),
        certificates.file("known.key"),
    ];
    // openssl says what it is told.
    let told = s_client(
        ports.live,
        &["-CAfile", &ca, "-cert", &known[0], "-key", &known[1]],
    );
    assert!(told.contains("Verify return code: 0 (ok)"), "{told}");
    let old = s_client(ports.live, &["-tls1_2", "-CAfile", &ca]);
    assert!(old.contains("alert protocol version"), "{old}");
    let unknown = s_client(
        ports.live,
        &[
            "-CAfile",
            &ca,
            "-cert",
            &certificate,
            "-key",
            &key,
            "-ign_eof",
        ],
    );
    assert!(unknown.contains("unknown ca"), "{unknown}");
    end([], relay);
}

/// A viewer sees its team's sessions alone, and a producer is of its own hosts alone.
#[test]
fn rules_keep_teams_apart() {
    let _turn = turn::take();
    if skipped(NEEDS_TLS) {
        return;
    }
    let certificates = Certificates::make(&["here", "elsewhere", "viewer-a", "viewer-b"]);
    let rules = certificates.path("rules.toml");
    let host = sandbox::host();
    let text = format!(
        "[[rule]]\nname = \"here\"\nroles = [\"producer\"]\nhosts = [\"{host}\"]\n\
         [[rule]]\nname = \"elsewhere\"\nroles = [\"producer\"]\nhosts = [\"other-*\"]\n\
         [[rule]]\nname = \"viewer-a\"\nroles = [\"viewer\"]\nsessions = [\"a-*\"]\n\
         [[rule]]\nname = \"viewer-b\"\nroles = [\"viewer\"]\nsessions = [\"b-*\"]\n"
    );
    fs::write(&rules, text).expect("rules");
    let rules = certificates.file("rules.toml");
    let (relay, ports) = certificates.start_relay(&["--tls-rules", &rules]);
    let here = Tunnel::start(&certificates, "here", ports);
    let elsewhere = Tunnel::start(&certificates, "elsewhere", ports);
    let a = Tunnel::start(&certificates, "viewer-a", ports);
    let b = Tunnel::start(&certificates, "viewer-b", ports);
    let producer = Producer::start();
    let setup = Setup::new(Mode::Live, Buffers::PerUser);
    let session = producer.session_at(&here.producer_url(), "a-shop", setup);

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
    eventually("the tunnel says so", PATIENCE, || {
        here.errors().contains("its rules do not allow this")
    });
    relay.wait_for_line(&["rule 1 does not make here a viewer"]);

    let viewer = Viewer::attach_at(&relay, &a.viewer_url("a-shop"), "a-shop");
    let run = producer.launch(BRIEF).finish();
    session.destroy();
    assert_complete(&viewer.finish(), &[run]);

    let url = format!("--set-url={}", elsewhere.producer_url());
    let created = producer.attempt(&["create", "stolen", &url]);
    let _ = created.and_then(|_| {
        producer.attempt(&["enable-event", "--userspace", "--session=stolen", "baton:*"])?;
        producer.attempt(&["start", "stolen"])
    });
    relay.wait_for_line(&["is not one that the rule of its certificate names"]);
    let _ = producer.attempt(&["destroy", "--no-wait", "stolen"]);
    drop((here, elsewhere, a, b));
    end([producer], relay);
}

#[test]
fn sighup_swaps_certificates_while_a_session_runs() {
    let _turn = turn::take();
    if skipped(NEEDS_TLS) {
        return;
    }
    let certificates = Certificates::make(&["both"]);
    let (relay, ports) = certificates.start_relay(&[]);
    let tunnel = Tunnel::start(&certificates, "both", ports);
    let producer = Producer::start();
    let setup = Setup::new(Mode::Live, Buffers::PerUser);
    let session = producer.session_at(&tunnel.producer_url(), "one", setup);
    let viewer = Viewer::attach_at(&relay, &tunnel.viewer_url("one"), "one");
    let before = producer.launch(BRIEF).finish();

    // Another certificate of the same CA.
    fs::create_dir(certificates.path("new")).expect("a directory");
    for name in ["ca.key", "ca.pem"] {
        tunnel::copy(
            &certificates.path(name),
            &certificates.path(&format!("new/{name}")),
        );
    }
    let mut command = baton("certificates");
    command.arg(certificates.path("new"));
    let made = command.args(["--relay", "localhost"]).output();
    assert!(made.expect("baton certificates").status.success());
    let known = [certificates.file("both.pem"), certificates.file("both.key")];
    let ca = certificates.file("ca.pem");
    let shown = || {
        let told = s_client(
            ports.live,
            &["-CAfile", &ca, "-cert", &known[0], "-key", &known[1]],
        );
        assert!(told.contains("Verify return code: 0 (ok)"), "{told}");
        let (_, certificate) = told.split_once("BEGIN CERTIFICATE").expect("a certificate");
        certificate.split_once("END").expect("its end").0.to_owned()
    };
    let old = shown();
    for name in ["relay.key", "relay.pem"] {
        tunnel::copy(
            &certificates.path(&format!("new/{name}")),
            &certificates.path(name),
        );
    }
    assert_eq!(shown(), old);
    relay.signal("HUP");
    eventually("another certificate", PATIENCE, || shown() != old);

    let after = producer.launch(BRIEF).finish();
    session.destroy();
    assert_complete(&viewer.finish(), &[before, after]);
    assert_complete(
        &read_directory(&relay.trace_directory("one")),
        &[before, after],
    );
    drop(tunnel);
    end([producer], relay);
}

/// With the same certificate: a peer that speaks 1.2 comes in where the option says so.
#[test]
fn tls_1_2_is_spoken_where_it_is_asked_for() {
    let _turn = turn::take();
    if skipped(NEEDS_TLS) {
        return;
    }
    let certificates = Certificates::make(&["both"]);
    let ca = certificates.file("ca.pem");
    let known = [certificates.file("both.pem"), certificates.file("both.key")];
    let old = [
        "-tls1_2", "-CAfile", &ca, "-cert", &known[0], "-key", &known[1],
    ];

    let (relay, ports) = certificates.start_relay(&[]);
    let told = s_client(ports.live, &old);
    assert!(told.contains("alert protocol version"), "{told}");
    eventually("the relay says so", PATIENCE, || {
        relay.log().contains("--tls-minimum 1.2 allows 1.2")
    });
    end([], relay);

    let (relay, ports) = certificates.start_relay(&["--tls-minimum", "1.2"]);
    let told = s_client(ports.live, &old);
    assert!(told.contains("Protocol  : TLSv1.2"), "{told}");
    assert!(told.contains("Verify return code: 0 (ok)"), "{told}");
    let stunnel =
        Tunnel::start_stunnel_with(&certificates, "both", ports, "sslVersion = TLSv1.2\n");
    one_session(&relay, &stunnel.producer_url(), &stunnel.viewer_url("one"));
    // Those of 1.3 come in as well.
    let tunnel = Tunnel::start(&certificates, "both", ports);
    one_session_of(
        &relay,
        "two",
        &tunnel.producer_url(),
        &tunnel.viewer_url("two"),
    );
    drop((stunnel, tunnel));
    end([], relay);
}

/// Certificates of the same CA that are not valid: before, after, or any more.
#[test]
fn certificates_that_expired_or_were_revoked_are_refused() {
    let _turn = turn::take();
    if skipped(NEEDS_TLS) {
        return;
    }
    let certificates = Certificates::make(&["good", "stolen"]);
    certificates.issue("past", "20200101000000Z", "20200201000000Z");
    certificates.issue("future", "20400101000000Z", "20400201000000Z");
    certificates.revoke(&[]);
    let revoked = certificates.file("revoked.pem");
    let (relay, ports) = certificates.start_relay(&["--tls-revoked", &revoked]);
    let ca = certificates.file("ca.pem");
    let told = |name: &str| {
        let [certificate, key] =
            ["pem", "key"].map(|it| certificates.file(&format!("{name}.{it}")));
        let mut arguments = vec!["-CAfile", &ca, "-cert", &certificate, "-key", &key];
        // Those that are let in would wait.
        if ["past", "future"].contains(&name) {
            arguments.push("-ign_eof");
        }
        s_client(ports.live, &arguments)
    };
    for (name, alert, line) in [
        (
            "past",
            "alert certificate expired",
            "has expired on 2020-02-01",
        ),
        (
            "future",
            "alert certificate expired",
            "is not valid before 2040-01-01",
        ),
    ] {
        let told = told(name);
        assert!(told.contains(alert), "{told}");
        // The second is in the run of the first, which has the line.
        if name == "past" {
            eventually(line, PATIENCE, || relay.log().contains(line));
        }
    }
    let tunnel = Tunnel::start(&certificates, "stolen", ports);
    let mut open = connect(tunnel.ports().live);
    open.write_all(&tunnel::viewer_request())
        .expect("a connection");
    let mut reply = [0; 4];
    open.read_exact(&mut reply).expect("a reply");

    certificates.revoke(&["stolen"]);
    relay.signal("HUP");
    // Of one that is open, and of the next.
    eventually("the end of the connection", PATIENCE, || {
        is_closed(&mut open)
    });
    // Of a run of failures a tunnel tells the first.
    drop(tunnel);
    let tunnel = Tunnel::start(&certificates, "stolen", ports);
    assert!(is_closed(&mut connect(tunnel.ports().live)));
    eventually("the tunnel says so", PATIENCE, || {
        tunnel.errors().contains("the certificate here was revoked")
    });
    let told = told("good");
    assert!(told.contains("Verify return code: 0 (ok)"), "{told}");
    drop(tunnel);
    end([], relay);
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let _turn = turn::take();
    if skipped(NEEDS_TLS) {
        return;
    }
    let certificates = Certificates::make(&[]);
    let key = certificates.path("relay.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("a mode");
    let home = sandbox::home();
    let ports = crate::ports::Ports::free();
    let mut command = crate::relay::command(ports, &home.path().join("traces"), home.path());
    command.args(certificates.relay_options(crate::ports::Ports::free()));
    let mut relay = Process::spawn(&mut command, home.path(), "relay");
    assert!(!relay.wait(PATIENCE).success());
    let errors = relay.errors();
    assert_eq!(errors.lines().count(), 1, "{errors}");
    assert!(
        errors.contains("can be read by others (mode 644): chmod 600"),
        "{errors}"
    );
}
