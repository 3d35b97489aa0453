//! Certificates, tunnels and relays with TLS.

use crate::ports::{self, Ports};
use crate::process::{Process, eventually};
use crate::relay::Relay;
use crate::sandbox;
use std::fmt::Write as _;
use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(10);

/// A CA with a certificate for a relay, and those of clients.
#[derive(Debug)]
pub struct Certificates {
    directory: TempDir,
}

impl Certificates {
    pub fn make(clients: &[&str]) -> Self {
        let directory = sandbox::home();
        let mut command = baton("certificates");
        command.arg(directory.path()).args(["--relay", "localhost"]);
        for client in clients {
            command.args(["--client", client]);
        }
        let made = command.output().expect("baton certificates");
        assert!(made.status.success(), "{made:?}");
        Self { directory }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The same as an argument.
    pub fn file(&self, name: &str) -> String {
        self.path(name).to_string_lossy().into_owned()
    }

    /// Has openssl issue a certificate for a client of that name, valid between two times.
    pub fn issue(&self, name: &str, from: &str, until: &str) {
        let [key, request, certificate] =
            ["key", "csr", "pem"].map(|it| self.file(&format!("{name}.{it}")));
        let subject = format!("/CN={name}");
        openssl(&[
            "req",
            "-new",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-keyout",
            &key,
            "-out",
            &request,
            "-subj",
            &subject,
        ]);
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("a mode");
        let mut words = vec![
            "ca",
            "-batch",
            "-notext",
            "-startdate",
            from,
            "-enddate",
            until,
        ];
        words.extend(["-in", &request, "-out", &certificate]);
        self.ca(&words);
    }

    /// Has openssl list these clients' certificates as revoked, in `revoked.pem`.
    pub fn revoke(&self, names: &[&str]) {
        for name in names {
            self.ca(&["ca", "-revoke", &self.file(&format!("{name}.pem"))]);
        }
        self.ca(&["ca", "-gencrl", "-out", &self.file("revoked.pem")]);
    }

    fn ca(&self, words: &[&str]) {
        let config = self.path("ca.conf");
        if !config.exists() {
            let directory = self.directory.path().display();
            let text = format!(
                "[ca]\ndefault_ca = trial\n[trial]\ndatabase = {directory}/index.txt\n\
                 new_certs_dir = {directory}\nrand_serial = yes\n\
                 crlnumber = {directory}/crlnumber\ncertificate = {directory}/ca.pem\n\
                 private_key = {directory}/ca.key\ndefault_md = sha256\n\
                 default_crl_days = 30\npolicy = any\nx509_extensions = client\n\
                 crl_extensions = list\n[any]\ncommonName = supplied\n\
                 [client]\nextendedKeyUsage = clientAuth\nauthorityKeyIdentifier = keyid\n\
                 [list]\nauthorityKeyIdentifier = keyid\n"
            );
            fs::write(&config, text).expect("a file");
            fs::write(self.path("index.txt"), "").expect("a file");
            fs::write(self.path("crlnumber"), "01\n").expect("a file");
        }
        let config = self.file("ca.conf");
        let (command, rest) = words.split_first().expect("a command");
        openssl(&[&[*command, "-config", &config], rest].concat());
    }

    /// Options of a relay that shows its certificate, and asks for one of this CA.
    pub fn relay_options(&self, ports: Ports) -> Vec<String> {
        let mut options = Vec::new();
        for (option, port) in [
            ("--control-port", ports.control),
            ("--data-port", ports.data),
            ("--live-port", ports.live),
        ] {
            options.extend([option.to_owned(), format!("tls://{}", ports::local(port))]);
        }
        for (option, name) in [
            ("--tls-certificate", "relay.pem"),
            ("--tls-key", "relay.key"),
            ("--tls-client-ca", "ca.pem"),
        ] {
            options.extend([option.to_owned(), self.file(name)]);
        }
        options
    }

    /// Starts a relay with more options, that has ports with TLS beside the plain ones.
    pub fn start_relay(&self, more: &[String]) -> (Relay, Ports) {
        let ports = Ports::free();
        let options = [&self.relay_options(ports), more].concat();
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        (Relay::start_with(&options), ports)
    }
}

/// `baton tunnel`, or another program that does the same.
#[derive(Debug)]
pub struct Tunnel {
    process: Process,
    ports: Ports,
    _directory: TempDir,
}

impl Tunnel {
    /// Starts one to these ports, with the certificate of a client.
    pub fn start(certificates: &Certificates, client: &str, relay: Ports) -> Self {
        let ports = Ports::free();
        let mut command = baton("tunnel");
        let Ports {
            control,
            data,
            live,
        } = relay;
        let url = format!("tls://localhost:{control}:{data}:{live}");
        command.args(["--server", &url]);
        command.args(["--tls-ca", &certificates.file("ca.pem")]);
        let (certificate, key) = (format!("{client}.pem"), format!("{client}.key"));
        command.args(["--tls-certificate", &certificates.file(&certificate)]);
        command.args(["--tls-key", &certificates.file(&key)]);
        for (option, port) in [
            ("--control-port", ports.control),
            ("--data-port", ports.data),
            ("--live-port", ports.live),
        ] {
            command.args([option, &port.to_string()]);
        }
        Self::run(command, ports, sandbox::home())
    }

