//! The command lines of `baton archive`, `ls`, `fetch`, `prune` and `serve`.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, RangedU64ValueParser};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::archive::{self, Verify};
use crate::fetch;
use crate::list::{self, Filter, Format, Source};
use crate::prune;
use crate::serve;
use crate::store::{Patience, Place, Typed};

/// A verb, with its options.
#[derive(Debug)]
pub enum Action {
    Archive(archive::Plan),
    List(list::Plan),
    Fetch(fetch::Plan),
    Prune(prune::Plan),
    Serve(serve::Plan),
}

/// Parses the command line of this process; for help or a wrong option, prints it and exits.
pub fn parse() -> io::Result<Action> {
    let matches = baton::cli::matches(command())?;
    // The words that name a place are read here, where what they mean is known.
    action(&matches).map_err(io::Error::other)
}

/// The verbs, as users type them after `baton`.
pub fn command() -> Command {
    Command::new("baton")
        .bin_name("baton")
        .about("Finished traces in object storage, and back")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .subcommand(archive_command())
        .subcommand(list_command())
        .subcommand(fetch_command())
        .subcommand(prune_command())
        .subcommand(serve_command())
}

fn action(matches: &ArgMatches) -> Result<Action, String> {
    match matches.subcommand() {
        Some(("archive", matches)) => archive_plan(matches).map(Action::Archive),
        Some(("ls", matches)) => list_plan(matches).map(Action::List),
        Some(("prune", matches)) => prune_plan(matches).map(Action::Prune),
        Some(("serve", matches)) => serve_plan(matches).map(Action::Serve),
        Some((_, matches)) => fetch_plan(matches).map(Action::Fetch),
        None => unreachable!("law: clap asks for a verb"),
    }
}

fn archive_command() -> Command {
    let to = Arg::new("to")
        .long("to")
        .value_name("URL")
        .required_unless_present("hook")
        .help("Where to: s3://BUCKET[/PREFIX]");
    let directory = Arg::new("directory")
        .value_name("DIR")
        .required(true)
        .value_parser(value_parser!(PathBuf))
        .help("The output directory of a relay, or a session in it");
    let once = Arg::new("once")
        .long("once")
        .action(ArgAction::SetTrue)
        .help("Archive what is finished, and end [default: go on until it is killed]");
    let interval = Arg::new("interval")
        .long("interval")
        .value_name("TIME")
        .value_parser(duration)
        .default_value("10s")
        .help("Time between two looks for what is finished");
    let quiet = Arg::new("quiet-period")
        .long("quiet-period")
        .value_name("TIME")
        .value_parser(duration)
        .default_value("60s")
        .help("How long nothing in a chunk has changed when it counts as finished");
    let verify = Arg::new("verify")
        .long("verify")
        .value_name("HOW")
        .value_parser(PossibleValuesParser::new(["checksum", "read"]))
        .default_value("checksum")
        .help("By sizes and the server's checksums, or by reading everything back");
    let then = Arg::new("then")
        .long("then")
        .value_name("WHAT")
        .value_parser(PossibleValuesParser::new(["keep", "delete"]))
        .default_value("keep")
        .help("Whether an archived chunk stays on this disk or is deleted");
    let hook = Arg::new("hook")
        .long("hook")
        .value_name("COMMAND")
        .help("Run by a shell for each chunk that was archived (without --to: that is finished), with BATON_CHUNK and BATON_ARCHIVE; again in the next pass if it fails");
    Command::new("archive")
        .about("Upload finished chunks of traces")
        .after_long_help(SURROUNDINGS)
        .args([to, directory, once, interval, quiet, verify, then, hook])
        .args(limit_arguments())
        .args(place_arguments())
}

