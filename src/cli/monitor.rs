//! The command lines of `baton status`, `top` and `doctor`.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::given;
use crate::monitor::{Credentials, Format};
use crate::options::Given;

/// A look at a relay.
#[derive(Debug)]
pub enum Monitor {
    Status {
        asked: Asked,
        format: Format,
    },
    Top {
        asked: Asked,
        is_once: bool,
    },
    /// With the options of the relay.
    Doctor {
        given: Vec<Given>,
        credentials: Credentials,
        format: Format,
    },
}

/// The relay that is asked.
#[derive(Debug)]
pub struct Asked {
    /// None: that of this machine's configuration.
    pub url: Option<String>,
    pub credentials: Credentials,
}

pub const STATUS: &str = "status";
pub const TOP: &str = "top";
pub const DOCTOR: &str = "doctor";

/// The options for a status port with TLS: CA, certificate and key.
const TLS: [&str; 3] = ["tls-ca", "tls-certificate", "tls-key"];
/// Those of the doctor, which has the relay's options too.
const ASK: [&str; 3] = ["ask-ca", "ask-certificate", "ask-key"];

pub fn commands<I: Iterator<Item = Arg>>(relay_arguments: fn() -> I) -> [Command; 3] {
    let url = Arg::new("url").value_name("URL").help(
        "Where a relay answers monitors (its --status-port), http:// or tls:// [default: that \
         of this machine's configuration, or http://localhost:5340]",
    );
    let once = Arg::new("once")
        .long("once")
        .action(ArgAction::SetTrue)
        .help("Print one screen, with the rates of one second, and end");
    [
        Command::new(STATUS)
            .about("Print how a relay is: sessions, viewers, losses, disk")
            .args([url.clone(), format()])
            .args(credentials(TLS)),
        Command::new(TOP)
            .about("Show the same on a terminal, again and again")
            .args([url, once])
            .args(credentials(TLS)),
        Command::new(DOCTOR)
            .about(
                "Look for what is wrong with a relay, and say what to do; exit 1 if something is",
            )
            .after_long_help("Give it the options with which the relay runs.")
            .args_override_self(true)
            .arg(format())
            .args(credentials(ASK))
            .args(relay_arguments()),
    ]
}

fn format() -> Arg {
    Arg::new("format")
        .long("format")
        .value_name("FORMAT")
        .value_parser(PossibleValuesParser::new(["text", "json"]))
        .default_value("text")
        .help("How it is printed")
}

fn credentials([ca, certificate, key]: [&'static str; 3]) -> [Arg; 3] {
    let file = |name| {
        Arg::new(name)
            .long(name)
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
    };
    [
        file(ca).help("CA of the relay's certificate, if the status port is tls://"),
        file(certificate)
            .requires(key)
            .help("Certificate to show there, in PEM form"),
        file(key).requires(certificate).help("Its private key"),
    ]
}

pub fn plan(command: &str, matches: &ArgMatches) -> Monitor {
    let format = || match matches.get_one::<String>("format").map(String::as_str) {
        Some("json") => Format::Json,
        _ => Format::Text,
    };
    let read = |[ca, certificate, key]: [&str; 3]| {
        let file = |name| matches.get_one::<PathBuf>(name).cloned();
        Credentials {
            ca: file(ca),
            identity: file(certificate).zip(file(key)),
        }
    };
    let asked = || Asked {
        url: matches.get_one("url").cloned(),
        credentials: read(TLS),
    };
    match command {
        STATUS => Monitor::Status {
            asked: asked(),
            format: format(),
        },
        TOP => Monitor::Top {
            asked: asked(),
            is_once: matches.get_flag("once"),
        },
        _ => Monitor::Doctor {
            given: given(matches),
            credentials: read(ASK),
            format: format(),
        },
    }
}
