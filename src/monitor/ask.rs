//! A question to a relay: one GET by HTTP/1.0, whose answer ends with the connection.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use baton_components::connection::Endpoint;
use baton_components::shown::Shown;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::config::Listener;
use crate::os::said;
use crate::os::tls::credentials::{self, Minimum, Mistake};
use crate::os::tls::{client, mistake};
use crate::url::default_port;

/// Where a relay answers monitors.
#[derive(Clone, Debug)]
pub struct Target {
    /// Name or address, and port: `localhost:5340`.
    authority: String,
    tls: Option<Tls>,
}

/// Connections begin with a TLS handshake.
#[derive(Clone, Debug)]
struct Tls {
    config: Arc<ClientConfig>,
    /// The name that the relay's certificate must have.
    name: ServerName<'static>,
}

/// The files with which a relay is asked whose status port has TLS.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// CA of the relay's certificate.
    pub ca: Option<PathBuf>,
    /// A certificate to show, and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// The reason why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "{} is no URL of a relay's status port: http://HOST[:PORT], or tls://HOST[:PORT]",
        Shown(.0.as_bytes())
    )]
    Url(String),
    #[error(
        "the status port {0} has TLS: name the CA of its certificate with --tls-ca, or for \
         baton doctor with --ask-ca"
    )]
    NoCa(String),
    #[error(transparent)]
    Tls(#[from] Mistake),
    #[error(
        "no relay answers at {target}: {}; is one running there, with this --status-port?",
        said(reason)
    )]
    Unreachable { target: Target, reason: io::Error },
    #[error("cannot speak TLS to {target}: {reason}")]
    Handshake { target: Target, reason: String },
    #[error("{target} does not answer as a relay's status port does: {reason}")]
    Answer { target: Target, reason: String },
}

/// Port of a URL without one.
const PORT: u16 = default_port(Endpoint::Status);
/// Maximum time without a byte.
const PATIENCE: Duration = Duration::from_secs(5);
/// Maximum size of an answer, in bytes: 100,000 sessions.
const ANSWER_BYTES_MAX: u64 = 100 << 20;

impl Target {
    /// Reads `http://HOST[:PORT][/…]`; the scheme may be left out, or be that of
    /// `--status-port`. For TLS it is `tls` or `https`.
    pub fn parse(url: &str, credentials: &Credentials) -> Result<Self, Error> {
        let wrong = || Error::Url(url.to_owned());
        let (is_tls, rest) = match url.split_once("://") {
            Some(("http" | "tcp" | "tcp4" | "tcp6", rest)) => (false, rest),
            Some(("https" | "tls" | "tls4" | "tls6", rest)) => (true, rest),
            Some(_) => return Err(wrong()),
            None => (false, url),
        };
        let authority = rest.split('/').next().unwrap_or_default();
        // An IPv6 address is in brackets.
        let end = authority.find(']').map_or(0, |at| at + 1);
        let (has_port, host) = match authority[end..].split_once(':') {
            Some((_, port)) if port.parse::<u16>().is_err() => return Err(wrong()),
            Some((name, _)) => (true, &authority[..end + name.len()]),
            None => (false, authority),
        };
        let is_sound = |it: char| it.is_ascii_alphanumeric() || ".-_[]:".contains(it);
        if host.is_empty() || !host.chars().all(is_sound) {
            return Err(wrong());
        }
        let authority = if has_port {
            authority.to_owned()
        } else {
            format!("{authority}:{PORT}")
        };
        let tls = is_tls.then(|| {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let name = ServerName::try_from(host.to_owned()).map_err(|_| wrong())?;
            credentials.tls(&authority, name)
        });
        let tls = tls.transpose()?;
        Ok(Self { authority, tls })
    }

    /// The listener of a relay on this machine. Its certificate must have the name that the
    /// file `certificate` has.
    pub fn of(
        listener: &Listener,
        certificate: Option<&Path>,
        credentials: &Credentials,
    ) -> Result<Self, Error> {
        let address = reachable(listener.address);
        let authority = address.to_string();
        let tls = listener.is_tls.then(|| {
            let names = certificate.map_or(Ok(Vec::new()), credentials::names)?;
            let mut names = names
                .into_iter()
                .filter_map(|it| ServerName::try_from(it).ok());
            let name = names.next().unwrap_or(ServerName::from(address.ip()));
            credentials.tls(&authority, name)
        });
        let tls = tls.transpose()?;
        Ok(Self { authority, tls })
    }

