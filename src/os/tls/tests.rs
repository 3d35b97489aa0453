//! TLS on the network of a relay: who comes in, and what each mistake is called.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use baton_components::connection::Endpoint;
use baton_components::keys::ConnectionKey;
use baton_systems::ports::{Network as _, Received, Transmitted};
use slotmap::SlotMap;
use socket2::{Domain, Socket, Type};

use super::authority::Holder;
use super::credentials::{Minimum, Mistake};
use super::server::{Files, Server};
use super::trial::{Client, Trial};
use crate::os::busy_poll::{self, BusyPoll};
use crate::os::gate::Gate;
use crate::os::network::{Idle, SocketNetwork};
use crate::os::reactor::Reactor;
use crate::os::signals::Stop;
use crate::os::tcp_timeouts::TcpTimeouts;

/// A network with one port, whose connections answer what they receive with the same bytes.
struct Echo {
    network: SocketNetwork,
    address: SocketAddr,
    keys: SlotMap<ConnectionKey, ()>,
    open: Vec<ConnectionKey>,
    /// How connections ended.
    ends: Vec<Received>,
    received: BTreeMap<ConnectionKey, usize>,
}

const TICK: Duration = Duration::from_millis(5);
const BUDGET: usize = 64 * 1024;

impl Echo {
    fn new(trial: &Trial, connections_max: usize) -> Self {
        let reactor = Reactor::new(Stop::default(), BusyPoll::new(busy_poll::DEFAULT)).unwrap();
        let mut network = SocketNetwork::new(
            reactor,
            Idle::default(),
            connections_max,
            TcpTimeouts::default(),
        );
        let any = "127.0.0.1:0".parse().unwrap();
        let address = network.listen_tls(Endpoint::Live, any).unwrap();
        let echo = Self {
            network,
            address,
            keys: SlotMap::with_key(),
            open: Vec::new(),
            ends: Vec::new(),
            received: BTreeMap::new(),
        };
        echo.take(trial.server());
        echo
    }

    fn take(&self, server: std::sync::Arc<Server>) {
        self.network.next_gate().put(Gate {
            tls: Some(server),
            ..Gate::default()
        });
    }

    fn connect(&self) -> std::net::TcpStream {
        let socket = std::net::TcpStream::connect(self.address).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket
    }

    fn client(&self, trial: &Trial, name: Option<&str>) -> Client {
        Client::new(trial.config(name), self.connect())
    }

    /// A client whose connection comes from that address.
    fn client_at(&self, address: [u8; 4], trial: &Trial, name: &str) -> Client {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let from = SocketAddr::from((address, 0));
        socket.bind(&from.into()).unwrap();
        socket.connect(&self.address.into()).unwrap();
        socket.set_nonblocking(true).unwrap();
        Client::new(trial.config(Some(name)), socket.into())
    }

    fn tick(&mut self) {
        let (mut readable, mut writable) = (Vec::new(), Vec::new());
        self.network.poll(Some(TICK), &mut readable, &mut writable);
        while self.network.accept().is_some() {
            let key = self.keys.insert(());
            self.network.adopt(key);
            self.open.push(key);
        }
        for key in readable {
            self.answer(key);
        }
        for key in writable {
            if self.open.contains(&key) {
                self.network.transmit(key, false);
            }
        }
    }

    fn answer(&mut self, key: ConnectionKey) {
        while self.open.contains(&key) {
            let received = self.network.receive(key, BUDGET);
            let bytes = self.network.input(key).to_vec();
            *self.received.entry(key).or_default() += bytes.len();
            self.network.consume(key, bytes.len());
            self.network.send(key, &bytes);
            let before = self.network.unsent(key);
            assert!(before >= bytes.len());
            let transmitted = self.network.transmit(key, false);
            let is_empty = self.network.unsent(key) == 0;
            assert!(is_empty || transmitted != Transmitted::All);
            match received {
                Received::Drained => return,
                Received::More => {}
                end => {
                    self.network.close(key);
                    self.open.retain(|it| *it != key);
                    self.ends.push(end);
                }
            }
        }
    }

