//! The daemon: ports opened, ticks run, an orderly end.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use std::{env, io, process};

use baton_components::connection::Port;
use baton_components::limits::SHUTDOWN_GRACE;
use baton_systems::audit::Audit;
use baton_systems::ports::{ChancePort, ClockPort, NetworkPort, StoragePort};
use baton_systems::settings::{Grouping, HoldBack, Served};
use baton_systems::tick::Relay;

use rustix::process::{Pid, Signal};

use crate::config::{Config, Detach, Face};
use crate::detach::{self, Split};
use crate::journal::block::Header;
use crate::journal::book::Journal;
use crate::os::busy_poll::BusyPoll;
use crate::os::chance::KernelChance;
use crate::os::clock::SystemClock;
use crate::os::inherited;
use crate::os::log_queue::{self, say};
use crate::os::network::{Idle, SocketNetwork};
use crate::os::own_file::OwnFile;
use crate::os::pool::Pool;
use crate::os::recording;
use crate::os::root::Root;
use crate::os::run_directory::{self, RunDirectory};
use crate::os::said;
use crate::os::signals::Stop;
use crate::os::storage::FileStorage;
use crate::{journal, log};

/// Why the relay did not start, or did not end well. One line for people.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("Unable to create {}: {}", path.display(), said(reason))]
    Output { path: PathBuf, reason: io::Error },
    #[error("Failed to change working directory to \"{}\": {}", path.display(), said(reason))]
    WorkingDirectory { path: PathBuf, reason: io::Error },
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
    #[error("cannot get random numbers, which ids of streams are made of, from the kernel: {}", said(.0))]
    Chance(io::Error),
    #[error("cannot wait for connections or signals: {}", said(.0))]
    Poll(io::Error),
    #[error("audit: breach in tick {tick}: {breach}")]
    Breach { tick: u64, breach: String },
    #[error("audit: not empty at the end: {0}")]
    Remains(String),
}

/// Runs a relay until it is told to stop; or starts one that goes on as a daemon, and
/// returns when that one listens. `warnings`: lines that are to be said first.
pub fn run(config: &Config, warnings: &[String]) -> Result<(), Error> {
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
        Root::open(&config.output)
            .map_err(output)
            .inspect_err(|_| say_all(warnings))?;
        match detach::split(config.detach).map_err(Error::Detach)? {
            Split::Parent(child) => return child.outcome().map_err(Error::Daemon),
            Split::Child(readiness) => Some(readiness),
        }
    };
    log::start(config);
    say_all(warnings);
    let started = Started::new(config, inherited);
    let started = match (started, readiness) {
        (started, None) => {
            let started = started?;
            signal(config, parent);
            started
        }
        (Err(error), Some(readiness)) => {
            log_queue::flush();
            readiness.failed(&error.to_string())
        }
        (Ok(started), Some(readiness)) => {
            // Before the parent ends: a shell that waits for it may end with it.
            signal(config, parent);
            // While the console is there.
            log_queue::flush();
            readiness.ready().map_err(Error::Detach)?;
            started
        }
    };
    notify(sd_notify::NotifyState::Ready);
    started.run(config)
}

/// Finds what would keep a relay from starting, as far as it can be known before.
pub fn check(config: &Config) -> Result<(), Error> {
    let journal = config.journal.as_deref();
    journal.map_or(Ok(()), |path| {
        journal::place::check(path).map_err(no_journal(path))
    })
}

/// A relay that listens, and the signs of it that others see. They go with it.
struct Started {
    relay: Relay,
    stop: Stop,
    idle: Idle,
    journal: Option<Journal>,
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
        let journal = journal(config)?;
        let mut files = show(&mut network, config, &listening)?;
        files.extend(write_pid(config.pid_file.as_deref())?);
        warn_of_others(config, storage.has_company);
        if config.face == Face::Baton {
            greet(config, &listening);
        }
        let chance = KernelChance::new().map_err(Error::Chance)?;
        let mut ports = (
            NetworkPort(Box::new(network)),
            StoragePort(Box::new(storage)),
            ClockPort(Box::new(SystemClock::new())),
            ChancePort(Box::new(chance)),
        );
        if let Some(journal) = &journal {
            ports = journal::ports::record(journal, ports);
        }
        let (network, storage, clock, chance) = ports;
        let settings = config.settings.clone();
        let relay = Relay::new(network, storage, clock, chance, settings, config.audit);
        Ok(Self {
            relay,
            stop,
            idle,
            journal,
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
            say(format_args!(
                "baton: audit: clean after {ticks} ticks, nothing is left"
            ));
        }
        Ok(())
    }
}

/// Says what was found before there was a log.
pub fn say_all(lines: &[String]) {
    for line in lines {
        say(format_args!("{line}"));
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

/// Lets others find the relay, by its health socket and its port files. A relay that has
/// no place for them records all the same.
fn show(
    network: &mut SocketNetwork,
    config: &Config,
    listening: &[(Port, SocketAddr)],
) -> Result<Vec<OwnFile>, Error> {
    let group = run_directory::group(&config.group);
    let mut answer = |socket: &Path| {
        network
            .answer_health(socket)
            .and_then(|()| run_directory::share(socket, group))
    };
    // One that was asked for by name is there, or the relay does not start.
    if let Some(socket) = &config.health_socket {
        answer(socket).map_err(|reason| Error::Health {
            path: socket.clone(),
            reason,
        })?;
    }
    let Some(path) = &config.run_directory else {
        tracing::warn!(
            "no home directory is known: no health socket, no port files; \
             choose a directory for them with LTTNG_RUNDIR"
        );
        return Ok(Vec::new());
    };
    let shown = RunDirectory::prepare(path, group).and_then(|directory| {
        if config.health_socket.is_none() {
            answer(&directory.health_socket())?;
        }
        directory.write_ports(listening)
    });
    Ok(shown.unwrap_or_else(|reason| {
        let (path, reason) = (path.display(), said(&reason));
        tracing::warn!(
            "cannot use the run directory {path}: {reason}: no health socket, no port files; \
             choose another with LTTNG_RUNDIR"
        );
        Vec::new()
    }))
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
    let (file, earlier) = journal::place::create(path).map_err(no_journal(path))?;
    if let Some(earlier) = earlier {
        tracing::info!("the earlier journal was renamed {}", earlier.display());
    }
    let journal = Journal::begin(file, path, &header);
    journal.map(Some).map_err(no_journal(path))
}

fn no_journal(path: &Path) -> impl Fn(io::Error) -> Error {
    |reason| Error::Journal {
        path: path.to_owned(),
        reason,
    }
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

/// Says what other relays do in the output directory, or did.
fn warn_of_others(config: &Config, has_company: bool) {
    let output = config.output.display();
    if has_company {
        tracing::warn!("another relay writes to {output} too: each has its own sessions there");
    }
    // A directory that cannot be read has no signs that could be.
    let killed = recording::signs_of_killed(&config.output).unwrap_or_default();
    if !killed.is_empty() {
        tracing::warn!(
            "an earlier relay was killed here and may have left torn packets: baton repair {output}"
        );
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
    say(format_args!(
        "baton: producers connect to {control} (control) and {data} (data), viewers to {live}"
    ));
    let output = config.output.display();
    say(format_args!("baton: traces are written to {output}"));
    let url = producer_url(control, data);
    say(format_args!(
        "baton: try: lttng create demo --live --set-url={url}"
    ));
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
