//! What the command line and the environment mean.

use std::env;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use baton_components::connection::Port;

use baton_systems::settings::{Grouping, Served, Settings};

use crate::cli::{RelayOptions, Serve};

/// A relay, ready to be started.
#[derive(Debug)]
pub struct Config {
    /// One listener for each port, in the order of [`Port::ALL`].
    pub listeners: [(Port, SocketAddr); 3],
    /// Absolute.
    pub output: PathBuf,
    pub settings: Settings,
    pub verbosity: u8,
    pub audit: bool,
}

/// What is wrong with a command line or the environment.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("the {port} URL {url:?} is not valid: {reason}; expected tcp://HOST[:PORT]")]
    Url {
        port: &'static str,
        url: String,
        reason: String,
    },
    #[error("no home directory is known to write traces to; choose a directory with --output")]
    NoHome,
    #[error("the current directory is not known: {0}")]
    CurrentDirectory(std::io::Error),
}

impl Config {
    pub fn resolve(options: RelayOptions) -> Result<Self, ConfigError> {
        let listener = |port, url: Option<String>| {
            let url = url.unwrap_or_else(|| default_url(port).to_owned());
            match resolve_url(&url, default_port(port)) {
                Ok(address) => Ok((port, address)),
                Err(reason) => Err(ConfigError::Url {
                    port: port.name(),
                    url,
                    reason,
                }),
            }
        };
        let output = options.output.map_or_else(default_output, Ok)?;
        Ok(Self {
            listeners: [
                listener(Port::Control, options.control_port)?,
                listener(Port::Data, options.data_port)?,
                listener(Port::Live, options.live_port)?,
            ],
            output: std::path::absolute(output).map_err(ConfigError::CurrentDirectory)?,
            settings: Settings {
                grouping: if options.group_output_by_session {
                    Grouping::Session
                } else {
                    Grouping::Host
                },
                clear_allowed: !options.disallow_clear,
                serve: match options.serve {
                    Serve::Live => Served::Live,
                    Serve::All => Served::All,
                },
            },
            verbosity: options.verbose,
            audit: options.audit,
        })
    }
}

fn default_port(port: Port) -> u16 {
    match port {
        Port::Control => 5342,
        Port::Data => 5343,
        Port::Live => 5344,
    }
}

/// Producers may be anywhere; viewers read every trace, so only those on this
/// machine are let in unless told otherwise.
fn default_url(port: Port) -> &'static str {
    match port {
        Port::Control | Port::Data => "tcp://0.0.0.0",
        Port::Live => "tcp://localhost",
    }
}

/// `$LTTNG_HOME/lttng-traces`, else `$HOME/lttng-traces`.
fn default_output() -> Result<PathBuf, ConfigError> {
    let home = env::var_os("LTTNG_HOME").or_else(|| env::var_os("HOME"));
    let home = home
        .filter(|home| !home.is_empty())
        .ok_or(ConfigError::NoHome)?;
    Ok(Path::new(&home).join("lttng-traces"))
}

/// Reads `tcp://HOST[:PORT]` (or `tcp4://`, `tcp6://`); an IPv6 address stands in
/// brackets. A name is resolved now, to its first address of that family.
fn resolve_url(url: &str, default_port: u16) -> Result<SocketAddr, String> {
    let (scheme, rest) = url.split_once("://").ok_or("it has no protocol")?;
    let is_v6 = match scheme.to_ascii_lowercase().as_str() {
        "tcp" | "tcp4" => false,
        "tcp6" => true,
        other => return Err(format!("protocol {other:?} is unknown")),
    };
    let authority = rest
        .split_once('/')
        .map_or(rest, |(authority, _)| authority);
    let (host, port) = split_port(authority)?;
    if host.is_empty() {
        return Err("it has no host".to_owned());
    }
    let port = match port {
        None | Some("") => default_port,
        Some(text) => text
            .parse::<u16>()
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(|| format!("{text:?} is not a port from 1 to 65535"))?,
    };
    (host, port)
        .to_socket_addrs()
        .map_err(|error| format!("host {host:?} cannot be resolved: {error}"))?
        .find(|address| address.is_ipv6() == is_v6)
        .ok_or_else(|| {
            format!(
                "host {host:?} has no IPv{} address",
                if is_v6 { '6' } else { '4' }
            )
        })
}

/// `HOST:PORT` or `[ADDRESS]:PORT`, the port optional.
fn split_port(authority: &str) -> Result<(&str, Option<&str>), String> {
    if let Some(bracketed) = authority.strip_prefix('[') {
        let (host, rest) = bracketed.split_once(']').ok_or("a bracket is not closed")?;
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(format!("{rest:?} follows the address")),
        };
    }
    Ok(match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(url: &str) -> Result<String, String> {
        resolve_url(url, 5342).map(|address| address.to_string())
    }

    #[test]
    fn urls_have_a_default_port() {
        assert_eq!(resolved("tcp://127.0.0.1"), Ok("127.0.0.1:5342".into()));
        assert_eq!(
            resolved("TCP4://127.0.0.1:/path"),
            Ok("127.0.0.1:5342".into())
        );
        assert_eq!(
            resolved("tcp://127.0.0.1:7000"),
            Ok("127.0.0.1:7000".into())
        );
        assert_eq!(resolved("tcp6://[::1]:7001"), Ok("[::1]:7001".into()));
        assert_eq!(resolved("tcp6://[::]"), Ok("[::]:5342".into()));
        assert_eq!(resolved("tcp://localhost:1"), Ok("127.0.0.1:1".into()));
    }

    #[test]
    fn bad_urls_say_what_is_wrong() {
        for (url, reason) in [
            ("127.0.0.1", "it has no protocol"),
            ("file:///x", "protocol \"file\" is unknown"),
            ("tcp://", "it has no host"),
            ("tcp://:5342", "it has no host"),
            ("tcp://127.0.0.1:0", "\"0\" is not a port from 1 to 65535"),
            (
                "tcp://127.0.0.1:65536",
                "\"65536\" is not a port from 1 to 65535",
            ),
            ("tcp://127.0.0.1:x", "\"x\" is not a port from 1 to 65535"),
            ("tcp6://[::1", "a bracket is not closed"),
            ("tcp6://[::1]x", "\"x\" follows the address"),
            ("tcp://[::1]:7001", "host \"::1\" has no IPv4 address"),
        ] {
            assert_eq!(resolved(url), Err(reason.to_owned()), "{url}");
        }
    }
}
