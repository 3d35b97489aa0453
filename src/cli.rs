//! The command line of `baton`, parsed with clap. `config` validates it.

mod certificates;
mod monitor;
mod others;
mod replay;
mod tunnel;

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process;

use clap::builder::PossibleValuesParser;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::options::{Given, HELP, LTTNG_VERSION, OPTIONS, Spec, VERBOSE, VERSION};
use crate::os;
use crate::{pins, repair};

/// The subcommand, with its options.
#[derive(Debug)]
pub enum Action {
    Relay(Vec<Given>),
    Repair(repair::Plan),
    Keep(pins::Plan),
    Replay(Replay),
    Tunnel(Box<crate::tunnel::Plan>),
    Certificates(crate::certificates::Plan),
    Monitor(Monitor),
    /// Another program, and its arguments.
    Other(&'static Other, Vec<OsString>),
}

pub use self::monitor::{Asked, Monitor};
pub use self::others::Other;
pub use self::replay::Replay;

/// Parses the command line of this process; for help or a wrong option, prints it and exits.
/// An error if help cannot be printed.
pub fn parse() -> io::Result<Action> {
    Ok(action(&matches(command())?))
}

/// Parses the arguments of a command. Help is printed here, since clap ignores a failure to
/// print: that is an error here.
pub fn matches(command: Command) -> io::Result<ArgMatches> {
    match command.try_get_matches() {
        Ok(matches) => Ok(matches),
        Err(wrong) if wrong.use_stderr() => wrong.exit(),
        Err(help) => {
            let text = help.render();
            if io::stdout().is_terminal() {
                os::print(text.ansi())?;
            } else {
                os::print(text)?;
            }
            process::exit(0)
        }
    }
}

/// The command line of `baton`.
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
    Command::new("baton")
        .about("A relay daemon for LTTng traces: records them to disk and serves them live")
        .version(env!("CARGO_PKG_VERSION"))
        .after_long_help(SURROUNDINGS)
        .args_conflicts_with_subcommands(true)
        .args_override_self(true)
        .args(relay_arguments())
        .subcommand(relay.args(relay_arguments()))
        .subcommand(repair)
        .subcommand(keep())
        .subcommand(replay::command())
        .subcommand(tunnel::command())
        .subcommand(certificates::command())
        .subcommands(monitor::commands(relay_arguments))
        .subcommands(others::commands())
}

fn keep() -> Command {
    Command::new("keep")
        .about("Keep what is in a directory, whatever --max-size, --max-age and the like say")
        .arg(
            Arg::new("directories")
                .required(true)
                .num_args(1..)
                .value_name("DIRECTORY")
                .value_parser(value_parser!(PathBuf))
                .help("The directory of a session or of a chunk"),
        )
        .arg(
            Arg::new("release")
                .long("release")
                .action(ArgAction::SetTrue)
                .help("It need not be kept any more"),
        )
}

/// The command line of `lttng-relayd`, for its help and its man page.
pub fn lttng_relayd() -> Command {
    Command::new("lttng-relayd")
        .about("A relay daemon for LTTng traces: records them to disk and serves them live")
        .version(LTTNG_VERSION)
        .after_long_help(SURROUNDINGS)
        .args(relay_arguments())
}

fn relay_arguments() -> impl Iterator<Item = Arg> {
    // clap adds help and version by itself.
    let own = |spec: &&Spec| ![HELP, VERSION].contains(&spec.long);
    OPTIONS.iter().filter(own).map(argument)
}

fn argument(spec: &'static Spec) -> Arg {
    let mut argument = Arg::new(spec.long).long(spec.long).help(spec.help);
    if let Some(short) = spec.short {
        argument = argument.short(short);
    }
    let words = spec.words();
    if spec.is_list() {
        argument = argument.action(ArgAction::Append);
    }
    match spec.value {
        Some(name) if words.is_empty() => argument
            .value_name(name)
            .allow_hyphen_values(true)
            .value_parser(value_parser!(OsString)),
        Some(name) => argument
            .value_name(name)
            .value_parser(PossibleValuesParser::new(words)),
        None if spec.long == VERBOSE => argument.action(ArgAction::Count),
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
        Some(("keep", matches)) => Action::Keep(pins::Plan {
            directories: matches
                .get_many("directories")
                .unwrap_or_default()
                .cloned()
                .collect(),
            is_release: matches.get_flag("release"),
        }),
        Some(("replay", matches)) => Action::Replay(replay::plan(matches)),
        Some(("tunnel", matches)) => Action::Tunnel(Box::new(tunnel::plan(matches))),
        Some(("certificates", matches)) => Action::Certificates(certificates::plan(matches)),
        Some((name @ (monitor::STATUS | monitor::TOP | monitor::DOCTOR), matches)) => {
            Action::Monitor(monitor::plan(name, matches))
        }
        Some((name, matches)) => match others::named(name) {
            Some(other) => Action::Other(other, other.words(matches)),
            None => Action::Relay(given(matches)),
        },
        None => Action::Relay(given(matches)),
    }
}

fn given(matches: &ArgMatches) -> Vec<Given> {
    let mut given = Vec::new();
    for spec in OPTIONS {
        if !matches.try_contains_id(spec.long).unwrap_or(false)
            || matches.value_source(spec.long) != Some(ValueSource::CommandLine)
        {
            continue;
        }
        let name = spec.long;
        if spec.value.is_none() {
            let times = match name {
                VERBOSE => matches.get_count(name),
                _ => 1,
            };
            given.extend((0..times).map(|_| Given { name, value: None }));
            continue;
        }
        let values = matches.get_raw(name).into_iter().flatten();
        let values = values.map(|value| Given {
            name,
            value: Some(value.to_owned()),
        });
        given.extend(values);
    }
    given
}

/// Files, URLs and variables, for help texts and man pages.
const SURROUNDINGS: &str = "\
Options are also read from files, by their long names in the section [relayd]: \
/etc/lttng/lttng.conf, then $LTTNG_HOME/.lttng/lttng.conf, then that of --config. \
Later ones win, and the command line wins over all.

A URL is tcp://HOST[:PORT], or tcp6://[ADDRESS][:PORT]; tls:// and tls6:// are the same with TLS.

TCP keep-alive: a peer that is silent for a minute is probed, and disconnected after a \
minute without an answer. LTTNG_RELAYD_TCP_KEEP_ALIVE=0 turns that off; ..._IDLE_TIME, ..._PROBE_INTERVAL \
(seconds) and ..._MAX_PROBE_COUNT change it. LTTNG_NETWORK_SOCKET_TIMEOUT \
is the TCP user timeout, in milliseconds.

LTTNG_HOME is the home directory; LTTNG_RUNDIR where the health socket and the port \
files are; LTTNG_RELAYD_HEALTH the health socket; LTTNG_RELAYD_WORKING_DIRECTORY and \
LTTNG_RELAYD_DISALLOW_CLEAR stand for the options of these names; LTTNG_RELAYD_OUTPUT is the \
default of --output.";

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
            "baton -v -C u -v --serve=live --serve=all",
        ] {
            let matches = command().get_matches_from(words.split(' '));
            let Action::Relay(given) = action(&matches) else {
                panic!("{words}");
            };
            let value = |text: &str| Some(OsString::from(text));
            let expected = [
                ("control-port", value("u")),
                ("verbose", None),
                ("verbose", None),
                ("serve", value("all")),
            ]
            .map(|(name, value)| Given { name, value });
            assert_eq!(given, expected, "{words}");
        }
    }
}
