//! The daemon: opens the listeners, runs the event loop, shuts down in order.

mod admission;
mod farewell;
mod greeting;
mod listening;
mod signs;

use std::net::{SocketAddr, TcpListener};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{env, io, thread};

use baton_components::connection::Endpoint;
use baton_components::limits::{SHUTDOWN_DISK_PATIENCE, SHUTDOWN_GRACE};
use baton_systems::audit::Audit;
use baton_systems::ports::{ChancePort, ClockPort, NetworkPort, Storage, StoragePort};
use baton_systems::settings::Settings;
use baton_systems::tick::Relay;

use self::admission::Admission;
use self::listening::Listening;
use crate::config::{Config, Detach};
use crate::detach::{self, Split};
use crate::journal::block::Header;
use crate::journal::book::Journal;
use crate::options::Face;
use crate::os::busy_poll::BusyPoll;
use crate::os::chance::KernelChance;
use crate::os::clock::SystemClock;
use crate::os::counters::Counters;
use crate::os::inherited;
use crate::os::log_places::{LogFile, Syslog};
use crate::os::log_queue::{self, Place, say};
use crate::os::memory::FilesInMemory;
use crate::os::network::{Idle, SocketNetwork};
use crate::os::own_file::OwnFile;
use crate::os::pool::Pool;
use crate::os::reactor::Reactor;
use crate::os::root::{Root, check_directory};
use crate::os::said;
use crate::os::signals::Stop;
use crate::os::storage::FileStorage;
use crate::os::tls::credentials::Mistake;
use crate::os::workers::Workers;
use crate::{journal, log};

/// The reason why the relay could not start, or failed, in one line.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "{} {}: {}; choose another directory with --output",
        if path.exists() { "Unable to use" } else { "Unable to create" },
        path.display(),
        said(reason)
    )]
    Output { path: PathBuf, reason: io::Error },
    #[error("Failed to change working directory to \"{}\": {}", path.display(), said(reason))]
    WorkingDirectory { path: PathBuf, reason: io::Error },
    #[error("cannot open the health socket {}: {}", path.display(), said(reason))]
    Health { path: PathBuf, reason: io::Error },
    #[error("Failed to create PID file at path '{}': {}", path.display(), said(reason))]
    PidFile { path: PathBuf, reason: io::Error },
    #[error(
        "--{0}-port and --{1}-port are both {address}: choose another address for one of them",
        one.name(),
        other.name()
    )]
    SamePort {
        one: Endpoint,
        other: Endpoint,
        address: SocketAddr,
    },
    #[error(
        "cannot listen on {address} for {0} connections: Failed to bind socket: {1}; \
         choose another address with --{0}-port{2}",
        endpoint.name(),
        said(reason),
        who_listens(reason, *address)
    )]
    Listen {
        endpoint: Endpoint,
        address: SocketAddr,
        reason: io::Error,
    },
    #[error(transparent)]
    Tls(#[from] Mistake),
    #[error("cannot make a file in memory for traces: {}", said(.0))]
    Memory(io::Error),
    #[error("cannot use the sockets that systemd opened: {}", said(.0))]
    Inherited(io::Error),
    #[error("cannot write the journal {}: {}", path.display(), said(reason))]
    Journal { path: PathBuf, reason: io::Error },
    #[error("cannot write the log to {}: {}; choose another file with --log-file", path.display(), said(reason))]
    Log { path: PathBuf, reason: io::Error },
    #[error("cannot become a daemon: {}", said(.0))]
    Detach(io::Error),
    #[error("{0}")]
    Daemon(String),
    #[error("cannot get random numbers for stream ids from the kernel: {}", said(.0))]
    Chance(io::Error),
    #[error("cannot poll for connections and signals: {}", said(.0))]
    Poll(io::Error),
    #[error("audit: breach in tick {tick}: {breach}")]
    Breach { tick: u64, breach: String },
    #[error("audit: records are left at the end: {0}")]
    Remains(String),
}

/// How to find the program that has a port.
fn who_listens(reason: &io::Error, address: SocketAddr) -> String {
    if reason.kind() == io::ErrorKind::AddrInUse {
        let port = address.port();
        format!(" (another relay? ss -ltnp 'sport = :{port}' shows it)")
    } else {
        String::new()
    }
}