    /// The handshake, and a byte there and back. The client's error is a sentence.
    fn greet(&mut self, client: &mut Client) -> Result<(), String> {
        client.send(b"x").map_err(|error| error.to_string())?;
        for _ in 0..1000 {
            self.tick();
            if !client.receive()?.is_empty() {
                return Ok(());
            }
        }
        Err("nothing comes".to_owned())
    }
}

fn with_rules(trial: &Trial, text: &str) -> Result<Server, Mistake> {
    trial.write("rules.toml", text, 0o644);
    Server::load(&Files {
        rules: Some(trial.path("rules.toml")),
        ..trial.files()
    })
}

#[test]
fn bytes_come_and_go_in_any_amount() {
    let trial = Trial::new();
    trial.issue("viewer", Holder::Client, -1, 90, 2);
    let mut echo = Echo::new(&trial, 10);
    let mut client = echo.client(&trial, Some("viewer"));
    echo.greet(&mut client).unwrap();
    for size in [1, 16_383, 16_384, 16_385, 65_536, 300_000] {
        let sent: Vec<u8> = (0..size).map(|at| (at * 7 % 251) as u8).collect();
        let mut left = &sent[..];
        let mut back = Vec::new();
        while back.len() < size {
            // A socket takes so much without a reader.
            let (now, later) = left.split_at(left.len().min(20_000));
            client.send(now).unwrap();
            left = later;
            echo.tick();
            back.extend(client.receive().unwrap());
        }
        assert_eq!(back, sent);
    }
    client.finish();
    while echo.ends.is_empty() {
        echo.tick();
    }
    assert_eq!(echo.ends, [Received::Ended]);
}

/// A record may have one byte in it, or almost only padding: the turn of its connection counts
/// that byte.
#[test]
fn much_to_open_for_few_bytes_is_shared_out_over_polls() {
    let trial = Trial::new();
    trial.issue("viewer", Holder::Client, -1, 90, 2);
    let mut echo = Echo::new(&trial, 10);
    let mut client = echo.client(&trial, Some("viewer"));
    echo.greet(&mut client).unwrap();
    let key = echo.open[0];
    for _ in 0..20_000 {
        client.send(b"x").unwrap();
    }
    let mut turns = 0;
    let mut count = 0;
    while count < 20_000 {
        let (mut readable, mut writable) = (Vec::new(), Vec::new());
        echo.network.poll(None, &mut readable, &mut writable);
        if !readable.contains(&key) {
            continue;
        }
        turns += 1;
        assert_eq!(echo.network.receive(key, BUDGET), Received::Drained);
        let bytes = echo.network.input(key).len();
        echo.network.consume(key, bytes);
        count += bytes;
    }
    assert!(turns > 1, "all of it in one turn");
}

#[test]
fn a_connection_that_is_cut_has_not_ended() {
    let trial = Trial::new();
    trial.issue("viewer", Holder::Client, -1, 90, 2);
    let mut echo = Echo::new(&trial, 10);
    let mut client = echo.client(&trial, Some("viewer"));
    echo.greet(&mut client).unwrap();
    drop(client);
    while echo.ends.is_empty() {
        echo.tick();
    }
    assert!(matches!(&echo.ends[..], [Received::Broken(reason)] if reason.contains("was cut")));
}

