//! URLs of listeners and relays: `PROTO://HOST[:PORT][/anything]`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

use baton_components::connection::Endpoint;

/// A parsed URL. Its host is resolved later, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    host: String,
    family: Family,
    /// Connections begin with a TLS handshake.
    is_tls: bool,
    /// None if it has none. 0 asks the system to choose.
    port: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

/// The default ports.
pub const fn default_port(endpoint: Endpoint) -> u16 {
    match endpoint {
        Endpoint::Control => 5342,
        Endpoint::Data => 5343,
        Endpoint::Live => 5344,
        // 5345 is where a session daemon waits for its agents.
        Endpoint::Status => 5340,
    }
}

/// The default addresses: producers may be anywhere; viewers can read every trace, so only
/// those on this machine may connect.
pub fn default_url(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Control | Endpoint::Data => "tcp://0.0.0.0",
        Endpoint::Live | Endpoint::Status => "tcp://localhost",
    }
}

/// An error in a URL. The texts begin as those of the original, which scripts may match.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    #[error("URI parse unknown protocol {0}; expected tcp://HOST[:PORT]")]
    Protocol(String),
    #[error("\"{0}\" is not tls://HOST[:CONTROL[:DATA[:LIVE]]]")]
    NoTls(String),
    #[error("No address or hostname detected.")]
    NoHost,
    #[error("Broken IPv6 address {0}")]
    BrokenV6(String),
    #[error("Unknown symbol after IPv6 address: {0}")]
    AfterV6(String),
    #[error("Invalid port number {0}")]
    Port(String),
    #[error("Invalid port number 0; --dynamic-port-allocation lets the system choose one")]
    ChosenPort,
    #[error("Trailing characters not recognized: {0}")]
    Trailing(String),
    #[error(
        "URI parse bad hostname {host} for af {}: {}",
        family.number(),
        family.advice(host)
    )]
    Host { host: String, family: Family },
}

impl Url {
    /// The name or address in it.
    pub fn host(&self) -> &str {
        &self.host
    }
}

impl fmt::Display for Url {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "tls" } else { "tcp" };
        match self.family {
            Family::V4 => write!(to, "{scheme}://{}", self.host)?,
            Family::V6 => write!(to, "{scheme}6://[{}]", self.host)?,
        }
        self.port.map_or(Ok(()), |port| write!(to, ":{port}"))
    }
}

impl Url {
    pub fn parse(url: &str) -> Result<Self, UrlError> {
        Self::read(url, false).map(|(url, _)| url)
    }

    /// Resolves the URL of a relay for producers, `net://HOST[:CONTROL_PORT[:DATA_PORT]]`
    /// or `tcp://…`, to the addresses for control and data.
    pub fn resolve_producer(url: &str) -> Result<(SocketAddr, SocketAddr), UrlError> {
        let (url, data_port) = Self::read(url, true)?;
        let control = url.resolve(default_port(Endpoint::Control), true)?;
        let data_port = data_port.unwrap_or(default_port(Endpoint::Data));
        if control.port() == 0 || data_port == 0 {
            return Err(UrlError::Port("0".to_owned()));
        }
        Ok((control, SocketAddr::new(control.ip(), data_port)))
    }

    /// Parses the URL of a relay with TLS, `tls://HOST[:CONTROL[:DATA[:LIVE]]]`: its host, and
    /// its ports in the order of [`Endpoint::ALL`].
    pub fn parse_relay(url: &str) -> Result<(String, [u16; 3]), UrlError> {
        let rest = url.strip_prefix("tls://");
        let rest = rest.ok_or_else(|| UrlError::NoTls(url.to_owned()))?;
        let (host, after) = split_host(rest.split('/').next().unwrap_or_default())?;
        if host.is_empty() {
            return Err(UrlError::NoHost);
        }
        let mut numbers = after.split(':').skip(1);
        let mut ports = [Endpoint::Control, Endpoint::Data, Endpoint::Live].map(default_port);
        for port in &mut ports {
            let given = numbers.next().map_or(Ok(None), parse_port)?;
            *port = given.unwrap_or(*port);
        }
        match numbers.next() {
            Some(rest) => Err(UrlError::Trailing(format!(":{rest}"))),
            None => Ok((host.to_owned(), ports)),
        }
    }

