//! The table of options: `baton relay`, `lttng-relayd`, configuration files, `--check`, help
//! texts, man pages and completions are made from it.
//!
//! A row is a field of [`Options`] with its type, default and [`Spec`]. The type decides
//! which values are valid, and parses and prints them ([`value`]). An option that systems
//! need is a field of [`Settings`], which a journal records whole; its row names it as
//! `settings.field`.

pub mod amounts;
pub mod output;
pub mod ports;
pub mod sync;
pub mod value;

use std::ffi::OsString;
use std::path::PathBuf;

use baton_systems::settings::{Grouping, MinFree, Settings};

use self::output::TracesPlace;
use self::ports::{Ports, StatusPort};
use self::sync::Sync;
use self::value::{AddressShare, Bytes, Micros, OptionError, PoolSize, Value};
use crate::addresses::Allowed;
use crate::journal::block::Payload;
use crate::os::busy_poll;
use crate::os::tls::credentials::Minimum;

/// The name under which the relay was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Face {
    Baton,
    LttngRelayd,
}

/// The definition of an option.
pub struct Spec {
    pub long: &'static str,
    pub short: Option<char>,
    /// The name of its argument; none for a switch.
    pub value: Option<&'static str>,
    pub help: &'static str,
    /// The original has this option too.
    pub shared: bool,
    /// A program that runs with more rights than its user does not take it from them.
    pub refused: bool,
    place: fn(&mut Options) -> &mut dyn Value,
    look: fn(&Options) -> &dyn Value,
}

/// An option of the original.
const SHARED: Spec = Spec {
    long: "",
    short: None,
    value: None,
    help: "",
    shared: true,
    refused: false,
    place: |options| &mut options.help,
    look: |options| &options.help,
};

/// Base of options that the original lacks.
const OWN: Spec = Spec {
    shared: false,
    ..SHARED
};

/// Defines [`Options`] and [`OPTIONS`]. A row without a type is of a field that another row
/// defines.
macro_rules! options {
    ($($field:ident $(. $inner:ident)? $(: $type:ty = $default:expr)? => $spec:expr;)*) => {
        /// The values of all options: as given, or their defaults.
        #[derive(Clone, Debug)]
        pub struct Options {
            $($(pub $field: $type,)?)*
            pub settings: Settings,
        }

        impl Default for Options {
            fn default() -> Self {
                Self {
                    $($($field: $default,)?)*
                    settings: Settings::default(),
                }
            }
        }

        /// In the order of the original, which its messages about ambiguous abbreviations show;
        /// Baton's own options follow.
        pub static OPTIONS: &[Spec] = &[$(Spec {
            place: |options| &mut options.$field $(.$inner)?,
            look: |options| &options.$field $(.$inner)?,
            ..$spec
        },)*];
    };
}