#[test]
fn a_certificate_has_to_be_valid_known_and_allowed() {
    let trial = Trial::new();
    let other = Trial::new();
    trial.issue("good", Holder::Client, -1, 90, 2);
    trial.issue("expired", Holder::Client, -9, -2, 3);
    trial.issue("early", Holder::Client, 2, 9, 4);
    trial.issue("revoked", Holder::Client, -1, 90, 5);
    trial.issue("server", Holder::Relay, -1, 90, 6);
    other.issue("stranger", Holder::Client, -1, 90, 2);
    for suffix in ["pem", "key"] {
        let name = format!("stranger.{suffix}");
        std::fs::copy(other.path(&name), trial.path(&name)).unwrap();
    }
    trial.revoke(&[5]);
    let files = Files {
        revoked: Some(trial.path("revocations.pem")),
        ..trial.files()
    };
    let mut echo = Echo::new(&trial, 10);
    echo.take(std::sync::Arc::new(Server::load(&files).unwrap()));
    let mut clients = Vec::new();
    for (name, mistake) in [
        (Some("good"), None),
        (Some("expired"), Some("expired")),
        (Some("early"), Some("not valid yet")),
        (Some("revoked"), Some("revoked")),
        (Some("server"), Some("not for this use")),
        (Some("stranger"), Some("does not know the CA")),
        (None, Some("asks for a certificate")),
    ] {
        let mut client = echo.client(&trial, name);
        let greeted = echo.greet(&mut client);
        match mistake {
            None => assert_eq!(greeted, Ok(()), "{name:?}"),
            Some(mistake) => {
                let error = greeted.unwrap_err();
                assert!(error.contains(mistake), "{name:?}: {error}");
            }
        }
        clients.push(client);
    }
    assert_eq!(echo.open.len(), 1);
}

#[test]
fn a_client_names_what_is_wrong_with_the_relay() {
    let trial = Trial::new();
    trial.issue("viewer", Holder::Client, -1, 90, 2);
    for (first, last, mistake) in [(-9, -2, "expired"), (2, 9, "not valid before")] {
        trial.issue("relay", Holder::Relay, first, last, 3);
        let mut echo = Echo::new(&trial, 10);
        let mut client = echo.client(&trial, Some("viewer"));
        let error = echo.greet(&mut client).unwrap_err();
        assert!(error.contains(mistake), "{error}");
    }
    trial.issue("elsewhere", Holder::Relay, -1, 90, 3);
    for suffix in ["pem", "key"] {
        let from = trial.path(&format!("elsewhere.{suffix}"));
        std::fs::rename(from, trial.path(&format!("relay.{suffix}"))).unwrap();
    }
    let mut echo = Echo::new(&trial, 10);
    let mut client = echo.client(&trial, Some("viewer"));
    let error = echo.greet(&mut client).unwrap_err();
    assert!(error.contains("not of the name localhost"), "{error}");
}

#[test]
fn broken_handshakes_end_alone() {
    let trial = Trial::new();
    trial.issue("viewer", Holder::Client, -1, 90, 2);
    let mut echo = Echo::new(&trial, 1000);
    let mut good = echo.client(&trial, Some("viewer"));
    echo.greet(&mut good).unwrap();
    let hello = echo.client(&trial, Some("viewer")).hello();
    let mut broken = Vec::new();
    let mut garble = |bytes: Vec<u8>, ends: bool| {
        let mut socket = echo.connect();
        echo.tick();
        socket.write_all(&bytes).unwrap();
        if ends {
            socket.shutdown(std::net::Shutdown::Write).unwrap();
        }
        broken.push(socket);
    };
    for at in (0..hello.len()).step_by(3) {
        // Truncated; with a bit flipped; the rest replaced.
        garble(hello[..at].to_vec(), true);
        let mut flipped = hello.clone();
        flipped[at] ^= 0x40;
        garble(flipped, true);
        let mut replaced = hello[..at].to_vec();
        replaced.resize(hello.len(), 0xff);
        garble(replaced, true);
    }
    // Twice the same; plain text; an endless record.
    garble([&hello[..], &hello].concat(), true);
    garble(b"GET / HTTP/1.0\r\n\r\n".to_vec(), false);
    garble(
        [&[0x16, 3, 3, 0xff, 0xff][..], &[1; 10_000]].concat(),
        false,
    );
    while echo.network.open_handshakes() > 0 {
        echo.tick();
    }
    assert_eq!(echo.open.len(), 1, "nobody else came in");
    echo.greet(&mut good).unwrap();
}

