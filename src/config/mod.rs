//! The configuration: environment, files and command line, merged and validated.
//!
//! Later sources win: the environment, the system's file, that of the home directory,
//! that of `--config`, the command line.

pub mod environment;

mod contradictions;
mod in_memory;
mod ini;

use std::fmt::{self, Write as _};
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use baton_components::connection::Endpoint;
use baton_systems::settings::SyncWhen;

use self::environment::variable;
use self::in_memory::InMemoryError;
use self::ini::{Entry, Oddity};
use crate::options::amounts::min_free;
use crate::options::output::Output;
use crate::options::ports::StatusPort;
use crate::options::value::{AddressShare, OptionError, PoolSize, Value, absolute, switch};
use crate::options::{CONFIG, Face, Given, HELP, OPTIONS, Options, Spec, VERSION};
use crate::os::pool::Pool;
use crate::os::said;
use crate::os::tcp_timeouts::TcpTimeouts;
use crate::os::tls::credentials;
use crate::os::usage;
use crate::url::{Url, UrlError, default_port, default_url};

/// A relay, ready to be started.
#[derive(Debug)]
pub struct Config {
    pub face: Face,
    /// The command line, for [`Config::reread`]; its paths are absolute.
    given: Vec<Given>,
    /// As they were chosen. Values that are derived from several options, or from the
    /// environment too, are in the other fields.
    pub options: Options,
    /// At least one for each endpoint, in the order of [`Endpoint::ALL`].
    pub listeners: Vec<Listener>,
    pub status: StatusListeners,
    /// Its path is absolute, as all paths here.
    pub output: Output,
    pub log: Log,
    pub detach: Detach,
    pub working_directory: Option<PathBuf>,
    /// None: no run directory is known.
    pub run_directory: Option<PathBuf>,
    /// None: below the run directory, by the process id.
    pub health_socket: Option<PathBuf>,
    pub descriptors: u64,
    pub tcp_timeouts: TcpTimeouts,
}

/// Where the relay listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    pub endpoint: Endpoint,
    /// Port 0: the system chooses.
    pub address: SocketAddr,
    /// Its connections begin with a TLS handshake.
    pub is_tls: bool,
}

/// Where monitors ask, if anywhere.
#[derive(Clone, Debug)]
pub struct StatusListeners {
    pub listeners: Vec<Listener>,
    /// Somebody asked for them: without them the relay does not start.
    pub are_wanted: bool,
}

impl StatusListeners {
    /// The one that this machine's user asks: without TLS if there is one.
    pub fn main(&self) -> Option<&Listener> {
        let all = &self.listeners;
        all.iter().find(|it| !it.is_tls).or(all.first())
    }
}

/// Level and format of the log.
#[derive(Clone, Copy, Debug)]
pub struct Log {
    pub verbosity: u8,
    /// Coloured; none: on terminals only.
    pub colored: Option<bool>,
    /// Abort at the first error.
    pub aborts_on_error: bool,
}

/// Whether the relay becomes a daemon, and keeps the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detach {
    Foreground,
    /// A daemon that keeps the console.
    Background,
    /// A daemon without it.
    Daemon,
}

/// An error in the environment, a file or the command line. The texts are those of the
/// original, if it has one.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error(transparent)]
    Option(#[from] OptionError),
    #[error("{}:{line}: {error}", file.display())]
    InFile {
        file: PathBuf,
        line: usize,
        error: OptionError,
    },
    #[error("{}:{line}: {oddity}", file.display())]
    Odd {
        file: PathBuf,
        line: usize,
        oddity: Oddity,
    },
    #[error("{}:{line}: option {key} is unknown{}", file.display(), is_meant(key))]
    UnknownOption {
        file: PathBuf,
        line: usize,
        key: String,
    },
    #[error("Failed to open daemon configuration file at {}: {}", file.display(), said(reason))]
    File { file: PathBuf, reason: io::Error },
    #[error("Invalid {} URI specified: {reason}", endpoint.name())]
    Url {
        endpoint: Endpoint,
        reason: UrlError,
    },
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
    #[error("Invalid value for {DISALLOW_CLEAR} specified")]
    DisallowClear,
    #[error(
        "--durable-replies needs a period in which data is synced: --sync SECONDS, such as --sync 5"
    )]
    NoPeriod,
    #[error(transparent)]
    InMemory(#[from] InMemoryError),
    #[error("no home directory is known to write traces to; choose a directory with --output")]
    NoHome,
}

