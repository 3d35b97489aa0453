//! What the environment, the files and the command line mean together.
//!
//! Later sources win: the environment, the system's file, that of the home directory,
//! that of `--config`, the command line.

pub mod environment;
pub mod url;

mod choices;
mod ini;

use std::ffi::OsString;
use std::fmt::{self, Write as _};
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use baton_components::connection::Port;
use baton_systems::settings::{HoldBack, Served, Settings};

use self::choices::Choices;
use self::environment::variable;
use self::url::{Url, UrlError};
use crate::journal::block::Payload;
use crate::options::{Given, Id};
use crate::os::watch::Watch;
use crate::os::{busy_poll, said};

/// A relay, ready to be started.
#[derive(Debug)]
pub struct Config {
    pub face: Face,
    /// One listener for each port, in the order of [`Port::ALL`]. Port 0: the system
    /// chooses.
    pub listeners: [(Port, SocketAddr); 3],
    /// Absolute, as all paths here.
    pub output: PathBuf,
    pub settings: Settings,
    pub log: Log,
    pub audit: bool,
    pub detach: Detach,
    pub working_directory: Option<PathBuf>,
    pub pid_file: Option<PathBuf>,
    pub sig_parent: bool,
    /// None: no place is known for it.
    pub run_directory: Option<PathBuf>,
    /// None: below the run directory, by the process id.
    pub health_socket: Option<PathBuf>,
    /// Who may use the run directory of root.
    pub group: OsString,
    pub descriptors: u64,
    pub watch: Watch,
    /// How long to wait awake for who was answered.
    pub busy_poll: Duration,
    pub journal: Option<PathBuf>,
    pub journal_payload: Payload,
    /// Print the rest of this, and end.
    pub check: bool,
}

/// What is logged, and how.
#[derive(Clone, Copy, Debug)]
pub struct Log {
    pub verbosity: u8,
    /// None: if it goes to a terminal.
    pub colored: Option<bool>,
    /// The first error is the last line.
    pub aborts_on_error: bool,
}

/// By which of its names the relay was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Face {
    Baton,
    LttngRelayd,
}

/// How far the relay leaves the terminal that it was started from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detach {
    Foreground,
    /// A daemon that keeps the console.
    Background,
    /// A daemon without it.
    Daemon,
}

/// What is wrong with the environment, a file or a command line. The texts are those of
/// the original where it has one.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("Invalid {port} URI specified: {reason}")]
    Url {
        port: &'static str,
        reason: UrlError,
    },
    #[error("{}: {error}", file.display())]
    InFile {
        file: PathBuf,
        error: Box<ConfigError>,
    },
    #[error("Failed to open daemon configuration file at {}: {}", file.display(), said(reason))]
    File { file: PathBuf, reason: io::Error },
    #[error("Please specify an absolute path for -o, --output PATH")]
    RelativeOutput,
    #[error("Cannot set --{0}, another --group-output-by argument is present")]
    GroupedTwice(&'static str),
    #[error("Wrong value in --fd-pool-size parameter: {0}")]
    PoolNotANumber(String),
    #[error("File descriptor pool size must be set to at least {POOL_MIN}")]
    PoolTooSmall,
    #[error(
        "File descriptor pool size argument ({size}) exceeds the process' soft limit ({limit})."
    )]
    PoolTooLarge { size: u64, limit: u64 },
    #[error(
        "The process' file number limit is too low ({0}). The process' file number limit must be set to at least {POOL_MIN}."
    )]
    LimitTooLow(u64),
    #[error("Wrong value in --serve parameter: {0}")]
    Serve(String),
    #[error(
        "Wrong value in --busy-poll parameter: {value}; expected microseconds, at most {}",
        BUSY_POLL_MAX.as_micros()
    )]
    BusyPoll { value: String },
    #[error(
        "Wrong value in --live-hold-back parameter: {value}; expected auto or milliseconds, at most {}",
        LIVE_HOLD_BACK_MAX.as_millis()
    )]
    LiveHoldBack { value: String },
    #[error("Wrong value in --journal-payload parameter: {0}")]
    JournalPayload(String),
    #[error("Invalid value for {DISALLOW_CLEAR} specified")]
    DisallowClear,
    #[error("no home directory is known to write traces to; choose a directory with --output")]
    NoHome,
    #[error("{path:?} is not a path to use: {}", said(reason))]
    Path { path: PathBuf, reason: io::Error },
}

