//! `baton replay`, as it was typed.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, value_parser};

use crate::resend::{Plan, Speed, Target};

pub fn command() -> Command {
    let path = Arg::new("path")
        .required(true)
        .value_name("TRACE")
        .value_parser(value_parser!(PathBuf))
        .help("The directory of a session, of a chunk or archive of it, or of one trace");
    let speed = Arg::new("speed")
        .long("speed")
        .value_name("FACTOR")
        .value_parser(value_parser!(Speed))
        .default_value("1")
        .help("How much faster than it was recorded, as 10 or 0.5; max: without gaps");
    let to = Arg::new("to")
        .long("to")
        .value_name("URL")
        .conflicts_with_all(["live-port", "viewers", "output"])
        .help("Send it to this relay instead: net://HOST[:CONTROL_PORT[:DATA_PORT]]");
    let live = Arg::new("live-port")
        .short('L')
        .long("live-port")
        .value_name("URL")
        .default_value("tcp://127.0.0.1:5344")
        .help("Where viewers connect; port 0: the system chooses");
    let viewers = Arg::new("viewers")
        .long("viewers")
        .value_name("COUNT")
        .value_parser(value_parser!(usize))
        .default_value("1")
        .help("Begin when so many viewers are attached");
    let output = Arg::new("output")
        .short('o')
        .long("output")
        .value_name("DIR")
        .value_parser(value_parser!(PathBuf))
        .help("Keep what is served there [default: a temporary directory, removed at the end]");
    Command::new("replay")
        .about("Send a recorded session again, as if it were being recorded now")
        .after_long_help(ABOUT)
        .args([path, speed, to, live, viewers, output])
}

pub fn plan(matches: &ArgMatches) -> Plan {
    let path = |name| matches.get_one::<PathBuf>(name).cloned();
    let text = |name| matches.get_one::<String>(name).cloned();
    Plan {
        directory: path("path").unwrap_or_default(),
        speed: matches
            .get_one("speed")
            .copied()
            .unwrap_or(Speed::Times(1.0)),
        target: match text("to") {
            Some(url) => Target::Relay(url),
            None => Target::Viewers {
                live_url: text("live-port").unwrap_or_default(),
                count: matches.get_one("viewers").copied().unwrap_or(1),
                output: path("output"),
            },
        },
    }
}

const ABOUT: &str = "\
Viewers attach first: a viewer that comes later sees what comes later, as with any live \
session. When everything was sent the session ends; the program ends when the last viewer \
has read it all and gone, or by SIGINT.

All chunks of a session are played in the order of time, as one session without rotations. \
Packets leave when they ended, so the gaps are those between the ends of packets.";