/// Minimum number of descriptors.
const POOL_MIN: u64 = 100;

const SYSTEM_FILE: &str = "/etc/lttng/lttng.conf";
const DISALLOW_CLEAR: &str = "LTTNG_RELAYD_DISALLOW_CLEAR";
const WORKING_DIRECTORY: &str = "LTTNG_RELAYD_WORKING_DIRECTORY";
const OUTPUT: &str = "LTTNG_RELAYD_OUTPUT";
const OUTPUT_OPTION: &str = "output";

impl Config {
    /// Reads all sources; `given` is the command line. Problems that do not stop the relay
    /// go to `warnings`.
    pub fn resolve(
        given: &[Given],
        face: Face,
        warnings: &mut Vec<String>,
    ) -> Result<Self, ConfigError> {
        let options = gather(given, face, warnings)?;
        let given = given.iter().map(pinned).collect::<Result<_, _>>()?;
        Self::of(options, given, face, warnings)
    }

    /// Reads the sources once more, since files may have changed.
    pub fn reread(&self, warnings: &mut Vec<String>) -> Result<Options, ConfigError> {
        gather(&self.given, self.face, warnings)
    }

    fn of(
        mut options: Options,
        given: Vec<Given>,
        face: Face,
        warnings: &mut Vec<String>,
    ) -> Result<Self, ConfigError> {
        let dynamic = options.dynamic_ports;
        let output = match (&options.output.0, variable(OUTPUT)) {
            (Some(output), _) => output.clone(),
            (None, Some(output)) => Output::parse(OUTPUT, &output)?,
            (None, None) => {
                let home = environment::home().ok_or(ConfigError::NoHome)?;
                Output::Directory(absolute("--output", home.join("lttng-traces"))?)
            }
        };
        let descriptors = descriptors(options.fd_pool_size)?;
        settle(&mut options, face, Pool::of(descriptors))?;
        match &output {
            Output::Directory(path) => {
                warnings.extend(contradictions::on_disk_of(path, &options.settings));
            }
            Output::Memory(bytes) => in_memory::settle(&mut options, *bytes)?,
        }
        let detach = match (options.background, options.daemonize) {
            (true, _) => Detach::Background,
            (false, true) => Detach::Daemon,
            (false, false) => Detach::Foreground,
        };
        let working_directory = options.working_directory.clone();
        let optional = |of, path: Option<PathBuf>| path.map(|it| absolute(of, it)).transpose();
        let health_socket = variable("LTTNG_RELAYD_HEALTH").map(PathBuf::from);
        Ok(Self {
            face,
            given,
            listeners: listeners(&options, dynamic)?,
            status: status(&options.status, face, dynamic)?,
            output,
            log: Log {
                verbosity: options.verbosity,
                colored: environment::colored(),
                aborts_on_error: environment::aborts_on_error(),
            },
            detach,
            working_directory: match detach {
                Detach::Foreground => working_directory,
                // A daemon does not keep a file system busy by its working directory.
                _ => Some(working_directory.unwrap_or_else(|| "/".into())),
            },
            run_directory: optional("LTTNG_RUNDIR", environment::run_directory())?,
            health_socket: optional("LTTNG_RELAYD_HEALTH", health_socket)?,
            descriptors,
            tcp_timeouts: environment::tcp_timeouts(warnings),
            options,
        })
    }
}