/// Descriptors without which the relay does not start.
const POOL_MIN: u64 = 100;

/// A viewer that is a minute behind follows nothing.
const LIVE_HOLD_BACK_MAX: Duration = Duration::from_mins(1);

/// Whoever is waited for longer is not about to speak.
const BUSY_POLL_MAX: Duration = Duration::from_millis(10);

const SYSTEM_FILE: &str = "/etc/lttng/lttng.conf";
const DISALLOW_CLEAR: &str = "LTTNG_RELAYD_DISALLOW_CLEAR";
const WORKING_DIRECTORY: &str = "LTTNG_RELAYD_WORKING_DIRECTORY";

impl Config {
    /// Reads all sources; `given` is the command line. What is odd but does not stop a
    /// relay goes to `warnings`.
    pub fn resolve(
        given: &[Given],
        face: Face,
        warnings: &mut Vec<String>,
    ) -> Result<Self, ConfigError> {
        let mut choices = Choices {
            working_directory: variable(WORKING_DIRECTORY).map(PathBuf::from),
            ..Choices::default()
        };
        for file in default_files() {
            match fs::read(&file) {
                Ok(bytes) => take_file(&mut choices, &file, &bytes, face, warnings)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => warnings.push(format!("cannot read {}: {error}", file.display())),
            }
        }
        let given = trusted(given, warnings);
        for it in given.iter().filter(|it| it.id == Id::Config) {
            let file = PathBuf::from(it.value.clone().unwrap_or_default());
            match fs::read(&file) {
                Ok(bytes) => take_file(&mut choices, &file, &bytes, face, warnings)?,
                Err(reason) => return Err(ConfigError::File { file, reason }),
            }
        }
        for it in given {
            choices.take(it, face)?;
        }
        if !choices.disallow_clear
            && let Some(value) = variable(DISALLOW_CLEAR)
        {
            choices.disallow_clear =
                switch(&value.to_string_lossy()).ok_or(ConfigError::DisallowClear)?;
        }
        Self::of(choices, face, warnings)
    }

    fn of(choices: Choices, face: Face, warnings: &mut Vec<String>) -> Result<Self, ConfigError> {
        let dynamic = choices.dynamic_ports;
        let output = match &choices.output {
            Some(output) => output.clone(),
            None => environment::home()
                .ok_or(ConfigError::NoHome)?
                .join("lttng-traces"),
        };
        let detach = choices.detach();
        let working_directory = choices.working_directory.map(absolute).transpose()?;
        let run_directory = environment::run_directory();
        let health_socket = variable("LTTNG_RELAYD_HEALTH").map(PathBuf::from);
        Ok(Self {
            face,
            listeners: [
                listener(Port::Control, choices.control.as_ref(), dynamic)?,
                listener(Port::Data, choices.data.as_ref(), dynamic)?,
                listener(Port::Live, choices.live.as_ref(), dynamic)?,
            ],
            output: absolute(output)?,
            settings: Settings {
                grouping: choices.grouping.unwrap_or_default(),
                clear_allowed: !choices.disallow_clear,
                serve: choices.serve,
                hold_back: choices.hold_back,
            },
            log: Log {
                verbosity: choices.verbosity,
                colored: environment::colored(),
                aborts_on_error: environment::aborts_on_error(),
            },
            audit: choices.audit,
            detach,
            working_directory: match detach {
                Detach::Foreground => working_directory,
                // A daemon keeps no file system busy that it was not told to use.
                _ => Some(working_directory.unwrap_or_else(|| "/".into())),
            },
            pid_file: choices.pid_file.map(absolute).transpose()?,
            sig_parent: choices.sig_parent,
            run_directory: run_directory.map(absolute).transpose()?,
            health_socket: health_socket.map(absolute).transpose()?,
            group: choices.group.unwrap_or_else(|| "tracing".into()),
            descriptors: descriptors(choices.fd_pool_size)?,
            watch: environment::watch(warnings),
            busy_poll: choices.busy_poll.unwrap_or(busy_poll::MOMENT),
            journal: choices.journal.map(absolute).transpose()?,
            journal_payload: choices.journal_payload,
            check: choices.check,
        })
    }
}