/// Runs a relay until it is told to stop; or starts it in the background, and returns when it
/// listens. `warnings` are logged first.
pub fn run(config: &Config, warnings: &[String]) -> Result<(), Error> {
    // After the fork, since the child has another process id.
    let parent = rustix::process::getppid();
    let inherited = inherited::listeners().map_err(Error::Inherited)?;
    let log = log_place(config).inspect_err(|_| log::say_all(warnings))?;
    let greets_as_daemon = config.face == Face::Baton && config.detach == Detach::Daemon;
    let place = greets_as_daemon.then(|| greeting::where_log_is(&log));
    let readiness = if config.detach == Detach::Foreground {
        None
    } else {
        if let Some(path) = config.output.directory() {
            Root::open(path)
                .map_err(no_output(path))
                .inspect_err(|_| log::say_all(warnings))?;
        }
        match detach::split(config.detach).map_err(Error::Detach)? {
            Split::Parent(child) => return child.outcome().map_err(Error::Daemon),
            Split::Child(readiness) => Some(readiness),
        }
    };
    log::start(config, log);
    log::say_all(warnings);
    let started = Started::new(config, inherited);
    let started = match (started, readiness) {
        (started, None) => {
            let started = started?;
            signs::signal(config, parent);
            started
        }
        (Err(error), Some(readiness)) => {
            log_queue::flush();
            readiness.failed(&error.to_string())
        }
        (Ok(started), Some(readiness)) => {
            // Before the parent exits: a shell that waits for it may exit then.
            signs::signal(config, parent);
            if let Some(place) = place {
                log_queue::say_to_starter(format_args!("baton: {place}"));
            }
            // Before the console is closed.
            log_queue::flush();
            readiness.ready().map_err(Error::Detach)?;
            started
        }
    };
    signs::notify(sd_notify::NotifyState::Ready);
    started.run(config)
}

/// Checks whether a relay could start (`--check`), as far as that can be known without
/// changing anything.
pub fn check(config: &Config) -> Result<(), Error> {
    if let Some((one, other, address)) = config.clash() {
        return Err(Error::SamePort {
            one,
            other,
            address,
        });
    }
    if let Some(path) = config.output.directory() {
        Root::check(path).map_err(no_output(path))?;
    }
    if let Some(directory) = &config.working_directory {
        is_directory(directory).map_err(|reason| Error::WorkingDirectory {
            path: directory.clone(),
            reason,
        })?;
    }
    if let Some(path) = &config.options.log_file {
        LogFile::check(path).map_err(no_log(path))?;
    }
    if let Some(path) = &config.options.pid_file {
        check_directory(path.parent().unwrap_or(path)).map_err(|reason| Error::PidFile {
            path: path.clone(),
            reason,
        })?;
    }
    if let Some(path) = &config.health_socket {
        check_directory(path.parent().unwrap_or(path)).map_err(|reason| Error::Health {
            path: path.clone(),
            reason,
        })?;
    }
    admission::gate(config, &config.options)?;
    let journal = config.options.journal.as_deref();
    journal.map_or(Ok(()), |path| {
        journal::file::check(path).map_err(no_journal(path))
    })
}

fn no_output(path: &Path) -> impl Fn(io::Error) -> Error {
    |reason| Error::Output {
        path: path.to_owned(),
        reason,
    }
}

fn is_directory(path: &Path) -> io::Result<()> {
    if std::fs::metadata(path)?.is_dir() {
        Ok(())
    } else {
        Err(io::ErrorKind::NotADirectory.into())
    }
}

/// A relay that listens, with its files in the run directory. They are removed with it.
struct Started {
    relay: Relay,
    stop: Stop,
    admission: Admission,
    idle: Idle,
    journal: Option<Journal>,
    _files: Vec<OwnFile>,
}