    /// Parses a URL, and its second port, which URLs for producers have.
    fn read(url: &str, of_producer: bool) -> Result<(Self, Option<u16>), UrlError> {
        let unknown = || UrlError::Protocol(url.to_owned());
        let (scheme, rest) = url.split_once("://").ok_or_else(unknown)?;
        let (family, has_two_ports) = match scheme.to_ascii_lowercase().as_str() {
            "tls" | "tls4" if !of_producer => (Family::V4, false),
            "tls6" if !of_producer => (Family::V6, false),
            "tcp" | "tcp4" => (Family::V4, of_producer),
            "tcp6" => (Family::V6, of_producer),
            "net" | "net4" => (Family::V4, true),
            "net6" => (Family::V6, true),
            _ => return Err(unknown()),
        };
        let authority = rest.split('/').next().unwrap_or_default();
        let (host, after) = split_host(authority)?;
        if host.is_empty() {
            return Err(UrlError::NoHost);
        }
        let mut numbers = after.split(':').skip(1);
        let port = numbers.next().map_or(Ok(None), parse_port)?;
        let second = if has_two_ports {
            numbers.next().map_or(Ok(None), parse_port)?
        } else {
            None
        };
        if let Some(rest) = numbers.next() {
            return Err(UrlError::Trailing(format!(":{rest}")));
        }
        let url = Self {
            host: host.to_owned(),
            family,
            is_tls: scheme.to_ascii_lowercase().starts_with("tls"),
            port,
        };
        Ok((url, second))
    }

    /// Whether its connections begin with a TLS handshake.
    pub fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// The first address of the host, with the port of the URL or else this one. With
    /// `dynamic` port 0 lets the system choose, else it is refused.
    pub fn resolve(&self, default_port: u16, dynamic: bool) -> Result<SocketAddr, UrlError> {
        let port = self.port.unwrap_or(default_port);
        if port == 0 && !dynamic {
            return Err(UrlError::ChosenPort);
        }
        (self.host.as_str(), port)
            .to_socket_addrs()
            .ok()
            .and_then(|mut addresses| {
                addresses.find(|it| it.is_ipv6() == (self.family == Family::V6))
            })
            // A minimal system may have no resolver.
            .or_else(|| {
                let loopback = self.family.loopback();
                (self.host == "localhost").then(|| (loopback, port).into())
            })
            .ok_or_else(|| UrlError::Host {
                host: self.host.clone(),
                family: self.family,
            })
    }
}

impl Family {
    /// The number of the address family.
    fn number(self) -> u8 {
        match self {
            Self::V4 => 2,
            Self::V6 => 10,
        }
    }

    /// Why a host has no address of this family, and what to write.
    fn advice(self, host: &str) -> String {
        match (self, host.parse()) {
            (Self::V4, Ok(IpAddr::V6(_))) => {
                format!("it is an IPv6 address; write tcp6://[{host}]")
            }
            (Self::V6, Ok(IpAddr::V4(_))) => {
                format!("it is an IPv4 address; write tcp://{host}")
            }
            (Self::V4, _) => "the name has no IPv4 address; check it, or write an address, as \
                              in tcp://192.0.2.1"
                .to_owned(),
            (Self::V6, _) => "the name has no IPv6 address; check it, or write an address, as \
                              in tcp6://[2001:db8::1]"
                .to_owned(),
        }
    }

    fn loopback(self) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::LOCALHOST.into(),
            Self::V6 => Ipv6Addr::LOCALHOST.into(),
        }
    }
}

/// Splits off the host. An IPv6 address is in brackets.
fn split_host(authority: &str) -> Result<(&str, &str), UrlError> {
    if let Some(bracketed) = authority.strip_prefix('[') {
        let (host, after) = bracketed
            .split_once(']')
            .ok_or_else(|| UrlError::BrokenV6(bracketed.to_owned()))?;
        return if after.is_empty() || after.starts_with(':') {
            Ok((host, after))
        } else {
            Err(UrlError::AfterV6(after.to_owned()))
        };
    }
    Ok(authority.split_at(authority.find(':').unwrap_or(authority.len())))
}