#[test]
fn unfinished_handshakes_are_few_and_the_next_one_succeeds() {
    let trial = Trial::new();
    trial.issue("viewer", Holder::Client, -1, 90, 2);
    let mut echo = Echo::new(&trial, 1000);
    let mut unfinished = Vec::new();
    for _ in 0..300 {
        unfinished.push(echo.connect());
        echo.tick();
    }
    assert!(echo.network.open_handshakes() <= 256);
    let mut client = echo.client(&trial, Some("viewer"));
    echo.greet(&mut client).unwrap();
    assert!(!client.is_handshaking());
}

#[test]
fn a_flood_of_handshakes_from_one_address_ends_none_of_another() {
    let trial = Trial::new();
    trial.issue("viewer", Holder::Client, -1, 90, 2);
    let mut echo = Echo::new(&trial, 1000);
    let mut honest = echo.client_at([127, 0, 0, 2], &trial, "viewer");
    echo.tick();
    let mut flood = Vec::new();
    for _ in 0..300 {
        flood.push(echo.connect());
        echo.tick();
    }
    assert!(echo.network.open_handshakes() <= 256);
    echo.greet(&mut honest).unwrap();
}

#[test]
fn handshakes_count_as_connections() {
    let trial = Trial::new();
    let mut echo = Echo::new(&trial, 3);
    let sockets = [(); 5].map(|()| echo.connect());
    for _ in 0..20 {
        echo.tick();
    }
    assert_eq!(echo.network.open_handshakes(), 3);
    drop(sockets);
    for _ in 0..200 {
        echo.tick();
    }
    assert_eq!(echo.network.open_handshakes(), 0);
}

#[test]
fn a_new_gate_ends_those_whose_rights_have_changed() {
    let trial = Trial::new();
    trial.issue("a", Holder::Client, -1, 90, 2);
    trial.issue("b", Holder::Client, -1, 90, 3);
    let mut echo = Echo::new(&trial, 10);
    let rules = |a: &str| {
        format!(
            "[[rule]]\nname = \"a\"\nroles = [\"viewer\"]\nsessions = [\"{a}\"]\n\
             [[rule]]\nname = \"b\"\nroles = [\"viewer\"]\n"
        )
    };
    echo.take(std::sync::Arc::new(
        with_rules(&trial, &rules("a-*")).unwrap(),
    ));
    let mut clients = ["a", "b"].map(|name| echo.client(&trial, Some(name)));
    for client in &mut clients {
        echo.greet(client).unwrap();
    }
    // The same rules: nobody is touched.
    echo.take(std::sync::Arc::new(
        with_rules(&trial, &rules("a-*")).unwrap(),
    ));
    for client in &mut clients {
        echo.greet(client).unwrap();
    }
    echo.take(std::sync::Arc::new(
        with_rules(&trial, &rules("x-*")).unwrap(),
    ));
    let [a, b] = &mut clients;
    assert!(echo.greet(a).is_err());
    echo.greet(b).unwrap();
    // A list of revoked certificates ends those that it names.
    trial.revoke(&[3]);
    let files = Files {
        revoked: Some(trial.path("revocations.pem")),
        ..trial.files()
    };
    echo.take(std::sync::Arc::new(Server::load(&files).unwrap()));
    assert!(echo.greet(b).is_err());
    let reasons: Vec<String> = echo.ends.iter().map(|end| format!("{end:?}")).collect();
    assert!(reasons[0].contains("rights have changed"), "{reasons:?}");
    assert!(reasons[1].contains("was revoked"), "{reasons:?}");
}

#[test]
fn a_handshake_that_began_before_a_new_gate_ends_by_its_rules() {
    let trial = Trial::new();
    trial.issue("late", Holder::Client, -1, 90, 2);
    let mut echo = Echo::new(&trial, 10);
    let mut client = echo.client(&trial, Some("late"));
    client.send(b"x").unwrap();
    for _ in 0..3 {
        // The relay has answered; the client's certificate has not come.
        echo.tick();
    }
    assert_eq!(echo.network.open_handshakes(), 1);
    trial.revoke(&[2]);
    let files = Files {
        revoked: Some(trial.path("revocations.pem")),
        ..trial.files()
    };
    echo.take(std::sync::Arc::new(Server::load(&files).unwrap()));
    assert!(echo.greet(&mut client).is_err());
    assert!(echo.open.is_empty() && echo.ends.is_empty());
}

