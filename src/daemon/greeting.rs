//! Messages at start: warnings about other relays in the output directory, and the greeting
//! on a terminal.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use baton_components::connection::Endpoint;
use baton_components::shown::Size;

use super::listening::Listening;
use crate::config::{Config, Listener};
use crate::options::Options;
use crate::options::output::Output;
use crate::os::log_queue::{Place, say_to_starter};
use crate::os::recording;
use crate::url::default_port;

/// Logs warnings about other relays in the output directory, running or killed.
pub fn warn_of_others(directory: &Path, has_company: bool) {
    let output = directory.display();
    if has_company {
        tracing::warn!("another relay writes to {output} too: each has its own sessions there");
    }
    // The signs of a directory that cannot be read are unknown.
    let killed = recording::signs_of_killed(directory).unwrap_or_default();
    if !killed.is_empty() {
        tracing::warn!(
            "an earlier relay was killed here and may have left torn packets: baton repair {output}"
        );
        tracing::warn!(
            "the producers of its sessions do not connect again, and what they record is lost: \
             lttng destroy, then lttng create"
        );
    }
}

/// Prints the greeting: addresses, output directory, and a command to try.
pub fn greet(config: &Config, listening: &Listening) {
    let (Some(control), Some(data), Some(live)) = (
        listening.of(Endpoint::Control),
        listening.of(Endpoint::Data),
        listening.of(Endpoint::Live),
    ) else {
        return;
    };
    let [of_control, of_data, of_live] = [control, data, live].map(|it| it.address);
    say_to_starter(format_args!(
        "baton: producers connect to {of_control} (control) and {of_data} (data), viewers to {of_live}"
    ));
    if let Some(status) = listening.of(Endpoint::Status) {
        say_to_starter(format_args!("baton: how it is: {}", how_to_ask(status)));
    }
    match &config.output {
        Output::Directory(path) => {
            let path = path.display();
            say_to_starter(format_args!("baton: traces are written to {path}"));
        }
        Output::Memory(bytes) => {
            let size = Size(*bytes);
            say_to_starter(format_args!(
                "baton: traces are kept in memory, the newest {size}, and are gone with the relay"
            ));
        }
    }
    let has_ca = config.options.tls_client_ca.is_some();
    let to_try = to_try([control, data, live], has_ca);
    say_to_starter(format_args!("baton: try: {to_try}"));
}

/// How people on this machine ask.
fn how_to_ask(status: &Listener) -> String {
    let address = status.address;
    let default = (Ipv4Addr::LOCALHOST, default_port(Endpoint::Status)).into();
    if status.is_tls {
        format!("https://{address} in a browser, or: baton status tls://{address} --tls-ca FILE")
    } else if address == default {
        format!("http://{address} in a browser, or: baton status")
    } else {
        format!("http://{address} in a browser, or: baton status http://{address}")
    }
}

/// A command that records a session here; with TLS, one that brings it here.
fn to_try([control, data, live]: [&Listener; 3], has_ca: bool) -> String {
    if !control.is_tls && !data.is_tls {
        let url = producer_url(control.address, data.address);
        return format!("lttng create demo --live --set-url={url}");
    }
    let ports = [control, data, live].map(|it| it.address.port());
    let ports = match ports {
        [5342, 5343, 5344] => String::new(),
        [control, data, live] => format!(":{control}:{data}:{live}"),
    };
    let identity = if has_ca {
        " --tls-certificate FILE --tls-key FILE"
    } else {
        ""
    };
    format!("baton tunnel --server tls://HOST{ports} --tls-ca FILE{identity}, where lttng runs")
}

/// Logs that everybody may connect, if that is so: on addresses that other machines reach,
/// without a list of those that may.
pub fn warn_of_strangers(config: &Config, listening: &[(Endpoint, SocketAddr)]) {
    if let Some(warning) = open_to_strangers(&config.options, listening) {
        tracing::warn!("{warning}");
    }
}

fn open_to_strangers(options: &Options, listening: &[(Endpoint, SocketAddr)]) -> Option<String> {
    let is_open = |endpoints: &[Endpoint]| {
        let mut of = listening.iter().filter(|(it, _)| endpoints.contains(it));
        of.any(|(_, address)| !address.ip().is_loopback())
    };
    let roles = [
        (
            is_open(&[Endpoint::Control, Endpoint::Data]) && !options.allow_producers.is_given(),
            "send traces (--allow-producers)",
        ),
        (
            is_open(&[Endpoint::Live]) && !options.allow_viewers.is_given(),
            "read them (--allow-viewers)",
        ),
        (
            is_open(&[Endpoint::Status]) && !options.allow_status.is_given(),
            "ask about them (--allow-status)",
        ),
    ];
    let open: Vec<&str> = roles
        .into_iter()
        .filter_map(|(is_open, may)| is_open.then_some(may))
        .collect();
    (!open.is_empty()).then(|| {
        format!(
            "every machine that reaches this one may {}; name those that may, for example \
             192.0.2.0/24 (this machine always may), or all",
            open.join(" and ")
        )
    })
}

