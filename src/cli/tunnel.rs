//! The command line of `baton tunnel`.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use baton_components::connection::Endpoint;
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgMatches, Command, value_parser};

use crate::os::tls::credentials::Minimum;
use crate::tunnel::Plan;
use crate::url::{Url, default_port};

const ROLES: [&str; 3] = ["producers", "viewers", "both"];
const VERSIONS: [&str; 2] = ["1.2", "1.3"];

pub fn command() -> Command {
    Command::new("tunnel")
        .about("Carry plain LTTng connections of this machine to a relay, with TLS")
        .arg(
            Arg::new("server")
                .long("server")
                .required(true)
                .value_name("URL")
                .value_parser(|url: &str| Url::parse_relay(url))
                .help("The relay: tls://HOST[:CONTROL[:DATA[:LIVE]]]"),
        )
        .arg(file("tls-ca", "CA of the relay's certificate").required(true))
        .arg(file("tls-certificate", "Certificate to show, in PEM form").requires("tls-key"))
        .arg(file("tls-key", "Its private key").requires("tls-certificate"))
        .arg(
            word("tls-minimum", "VERSION", &VERSIONS, "Lowest version of TLS").default_value("1.3"),
        )
        .arg(word("for", "WHOM", &ROLES, "Whose connections to carry").default_value("both"))
        .arg(
            Arg::new("listen")
                .long("listen")
                .value_name("ADDRESS")
                .value_parser(value_parser!(IpAddr))
                .help("Address to listen on [default: 127.0.0.1]"),
        )
        .arg(port(
            "control-port",
            "Port for producers' control [default: 5342]",
        ))
        .arg(port(
            "data-port",
            "Port for producers' data [default: 5343]",
        ))
        .arg(port("live-port", "Port for viewers [default: 5344]"))
}

fn file(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help(help)
}

fn word(
    name: &'static str,
    value: &'static str,
    words: &'static [&'static str],
    help: &'static str,
) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name(value)
        .value_parser(PossibleValuesParser::new(words))
        .help(help)
}

fn port(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name("PORT")
        .value_parser(value_parser!(u16))
        .help(help)
}

pub fn plan(matches: &ArgMatches) -> Plan {
    let relay = matches.get_one::<(String, [u16; 3])>("server").cloned();
    let (host, relay_ports) = relay.unwrap_or_default();
    let file = |name| matches.get_one::<PathBuf>(name).cloned();
    let word = |name| matches.get_one::<String>(name).map(String::as_str);
    let port = |name, endpoint, role| {
        let given = matches.get_one::<u16>(name).copied();
        let is_wanted = [Some("both"), Some(role)].contains(&word("for"));
        is_wanted.then(|| given.unwrap_or(default_port(endpoint)))
    };
    Plan {
        host,
        relay_ports,
        ca: file("tls-ca").unwrap_or_default(),
        identity: file("tls-certificate").zip(file("tls-key")),
        minimum: if word("tls-minimum") == Some("1.2") {
            Minimum::Tls12
        } else {
            Minimum::Tls13
        },
        listen: matches
            .get_one("listen")
            .copied()
            .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        ports: [
            port("control-port", Endpoint::Control, "producers"),
            port("data-port", Endpoint::Data, "producers"),
            port("live-port", Endpoint::Live, "viewers"),
        ],
    }
}