/// What `--check` prints.
impl fmt::Display for Config {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        for (port, address) in &self.listeners {
            writeln!(text, "{} {address}", port.name())?;
        }
        let path = |path: &Option<PathBuf>| {
            path.as_ref()
                .map_or("-".to_owned(), |path| path.display().to_string())
        };
        writeln!(text, "output {}", self.output.display())?;
        let grouping = format!("{:?}", self.settings.grouping).to_lowercase();
        writeln!(text, "grouped-by {grouping}")?;
        writeln!(text, "clear-allowed {}", self.settings.clear_allowed)?;
        let serves_all = self.settings.serve == Served::All;
        writeln!(text, "serves {}", if serves_all { "all" } else { "live" })?;
        match self.settings.hold_back {
            HoldBack::Auto => writeln!(text, "live-hold-back auto")?,
            HoldBack::Fixed(time) => writeln!(text, "live-hold-back {}", time.as_millis())?,
        }
        let mode = format!("{:?}", self.detach).to_lowercase();
        writeln!(text, "mode {mode}")?;
        writeln!(text, "working-directory {}", path(&self.working_directory))?;
        writeln!(text, "pid-file {}", path(&self.pid_file))?;
        writeln!(text, "run-directory {}", path(&self.run_directory))?;
        writeln!(text, "health-socket {}", path(&self.health_socket))?;
        writeln!(text, "group {}", self.group.display())?;
        writeln!(text, "descriptors {}", self.descriptors)?;
        writeln!(text, "busy-poll {}", self.busy_poll.as_micros())?;
        writeln!(text, "journal {}", path(&self.journal))?;
        let payload = format!("{:?}", self.journal_payload).to_lowercase();
        writeln!(text, "journal-payload {payload}")?;
        writeln!(text, "verbosity {}", self.log.verbosity)?;
        match self.watch.keep_alive {
            None => writeln!(text, "keep-alive off")?,
            Some(it) => {
                let seconds = |it: Option<Duration>| {
                    it.map_or("system".to_owned(), |it| it.as_secs().to_string())
                };
                let probes = it.probes.map_or("system".to_owned(), |it| it.to_string());
                let (idle, interval) = (seconds(it.idle), seconds(it.interval));
                writeln!(text, "keep-alive {idle} {interval} {probes}")?;
            }
        }
        match self.watch.timeout {
            None => writeln!(text, "socket-timeout -")?,
            Some(timeout) => writeln!(text, "socket-timeout {}", timeout.as_millis())?,
        }
        let colored = self
            .log
            .colored
            .map_or("auto".to_owned(), |it| it.to_string());
        writeln!(text, "colored {colored}")?;
        writeln!(text, "aborts-on-error {}", self.log.aborts_on_error)?;
        formatter.write_str(&text)
    }
}

/// A number in base 10, 16 (0x) or 8 (0).
fn number(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text),
    };
    // A second sign is no digit.
    if !digits.starts_with(|it: char| it.is_ascii_digit()) {
        return None;
    }
    let (radix, digits) = match digits.strip_prefix("0x").or(digits.strip_prefix("0X")) {
        Some(digits) => (16, digits),
        None if digits.len() > 1 && digits.starts_with('0') => (8, digits),
        None => (10, digits),
    };
    let magnitude = i64::from_str_radix(digits, radix).ok()?;
    (magnitude >= 0).then_some(sign * magnitude)
}

/// A switch in a file or a variable.
fn switch(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => Some(true),
        "false" | "no" | "off" => Some(false),
        number => match self::number(number)? {
            0 => Some(false),
            1.. => Some(true),
            ..0 => None,
        },
    }
}

fn default_files() -> impl Iterator<Item = PathBuf> {
    let home = environment::home().map(|home| home.join(".lttng/lttng.conf"));
    [Some(PathBuf::from(SYSTEM_FILE)), home]
        .into_iter()
        .flatten()
}