/// Limits on the machine's resources, and the port for monitors.
fn limit_arguments() -> [Arg; 3] {
    let bandwidth = Arg::new("bandwidth")
        .long("bandwidth")
        .value_name("BYTES")
        .value_parser(bytes)
        .help("Send so many bytes a second at most, such as 10M [default: no limit]");
    let status = Arg::new("status-port")
        .long("status-port")
        .value_name("URL")
        .help("Where Prometheus asks for /metrics, such as tcp://localhost:5341 [default: none]");
    let workers = Arg::new("concurrency")
        .long("concurrency")
        .value_name("COUNT")
        .value_parser(RangedU64ValueParser::<usize>::new().range(1..=64))
        .default_value("2")
        .help("Objects that are uploaded at once; each takes up to 25 MB of memory");
    [workers, bandwidth, status]
}

fn archive_plan(matches: &ArgMatches) -> Result<archive::Plan, String> {
    let once = matches.get_flag("once");
    let status = matches.get_one::<String>("status-port");
    let verify = matches.get_one::<String>("verify");
    Ok(archive::Plan {
        directory: path(matches, "directory"),
        place: if matches.contains_id("to") {
            Some(place(matches, "to")?)
        } else {
            None
        },
        once,
        interval: matches.get_one("interval").copied().unwrap_or_default(),
        quiet_period: matches.get_one("quiet-period").copied().unwrap_or_default(),
        verify: match verify.map(String::as_str) {
            Some("read") => Verify::Read,
            _ => Verify::Checksum,
        },
        deletes: matches
            .get_one::<String>("then")
            .is_some_and(|it| it == "delete"),
        workers: matches.get_one("concurrency").copied().unwrap_or(1),
        patience: patience(matches, once),
        bandwidth: matches.get_one("bandwidth").copied(),
        hook: matches.get_one("hook").cloned(),
        status: status.map(|url| address(url)).transpose()?,
    })
}

/// An address to listen on.
fn address(url: &str) -> Result<SocketAddr, String> {
    let address = baton::url::Url::parse(url).and_then(|url| url.resolve(LIVE_PORT, true));
    address.map_err(|reason| format!("{url}: {reason}"))
}

fn list_command() -> Command {
    let source = Arg::new("source")
        .value_name("URL|DIR")
        .required(true)
        .help("An archive, s3://BUCKET[/PREFIX], or a directory with traces");
    let format = Arg::new("format")
        .long("format")
        .value_name("FORMAT")
        .value_parser(PossibleValuesParser::new(["text", "json"]))
        .default_value("text")
        .help("A table, or an object of JSON for each chunk");
    Command::new("ls")
        .about("List archived sessions and chunks, with their sizes, times and losses")
        .after_long_help(SURROUNDINGS)
        .args([source, format])
        .args(filter_arguments())
        .args(place_arguments())
}

fn list_plan(matches: &ArgMatches) -> Result<list::Plan, String> {
    Ok(list::Plan {
        source: source(matches)?,
        filter: filter(matches),
        format: match matches.get_one::<String>("format").map(String::as_str) {
            Some("json") => Format::Json,
            _ => Format::Text,
        },
        patience: patience(matches, true),
    })
}

/// A place of an archive, or a directory.
fn source(matches: &ArgMatches) -> Result<Source, String> {
    let source = matches.get_one::<String>("source").cloned();
    let source = source.unwrap_or_default();
    Ok(if source.starts_with("s3://") {
        Source::Store(place(matches, "source")?)
    } else {
        Source::Directory(source.into())
    })
}

fn fetch_command() -> Command {
    let source = Arg::new("source")
        .value_name("URL")
        .required(true)
        .help("An archive: s3://BUCKET[/PREFIX]");
    let directory = Arg::new("directory")
        .value_name("DIR")
        .required(true)
        .value_parser(value_parser!(PathBuf))
        .help("Where to write; files that are there already are kept");
    Command::new("fetch")
        .about("Download archived chunks into the same directories as before")
        .after_long_help(SURROUNDINGS)
        .args([source, directory])
        .args(filter_arguments())
        .args(place_arguments())
}

fn fetch_plan(matches: &ArgMatches) -> Result<fetch::Plan, String> {
    Ok(fetch::Plan {
        place: place(matches, "source")?,
        directory: path(matches, "directory"),
        filter: filter(matches),
        patience: patience(matches, true),
    })
}

