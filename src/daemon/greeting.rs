//! Messages at start: warnings about other relays in the output directory, and the greeting
//! on a terminal.

use std::net::SocketAddr;

use baton_components::connection::Endpoint;

use super::listening::Listening;
use crate::config::Config;
use crate::options::Options;
use crate::os::log_queue::{Place, say_to_starter};
use crate::os::recording;

/// Logs warnings about other relays in the output directory, running or killed.
pub fn warn_of_others(config: &Config, has_company: bool) {
    let output = config.output.display();
    if has_company {
        tracing::warn!("another relay writes to {output} too: each has its own sessions there");
    }
    // The signs of a directory that cannot be read are unknown.
    let killed = recording::signs_of_killed(&config.output).unwrap_or_default();
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
    let at = |endpoint| listening.of(endpoint).map(|it| it.address);
    let (Some(control), Some(data), Some(live)) = (
        at(Endpoint::Control),
        at(Endpoint::Data),
        at(Endpoint::Live),
    ) else {
        return;
    };
    say_to_starter(format_args!(
        "baton: producers connect to {control} (control) and {data} (data), viewers to {live}"
    ));
    if let Some(status) = listening.of(Endpoint::Status) {
        let (scheme, address) = (if status.is_tls { "https" } else { "http" }, status.address);
        say_to_starter(format_args!(
            "baton: how it is: {scheme}://{address} in a browser, or: baton status"
        ));
    }
    let output = config.output.display();
    say_to_starter(format_args!("baton: traces are written to {output}"));
    let url = producer_url(control, data);
    say_to_starter(format_args!(
        "baton: try: lttng create demo --live --set-url={url}"
    ));
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