options! {
    control: Ports = Ports::default() => Spec {
        long: "control-port", short: Some('C'), value: Some("URL"), refused: true,
        help: "Where producers connect for control; may be given several times [default: tcp://0.0.0.0:5342]",
        ..SHARED
    };
    data: Ports = Ports::default() => Spec {
        long: "data-port", short: Some('D'), value: Some("URL"), refused: true,
        help: "Where producers connect for data; may be given several times [default: tcp://0.0.0.0:5343]",
        ..SHARED
    };
    live: Ports = Ports::default() => Spec {
        long: "live-port", short: Some('L'), value: Some("URL"), refused: true,
        help: "Where viewers connect; may be given several times [default: tcp://localhost:5344]",
        ..SHARED
    };
    daemonize: bool = false => Spec {
        long: "daemonize", short: Some('d'),
        help: "Become a daemon without a console, once all ports listen",
        ..SHARED
    };
    background: bool = false => Spec {
        long: "background", short: Some('b'),
        help: "Become a daemon that keeps the console, once all ports listen",
        ..SHARED
    };
    group: OsString = "tracing".into() => Spec {
        long: "group", short: Some('g'), value: Some("NAME"), refused: true,
        help: "Group that may use the health socket when the relay runs as root [default: tracing]",
        ..SHARED
    };
    fd_pool_size: PoolSize = PoolSize::default() => Spec {
        long: "fd-pool-size", value: Some("COUNT"),
        help: "Number of file descriptors to use, at least 100: half for connections, half for files [default: the soft limit of the process]",
        ..SHARED
    };
    help: bool = false => Spec {
        long: HELP, short: Some('h'),
        help: "Print help",
        ..SHARED
    };
    output: TracesPlace = TracesPlace::default() => Spec {
        long: "output", short: Some('o'), value: Some("DIR"), refused: true,
        help: "Where traces are written; memory:SIZE, such as memory:256M: nowhere, the newest are kept in memory for live viewers [default: $LTTNG_HOME/lttng-traces, else ~/lttng-traces]",
        ..SHARED
    };
    verbosity: u8 = 0 => Spec {
        long: VERBOSE, short: Some('v'),
        help: "Log more: -v connections, -vv everything",
        ..SHARED
    };
    config: Option<PathBuf> = None => Spec {
        long: CONFIG, short: Some('f'), value: Some("FILE"), refused: true,
        help: "Read options from this file too, after those of the system and of the home directory",
        ..SHARED
    };
    version: bool = false => Spec {
        long: VERSION, short: Some('V'),
        help: "Print version",
        ..SHARED
    };
    working_directory: Option<PathBuf> = None => Spec {
        long: "working-directory", short: Some('w'), value: Some("DIR"), refused: true,
        help: "Where to run [default: here, or / for a daemon]",
        ..SHARED
    };
    grouping: Option<Grouping> = None => Spec {
        long: GROUP_BY_SESSION, short: Some('s'),
        help: "Sort traces by session: SESSION/HOST-TIME",
        ..SHARED
    };
    grouping => Spec {
        long: "group-output-by-host", short: Some('p'),
        help: "Sort traces by host: HOST/SESSION-TIME [default]",
        ..SHARED
    };
    disallow_clear: bool = false => Spec {
        long: "disallow-clear", short: Some('x'),
        help: "Refuse lttng clear",
        ..SHARED
    };
    pid_file: Option<PathBuf> = None => Spec {
        long: "pid-file", short: Some('P'), value: Some("FILE"), refused: true,
        help: "Write the process id here while the relay runs",
        ..SHARED
    };
    dynamic_ports: bool = false => Spec {
        long: "dynamic-port-allocation",
        help: "Let the system choose ports that are 0 or not given, and write them to control.port, data.port and live.port in the run directory",
        ..SHARED
    };
    sig_parent: bool = false => Spec {
        long: "sig-parent", short: Some('S'),
        help: "Send SIGUSR1 to the parent of this process once all ports listen",
        ..SHARED
    };
    settings.serve => Spec {
        long: "serve", value: Some("WHICH"),
        help: "Sessions that viewers may read. live: those created with --live, while their producer is connected; all: also sessions without --live, and those that ended most recently [default: live]",
        ..OWN
    };
    status: StatusPort = StatusPort::Auto => Spec {
        long: "status-port", value: Some("URL"), refused: true,
        help: "Where monitors ask about the relay by HTTP (/metrics, /status, /livez, /readyz), tcp:// or tls://; may be given several times; off: nowhere; auto: tcp://localhost:5340 if it is free, nowhere for lttng-relayd [default: auto]",
        ..OWN
    };
    settings.metrics_sessions => Spec {
        long: "metrics-sessions", value: Some("NUMBER"),
        help: "Number of sessions with figures of their own in /metrics [default: 200]",
        ..OWN
    };
    settings.max_size => Spec {
        long: "max-size", value: Some("SIZE"),
        help: "Cap on the disk space of all traces that Baton recorded in the output directory: above it the oldest are removed; K, M, G and T are units, 5% is a part of the disk",
        ..OWN
    };
    settings.max_session_size => Spec {
        long: "max-session-size", value: Some("SIZE"),
        help: "Cap on the disk space of one session: above it its oldest chunks and files are removed",
        ..OWN
    };
    settings.max_age => Spec {
        long: "max-age", value: Some("TIME"),
        help: "Maximum age of closed chunks and finished files: older ones are removed; d, h, m and s are units",
        ..OWN
    };
    settings.max_chunks => Spec {
        long: "max-chunks", value: Some("NUMBER"),
        help: "Closed chunks (rotations) that a session keeps: above it the oldest are removed",
        ..OWN
    };
    min_free: MinFree = MinFree::Auto => Spec {
        long: "min-free", value: Some("SIZE"),
        help: "Reserve: disk space that stays free. While less is free, no packet is recorded and no session begins; nothing is removed for it; 0: nothing; auto: the smaller of 1G and 5%, nothing for lttng-relayd [default: auto]",
        ..OWN
    };
    settings.when_full => Spec {
        long: "when-full", value: Some("WHAT"),
        help: "While less than --min-free is free. drop: packets are dropped and counted; wait: data connections are not read, so that tracers discard events, of all sessions of a machine [default: drop]",
        ..OWN
    };
    sync: Sync = Sync::default() => Spec {
        long: "sync", value: Some("WHEN"),
        help: "When what was recorded is synced to the disk, for a loss of power. never: when the system wants; chunk: each chunk when it is closed, by a rotation or the end of its session; SECONDS: also what was recorded since the last time, that often; auto: chunk, never for lttng-relayd [default: auto]",
        ..OWN
    };
    settings.durable_replies => Spec {
        long: "durable-replies",
        help: "Tell producers that their data has arrived (lttng stop and destroy wait for that) when it is synced, not before; needs --sync SECONDS",
        ..OWN
    };
    settings.hold_back => Spec {
        long: "live-hold-back", value: Some("MILLISECONDS"),
        help: "Hold-back: age of packets when viewers are told of them, so that a stream that appears after its first event is still in order; auto: 500 in sessions with buffers per process, 0 in others [default: auto]",
        ..OWN
    };
    busy_poll: Micros<10_000> = Micros(busy_poll::DEFAULT) => Spec {
        long: "busy-poll", value: Some("MICROSECONDS"),
        help: "Microseconds to busy-poll for a peer's next message after a reply, before sleeping; 0: never busy-poll; 100 pays on virtual machines whose processors wake slowly [default: 0]",
        ..OWN
    };
    memory: Bytes = Bytes(Some(512 << 20)) => Spec {
        long: "memory", value: Some("BYTES"),
        help: "Memory for what waits for and from all peers: messages that are not whole, unsent replies, metadata on a full disk, packets without their index; K, M and G are units, 0: no limit [default: 512M]",
        ..OWN
    };
    write_buffer: Bytes = Bytes(Some(64 << 20)) => Spec {
        long: "write-buffer", value: Some("BYTES"),
        help: "Memory for what waits to be written to the disk, an eighth of it for one session: a producer that sends more than its disk takes is not read; K, M and G are units, 0: no limit [default: 64M]",
        ..OWN
    };
    address_share: AddressShare = AddressShare::default() => Spec {
        long: "address-share", value: Some("PERCENT"),
        help: "Share of connections, sessions, streams and memory that one address may have when less than a quarter is left; 100, the default of lttng-relayd: all [default: 25]",
        ..OWN
    };
    allow_producers: Allowed = Allowed::default() => Spec {
        long: "allow-producers", value: Some("CIDR,…"),
        help: "Addresses that may connect for control and data, such as 10.0.0.0/8,2001:db8::/32; this machine always may, unless the list has the word none [default: all]",
        ..OWN
    };
    allow_viewers: Allowed = Allowed::default() => Spec {
        long: "allow-viewers", value: Some("CIDR,…"),
        help: "Addresses that may connect as viewers, as for --allow-producers [default: all]",
        ..OWN
    };
    allow_status: Allowed = Allowed::default() => Spec {
        long: "allow-status", value: Some("CIDR,…"),
        help: "Addresses that may ask at the status port, as for --allow-producers [default: all]",
        ..OWN
    };
    tls_certificate: Option<PathBuf> = None => Spec {
        long: "tls-certificate", value: Some("FILE"), refused: true,
        help: "Certificate for tls:// ports, with those above it, in PEM form",
        ..OWN
    };
    tls_key: Option<PathBuf> = None => Spec {
        long: "tls-key", value: Some("FILE"), refused: true,
        help: "Private key of that certificate; nobody but its owner and group may have rights on it",
        ..OWN
    };
    tls_client_ca: Option<PathBuf> = None => Spec {
        long: "tls-client-ca", value: Some("FILE"), refused: true,
        help: "CA of the certificates that peers at tls:// ports have to show; without it they need none",
        ..OWN
    };
    tls_revoked: Option<PathBuf> = None => Spec {
        long: "tls-revoked", value: Some("FILE"), refused: true,
        help: "Lists of revoked certificates (CRLs), in PEM form",
        ..OWN
    };
    tls_rules: Option<PathBuf> = None => Spec {
        long: "tls-rules", value: Some("FILE"), refused: true,
        help: "Rights of the holders of certificates, by their names; without it all may do everything",
        ..OWN
    };
    tls_minimum: Minimum = Minimum::Tls13 => Spec {
        long: "tls-minimum", value: Some("VERSION"),
        help: "Lowest version of TLS [default: 1.3]",
        ..OWN
    };
    log_file: Option<PathBuf> = None => Spec {
        long: "log-file", value: Some("FILE"), refused: true,
        help: "Write the log to this file instead of standard error; it is opened anew on SIGHUP",
        ..OWN
    };
    check: bool = false => Spec {
        long: "check",
        help: "Check the configuration, print it as it applies, and exit",
        ..OWN
    };
    audit: bool = false => Spec {
        long: "audit",
        help: "Debugging: check all counts of references and of shares after every turn of the event loop (tick), and exit at the first mismatch",
        ..OWN
    };
    journal: Option<PathBuf> = None => Spec {
        long: "journal", value: Some("FILE"), refused: true,
        help: "Record all input in this file, for baton replay; an earlier journal is renamed FILE.1, or the next free number",
        ..OWN
    };
    journal_payload: Payload = Payload::Copy => Spec {
        long: "journal-payload", value: Some("HOW"),
        help: "copy: all packets are copied into the journal; reference: the journal refers to the trace files [default: copy]",
        ..OWN
    };
}

