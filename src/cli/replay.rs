//! The command line of `baton replay`: of a journal, which is a file, or of a trace, which
//! is a directory.

use std::path::PathBuf;

use baton_components::kinds::Id;
use clap::builder::PossibleValuesParser;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::replay::{Format, Plan};
use crate::resend::{self, Speed, Target};

/// A replay of a journal or of a trace, with its options.
#[derive(Debug)]
pub enum Replay {
    Journal(Plan),
    Trace(resend::Plan),
}

/// Options for journals only, and for traces only.
const OF_JOURNALS: [&str; 10] = [
    "traces", "verify", "audit", "from", "until", "print", "step", "show", "format", "watch",
];
const OF_TRACES: [&str; 4] = ["speed", "to", "live-port", "viewers"];

const JOURNALS: &str = "Journals";
const TRACES: &str = "Traces";

pub fn command() -> Command {
    let path = Arg::new("path")
        .required(true)
        .value_name("PATH")
        .value_parser(value_parser!(PathBuf))
        .help("A journal (see relay --journal); or the directory of a session, of one chunk or archive, or of one trace");
    let output = Arg::new("output")
        .short('o')
        .long("output")
        .value_name("DIR")
        .value_parser(value_parser!(PathBuf))
        .help("Write the traces to this empty directory [default: memory for a journal, a temporary directory for a trace]");
    Command::new("replay")
        .about("Replay a recorded journal, or send a recorded trace again as a live session")
        .after_long_help(AFTER)
        .args([path, output])
        .next_help_heading(JOURNALS)
        .args(of_journals())
        .next_help_heading(TRACES)
        .args(of_traces())
}

fn of_journals() -> [Arg; 10] {
    let switch = |name: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue);
    let value = |name: &'static str, word: &'static str| Arg::new(name).long(name).value_name(word);
    let tick = |name| {
        let tick = value(name, "TICK").value_parser(value_parser!(u64));
        tick.allow_negative_numbers(true)
    };
    [
        value("traces", "DIR").value_parser(value_parser!(PathBuf)).help("Directory of the trace files that a journal with --journal-payload=reference refers to [default: where the relay wrote them]"),
        switch("verify").help("Compare also the bytes of replies and files with the journal, by digests"),
        switch("audit").help("Check all reference counts after each tick, and stop at the first mismatch"),
        tick("from").default_value("1").help("Print from this tick on"),
        tick("until").help("End after this tick"),
        switch("print").help("Print what came in (->) and went out (<-) in each tick"),
        switch("step").help("Print likewise, and wait for Enter before each tick; q ends"),
        switch("show").help("Print all entities at the end, with their holders"),
        value("format", "FORMAT")
            .value_parser(PossibleValuesParser::new(["text", "json"]))
            .default_value("text")
            .requires("show")
            .help("Format of --show"),
        value("watch", "KIND:KEY")
            .value_parser(value_parser!(Id))
            .help("Print the life of one entity, such as stream:3v1: made, held, released, freed"),
    ]
}

fn of_traces() -> [Arg; 4] {
    [
        Arg::new("speed")
            .long("speed")
            .value_name("FACTOR")
            .value_parser(value_parser!(Speed))
            .allow_negative_numbers(true)
            .default_value("1")
            .help("Speed relative to the recording, such as 10 or 0.5; max: without gaps"),
        Arg::new("to")
            .long("to")
            .value_name("URL")
            .conflicts_with_all(["live-port", "viewers", "output"])
            .help("Send it to this relay instead: net://HOST[:CONTROL_PORT[:DATA_PORT]]"),
        Arg::new("live-port")
            .short('L')
            .long("live-port")
            .value_name("URL")
            .default_value("tcp://127.0.0.1:5344")
            .help("Where viewers connect; port 0: the system chooses"),
        Arg::new("viewers")
            .long("viewers")
            .value_name("COUNT")
            .value_parser(value_parser!(usize))
            .allow_negative_numbers(true)
            .default_value("1")
            .help("Number of viewers to wait for before the trace is sent"),
    ]
}

/// Reads the options; exits with an error if they do not fit the path.
pub fn plan(matches: &ArgMatches) -> Replay {
    let path = matches.get_one::<PathBuf>("path");
    let path = path.cloned().unwrap_or_default();
    let typed = |name: &&&str| matches.value_source(name) == Some(ValueSource::CommandLine);
    // If the path does not exist, the options decide.
    let is_trace = path.is_dir() || !path.exists() && OF_TRACES.iter().any(|it| typed(&it));
    let (odd, what) = if is_trace {
        (&OF_JOURNALS[..], "journals, and this is a directory")
    } else {
        (&OF_TRACES[..], "directories of traces, and this is none")
    };
    if let Some(name) = odd.iter().find(typed) {
        refuse(&format!("--{name} is for {what}: {}", path.display()));
    }
    let tick = |name| matches.get_one::<u64>(name).copied();
    if let (Some(from), Some(until)) = (tick("from"), tick("until"))
        && from > until
        && typed(&&"from")
    {
        refuse(&format!(
            "--from {from} is after --until {until}: nothing would be printed"
        ));
    }
    if is_trace {
        Replay::Trace(trace(path, matches))
    } else {
        Replay::Journal(journal(path, matches))
    }
}

/// Prints an error and the usage, and exits.
fn refuse(message: &str) {
    let mut command = command().bin_name("baton replay");
    command.error(ErrorKind::ArgumentConflict, message).exit();
}

fn journal(journal: PathBuf, matches: &ArgMatches) -> Plan {
    let path = |name| matches.get_one::<PathBuf>(name).cloned();
    let format = matches.get_one::<String>("format").map(String::as_str);
    let format = match format {
        Some("json") => Format::Json,
        _ => Format::Text,
    };
    Plan {
        journal,
        output: path("output"),
        traces: path("traces"),
        verify: matches.get_flag("verify"),
        audit: matches.get_flag("audit"),
        from: matches.get_one("from").copied().unwrap_or(0),
        until: matches.get_one("until").copied(),
        print: matches.get_flag("print"),
        step: matches.get_flag("step"),
        show: matches.get_flag("show").then_some(format),
        watch: matches.get_one("watch").copied(),
    }
}

fn trace(directory: PathBuf, matches: &ArgMatches) -> resend::Plan {
    let text = |name| matches.get_one::<String>(name).cloned();
    resend::Plan {
        directory,
        speed: matches
            .get_one("speed")
            .copied()
            .unwrap_or(Speed::Times(1.0)),
        target: match text("to") {
            Some(url) => Target::Relay(url),
            None => Target::Viewers {
                live_url: text("live-port").unwrap_or_default(),
                count: matches.get_one("viewers").copied().unwrap_or(1),
                output: matches.get_one::<PathBuf>("output").cloned(),
            },
        },
    }
}

const AFTER: &str = "\
A journal: the relay's code runs again, with its input read from the journal. Its output is \
compared with the journal, so a replay that reaches the end did what the relay did. A tick \
is a turn of the event loop; ticks count from 1. Keys are those that --show prints. The exit \
status is 0 at the end of the journal, even if it is truncated; 1 if the journal is damaged, the \
output differs, or an audit finds a mismatch.

A trace: the replay starts when the viewers are attached; a viewer that attaches later sees \
only what comes later, as in any live session. The session ends when everything was sent. \
The program ends when the last viewer has read everything and left, or by SIGINT. All \
chunks of a session are sent in order of time, as one session without rotations. Each \
packet is sent at the time of its last event.";