#[test]
fn rules_are_asked_in_the_handshake() {
    let trial = Trial::new();
    trial.issue("web.a.example", Holder::Client, -1, 90, 2);
    let mut echo = Echo::new(&trial, 10);
    let rules = "[[rule]]\nname = \"*.a.example\"\nroles = [\"producer\"]\n";
    let server = with_rules(&trial, rules).unwrap();
    echo.take(std::sync::Arc::new(server));
    let mut client = echo.client(&trial, Some("web.a.example"));
    let error = echo.greet(&mut client).unwrap_err();
    assert!(error.contains("its rules do not allow this"), "{error}");
    assert!(echo.open.is_empty());
}

#[test]
fn mistakes_in_files_name_the_file_and_what_to_do() {
    let trial = Trial::new();
    trial.issue("other", Holder::Relay, -1, 90, 2);
    trial.write("empty.pem", "", 0o600);
    trial.write("open.key", "", 0o640 | 0o004);
    let files = trial.files();
    let of = |change: &dyn Fn(&mut Files)| {
        let mut changed = files.clone();
        change(&mut changed);
        Server::load(&changed).unwrap_err().to_string()
    };
    let path = |name| Some(trial.path(name));
    for (error, wanted) in [
        (
            of(&|it| it.certificate = None),
            "tls:// needs --tls-certificate",
        ),
        (of(&|it| it.key = None), "tls:// needs --tls-key"),
        (of(&|it| it.key = path("none")), "cannot read"),
        (
            of(&|it| it.key = path("empty.pem")),
            "has no private key in PEM form",
        ),
        (of(&|it| it.key = path("open.key")), "(mode 644): chmod 600"),
        (
            of(&|it| it.key = path("other.key")),
            "is not that of the certificate",
        ),
        (
            of(&|it| it.certificate = path("empty.pem")),
            "has no certificate in PEM form",
        ),
        (
            of(&|it| it.client_ca = path("empty.pem")),
            "has no certificate in PEM form",
        ),
        (
            of(&|it| it.revoked = path("empty.pem")),
            "has no revocation list in PEM form",
        ),
        (of(&|it| it.rules = path("ca.pem")), "ca.pem: line 1: "),
        (
            of(&|it| {
                it.client_ca = None;
                it.rules = path("ca.pem");
            }),
            "--tls-rules needs --tls-client-ca",
        ),
    ] {
        assert!(error.contains(wanted), "{wanted}: {error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn a_key_with_a_passphrase_is_refused_as_such() {
    let trial = Trial::new();
    for (name, text) in [
        (
            "pkcs8.key",
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMA==\n-----END ENCRYPTED PRIVATE KEY-----\n",
        ),
        (
            "old.key",
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nMA==\n-----END RSA PRIVATE KEY-----\n",
        ),
    ] {
        trial.write(name, text, 0o600);
        let files = Files {
            key: Some(trial.path(name)),
            ..trial.files()
        };
        let error = Server::load(&files).unwrap_err().to_string();
        assert!(error.contains("has a passphrase"), "{error}");
    }
}

#[test]
fn the_end_of_a_certificate_is_warned_of() {
    let trial = Trial::new();
    assert_eq!(trial.server().warning(), None);
    for (last, wanted) in [(20, "renew it"), (-2, "has expired on")] {
        trial.issue("relay", Holder::Relay, -9, last, 2);
        let warning = trial.server().warning().unwrap_or_default();
        assert!(warning.contains(wanted), "{warning}");
    }
}

#[test]
fn tls_1_2_has_to_be_asked_for() {
    let trial = Trial::new();
    for (minimum, versions) in [(Minimum::Tls13, 1), (Minimum::Tls12, 2)] {
        assert_eq!(minimum.versions().len(), versions);
        let files = Files {
            minimum,
            ..trial.files()
        };
        assert!(Server::load(&files).is_ok());
    }
}
