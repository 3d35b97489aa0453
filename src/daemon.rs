//! The daemon: ports opened, ticks run, an orderly end.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use std::{env, io, process};

use baton_components::connection::Port;
use baton_components::limits::SHUTDOWN_GRACE;
use baton_systems::audit::Audit;
use baton_systems::ports::{ClockPort, NetworkPort, StoragePort};
use baton_systems::settings::{Grouping, HoldBack, Served};
use baton_systems::tick::Relay;

use rustix::process::{Pid, Signal};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{Config, Detach, Face};
use crate::detach::{self, Split};
use crate::journal;
use crate::journal::block::Header;
use crate::journal::book::Journal;
use crate::os::busy_poll::BusyPoll;
use crate::os::clock::SystemClock;
use crate::os::inherited;
use crate::os::marker::{self, Marker};
use crate::os::network::{Idle, SocketNetwork};
use crate::os::own_file::OwnFile;
use crate::os::pool::Pool;
use crate::os::root::Root;
use crate::os::run_directory::RunDirectory;
use crate::os::said;
use crate::os::signals::Stop;
use crate::os::storage::FileStorage;

/// Why the relay did not start, or did not end well. One line for people.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("Unable to create {}: {}", path.display(), said(reason))]
    Output { path: PathBuf, reason: io::Error },
    #[error("cannot write to {}: {}", path.display(), said(reason))]
    Unwritable { path: PathBuf, reason: io::Error },
    #[error("Failed to change working directory to \"{}\": {}", path.display(), said(reason))]
    WorkingDirectory { path: PathBuf, reason: io::Error },
    #[error("cannot use the run directory {}: {}", path.display(), said(reason))]
    RunDirectory { path: PathBuf, reason: io::Error },
    #[error("cannot answer for the relay's health at {}: {}", path.display(), said(reason))]
    Health { path: PathBuf, reason: io::Error },
    #[error("Failed to create PID file at path '{}': {}", path.display(), said(reason))]
    PidFile { path: PathBuf, reason: io::Error },
    #[error("cannot listen on {address} for {} connections: Failed to bind socket: {}", port.name(), said(reason))]
    Listen {
        port: Port,
        address: SocketAddr,
        reason: io::Error,
    },
    #[error("cannot take the sockets that the relay was started with: {}", said(.0))]
    Inherited(io::Error),
    #[error("cannot write the journal {}: {}", path.display(), said(reason))]
    Journal { path: PathBuf, reason: io::Error },
    #[error("cannot become a daemon: {}", said(.0))]
    Detach(io::Error),
    #[error("{0}")]
    Daemon(String),
    #[error("cannot wait for connections or signals: {}", said(.0))]
    Poll(io::Error),
    #[error("audit: breach in tick {tick}: {breach}")]
    Breach { tick: u64, breach: String },
    #[error("audit: not empty at the end: {0}")]
    Remains(String),
}

/// Runs a relay until it is told to stop; or starts one that goes on as a daemon, and
/// returns when that one listens.
pub fn run(config: &Config) -> Result<(), Error> {
    // A child would have another.
    let parent = rustix::process::getppid();
    let inherited = inherited::listeners().map_err(Error::Inherited)?;
    let output = |reason| Error::Output {
        path: config.output.clone(),
        reason,
    };
    let readiness = if config.detach == Detach::Foreground {
        None
    } else {
        Root::open(&config.output).map_err(output)?;
        match detach::split(config.detach).map_err(Error::Detach)? {
            Split::Parent(child) => return child.outcome().map_err(Error::Daemon),
            Split::Child(readiness) => Some(readiness),
        }
    };
    start_log(config);
    let started = Started::new(config, inherited);
    let started = match (started, readiness) {
        (started, None) => {
            let started = started?;
            signal(config, parent);
            started
        }
        (Err(error), Some(readiness)) => readiness.failed(&error.to_string()),
        (Ok(started), Some(readiness)) => {
            // Before the parent ends: a shell that waits for it may end with it.
            signal(config, parent);
            readiness.ready().map_err(Error::Detach)?;
            started
        }
    };
    notify(sd_notify::NotifyState::Ready);
    started.run(config)
}

/// A relay that listens, and the signs of it that others see. They go with it.
struct Started {
    relay: Relay,
    stop: Stop,
    idle: Idle,
    journal: Option<Journal>,
    _marker: Marker,
    _files: Vec<OwnFile>,
}