fn prune_command() -> Command {
    let source = Arg::new("source")
        .value_name("URL")
        .required(true)
        .help("An archive: s3://BUCKET[/PREFIX]");
    let age = Arg::new("max-age")
        .long("max-age")
        .value_name("TIME")
        .required(true)
        .value_parser(duration)
        .help("Remove chunks that ended longer ago, such as 90d");
    let dry_run = Arg::new("dry-run")
        .long("dry-run")
        .action(ArgAction::SetTrue)
        .help("Print what would be removed, and remove nothing");
    Command::new("prune")
        .about("Remove what is old from an archive")
        .after_long_help(SURROUNDINGS)
        .args([source, age, dry_run])
        .args(filter_arguments())
        .args(place_arguments())
}

fn prune_plan(matches: &ArgMatches) -> Result<prune::Plan, String> {
    Ok(prune::Plan {
        place: place(matches, "source")?,
        max_age: matches.get_one("max-age").copied().unwrap_or_default(),
        filter: filter(matches),
        dry_run: matches.get_flag("dry-run"),
        patience: patience(matches, true),
    })
}

fn serve_command() -> Command {
    let source = Arg::new("source")
        .value_name("URL|DIR")
        .required(true)
        .help("An archive, s3://BUCKET[/PREFIX], or a directory with traces");
    let live = Arg::new("live-port")
        .short('L')
        .long("live-port")
        .value_name("URL")
        .default_value("tcp://localhost:5344")
        .help("Where viewers connect");
    Command::new("serve")
        .about("Serve archived sessions to live viewers, without a download")
        .after_long_help(SURROUNDINGS)
        .args([source, live])
        .args(filter_arguments())
        .args(place_arguments())
}

fn serve_plan(matches: &ArgMatches) -> Result<serve::Plan, String> {
    let live = matches.get_one::<String>("live-port").cloned();
    let live = live.unwrap_or_default();
    Ok(serve::Plan {
        source: source(matches)?,
        filter: filter(matches),
        live: address(&live)?,
        patience: patience(matches, true),
    })
}

/// Of LTTng's viewers.
const LIVE_PORT: u16 = 5344;

fn place_arguments() -> [Arg; 4] {
    [
        Arg::new("endpoint")
            .long("endpoint")
            .value_name("URL")
            .help("The server [default: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, or AWS]"),
        Arg::new("region")
            .long("region")
            .value_name("REGION")
            .help("The region of the bucket [default: AWS_REGION, AWS_DEFAULT_REGION, or us-east-1]"),
        Arg::new("path-style")
            .long("path-style")
            .action(ArgAction::SetTrue)
            .help("The bucket is in the path of URLs, not in the name of the host; so it is anyway where the endpoint is an address"),
        Arg::new("retry-time")
            .long("retry-time")
            .value_name("TIME")
            .value_parser(duration)
            .help("How long a request that fails is tried again [default: 3m; for ever without --once]"),
    ]
}

fn place(matches: &ArgMatches, url: &str) -> Result<Place, String> {
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    let typed = Typed {
        url: text(url).unwrap_or_default(),
        endpoint: text("endpoint"),
        region: text("region"),
        path_style: matches.get_flag("path-style"),
    };
    typed.resolve().map_err(|error| error.to_string())
}

fn patience(matches: &ArgMatches, ends: bool) -> Patience {
    let typed = matches.get_one::<Duration>("retry-time").copied();
    Patience(typed.or(ends.then_some(RETRY_TIME)))
}

/// For commands that somebody waits for.
const RETRY_TIME: Duration = Duration::from_mins(3);

fn filter_arguments() -> [Arg; 4] {
    let time = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name("TIME")
            .value_parser(moment)
            .help(help)
    };
    [
        Arg::new("host")
            .long("host")
            .value_name("HOST")
            .help("Only traces of this machine"),
        Arg::new("session")
            .long("session")
            .value_name("NAME")
            .help("Only this session, with or without the time of its creation"),
        time(
            "from",
            "Only chunks that end at this time or later: 2026-11-28, 2026-11-28T15:00 (UTC), or with an offset",
        ),
        time("to", "Only chunks that begin at this time or before"),
    ]
}

