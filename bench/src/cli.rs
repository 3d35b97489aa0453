//! The command line of `baton bench`.

use std::io;
use std::path::PathBuf;

use clap::builder::RangedU64ValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::churn::{self, Format};
use crate::wire;

/// The benchmark, with its options.
#[derive(Debug)]
pub enum Action {
    Wire(wire::Plan),
    Churn(churn::Plan),
}

/// Parses the command line of this process; for help or an error, prints it and exits.
pub fn parse() -> io::Result<Action> {
    Ok(action(&baton::cli::matches(command())?))
}

fn command() -> Command {
    // Users type it as a part of `baton`.
    Command::new("baton bench")
        .bin_name("baton bench")
        .about("Measure how fast relays are")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .subcommand(wire_command())
        .subcommand(churn_command())
}

fn action(matches: &ArgMatches) -> Action {
    match matches.subcommand() {
        Some(("churn", matches)) => Action::Churn(churn_plan(matches)),
        Some((_, matches)) => Action::Wire(wire_plan(matches)),
        None => unreachable!("law: clap asks for a benchmark"),
    }
}

fn wire_command() -> Command {
    let relay = Arg::new("relay")
        .long("relay")
        .value_name("PROGRAM")
        .action(ArgAction::Append)
        .help("A relay to load; given again, relays run in turn and are compared [default: the baton beside this program]");
    let only = Arg::new("only")
        .long("only")
        .value_name("TEXT")
        .default_value("")
        .hide_default_value(true)
        .help("Only workloads with this in their name");
    let scale = Arg::new("scale")
        .long("scale")
        .value_name("FACTOR")
        .value_parser(factor)
        .default_value("1")
        .help("How much is sent, as a multiple of what is usual");
    let output = Arg::new("output")
        .short('o')
        .long("output")
        .value_name("DIR")
        .value_parser(value_parser!(PathBuf))
        .default_value("/dev/shm")
        .help("Where the relays write");
    let rounds = rounds("5", "Runs of each workload on each relay");
    let format = Arg::new("format")
        .long("format")
        .value_name("FORMAT")
        .value_parser(wire::Format::NAMES)
        .default_value("text")
        .help("Lines, or tables in Markdown");
    Command::new("wire")
        .about("Load relays over the wire, each started anew for each run")
        .args([relay, only, rounds, scale, output, format])
}

fn wire_plan(matches: &ArgMatches) -> wire::Plan {
    let relays = matches.get_many::<String>("relay").unwrap_or_default();
    let text = |name: &str| matches.get_one::<String>(name).cloned().unwrap_or_default();
    wire::Plan {
        relays: relays.cloned().collect(),
        only: text("only"),
        rounds: matches.get_one("rounds").copied().unwrap_or(1),
        output: matches
            .get_one::<PathBuf>("output")
            .cloned()
            .unwrap_or_default(),
        scale: matches.get_one("scale").copied().unwrap_or(1.0),
        format: wire::Format::from_name(&text("format")).unwrap_or(wire::Format::Text),
    }
}

fn churn_command() -> Command {
    let live = Arg::new("live")
        .long("live")
        .value_name("COUNTS")
        .value_delimiter(',')
        .value_parser(count)
        .default_value("1e3,1e5,1e6")
        .help("Records alive at once, one population after another");
    let rounds = rounds("21", "How often a part of a population is replaced");
    let seed = Arg::new("seed")
        .long("seed")
        .value_name("NUMBER")
        .value_parser(value_parser!(u64))
        .default_value("1")
        .help("Where chance begins: the same seed gives the same work");
    let format = Arg::new("format")
        .long("format")
        .value_name("FORMAT")
        .value_parser(Format::NAMES)
        .default_value("table")
        .help("Tables in Markdown, an object for each population, or bars");
    let audit = Arg::new("audit")
        .long("audit")
        .action(ArgAction::SetTrue)
        .help("Recount every reference after each tick: slow, for small populations");
    Command::new("churn")
        .about("Let sessions, streams and viewers come and go in this process")
        .args([live, rounds, seed, format, audit])
}

fn churn_plan(matches: &ArgMatches) -> churn::Plan {
    let live = matches.get_many::<u64>("live").unwrap_or_default();
    let format = matches.get_one::<String>("format");
    churn::Plan {
        live: live.copied().collect(),
        rounds: matches.get_one("rounds").copied().unwrap_or(1),
        seed: matches.get_one("seed").copied().unwrap_or(1),
        format: format
            .and_then(|name| Format::from_name(name))
            .unwrap_or(Format::Table),
        audited: matches.get_flag("audit"),
    }
}

fn rounds(default: &'static str, help: &'static str) -> Arg {
    Arg::new("rounds")
        .long("rounds")
        .value_name("COUNT")
        .value_parser(RangedU64ValueParser::<usize>::new().range(1..))
        .default_value(default)
        .help(help)
}

/// A number of records, as people write large ones: `1e6`.
fn count(text: &str) -> Result<u64, String> {
    let count: f64 = text.parse().map_err(|_| "it is not a number".to_owned())?;
    if (1.0..=COUNT_MAX).contains(&count) {
        #[allow(clippy::cast_sign_loss)] // It is 1 at least.
        Ok(count as u64)
    } else {
        Err(format!("it is not between 1 and {COUNT_MAX:e}"))
    }
}

fn factor(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(factor) if factor > 0.0 && factor <= FACTOR_MAX => Ok(factor),
        _ => Err(format!("it is not a number between 0 and {FACTOR_MAX}")),
    }
}

/// Some terabytes.
const FACTOR_MAX: f64 = 10_000.0;

/// Maximum number of records, which fits into the memory of large machines.
const COUNT_MAX: f64 = 1e8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_are_written_with_an_exponent() {
        assert_eq!(count("1e6"), Ok(1_000_000));
        assert_eq!(count("2500"), Ok(2500));
        for text in ["", "many", "0", "-1", "1e9", "inf", "NaN"] {
            assert!(count(text).is_err(), "{text}");
        }
    }

    #[test]
    fn factors_are_numbers_above_zero() {
        assert_eq!(factor("0.01"), Ok(0.01));
        for text in ["", "0", "-1", "NaN", "inf", "1e9", "much"] {
            assert!(factor(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_plan_of_loads_is_what_was_typed() {
        let words = "baton-bench wire --relay a --relay b --only x --rounds 3 --format markdown";
        let matches = super::command().get_matches_from(words.split(' '));
        let Action::Wire(plan) = super::action(&matches) else {
            panic!("{words}");
        };
        assert_eq!(plan.relays, ["a", "b"]);
        assert_eq!((plan.only.as_str(), plan.rounds), ("x", 3));
        assert_eq!(plan.output, PathBuf::from("/dev/shm"));
        assert_eq!(plan.format, wire::Format::Markdown);
    }

    #[test]
    fn a_plan_is_what_was_typed() {
        let words = "baton-bench churn --live 1e3,2e4 --rounds 3 --seed 9 --format json --audit";
        let matches = super::command().get_matches_from(words.split(' '));
        let Action::Churn(plan) = super::action(&matches) else {
            panic!("{words}");
        };
        let expected = churn::Plan {
            live: vec![1000, 20_000],
            rounds: 3,
            seed: 9,
            format: Format::Json,
            audited: true,
        };
        assert_eq!(plan, expected);
    }
}