impl Started {
    fn new(config: &Config, inherited: Vec<(Port, TcpListener)>) -> Result<Self, Error> {
        if let Some(directory) = &config.working_directory {
            enter(directory)?;
        }
        let storage_error = |reason| Error::Output {
            path: config.output.clone(),
            reason,
        };
        let pool = Pool::of(config.descriptors);
        let storage = FileStorage::open(&config.output, pool.files).map_err(storage_error)?;
        let run_error = |reason| Error::RunDirectory {
            path: config.run_directory.clone(),
            reason,
        };
        let run_directory =
            RunDirectory::prepare(&config.run_directory, &config.group).map_err(run_error)?;
        let stop = Stop::default();
        let idle = Idle::default();
        let mut network = SocketNetwork::new(
            stop.clone(),
            idle.clone(),
            pool.connections,
            config.watch,
            BusyPoll::new(config.busy_poll),
        )
        .map_err(Error::Poll)?;
        let listening = listen(&mut network, config, inherited)?;
        let socket = (config.health_socket.clone()).unwrap_or(run_directory.health_socket());
        network
            .answer_health(&socket)
            .and_then(|()| run_directory.share_health_socket(&socket))
            .map_err(|reason| Error::Health {
                path: socket,
                reason,
            })?;
        let crashed = marker::has_crashed(&config.output);
        let marker = Marker::set(&config.output).map_err(|reason| Error::Unwritable {
            path: config.output.clone(),
            reason,
        })?;
        let mut files = run_directory.write_ports(&listening).map_err(run_error)?;
        files.extend(write_pid(config.pid_file.as_deref())?);
        if crashed {
            tracing::warn!(
                "an earlier relay was killed here and may have left torn packets: baton repair {}",
                config.output.display()
            );
        }
        if config.face == Face::Baton {
            greet(config, &listening);
        }
        let mut ports = (
            NetworkPort(Box::new(network)),
            StoragePort(Box::new(storage)),
            ClockPort(Box::new(SystemClock::new())),
        );
        let journal = journal(config)?;
        if let Some(journal) = &journal {
            ports = journal::ports::record(journal, ports);
        }
        let (network, storage, clock) = ports;
        let settings = config.settings.clone();
        let relay = Relay::new(network, storage, clock, settings, config.audit);
        Ok(Self {
            relay,
            stop,
            idle,
            journal,
            _marker: marker,
            _files: files,
        })
    }

    fn run(mut self, config: &Config) -> Result<(), Error> {
        while !self.stop.is_asked() {
            tick(&mut self.relay)?;
        }
        notify(sd_notify::NotifyState::Stopping);
        finish(&mut self.relay, &self.idle, self.journal.as_ref())?;
        if config.audit {
            let ticks = self.relay.world.resource::<Audit>().ticks;
            eprintln!("baton: audit: clean after {ticks} ticks, nothing is left");
        }
        Ok(())
    }
}

fn enter(directory: &Path) -> Result<(), Error> {
    env::set_current_dir(directory).map_err(|reason| Error::WorkingDirectory {
        path: directory.to_owned(),
        reason,
    })?;
    if rustix::fs::access(directory, rustix::fs::Access::WRITE_OK).is_err() {
        let directory = directory.display();
        tracing::debug!("Working directory \"{directory}\" is not writable");
    }
    Ok(())
}

/// Listens on all ports, and gives where: on sockets that were handed to the relay, or
/// else where the configuration says.
fn listen(
    network: &mut SocketNetwork,
    config: &Config,
    inherited: Vec<(Port, TcpListener)>,
) -> Result<Vec<(Port, SocketAddr)>, Error> {
    let mut listening = Vec::new();
    for (port, socket) in inherited {
        let address = network.listen_on(port, socket).map_err(Error::Inherited)?;
        listening.push((port, address));
    }
    for (port, address) in config.listeners {
        if listening.iter().any(|(other, _)| *other == port) {
            continue;
        }
        let address = network
            .listen(port, address)
            .map_err(|reason| Error::Listen {
                port,
                address,
                reason,
            })?;
        listening.push((port, address));
    }
    Ok(listening)
}

/// The journal of what comes in, if one is wanted.
fn journal(config: &Config) -> Result<Option<Journal>, Error> {
    let Some(path) = &config.journal else {
        return Ok(None);
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let header = Header {
        program: env!("CARGO_PKG_VERSION").to_owned(),
        output: config.output.as_os_str().as_bytes().to_owned(),
        started_unix_s: now.map_or(0, |passed| passed.as_secs()),
        payload: config.journal_payload,
        lttng_relayd: config.face == Face::LttngRelayd,
        grouped_by_session: config.settings.grouping == Grouping::Session,
        clear_allowed: config.settings.clear_allowed,
        serves_all: config.settings.serve == Served::All,
        hold_back: match config.settings.hold_back {
            HoldBack::Auto => None,
            HoldBack::Fixed(time) => Some(time),
        },
    };
    let journal = Journal::create(path, &header);
    journal.map(Some).map_err(|reason| Error::Journal {
        path: path.clone(),
        reason,
    })
}

fn write_pid(path: Option<&Path>) -> Result<Option<OwnFile>, Error> {
    let Some(path) = path else {
        return Ok(None);
    };
    match OwnFile::write(path, PID_FILE_MODE, &format!("{}\n", process::id())) {
        Ok(file) => Ok(Some(file)),
        Err(reason) => Err(Error::PidFile {
            path: path.to_owned(),
            reason,
        }),
    }
}

/// Tells the parent of whoever started the relay that it listens, if it wants to know.
fn signal(config: &Config, parent: Option<Pid>) {
    if config.sig_parent
        && let Some(parent) = parent
    {
        // A parent that is gone waits no more.
        let _ = rustix::process::kill_process(parent, Signal::USR1);
    }
}

/// Tells systemd, if it wants to know.
fn notify(state: sd_notify::NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!("systemd cannot be notified: {error}");
    }
}