/// Sets what options of several sources, or the relay's name, come to.
fn settle(options: &mut Options, face: Face, pool: Pool) -> Result<(), ConfigError> {
    options.settings.grouping = options.grouping.unwrap_or_default();
    let settings = &mut options.settings;
    settings.clear_allowed = !options.disallow_clear;
    settings.names = names(&options.status, options.tls_certificate.as_deref());
    settings.connections_max = pool.connections as u64;
    settings.files_max = pool.files as u64;
    settings.memory_bytes_max = options.memory.0.unwrap_or(u64::MAX);
    settings.write_buffer_bytes_max = options.write_buffer.0.unwrap_or(u64::MAX);
    let share = options.address_share.of(face);
    settings.address_share_percent = share;
    settings.min_free = min_free(options.min_free, face);
    settings.sync = options.sync.of(face);
    if settings.durable_replies && !matches!(settings.sync, SyncWhen::Every(_)) {
        return Err(ConfigError::NoPeriod);
    }
    options.address_share = AddressShare(Some(share));
    Ok(())
}

impl Config {
    /// The size of the disk, or of the memory in its place; 0 if it is not known.
    pub fn disk_bytes(&self) -> u64 {
        match &self.output {
            Output::Directory(path) => usage::disk(path).0,
            Output::Memory(bytes) => *bytes,
        }
    }

    /// Two endpoints that cannot both listen, since they have the same port.
    pub fn clash(&self) -> Option<(Endpoint, Endpoint, SocketAddr)> {
        // The relay runs without the default one of monitors.
        let status = self.status.listeners.iter();
        let status = status.filter(|_| self.status.are_wanted);
        let all: Vec<&Listener> = self.listeners.iter().chain(status).collect();
        let others = |at: usize| all[at + 1..].iter().map(move |other| (at, *other));
        let mut pairs = (0..all.len()).flat_map(others);
        let clashes = |one: SocketAddr, other: SocketAddr| {
            let is_any = one.ip().is_unspecified() || other.ip().is_unspecified();
            one.port() != 0
                && one.port() == other.port()
                && one.is_ipv4() == other.is_ipv4()
                && (one.ip() == other.ip() || is_any)
        };
        let found = pairs.find(|(at, other)| clashes(all[*at].address, other.address));
        found.map(|(at, other)| (all[at].endpoint, other.endpoint, other.address))
    }
}