    /// The body of an answer.
    pub fn get(&self, path: &str) -> Result<Vec<u8>, Error> {
        let answer = self.ask(path).map_err(|reason| self.no_answer(reason))?;
        let wrong = |reason: String| Error::Answer {
            target: self.clone(),
            reason,
        };
        let end = answer.windows(4).position(|it| it == b"\r\n\r\n");
        let end = end.ok_or_else(|| {
            wrong(if answer.is_empty() && self.tls.is_some() {
                "it closes the connection; is that the port for monitors?".to_owned()
            } else if answer.is_empty() {
                "it closes the connection; if it has TLS, ask by tls://".to_owned()
            } else {
                "that is no HTTP".to_owned()
            })
        })?;
        let line = answer.split(|byte| *byte == b'\r').next();
        let line = line.unwrap_or_default();
        let body = &answer[end + 4..];
        if !line.starts_with(b"HTTP/1.1 200 ") {
            let body = body.trim_ascii_end();
            return Err(wrong(format!("{}: {}", Shown(line), Shown(body))));
        }
        Ok(body.to_owned())
    }

    /// Why there is no answer. An error of TLS is one within that of input.
    fn no_answer(&self, reason: io::Error) -> Error {
        let target = self.clone();
        let is_cut = self.tls.is_some() && reason.kind() == io::ErrorKind::UnexpectedEof;
        let of_tls = reason.get_ref().and_then(|it| it.downcast_ref());
        let sentence = match of_tls.map(mistake::sentence) {
            None if is_cut => {
                Some("it closes the connection; its port may have no TLS (http://)".to_owned())
            }
            sentence => sentence,
        };
        match sentence {
            Some(reason) => Error::Handshake { target, reason },
            None => Error::Unreachable { target, reason },
        }
    }

    fn ask(&self, path: &str) -> io::Result<Vec<u8>> {
        let socket = self.connect()?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        match &self.tls {
            None => self.converse(socket, path),
            Some(Tls { config, name }) => {
                let session = ClientConnection::new(Arc::clone(config), name.clone());
                let session = session.map_err(io::Error::other)?;
                self.converse(StreamOwned::new(session, socket), path)
            }
        }
    }

    fn converse(&self, mut to: impl Read + Write, path: &str) -> io::Result<Vec<u8>> {
        let authority = &self.authority;
        let request = format!("GET {path} HTTP/1.0\r\nHost: {authority}\r\n\r\n");
        let sent = to.write_all(request.as_bytes()).and_then(|()| to.flush());
        let mut answer = Vec::new();
        // A relay that lets nobody in says why, and closes: that is told, not the failed write.
        to.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
        sent.map(|()| answer)
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let mut outcome = Err(io::Error::other("the name has no address"));
        for address in self.authority.to_socket_addrs()? {
            outcome = TcpStream::connect_timeout(&address, PATIENCE);
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }
}

impl Credentials {
    fn tls(&self, authority: &str, name: ServerName<'static>) -> Result<Tls, Error> {
        let ca = self.ca.as_deref();
        let ca = ca.ok_or_else(|| Error::NoCa(authority.to_owned()))?;
        let identity = self.identity.as_ref();
        let identity = identity.map(|(certificate, key)| (&**certificate, &**key));
        // When the certificate has expired, the relay says so.
        let (config, _) = client::config(ca, identity, Minimum::Tls13)?;
        Ok(Tls { config, name })
    }
}

/// Where a relay that listens at this address is reached from its own machine.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

impl Default for Target {
    fn default() -> Self {
        Self {
            authority: format!("localhost:{PORT}"),
            tls: None,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        write!(to, "{scheme}://{}", self.authority)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn urls_of_relays_are_read() {
        for (url, target) in [
            ("relay1", "http://relay1:5340"),
            ("http://localhost:1/status", "http://localhost:1"),
            ("tcp://127.0.0.1:7", "http://127.0.0.1:7"),
            ("http://[::1]", "http://[::1]:5340"),
            ("tcp6://[::1]:9", "http://[::1]:9"),
        ] {
            let parsed = Target::parse(url, &Credentials::default());
            assert_eq!(parsed.unwrap().to_string(), target, "{url}");
        }
        for url in [
            "",
            "https://a",
            "tls://[::1",
            "ftp://a",
            "a b",
            "a:b",
            "http://:1",
            "a\r\nX: y",
            "a:99999",
        ] {
            let parsed = Target::parse(url, &Credentials::default());
            assert!(parsed.is_err(), "{url:?}");
        }
    }

    #[test]
    fn a_server_that_is_no_relay_is_told_apart() {
        for (answer, expected) in [
            ("nonsense\x1b[31m", "that is no HTTP"),
            (
                "HTTP/1.1 404 Not Found\r\n\r\nwhat\x1b[31m\n",
                r"HTTP/1.1 404 Not Found: what\u{1b}[31m",
            ),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap().to_string();
            let target = Target::parse(&address, &Credentials::default()).unwrap();
            let server = std::thread::spawn(move || {
                let (mut peer, _) = listener.accept().unwrap();
                let _ = peer.read(&mut [0; 1000]).unwrap();
                peer.write_all(answer.as_bytes()).unwrap();
            });
            let error = target.get("/status").unwrap_err().to_string();
            server.join().unwrap();
            assert!(error.ends_with(expected), "{error}");
        }
    }
}