/// Where the log of a daemon is, whose console is closed.
pub fn where_log_is(place: &Place) -> String {
    match place {
        Place::File(file) => format!("the log goes on in {file}"),
        Place::Syslog(_) => "the log goes on in syslog; --log-file names a file".to_owned(),
        Place::StandardError => "there is no syslog, and a daemon has no console: from here on \
                                 nothing is logged; name a file with --log-file"
            .to_owned(),
    }
}

/// The URL that makes a producer on this machine send here.
fn producer_url(control: SocketAddr, data: SocketAddr) -> String {
    let host = match control {
        address if address.ip().is_unspecified() || address.ip().is_loopback() => {
            "localhost".to_owned()
        }
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => format!("[{}]", address.ip()),
    };
    let scheme = if control.is_ipv6() { "net6" } else { "net" };
    match (control.port(), data.port()) {
        (5342, 5343) => format!("{scheme}://{host}"),
        (control, data) => format!("{scheme}://{host}:{control}:{data}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addresses::Allowed;

    #[test]
    fn a_relay_that_is_open_to_all_says_what_to_type() {
        let warning = |live: &str, options: &Options| {
            let listening = [
                (Endpoint::Control, "0.0.0.0:5342".parse().unwrap()),
                (Endpoint::Data, "0.0.0.0:5343".parse().unwrap()),
                (Endpoint::Live, live.parse().unwrap()),
            ];
            open_to_strangers(options, &listening).unwrap_or_default()
        };
        let all = Options::default();
        let few = Options {
            allow_producers: Allowed::parse("192.0.2.0/24").unwrap(),
            ..Options::default()
        };
        let local = warning("127.0.0.1:5344", &all);
        assert!(local.contains("--allow-producers"), "{local}");
        assert!(!local.contains("--allow-viewers"), "{local}");
        let both = warning("[::]:5344", &all);
        assert!(both.contains("--allow-producers") && both.contains("--allow-viewers"));
        assert_eq!(warning("127.0.0.1:5344", &few), "");
        assert!(warning("192.0.2.1:5344", &few).contains("--allow-viewers"));
    }

    fn listener(address: &str, is_tls: bool) -> Listener {
        Listener {
            endpoint: Endpoint::Control,
            address: address.parse().unwrap(),
            is_tls,
        }
    }

    #[test]
    fn a_relay_with_tls_is_reached_by_a_tunnel() {
        let tried = |control, data, has_ca| {
            let (control, data) = (listener(control, true), listener(data, true));
            let live = listener("127.0.0.1:5344", false);
            to_try([&control, &data, &live], has_ca)
        };
        assert_eq!(
            tried("0.0.0.0:5342", "0.0.0.0:5343", true),
            "baton tunnel --server tls://HOST --tls-ca FILE --tls-certificate FILE --tls-key FILE, \
             where lttng runs"
        );
        let other = tried("0.0.0.0:1", "0.0.0.0:2", false);
        assert!(
            other.contains("tls://HOST:1:2:5344 --tls-ca FILE,"),
            "{other}"
        );
    }

    #[test]
    fn a_relay_that_is_not_found_by_default_is_named() {
        for (address, is_tls, ending) in [
            ("127.0.0.1:5340", false, "or: baton status"),
            ("127.0.0.1:7", false, "or: baton status http://127.0.0.1:7"),
            (
                "127.0.0.1:5340",
                true,
                "or: baton status tls://127.0.0.1:5340 --tls-ca FILE",
            ),
        ] {
            let told = how_to_ask(&listener(address, is_tls));
            assert!(told.ends_with(ending), "{told}");
        }
    }

    #[test]
    fn the_url_to_try_is_as_short_as_it_can_be() {
        let url = |control: &str, data: &str| {
            producer_url(control.parse().unwrap(), data.parse().unwrap())
        };
        assert_eq!(url("0.0.0.0:5342", "0.0.0.0:5343"), "net://localhost");
        assert_eq!(url("127.0.0.1:1", "127.0.0.1:2"), "net://localhost:1:2");
        assert_eq!(url("192.0.2.1:5342", "192.0.2.1:5343"), "net://192.0.2.1");
        assert_eq!(
            url("[2001:db8::1]:1", "[2001:db8::1]:2"),
            "net6://[2001:db8::1]:1:2"
        );
    }
}