/// The output of `--check`.
impl fmt::Display for Config {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        for listener in &self.listeners {
            let tls = if listener.is_tls { "tls " } else { "" };
            writeln!(
                text,
                "{} {tls}{}",
                listener.endpoint.name(),
                listener.address
            )?;
        }
        let options = &self.options;
        writeln!(text, "output {}", self.output)?;
        writeln!(text, "grouped-by {}", options.grouping.show())?;
        writeln!(text, "clear-allowed {}", options.settings.clear_allowed)?;
        let mode = format!("{:?}", self.detach).to_lowercase();
        writeln!(text, "mode {mode}")?;
        let directory = self.working_directory.show();
        writeln!(text, "working-directory {directory}")?;
        writeln!(text, "pid-file {}", options.pid_file.show())?;
        writeln!(text, "run-directory {}", self.run_directory.show())?;
        writeln!(text, "health-socket {}", self.health_socket.show())?;
        writeln!(text, "group {}", options.group.show())?;
        writeln!(text, "descriptors {}", self.descriptors)?;
        writeln!(text, "verbosity {}", self.log.verbosity)?;
        // Those of the original are above, as what they come to.
        for spec in OPTIONS.iter().filter(|spec| !spec.shared) {
            writeln!(text, "{} {}", spec.long, spec.show(options))?;
        }
        match self.tcp_timeouts.keep_alive {
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
        match self.tcp_timeouts.timeout {
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

/// The options of all sources; `given` is the command line.
fn gather(given: &[Given], face: Face, warnings: &mut Vec<String>) -> Result<Options, ConfigError> {
    let mut options = Options::default();
    if let Some(directory) = variable(WORKING_DIRECTORY) {
        options.working_directory = Some(absolute(WORKING_DIRECTORY, directory.into())?);
    }
    for file in default_files() {
        options.begin_source();
        match fs::read(&file) {
            Ok(bytes) => take_file(&mut options, &file, &bytes, face, warnings)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let said = said(&error);
                warnings.push(format!("cannot read {}: {said}", file.display()));
            }
        }
    }
    let given = trusted(given, warnings);
    for it in given.iter().filter(|it| it.name == CONFIG) {
        let file = PathBuf::from(it.value.clone().unwrap_or_default());
        options.begin_source();
        match fs::read(&file) {
            Ok(bytes) => take_file(&mut options, &file, &bytes, face, warnings)?,
            Err(reason) => return Err(ConfigError::File { file, reason }),
        }
    }
    for it in given {
        options.take(it, face)?;
    }
    if !options.disallow_clear
        && let Some(value) = variable(DISALLOW_CLEAR)
    {
        options.disallow_clear =
            switch(&value.to_string_lossy()).ok_or(ConfigError::DisallowClear)?;
    }
    Ok(options)
}

/// An option of the command line that means the same in another working directory.
fn pinned(given: &Given) -> Result<Given, OptionError> {
    let is_path = ["FILE", "DIR"].map(Some).contains(&given.spec().value);
    let value = match &given.value {
        Some(value) if given.name == OUTPUT_OPTION => {
            let output = Output::parse("--output", value)?;
            Some(output.as_os_string())
        }
        Some(value) if is_path => {
            let of = format!("--{}", given.name);
            Some(absolute(&of, value.into())?.into_os_string())
        }
        value => value.clone(),
    };
    Ok(Given {
        name: given.name,
        value,
    })
}

fn default_files() -> impl Iterator<Item = PathBuf> {
    let home = environment::home().map(|home| home.join(".lttng/lttng.conf"));
    [Some(PathBuf::from(SYSTEM_FILE)), home]
        .into_iter()
        .flatten()
}

/// Takes the entries of a file. Under the name of the original one that cannot be meant is
/// passed over, and `warnings` says so; else it is an error, since a typo must not open a port
/// that was to be closed.
fn take_file(
    options: &mut Options,
    file: &Path,
    bytes: &[u8],
    face: Face,
    warnings: &mut Vec<String>,
) -> Result<(), ConfigError> {
    let ini::File { entries, odd } = ini::parse(&String::from_utf8_lossy(bytes));
    let is_strict = face == Face::Baton;
    for (line, oddity) in odd {
        if is_strict {
            let file = file.to_owned();
            return Err(ConfigError::Odd { file, line, oddity });
        }
        if oddity == Oddity::NoPair {
            let file = file.display();
            warnings.push(format!("{file}:{line}: {oddity}, ignored"));
        }
    }
    for Entry { line, key, value } in entries {
        let Some(spec) = Spec::named(&key) else {
            if is_strict {
                let file = file.to_owned();
                return Err(ConfigError::UnknownOption { file, line, key });
            }
            warnings.push(format!(
                "Unrecognized option \"{key}\" in daemon configuration file."
            ));
            continue;
        };
        // These are of a command line.
        if [HELP, VERSION, CONFIG].contains(&spec.long) {
            continue;
        }
        let given = Given {
            name: spec.long,
            value: Some(value.into()),
        };
        match options.take(&given, face) {
            Err(error @ OptionError::Switch { .. }) if !is_strict => {
                warnings.push(error.to_string());
            }
            // The file leaves the option out, or a later source has it.
            Err(error @ OptionError::NoPath { .. }) => {
                warnings.push(format!("{}:{line}: {error}", file.display()));
            }
            taken => taken.map_err(|error| ConfigError::InFile {
                file: file.to_owned(),
                line,
                error,
            })?,
        }
    }
    Ok(())
}

/// The option that a key in a file is most like.
fn is_meant(key: &str) -> String {
    let names = OPTIONS.iter().map(|spec| spec.long);
    let near = ini::nearest(key, names);
    near.map_or_else(
        || "; baton --help has all of them".to_owned(),
        |near| format!("; did you mean {near}?"),
    )
}

/// The options that a set-user-ID program accepts from its user: others could abuse the
/// program's rights.
fn trusted<'a>(given: &'a [Given], warnings: &mut Vec<String>) -> Vec<&'a Given> {
    let (refused, taken): (Vec<_>, Vec<_>) = given
        .iter()
        .partition(|it| environment::has_borrowed_rights() && it.spec().refused);
    for it in refused {
        let name = it.name;
        warnings.push(format!(
            "Getting '--{name}' argument from setuid/setgid binary refused for security reasons."
        ));
    }
    taken
}