    /// Starts stunnel, which connects with TLS to these ports.
    pub fn start_stunnel(certificates: &Certificates, client: &str, relay: Ports) -> Self {
        Self::start_stunnel_with(certificates, client, relay, "")
    }

    /// The same with more lines of its configuration.
    pub fn start_stunnel_with(
        certificates: &Certificates,
        client: &str,
        relay: Ports,
        lines: &str,
    ) -> Self {
        let tls = format!(
            "{lines}client = yes\ncert = {}\nkey = {}\nCAfile = {}\nverifyChain = yes\n",
            certificates.file(&format!("{client}.pem")),
            certificates.file(&format!("{client}.key")),
            certificates.file("ca.pem"),
        );
        Self::run_stunnel(&tls, relay)
    }

    /// Starts stunnel, which takes TLS to these plain ports.
    pub fn start_stunnel_server(certificates: &Certificates, relay: Ports) -> Self {
        let tls = format!(
            "cert = {}\nkey = {}\nCAfile = {}\nverifyChain = yes\nrequireCert = yes\n",
            certificates.file("relay.pem"),
            certificates.file("relay.key"),
            certificates.file("ca.pem"),
        );
        Self::run_stunnel(&tls, relay)
    }

    fn run_stunnel(tls: &str, relay: Ports) -> Self {
        let ports = Ports::free();
        let directory = sandbox::home();
        let mut text = format!("foreground = yes\npid =\n{tls}");
        for (name, from, to) in [
            ("control", ports.control, relay.control),
            ("data", ports.data, relay.data),
            ("live", ports.live, relay.live),
        ] {
            let (from, to) = (ports::local(from), ports::local(to));
            let _ = write!(text, "[{name}]\naccept = {from}\nconnect = {to}\n");
        }
        let file = directory.path().join("stunnel.conf");
        fs::write(&file, text).expect("a configuration");
        let mut command = Command::new("stunnel4");
        command.arg(&file);
        Self::run(command, ports, directory)
    }

    fn run(mut command: Command, ports: Ports, directory: TempDir) -> Self {
        let process = Process::spawn(&mut command, directory.path(), "tunnel");
        let tunnel = Self {
            process,
            ports,
            _directory: directory,
        };
        eventually("the tunnel listens", PATIENCE, || {
            [ports.control, ports.data, ports.live]
                .into_iter()
                .all(is_listened_on)
        });
        tunnel
    }

    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// Where a producer sends to.
    pub fn producer_url(&self) -> String {
        format!("net://127.0.0.1:{}:{}", self.ports.control, self.ports.data)
    }

    /// Where Babeltrace reads a session of this machine.
    pub fn viewer_url(&self, session: &str) -> String {
        let (port, host) = (self.ports.live, sandbox::host());
        format!("net://127.0.0.1:{port}/host/{host}/{session}")
    }

    /// Its output.
    pub fn errors(&self) -> String {
        self.process.errors()
    }
}

/// By the table of sockets: a connection would be one of a peer.
pub fn is_listened_on(port: u16) -> bool {
    let table = fs::read_to_string("/proc/net/tcp").expect("the table of sockets");
    let local = format!(":{port:04X}");
    let mut sockets = table.lines().map(|line| line.split_whitespace().collect());
    sockets.any(|columns: Vec<&str>| {
        columns.get(1).is_some_and(|it| it.ends_with(&local)) && columns.get(3) == Some(&"0A")
    })
}

pub fn baton(word: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_baton"));
    command.arg(word);
    command
}

fn openssl(words: &[&str]) {
    let output = Command::new("openssl").args(words).output();
    let output = output.expect("openssl");
    assert!(output.status.success(), "{words:?}: {output:?}");
}

/// Runs openssl's client against a port with TLS, with something to say; returns what it prints.
pub fn s_client_saying(words: &str, port: u16, arguments: &[&str]) -> String {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &ports::local(port).to_string()]);
    command.args(arguments).stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut client = command.spawn().expect("openssl");
    let mut input = client.stdin.take().expect("its input");
    // It may have ended.
    let _ = input.write_all(words.as_bytes());
    drop(input);
    let output = client.wait_with_output().expect("its end");
    let (out, err) = (output.stdout, output.stderr);
    String::from_utf8_lossy(&[out, err].concat()).into_owned()
}