pub const HELP: &str = "help";
pub const VERSION: &str = "version";
pub const CONFIG: &str = "config";
pub const VERBOSE: &str = "verbose";
const GROUP_BY_SESSION: &str = "group-output-by-session";

/// The release of LTTng whose command line, files and log lines `lttng-relayd` has. It is
/// printed for `--version`, since it tells which options and features there are.
pub const LTTNG_VERSION: &str = "2.15.0";

/// An option as it was given: on a command line or in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Its long name.
    pub name: &'static str,
    /// None for a switch.
    pub value: Option<OsString>,
}

impl Given {
    pub fn spec(&self) -> &'static Spec {
        Spec::named(self.name).expect("law: what is given is in the table")
    }
}

impl Spec {
    /// The option with that long name.
    pub fn named(name: &str) -> Option<&'static Self> {
        OPTIONS.iter().find(|spec| spec.long == name)
    }

    /// Whether a command line may give it several times, and all of them count.
    pub fn is_list(&self) -> bool {
        (self.look)(&Options::default()).is_list()
    }

    /// All possible values, if they are few.
    pub fn words(&self) -> Vec<&'static str> {
        (self.look)(&Options::default()).words()
    }

    /// The text of its value, for `--check`.
    pub fn show(&self, options: &Options) -> String {
        (self.look)(options).show()
    }
}

impl Options {
    /// The next options are of another source, whose ports replace those that were given.
    pub fn begin_source(&mut self) {
        for ports in [&mut self.control, &mut self.data, &mut self.live] {
            ports.begin_source();
        }
        self.status.begin_source();
    }

    /// Sets an option that was given; a later one wins.
    pub fn take(&mut self, given: &Given, face: Face) -> Result<(), OptionError> {
        let spec = given.spec();
        (spec.place)(self).read(spec, given.value.as_deref(), face)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_given_twice() {
        for (at, one) in OPTIONS.iter().enumerate() {
            for other in &OPTIONS[at + 1..] {
                assert_ne!(one.long, other.long);
                assert!(one.short.is_none() || one.short != other.short);
            }
        }
    }

    #[test]
    fn help_names_the_default_of_our_options() {
        let defaults = Options::default();
        for spec in OPTIONS.iter().filter(|spec| !spec.shared) {
            let shown = spec.show(&defaults);
            let expected = format!("[default: {shown}]");
            let is_off = ["-", "false"].contains(&&*shown);
            assert!(is_off || spec.help.ends_with(&expected), "{}", spec.long);
        }
    }
}
