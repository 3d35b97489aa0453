//! Where to listen, as a URL: `PROTO://HOST[:PORT][/anything]`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

use baton_components::connection::Port;

use super::default_port;

/// A URL that was read. Its host is resolved later, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    host: String,
    family: Family,
    /// None if it has none. 0 asks the system to choose.
    port: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

/// What is wrong with a URL. The texts begin as those of the original, which scripts
/// may look for.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    #[error("URI parse unknown protocol {0}; expected tcp://HOST[:PORT]")]
    Protocol(String),
    #[error("No address or hostname detected.")]
    NoHost,
    #[error("Broken IPv6 address {0}")]
    BrokenV6(String),
    #[error("Unknown symbol after IPv6 address: {0}")]
    AfterV6(String),
    #[error("Invalid port number {0}")]
    Port(String),
    #[error("Trailing characters not recognized: {0}")]
    Trailing(String),
    #[error("URI parse bad hostname {host} for af {}", family.number())]
    Host { host: String, family: Family },
}

impl Url {
    pub fn parse(url: &str) -> Result<Self, UrlError> {
        Self::read(url, false).map(|(url, _)| url)
    }

    /// Where a producer sends to: `net://HOST[:CONTROL_PORT[:DATA_PORT]]`, and `tcp://` in
    /// place of `net://`. Addresses for control and data.
    pub fn resolve_producer(url: &str) -> Result<(SocketAddr, SocketAddr), UrlError> {
        let (url, data_port) = Self::read(url, true)?;
        let control = url.resolve(default_port(Port::Control), false)?;
        let data_port = data_port.unwrap_or(default_port(Port::Data));
        Ok((control, SocketAddr::new(control.ip(), data_port)))
    }

    /// A URL, and its second port: two belong to a producer. A listener has the first.
    fn read(url: &str, of_producer: bool) -> Result<(Self, Option<u16>), UrlError> {
        let unknown = || UrlError::Protocol(url.to_owned());
        let (scheme, rest) = url.split_once("://").ok_or_else(unknown)?;
        let (family, has_two_ports) = match scheme.to_ascii_lowercase().as_str() {
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
            port,
        };
        Ok((url, second))
    }

    /// The first address of the host, with the port of the URL or else this one. With
    /// `dynamic` the system may choose the port, else 0 is none.
    pub fn resolve(&self, default_port: u16, dynamic: bool) -> Result<SocketAddr, UrlError> {
        let port = self.port.unwrap_or(default_port);
        if port == 0 && !dynamic {
            return Err(UrlError::Port("0".to_owned()));
        }
        (self.host.as_str(), port)
            .to_socket_addrs()
            .ok()
            .and_then(|mut addresses| {
                addresses.find(|it| it.is_ipv6() == (self.family == Family::V6))
            })
            // A small system may know no names at all.
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
    /// The number by which the system knows the family.
    fn number(self) -> u8 {
        match self {
            Self::V4 => 2,
            Self::V6 => 10,
        }
    }

    fn loopback(self) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::LOCALHOST.into(),
            Self::V6 => Ipv6Addr::LOCALHOST.into(),
        }
    }
}

/// The host, and what follows it. An IPv6 address stands in brackets.
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
            ("tcp://localhost:1", "127.0.0.1:1"),
            // Whatever the file of hosts says.
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
        assert_eq!(url.resolve(1, false), Err(UrlError::Port("0".into())));
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
            ("tcp://[::1]:7001", "URI parse bad hostname ::1 for af 2"),
            (
                "tcp6://127.0.0.1",
                "URI parse bad hostname 127.0.0.1 for af 10",
            ),
        ] {
            assert_eq!(resolved(url), Err(reason.to_owned()), "{url}");
        }
    }
}