fn listeners(options: &Options, dynamic: bool) -> Result<Vec<Listener>, ConfigError> {
    let mut listeners = Vec::new();
    for (endpoint, ports) in [
        (Endpoint::Control, &options.control),
        (Endpoint::Data, &options.data),
        (Endpoint::Live, &options.live),
    ] {
        if ports.urls().is_empty() {
            listeners.push(listener(endpoint, None, dynamic)?);
        }
        for url in ports.urls() {
            listeners.push(listener(endpoint, Some(url), dynamic)?);
        }
    }
    Ok(listeners)
}

fn listener(endpoint: Endpoint, url: Option<&Url>, dynamic: bool) -> Result<Listener, ConfigError> {
    let invalid = |reason| ConfigError::Url { endpoint, reason };
    let default = Url::parse(default_url(endpoint)).map_err(invalid)?;
    let url = url.unwrap_or(&default);
    let port = if dynamic { 0 } else { default_port(endpoint) };
    Ok(Listener {
        endpoint,
        address: url.resolve(port, dynamic).map_err(invalid)?,
        is_tls: url.is_tls(),
    })
}

fn status(asked: &StatusPort, face: Face, dynamic: bool) -> Result<StatusListeners, ConfigError> {
    let urls: Vec<Option<&Url>> = match asked {
        StatusPort::Auto if face == Face::Baton => vec![None],
        StatusPort::Auto | StatusPort::Off => Vec::new(),
        StatusPort::At(ports) => ports.urls().iter().map(Some).collect(),
    };
    let listeners = urls
        .iter()
        .map(|url| listener(Endpoint::Status, *url, dynamic));
    Ok(StatusListeners {
        listeners: listeners.collect::<Result<_, _>>()?,
        are_wanted: !asked.urls().is_empty(),
    })
}

/// By which names monitors may ask for this machine, beside its addresses: with TLS those of the
/// certificate, too.
fn names(asked: &StatusPort, certificate: Option<&Path>) -> Vec<String> {
    let own = rustix::system::uname();
    let mut names = vec![own.nodename().to_string_lossy().into_owned()];
    names.extend(asked.urls().iter().map(|url| url.host().to_owned()));
    if let Some(certificate) = certificate
        && asked.urls().iter().any(Url::is_tls)
    {
        // Whether it can be read is found when the ports open.
        names.extend(credentials::names(certificate).unwrap_or_default());
    }
    names
}

/// Number of descriptors that the relay may use.
fn descriptors(wanted: PoolSize) -> Result<u64, ConfigError> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    // None: no limit.
    let limit = limit.unwrap_or(u64::from(u32::MAX));
    match wanted.0 {
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
    fn a_later_file_undoes_a_switch() {
        let mut options = Options::default();
        let mut warnings = Vec::new();
        for value in ["yes", "NO"] {
            let text = format!("[relayd]\ndaemonize={value}\ngroup-output-by-session={value}\n");
            take_file(
                &mut options,
                Path::new("file"),
                text.as_bytes(),
                Face::LttngRelayd,
                &mut warnings,
            )
            .unwrap();
            assert_eq!(options.daemonize, value == "yes");
            assert_eq!(options.grouping.is_some(), value == "yes");
        }
        assert_eq!(warnings, [""; 0]);
    }
}