fn take_file(
    choices: &mut Choices,
    file: &Path,
    bytes: &[u8],
    face: Face,
    warnings: &mut Vec<String>,
) -> Result<(), ConfigError> {
    let (entries, bad_lines) = ini::parse(&String::from_utf8_lossy(bytes));
    for line in bad_lines {
        let file = file.display();
        warnings.push(format!(
            "{file}:{line}: not a key with a value, passed over"
        ));
    }
    choices
        .take_entries(entries, face, warnings)
        .map_err(|error| ConfigError::InFile {
            file: file.to_owned(),
            error: Box::new(error),
        })
}

/// What of a command line counts: not all, where it could abuse rights that whoever
/// wrote it has not.
fn trusted<'a>(given: &'a [Given], warnings: &mut Vec<String>) -> Vec<&'a Given> {
    const REFUSED: [Id; 9] = [
        Id::ControlPort,
        Id::DataPort,
        Id::LivePort,
        Id::Config,
        Id::Group,
        Id::Output,
        Id::WorkingDirectory,
        Id::PidFile,
        Id::Journal,
    ];
    let (refused, taken): (Vec<_>, Vec<_>) = given
        .iter()
        .partition(|it| environment::has_borrowed_rights() && REFUSED.contains(&it.id));
    for it in refused {
        let name = it.id.spec().long;
        warnings.push(format!(
            "Getting '--{name}' argument from setuid/setgid binary refused for security reasons."
        ));
    }
    taken
}

fn listener(
    port: Port,
    url: Option<&Url>,
    dynamic: bool,
) -> Result<(Port, SocketAddr), ConfigError> {
    let default = if dynamic { 0 } else { default_port(port) };
    let resolved = match url {
        Some(url) => url.resolve(default, dynamic),
        None => Url::parse(default_url(port)).and_then(|url| url.resolve(default, dynamic)),
    };
    match resolved {
        Ok(address) => Ok((port, address)),
        Err(reason) => Err(ConfigError::Url {
            port: port.name(),
            reason,
        }),
    }
}

/// Where relays are, unless told otherwise.
pub const fn default_port(port: Port) -> u16 {
    match port {
        Port::Control => 5342,
        Port::Data => 5343,
        Port::Live => 5344,
    }
}

/// Producers may be anywhere; viewers read every trace, so only those on this
/// machine are let in unless told otherwise.
fn default_url(port: Port) -> &'static str {
    match port {
        Port::Control | Port::Data => "tcp://0.0.0.0",
        Port::Live => "tcp://localhost",
    }
}

fn absolute(path: PathBuf) -> Result<PathBuf, ConfigError> {
    std::path::absolute(&path).map_err(|reason| ConfigError::Path { path, reason })
}

/// How many descriptors the relay may use.
fn descriptors(wanted: Option<u64>) -> Result<u64, ConfigError> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    // None: there is no limit.
    let limit = limit.unwrap_or(u64::from(u32::MAX));
    match wanted {
        Some(size) if size < POOL_MIN => Err(ConfigError::PoolTooSmall),
        Some(size) if size > limit => Err(ConfigError::PoolTooLarge { size, limit }),
        Some(size) => Ok(size),
        None if limit < POOL_MIN => Err(ConfigError::LimitTooLow(limit)),
        None => Ok(limit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_a_base() {
        for (text, value) in [
            ("10", Some(10)),
            ("0x10", Some(16)),
            ("010", Some(8)),
            ("0", Some(0)),
            ("-1", Some(-1)),
            ("--1", None),
            ("0x-1", None),
            ("08", None),
            ("", None),
            ("1 ", None),
        ] {
            assert_eq!(number(text), value, "{text:?}");
        }
    }

    #[test]
    fn switches_have_many_words() {
        for (text, on) in [
            ("Yes", Some(true)),
            ("on", Some(true)),
            ("2", Some(true)),
            ("0", Some(false)),
            ("OFF", Some(false)),
            ("maybe", None),
            ("-1", None),
            ("", None),
        ] {
            assert_eq!(switch(text), on, "{text:?}");
        }
    }
}