impl Started {
    fn new(config: &Config, inherited: Vec<(Endpoint, TcpListener)>) -> Result<Self, Error> {
        if let Some(directory) = &config.working_directory {
            enter(directory)?;
        }
        let pool = Pool::of(config.descriptors);
        let counters = Counters::default();
        let (stop, idle) = (Stop::default(), Idle::default());
        let busy_poll = BusyPoll::new(config.options.busy_poll.0);
        let reactor = Reactor::new(stop.clone(), busy_poll).map_err(Error::Poll)?;
        let (peers_max, timeouts) = (pool.connections, config.tcp_timeouts);
        let mut network = SocketNetwork::new(reactor, idle.clone(), peers_max, timeouts)
            .with_counters(counters.clone());
        let admission = Admission::open(&mut network, config, counters.clone())?;
        let storage = storage(config, &pool, &mut network, &counters)?;
        let listening = Listening::open(&mut network, config, inherited)?;
        let settings = settings(config, &listening);
        let journal = journal(config, &settings)?;
        let mut files = signs::show(&mut network, config, &listening.main())?;
        files.extend(signs::write_pid(config.options.pid_file.as_deref())?);
        if config.face == Face::Baton {
            greeting::greet(config, &listening);
            greeting::warn_of_strangers(config, &listening.plain());
        }
        let mut clock = SystemClock::new().with_counters(counters);
        if let Some(path) = config.output.directory() {
            clock = clock.with_output(path);
        }
        let mut ports = ports(network, storage, clock)?;
        if let Some(journal) = &journal {
            ports = journal::ports::record(journal, ports);
        }
        let (network, storage, clock, chance) = ports;
        let relay = Relay::new(
            network,
            storage,
            clock,
            chance,
            settings,
            config.options.audit,
        );
        Ok(Self {
            relay,
            stop,
            admission,
            idle,
            journal,
            _files: files,
        })
    }

    fn run(mut self, config: &Config) -> Result<(), Error> {
        while !self.stop.is_asked() {
            tick(&mut self.relay)?;
            self.admission.keep(config);
        }
        signs::notify(sd_notify::NotifyState::Stopping);
        let warn = farewell::warn_of_sessions;
        finish(&mut self.relay, &self.idle, self.journal.as_ref(), warn)?;
        if config.options.audit {
            let ticks = self.relay.read::<Audit>().ticks;
            say(format_args!(
                "baton: audit: clean after {ticks} ticks, nothing is left"
            ));
        }
        Ok(())
    }
}

/// The storage that traces go to.
fn storage(
    config: &Config,
    pool: &Pool,
    network: &mut SocketNetwork,
    counters: &Counters,
) -> Result<Box<dyn Storage>, Error> {
    let workers = Workers::new(network.reactor().waker());
    let (sockets, counters) = (network.sockets(), counters.clone());
    let Some(path) = config.output.directory() else {
        let files = FilesInMemory::new(sockets, counters, workers);
        return Ok(Box::new(files.map_err(Error::Memory)?));
    };
    let files = FileStorage::open(path, pool.files).map_err(no_output(path))?;
    greeting::warn_of_others(path, files.has_company);
    let files = files.with_counters(counters).with_sockets(sockets);
    Ok(Box::new(files.with_workers(workers)))
}

fn ports(
    network: SocketNetwork,
    storage: Box<dyn Storage>,
    clock: SystemClock,
) -> Result<(NetworkPort, StoragePort, ClockPort, ChancePort), Error> {
    let chance = KernelChance::new().map_err(Error::Chance)?;
    Ok((
        NetworkPort(Box::new(network)),
        StoragePort::new(storage),
        ClockPort(Box::new(clock)),
        ChancePort(Box::new(chance)),
    ))
}