fn filter(matches: &ArgMatches) -> Filter {
    Filter {
        host: matches.get_one("host").cloned(),
        session: matches.get_one("session").cloned(),
        from: matches.get_one("from").copied(),
        to: matches.get_one("to").copied(),
    }
}

fn path(matches: &ArgMatches, name: &str) -> PathBuf {
    matches
        .get_one::<PathBuf>(name)
        .cloned()
        .unwrap_or_default()
}

/// A moment: with an offset, or in UTC.
fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(moment) = text.parse() {
        return Ok(moment);
    }
    let civil: DateTime = text.parse().map_err(|_| {
        "expected a time such as 2026-11-28T15:00 or 2026-11-28T15:00:00Z".to_owned()
    })?;
    let zoned = civil.to_zoned(TimeZone::UTC);
    zoned.map(|it| it.timestamp()).map_err(|it| it.to_string())
}

/// A number of bytes as `10M`, above 0.
fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|it: char| it.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" => 1,
        "k" | "K" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        _ => return Err("expected a number and k, M or G, such as 10M".to_owned()),
    };
    let number = digits.parse().ok().and_then(|it: u64| it.checked_mul(unit));
    number
        .filter(|it| *it > 0)
        .ok_or_else(|| "expected a number above 0, such as 10M".to_owned())
}

/// A time as `90s`, `5m`, `2h`, `30d`, or in seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|it: char| it.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err("expected a number and s, m, h or d, such as 60s".to_owned()),
    };
    let number: u64 = digits
        .parse()
        .map_err(|_| "expected a number and s, m, h or d, such as 60s".to_owned())?;
    let seconds = number.checked_mul(unit).filter(|it| *it <= LONGEST_S);
    seconds
        .map(Duration::from_secs)
        .ok_or_else(|| "it is longer than a hundred years".to_owned())
}

const LONGEST_S: u64 = 100 * 365 * 86_400;

const SURROUNDINGS: &str = "\
Credentials are AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or a profile \
(AWS_PROFILE) of ~/.aws/credentials or AWS_SHARED_CREDENTIALS_FILE. Certificates are those of the \
system, or of AWS_CA_BUNDLE or SSL_CERT_FILE.";

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &str) -> Result<Action, String> {
        let matches = command().try_get_matches_from(words.split(' '));
        action(&matches.map_err(|error| error.to_string())?)
    }

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn a_plan_is_what_was_typed() {
        let words = "baton archive --to s3://b/p --endpoint http://h:1 /traces --quiet-period 5m \
                     --verify read --concurrency 3";
        let Ok(Action::Archive(plan)) = parsed(words) else {
            panic!("{words}");
        };
        assert_eq!(plan.directory, PathBuf::from("/traces"));
        assert_eq!(plan.place.unwrap().url(), "s3://b/p");
        assert_eq!(plan.quiet_period, Duration::from_mins(5));
        assert_eq!((plan.verify, plan.workers), (Verify::Read, 3));
        assert_eq!((plan.once, plan.patience), (false, Patience(None)));
        let words = "baton ls s3://b --from 2026-11-28 --to 2026-11-28T15:00:00+01:00 --session s";
        let Ok(Action::List(plan)) = parsed(words) else {
            panic!("{words}");
        };
        assert_eq!(plan.patience, Patience(Some(RETRY_TIME)));
        let moment = |text: &str| Some(text.parse::<Timestamp>().unwrap());
        assert_eq!(plan.filter.from, moment("2026-11-28T00:00:00Z"));
        assert_eq!(plan.filter.to, moment("2026-11-28T14:00:00Z"));
    }

    #[test]
    fn a_wrong_time_is_refused() {
        for text in [
            "",
            "s",
            "-1s",
            "5w",
            "1.5h",
            "99999999999999999999d",
            "99999999999d",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
        for text in ["", "yesterday", "2026-13-01", "25:00"] {
            assert!(moment(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_archive_is_fetched_from_a_place() {
        assert!(parsed("baton fetch /directory out").is_err());
        assert!(parsed("baton fetch s3://b out").is_ok());
    }
}