fn parse_port(text: &str) -> Result<Option<u16>, UrlError> {
    if text.is_empty() {
        return Ok(None);
    }
    let port = text.parse().map_err(|_| UrlError::Port(text.to_owned()))?;
    Ok(Some(port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn producers_have_two_ports() {
        for (url, addresses) in [
            ("net://127.0.0.1", "127.0.0.1:5342 127.0.0.1:5343"),
            ("tcp://127.0.0.1:1", "127.0.0.1:1 127.0.0.1:5343"),
            ("tcp://127.0.0.1:1:2", "127.0.0.1:1 127.0.0.1:2"),
            ("net6://[::1]:1:2/x", "[::1]:1 [::1]:2"),
        ] {
            let (control, data) = Url::resolve_producer(url).unwrap();
            assert_eq!(format!("{control} {data}"), addresses, "{url}");
        }
        assert!(Url::resolve_producer("tcp://127.0.0.1:1:2:3").is_err());
        assert!(Url::resolve_producer("tls://127.0.0.1").is_err());
        for url in ["tcp://127.0.0.1:0", "tcp://127.0.0.1:1:0"] {
            let error = Url::resolve_producer(url).unwrap_err();
            assert_eq!(error, UrlError::Port("0".into()), "{url}");
        }
    }

    #[test]
    fn a_relay_with_tls_has_three_ports() {
        for (url, host, ports) in [
            ("tls://relay.example", "relay.example", [5342, 5343, 5344]),
            ("tls://relay:1", "relay", [1, 5343, 5344]),
            ("tls://[::1]:1:2:3/x", "::1", [1, 2, 3]),
            ("tls://relay:::3", "relay", [5342, 5343, 3]),
        ] {
            let parsed = Url::parse_relay(url);
            assert_eq!(parsed, Ok((host.to_owned(), ports)), "{url}");
        }
        for url in [
            "relay",
            "tcp://relay",
            "tls://",
            "tls://a:1:2:3:4",
            "tls://a:x",
        ] {
            assert!(Url::parse_relay(url).is_err(), "{url}");
        }
    }

    fn resolved(url: &str) -> Result<String, String> {
        Url::parse(url)
            .and_then(|url| url.resolve(5342, false))
            .map(|address| address.to_string())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn urls_have_a_default_port() {
        for (url, address) in [
            ("tcp://127.0.0.1", "127.0.0.1:5342"),
            ("TCP4://127.0.0.1:/path", "127.0.0.1:5342"),
            ("tcp://127.0.0.1:7000", "127.0.0.1:7000"),
            ("tcp6://[::1]:7001", "[::1]:7001"),
            ("tcp6://[::]", "[::]:5342"),
            ("tls://127.0.0.1", "127.0.0.1:5342"),
            ("TLS6://[::1]:7001", "[::1]:7001"),
            ("tcp://localhost:1", "127.0.0.1:1"),
            // Independent of /etc/hosts.
            ("tcp6://localhost:1", "[::1]:1"),
            ("net://127.0.0.1:1:2/a:b", "127.0.0.1:1"),
            ("net6://[::1]::", "[::1]:5342"),
        ] {
            assert_eq!(resolved(url), Ok(address.to_owned()), "{url}");
        }
    }

    #[test]
    fn the_system_chooses_a_port_only_when_told_to() {
        let url = Url::parse("tcp://127.0.0.1:0").unwrap();
        assert_eq!(url.resolve(1, true).unwrap().port(), 0);
        assert_eq!(url.resolve(1, false), Err(UrlError::ChosenPort));
    }

    #[test]
    fn bad_urls_say_what_is_wrong() {
        for (url, reason) in [
            (
                "127.0.0.1",
                "URI parse unknown protocol 127.0.0.1; expected tcp://HOST[:PORT]",
            ),
            (
                "file:///x",
                "URI parse unknown protocol file:///x; expected tcp://HOST[:PORT]",
            ),
            ("tcp://", "No address or hostname detected."),
            ("tcp6://::1", "No address or hostname detected."),
            ("tcp://127.0.0.1:65536", "Invalid port number 65536"),
            ("tcp://127.0.0.1:-1", "Invalid port number -1"),
            ("tcp://127.0.0.1:x", "Invalid port number x"),
            (
                "tcp://127.0.0.1:1:2",
                "Trailing characters not recognized: :2",
            ),
            ("tcp6://[::1", "Broken IPv6 address ::1"),
            ("tcp6://[::1]x", "Unknown symbol after IPv6 address: x"),
            (
                "tcp://[::1]:7001",
                "URI parse bad hostname ::1 for af 2: it is an IPv6 address; write tcp6://[::1]",
            ),
            (
                "tcp6://127.0.0.1",
                "URI parse bad hostname 127.0.0.1 for af 10: it is an IPv4 address; write tcp://127.0.0.1",
            ),
        ] {
            assert_eq!(resolved(url), Err(reason.to_owned()), "{url}");
        }
    }
}