/// A viewer's first request.
pub fn viewer_request() -> Vec<u8> {
    baton_systems::client::request(baton_systems::client::connect(4))
}

/// Bytes of the reply to it.
pub const VIEWER_REPLY_BYTES: usize = 20;

/// The size of the record of TLS 1.3 in which so many bytes are sealed: with their type, and
/// the tag of AES-GCM.
pub fn sealed_size(bytes: usize) -> usize {
    bytes + 1 + 16
}

/// The sizes of the records of application data in these bytes of TLS.
pub fn records(mut bytes: &[u8]) -> Vec<usize> {
    const APPLICATION_DATA: u8 = 0x17;
    let mut sizes = Vec::new();
    while let [kind, _, _, high, low, rest @ ..] = bytes {
        let size = usize::from(u16::from_be_bytes([*high, *low]));
        if *kind == APPLICATION_DATA {
            sizes.push(size);
        }
        bytes = rest.get(size..).unwrap_or_default();
    }
    sizes
}

/// The bytes of a connection, both ways.
#[derive(Debug)]
pub struct Conversation {
    pub sent: Vec<u8>,
    pub told: Vec<u8>,
}

/// Has openssl connect as a viewer with that certificate, and send a request; so many bytes of
/// it reach the relay, which sees the end of the connection then.
pub fn viewer_cut_after(
    bytes: usize,
    certificates: &Certificates,
    client: &str,
    port: u16,
) -> Conversation {
    let listener = TcpListener::bind(ports::local(0)).expect("a listener");
    let between = listener.local_addr().expect("its address").port();
    let known = ["pem", "key"].map(|it| certificates.file(&format!("{client}.{it}")));
    let mut command = Command::new("openssl");
    command.args(["s_client", "-quiet", "-connect"]);
    command.arg(ports::local(between).to_string());
    command.args(["-CAfile", &certificates.file("ca.pem")]);
    command.args(["-cert", &known[0], "-key", &known[1]]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut openssl = command.stderr(Stdio::null()).spawn().expect("openssl");
    let mut input = openssl.stdin.take().expect("its input");
    // It may have ended.
    let _ = input.write_all(&viewer_request());

    let (near, _) = listener.accept().expect("openssl");
    let far = connect(port);
    let own = |socket: &TcpStream| socket.try_clone().expect("a socket");
    let (from, to) = (own(&far), own(&near));
    let back = thread::spawn(move || {
        let told = carry(from, &to, usize::MAX);
        // Of the client too: it waits for nothing more.
        let _ = to.shutdown(Shutdown::Both);
        told
    });
    let there = thread::spawn(move || {
        let sent = carry(near, &far, bytes);
        let _ = far.shutdown(Shutdown::Write);
        sent
    });
    let mut reply = [0; VIEWER_REPLY_BYTES];
    let mut output = openssl.stdout.take().expect("its output");
    let _ = output.read_exact(&mut reply);
    openssl.kill().expect("a process");
    openssl.wait().expect("its end");
    Conversation {
        sent: there.join().expect("the way there"),
        told: back.join().expect("the way back"),
    }
}

/// Carries bytes, so many at most, until one of the ends is closed; returns them.
fn carry(mut from: TcpStream, mut to: &TcpStream, bytes_max: usize) -> Vec<u8> {
    let mut carried = Vec::new();
    let mut chunk = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut chunk) {
        let count = count.min(bytes_max - carried.len());
        carried.extend_from_slice(&chunk[..count]);
        if to.write_all(&chunk[..count]).is_err() || carried.len() == bytes_max {
            break;
        }
    }
    carried
}

/// A connection to a port.
pub fn connect(port: u16) -> TcpStream {
    TcpStream::connect(ports::local(port)).expect("a connection")
}

/// Whether the peer closes it, without a byte before.
pub fn is_closed(socket: &mut TcpStream) -> bool {
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    match socket.read(&mut [0; 64]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

/// Copies a file with its mode.
pub fn copy(from: &Path, to: &Path) {
    fs::copy(from, to).expect("a file");
}
