//! The command line of `baton`, as it was typed. What it means is in `config`.

mod replay;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::options::{Given, Id, OPTIONS, Spec};
use crate::repair;

/// What is to be done.
#[derive(Debug)]
pub enum Action {
    Relay(Vec<Given>),
    Repair(repair::Plan),
    Replay(Replay),
    /// The words after `bench`, for the program that measures.
    Bench(Vec<OsString>),
}

pub use self::replay::Replay;

/// Reads the command line of this process; prints help or what is wrong and exits,
/// where that is all there is to do.
pub fn parse() -> Action {
    action(&command().get_matches())
}

/// All that `baton` understands.
pub fn command() -> Command {
    let relay = Command::new("relay")
        .about("Run the relay (also without this word)")
        .after_long_help(SURROUNDINGS)
        .args_override_self(true);
    let repair = Command::new("repair")
        .about("Make traces readable after a relay was killed or a machine lost power")
        .arg(
            Arg::new("directory")
                .required(true)
                .value_name("DIRECTORY")
                .value_parser(value_parser!(PathBuf))
                .help("A trace, or a directory with traces at any depth"),
        )
        .arg(
            Arg::new("dry-run")
                .long("dry-run")
                .action(ArgAction::SetTrue)
                .help("Print what would be done, and change nothing"),
        )
        .arg(
            Arg::new("discard")
                .long("discard")
                .action(ArgAction::SetTrue)
                .help("Do not keep what is cut off, and remove what earlier repairs kept"),
        );
    // A program of its own, which has its own help.
    let bench = Command::new("bench")
        .about("Run the benchmarks (baton-bench)")
        .disable_help_flag(true)
        .arg(
            Arg::new("words")
                .num_args(..)
                .trailing_var_arg(true)
                .allow_hyphen_values(true)
                .value_parser(value_parser!(OsString))
                .help("Arguments of baton-bench; see: baton bench --help"),
        );
    Command::new("baton")
        .about("A relay daemon for LTTng traces: records them to disk and serves them live")
        .version(env!("CARGO_PKG_VERSION"))
        .after_long_help(SURROUNDINGS)
        .args_conflicts_with_subcommands(true)
        .args_override_self(true)
        .args(relay_arguments())
        .subcommand(relay.args(relay_arguments()))
        .subcommand(repair)
        .subcommand(replay::command())
        .subcommand(bench)
}

/// What `lttng-relayd` understands, for its help and its man page.
pub fn lttng_relayd() -> Command {
    Command::new("lttng-relayd")
        .about("A relay daemon for LTTng traces: records them to disk and serves them live")
        .version(crate::lttng_relayd::VERSION)
        .after_long_help(SURROUNDINGS)
        .args(relay_arguments())
}

fn relay_arguments() -> impl Iterator<Item = Arg> {
    // clap adds help and version by itself.
    let own = |spec: &&Spec| !matches!(spec.id, Id::Help | Id::Version);
    OPTIONS.iter().filter(own).map(argument)
}

fn argument(spec: &'static Spec) -> Arg {
    let mut argument = Arg::new(spec.long).long(spec.long).help(spec.help);
    if let Some(short) = spec.short {
        argument = argument.short(short);
    }
    match spec.value {
        Some(name) if spec.values.is_empty() => argument
            .value_name(name)
            .value_parser(value_parser!(OsString)),
        Some(name) => argument
            .value_name(name)
            .value_parser(PossibleValuesParser::new(spec.values)),
        None if spec.id == Id::Verbose => argument.action(ArgAction::Count),
        None => argument.action(ArgAction::SetTrue),
    }
}

fn action(matches: &ArgMatches) -> Action {
    match matches.subcommand() {
        Some(("repair", matches)) => {
            let directory = matches.get_one::<PathBuf>("directory");
            Action::Repair(repair::Plan {
                directory: directory.cloned().unwrap_or_default(),
                dry_run: matches.get_flag("dry-run"),
                discard: matches.get_flag("discard"),
            })
        }
        Some(("replay", matches)) => Action::Replay(replay::plan(matches)),
        Some(("bench", matches)) => {
            let words = matches.get_many("words").unwrap_or_default();
            Action::Bench(words.cloned().collect())
        }
        Some((_, matches)) => Action::Relay(given(matches)),
        None => Action::Relay(given(matches)),
    }
}

fn given(matches: &ArgMatches) -> Vec<Given> {
    let mut given = Vec::new();
    for spec in &OPTIONS {
        if !matches.try_contains_id(spec.long).unwrap_or(false)
            || matches.value_source(spec.long) != Some(ValueSource::CommandLine)
        {
            continue;
        }
        let times = match spec.id {
            Id::Verbose => matches.get_count(spec.long),
            _ => 1,
        };
        for _ in 0..times {
            let value = spec.value.and_then(|_| {
                let mut raw = matches.get_raw(spec.long)?;
                raw.next_back().map(OsString::from)
            });
            given.push(Given { id: spec.id, value });
        }
    }
    given
}

/// Files, URLs and variables, for help texts and man pages.
const SURROUNDINGS: &str = "\
Options are also read from files, by their long names in the section [relayd]: \
/etc/lttng/lttng.conf, then $LTTNG_HOME/.lttng/lttng.conf, then that of --config. \
Later ones win, and the command line wins over all.

A URL is tcp://HOST[:PORT], or tcp6://[ADDRESS][:PORT].

TCP keep-alive: a peer that is silent for a minute is probed, and disconnected after a \
minute without an answer. LTTNG_RELAYD_TCP_KEEP_ALIVE=0 turns that off; ..._IDLE_TIME, ..._PROBE_INTERVAL \
(seconds) and ..._MAX_PROBE_COUNT change it. LTTNG_NETWORK_SOCKET_TIMEOUT \
is the TCP user timeout, in milliseconds.

LTTNG_HOME is the home directory; LTTNG_RUNDIR where the health socket and the port \
files are; LTTNG_RELAYD_HEALTH the health socket; LTTNG_RELAYD_WORKING_DIRECTORY and \
LTTNG_RELAYD_DISALLOW_CLEAR stand for the options of these names.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        command().debug_assert();
        lttng_relayd().debug_assert();
    }

    #[test]
    fn options_are_taken_with_and_without_the_word_relay() {
        for words in [
            "baton relay -vv -C u --serve all",
            "baton -v -C a -v --serve=all -C u",
        ] {
            let matches = command().get_matches_from(words.split(' '));
            let Action::Relay(given) = action(&matches) else {
                panic!("{words}");
            };
            let value = |text: &str| Some(OsString::from(text));
            let expected = [
                (Id::ControlPort, value("u")),
                (Id::Verbose, None),
                (Id::Verbose, None),
                (Id::Serve, value("all")),
            ]
            .map(|(id, value)| Given { id, value });
            assert_eq!(given, expected, "{words}");
        }
    }
}