/// Takes in what peers had already sent, then lets everything go.
pub fn finish(relay: &mut Relay, idle: &Idle, journal: Option<&Journal>) -> Result<(), Error> {
    tracing::info!("stopping");
    relay.world.resource_mut::<NetworkPort>().stop_accepting();
    let begun = Instant::now();
    loop {
        tick(relay)?;
        if idle.is_idle() || begun.elapsed() >= SHUTDOWN_GRACE {
            break;
        }
    }
    if let Some(journal) = journal {
        journal.hang_up();
    }
    relay.hang_up_all();
    tick(relay)?;
    if let Some(journal) = journal {
        journal.end();
    }
    let remains = relay.remains();
    if remains.is_empty() {
        Ok(())
    } else {
        Err(Error::Remains(remains.join(", ")))
    }
}

/// One tick, with what its audit found.
pub fn tick(relay: &mut Relay) -> Result<(), Error> {
    relay.tick();
    let audit = relay.world.resource::<Audit>();
    match audit.breaches.first() {
        None => Ok(()),
        Some(breach) => Err(Error::Breach {
            tick: audit.ticks,
            breach: breach.to_string(),
        }),
    }
}

/// Says where the relay listens, where it writes, and what to try.
fn greet(config: &Config, listening: &[(Port, SocketAddr)]) {
    let at = |port| {
        let found = listening.iter().find(|(other, _)| *other == port);
        found.map(|(_, address)| *address)
    };
    let (Some(control), Some(data), Some(live)) =
        (at(Port::Control), at(Port::Data), at(Port::Live))
    else {
        return;
    };
    eprintln!(
        "baton: producers connect to {control} (control) and {data} (data), viewers to {live}"
    );
    eprintln!("baton: traces are written to {}", config.output.display());
    eprintln!(
        "baton: try: lttng create demo --live --set-url={}",
        producer_url(control, data)
    );
}

/// The URL that makes a producer on this machine send here.
fn producer_url(control: SocketAddr, data: SocketAddr) -> String {
    let host = match control {
        address if address.ip().is_unspecified() || address.ip().is_loopback() => {
            "localhost".to_owned()
        }
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => format!("[{}]", address.ip()),
    };
    let scheme = if control.is_ipv6() { "net6" } else { "net" };
    match (control.port(), data.port()) {
        (5342, 5343) => format!("{scheme}://{host}"),
        (control, data) => format!("{scheme}://{host}:{control}:{data}"),
    }
}

fn start_log(config: &Config) {
    let level = match (config.log.verbosity, config.face) {
        // Scripts for the original take silence for success.
        (0, Face::LttngRelayd) => tracing::Level::WARN,
        (0, Face::Baton) => tracing::Level::INFO,
        (1, _) => tracing::Level::DEBUG,
        _ => tracing::Level::TRACE,
    };
    log_from(level, config.log.colored, config.log.aborts_on_error);
}

/// Logs to standard error from this level on.
pub fn log_from(level: tracing::Level, colored: Option<bool>, aborts_on_error: bool) {
    let to_terminal = io::IsTerminal::is_terminal(&io::stderr());
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .with_writer(io::stderr)
        .with_ansi(colored.unwrap_or(to_terminal))
        .finish()
        .with(aborts_on_error.then_some(AbortOnError))
        .init();
}

/// Ends the process where an error was logged, for whoever looks for its cause.
struct AbortOnError;

impl<S: tracing::Subscriber> Layer<S> for AbortOnError {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() == tracing::Level::ERROR {
            process::abort();
        }
    }
}

/// For everybody to read, less the umask.
const PID_FILE_MODE: u32 = 0o644;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_to_try_is_as_short_as_it_can_be() {
        let url = |control: &str, data: &str| {
            producer_url(control.parse().unwrap(), data.parse().unwrap())
        };
        assert_eq!(url("0.0.0.0:5342", "0.0.0.0:5343"), "net://localhost");
        assert_eq!(url("127.0.0.1:1", "127.0.0.1:2"), "net://localhost:1:2");
        assert_eq!(url("192.0.2.1:5342", "192.0.2.1:5343"), "net://192.0.2.1");
        assert_eq!(
            url("[2001:db8::1]:1", "[2001:db8::1]:2"),
            "net6://[2001:db8::1]:1:2"
        );
    }
}