/// The options, for the ports and the disk that there are.
fn settings(config: &Config, listening: &Listening) -> Settings {
    Settings {
        ports: listening.ports(),
        probes_disk: config.output.directory().is_some(),
        ..config.options.settings.on(config.disk_bytes())
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

/// Opens what the log goes to: the file of `--log-file`; for a daemon without one syslog, if
/// that runs. The original's daemon logs nothing then.
fn log_place(config: &Config) -> Result<Place, Error> {
    if let Some(path) = &config.options.log_file {
        let file = LogFile::open(path).map_err(no_log(path))?;
        return Ok(Place::File(file));
    }
    let has_console = config.detach != Detach::Daemon || config.face == Face::LttngRelayd;
    let syslog = (!has_console).then(|| Syslog::open(Path::new(Syslog::PATH)));
    Ok(syslog
        .and_then(Result::ok)
        .map_or(Place::StandardError, Place::Syslog))
}

fn no_log(path: &Path) -> impl Fn(io::Error) -> Error {
    |reason| Error::Log {
        path: path.to_owned(),
        reason,
    }
}

/// Opens the journal, if `--journal` is given.
fn journal(config: &Config, settings: &Settings) -> Result<Option<Journal>, Error> {
    let Some(path) = &config.options.journal else {
        return Ok(None);
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let header = Header {
        program: env!("CARGO_PKG_VERSION").to_owned(),
        output: config.output.as_os_string().into_vec(),
        started_unix_s: now.map_or(0, |passed| passed.as_secs()),
        payload: config.options.journal_payload,
        lttng_relayd: config.face == Face::LttngRelayd,
        settings: settings.clone(),
    };
    let (file, earlier) = journal::file::create(path).map_err(no_journal(path))?;
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

/// Shutdown: reads data that is already in flight, then closes everything; `warn` is called in
/// between.
pub fn finish(
    relay: &mut Relay,
    idle: &Idle,
    journal: Option<&Journal>,
    warn: impl FnOnce(&Relay),
) -> Result<(), Error> {
    tracing::info!("stopping");
    relay.stop_accepting();
    let begun = Instant::now();
    loop {
        tick(relay)?;
        let is_done = idle.is_idle() && !relay.goes_on();
        if begun.elapsed() >= SHUTDOWN_GRACE || (is_done && !relay.waits_for_disk()) {
            break;
        }
        if is_done {
            // A relay that is to stop does not wait in its ticks.
            thread::sleep(Duration::from_millis(1));
        }
    }
    warn(relay);
    if wait_for_probe(relay)? {
        if let Some(journal) = journal {
            journal.hang_up();
        }
        relay.hang_up_all();
        tick(relay)?;
        wait_for_disk(relay)?;
    }
    if let Some(journal) = journal {
        journal.end();
    }
    let remains = relay.remains();
    if remains.is_empty() || !relay.unanswered().is_empty() {
        Ok(())
    } else {
        Err(Error::Remains(remains.join(", ")))
    }
}

/// Runs ticks until what is open can be closed, and what has waited for the disk was done. False:
/// the disk has not answered in time.
fn wait_for_probe(relay: &mut Relay) -> Result<bool, Error> {
    if relay.can_hang_up() {
        return Ok(true);
    }
    let mut silent_since = Instant::now();
    let mut answered = None;
    loop {
        if relay.can_hang_up() {
            silent_since = Instant::now();
            let answered = *answered.get_or_insert(silent_since);
            let is_done = !relay.goes_on() && !relay.waits_for_disk();
            if is_done || answered.elapsed() >= SHUTDOWN_GRACE {
                return Ok(true);
            }
        } else if silent_since.elapsed() >= SHUTDOWN_DISK_PATIENCE {
            let seconds = SHUTDOWN_DISK_PATIENCE.as_secs();
            tracing::error!(
                "the disk has not answered for {seconds} s, the relay stops nevertheless: sessions \
                 are left as they are; `baton repair` puts them in order"
            );
            return Ok(false);
        }
        if !relay.goes_on() {
            // A relay that is to stop does not wait in its ticks.
            thread::sleep(Duration::from_millis(1));
        }
        tick(relay)?;
    }
}

/// Runs ticks until storage has answered all that it was asked for, but not for ever.
fn wait_for_disk(relay: &mut Relay) -> Result<(), Error> {
    let begun = Instant::now();
    loop {
        let unanswered = relay.unanswered();
        if unanswered.is_empty() {
            return Ok(());
        }
        if begun.elapsed() >= SHUTDOWN_DISK_PATIENCE {
            let seconds = SHUTDOWN_DISK_PATIENCE.as_secs();
            for what in &unanswered {
                tracing::error!(
                    "the disk has not answered for {seconds} s, the relay stops nevertheless: \
                     {what}"
                );
            }
            return Ok(());
        }
        // A relay that is to stop does not wait in its ticks.
        thread::sleep(Duration::from_millis(1));
        tick(relay)?;
    }
}

/// Runs one tick, and returns an error of its audit.
pub fn tick(relay: &mut Relay) -> Result<(), Error> {
    relay.tick();
    let audit = relay.read::<Audit>();
    match audit.breaches.first() {
        None => Ok(()),
        Some(breach) => Err(Error::Breach {
            tick: audit.ticks,
            breach: breach.to_string(),
        }),
    }
}
