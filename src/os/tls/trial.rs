//! For tests: a CA, and files of certificates of it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use rcgen::{
    CertificateRevocationListParams, KeyIdMethod, RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use super::authority::{Authority, Holder, set_validity};
use super::client;
use super::credentials::Minimum;
use super::server::{Files, Server};
use super::session::Session;

/// A CA with a directory.
pub struct Trial {
    authority: Authority,
    directory: tempfile::TempDir,
}

impl Trial {
    /// With a certificate for a relay on this machine.
    pub fn new() -> Self {
        let (authority, issued) = Authority::new().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let trial = Self {
            authority,
            directory,
        };
        trial.write("ca.pem", &issued.certificate, 0o644);
        trial.issue("relay", Holder::Relay, -1, 90, 1);
        trial
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str, mode: u32) {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Issues a certificate that is valid from one day to another, counted from today.
    pub fn issue(&self, name: &str, holder: Holder, first: i64, last: i64, serial: u8) {
        let names = match holder {
            Holder::Relay if name == "relay" => vec!["localhost".to_owned()],
            Holder::Relay | Holder::Client => vec![name.to_owned()],
        };
        let mut params = Authority::leaf(&names, holder).unwrap();
        set_validity(&mut params, first, last);
        params.serial_number = Some(SerialNumber::from_slice(&[serial]));
        let issued = self.authority.sign(&params).unwrap();
        self.write(&format!("{name}.pem"), &issued.certificate, 0o644);
        self.write(&format!("{name}.key"), &issued.key, 0o600);
    }

    /// Writes the list of revoked certificates, by their serial numbers.
    pub fn revoke(&self, serials: &[u8]) {
        let revoked = serials.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from_slice(&[*serial]),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(2124, 1, 1),
            crl_number: SerialNumber::from_slice(&[1]),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(self.authority.issuer()).unwrap();
        self.write("revocations.pem", &list.pem().unwrap(), 0o644);
    }

    /// The files of a relay that asks for certificates.
    pub fn files(&self) -> Files {
        Files {
            certificate: Some(self.path("relay.pem")),
            key: Some(self.path("relay.key")),
            client_ca: Some(self.path("ca.pem")),
            ..Files::default()
        }
    }

    pub fn server(&self) -> Arc<Server> {
        Arc::new(Server::load(&self.files()).unwrap())
    }

    pub fn config(&self, client: Option<&str>) -> Arc<ClientConfig> {
        let files = client.map(|name| {
            let file = |suffix| self.path(&format!("{name}.{suffix}"));
            (file("pem"), file("key"))
        });
        let identity: Option<(&Path, &Path)> = files
            .as_ref()
            .map(|(certificate, key)| (&**certificate, &**key));
        let ca = self.path("ca.pem");
        client::config(&ca, identity, Minimum::Tls13).unwrap().0
    }
}

/// A client with blocking calls.
pub struct Client {
    session: Session,
    pub socket: std::net::TcpStream,
}

impl Client {
    pub fn new(config: Arc<ClientConfig>, socket: std::net::TcpStream) -> Self {
        let name = ServerName::try_from("localhost").unwrap();
        Self {
            session: Session::client(config, name).unwrap(),
            socket,
        }
    }

    /// Sends whatever the session has for the socket, and plain bytes.
    pub fn send(&mut self, plain: &[u8]) -> io::Result<()> {
        let mut sealed = Vec::new();
        let mut sent = 0;
        loop {
            sent += self.session.seal(&plain[sent..], &mut sealed);
            if sent == plain.len() {
                break;
            }
        }
        io::Write::write_all(&mut self.socket, &sealed)
    }

    /// Receives plain bytes: some, none yet, or an error that is a sentence.
    pub fn receive(&mut self) -> Result<Vec<u8>, String> {
        let mut buffer = [0; 8192];
        let count = match io::Read::read(&mut self.socket, &mut buffer) {
            Ok(0) => return Err("end".to_owned()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error.to_string()),
        };
        let mut plain = vec![0; 65536];
        let mut end = 0;
        let opened = self.session.open(&buffer[..count], &mut plain, &mut end);
        opened.map_err(|error| super::mistake::sentence(&error))?;
        self.send(&[]).map_err(|error| error.to_string())?;
        plain.truncate(end);
        Ok(plain)
    }

    pub fn is_handshaking(&self) -> bool {
        self.session.is_handshaking()
    }

    /// The first bytes of its handshake.
    pub fn hello(&mut self) -> Vec<u8> {
        let mut hello = Vec::new();
        self.session.seal(&[], &mut hello);
        hello
    }

    /// Says that nothing follows.
    pub fn finish(&mut self) {
        let mut sealed = Vec::new();
        self.session.close(&mut sealed);
        let _ = io::Write::write_all(&mut self.socket, &sealed);
    }
}
