//! The command line of `baton certificates`.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::certificates::Plan;

pub fn command() -> Command {
    let names = |name, help| {
        Arg::new(name)
            .long(name)
            .value_name("NAME")
            .action(ArgAction::Append)
            .help(help)
    };
    Command::new("certificates")
        .about("Make a private CA and certificates of it, for a trial of TLS")
        .arg(
            Arg::new("directory")
                .required(true)
                .value_name("DIRECTORY")
                .value_parser(value_parser!(PathBuf))
                .help("Where to write them; a CA that is there is used again"),
        )
        .arg(names(
            "relay",
            "A name or address by which the relay is reached (relay.pem, relay.key)",
        ))
        .arg(names("client", "A client (NAME.pem, NAME.key)"))
        .arg(
            Arg::new("days")
                .long("days")
                .value_name("COUNT")
                .value_parser(value_parser!(u32).range(1..=3650))
                .default_value("365")
                .help("How long they are valid"),
        )
}

pub fn plan(matches: &ArgMatches) -> Plan {
    let names = |name| {
        let names = matches.get_many::<String>(name).unwrap_or_default();
        names.cloned().collect()
    };
    Plan {
        directory: matches
            .get_one::<PathBuf>("directory")
            .cloned()
            .unwrap_or_default(),
        relay: names("relay"),
        clients: names("client"),
        days: matches.get_one("days").copied().unwrap_or(365),
    }
}
