//! Every option, defined once: `baton relay`, `lttng-relayd`, configuration files, help
//! texts, man pages and completions all come from this table.

/// Names an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Id {
    ControlPort,
    DataPort,
    LivePort,
    Daemonize,
    Background,
    Group,
    FdPoolSize,
    Help,
    Output,
    Verbose,
    Config,
    Version,
    WorkingDirectory,
    GroupOutputBySession,
    GroupOutputByHost,
    DisallowClear,
    PidFile,
    DynamicPortAllocation,
    SigParent,
    Serve,
    LiveHoldBack,
    BusyPoll,
    Check,
    Audit,
    Journal,
    JournalPayload,
}

/// How an option is written, and what it is for.
#[derive(Debug)]
pub struct Spec {
    pub id: Id,
    pub short: Option<char>,
    pub long: &'static str,
    /// What its argument is called; none for a switch.
    pub value: Option<&'static str>,
    /// The arguments that there are, if they are few.
    pub values: &'static [&'static str],
    pub help: &'static str,
    /// The original has it too.
    pub shared: bool,
}

const SWITCH: Spec = Spec {
    id: Id::Help,
    short: None,
    long: "",
    value: None,
    values: &[],
    help: "",
    shared: true,
};

/// In the order of the original, which is that of its messages on ambiguous
/// abbreviations; ours follow.
pub const OPTIONS: [Spec; 26] = [
    Spec {
        id: Id::ControlPort,
        short: Some('C'),
        long: "control-port",
        value: Some("URL"),
        help: "Where producers connect for control [default: tcp://0.0.0.0:5342]",
        ..SWITCH
    },
    Spec {
        id: Id::DataPort,
        short: Some('D'),
        long: "data-port",
        value: Some("URL"),
        help: "Where producers connect for data [default: tcp://0.0.0.0:5343]",
        ..SWITCH
    },
    Spec {
        id: Id::LivePort,
        short: Some('L'),
        long: "live-port",
        value: Some("URL"),
        help: "Where viewers connect [default: tcp://localhost:5344]",
        ..SWITCH
    },
    Spec {
        id: Id::Daemonize,
        short: Some('d'),
        long: "daemonize",
        help: "Become a daemon without a console, once all ports listen",
        ..SWITCH
    },
    Spec {
        id: Id::Background,
        short: Some('b'),
        long: "background",
        help: "Become a daemon that keeps the console, once all ports listen",
        ..SWITCH
    },
    Spec {
        id: Id::Group,
        short: Some('g'),
        long: "group",
        value: Some("NAME"),
        help: "Group that may use the health socket when the relay runs as root [default: tracing]",
        ..SWITCH
    },
    Spec {
        id: Id::FdPoolSize,
        long: "fd-pool-size",
        value: Some("COUNT"),
        help: "Number of file descriptors to use, at least 100: half for connections, half for files [default: the soft limit of the process]",
        ..SWITCH
    },
    Spec {
        id: Id::Help,
        short: Some('h'),
        long: "help",
        help: "Print help",
        ..SWITCH
    },
    Spec {
        id: Id::Output,
        short: Some('o'),
        long: "output",
        value: Some("DIR"),
        help: "Where traces are written [default: $LTTNG_HOME/lttng-traces, else ~/lttng-traces]",
        ..SWITCH
    },
    Spec {
        id: Id::Verbose,
        short: Some('v'),
        long: "verbose",
        help: "Log more: -v connections, -vv everything",
        ..SWITCH
    },
    Spec {
        id: Id::Config,
        short: Some('f'),
        long: "config",
        value: Some("FILE"),
        help: "Read options from this file too, after those of the system and of the home directory",
        ..SWITCH
    },
    Spec {
        id: Id::Version,
        short: Some('V'),
        long: "version",
        help: "Print version",
        ..SWITCH
    },
    Spec {
        id: Id::WorkingDirectory,
        short: Some('w'),
        long: "working-directory",
        value: Some("DIR"),
        help: "Where to run [default: here, or / for a daemon]",
        ..SWITCH
    },
    Spec {
        id: Id::GroupOutputBySession,
        short: Some('s'),
        long: "group-output-by-session",
        help: "Sort traces by session: SESSION/HOST-TIME",
        ..SWITCH
    },
    Spec {
        id: Id::GroupOutputByHost,
        short: Some('p'),
        long: "group-output-by-host",
        help: "Sort traces by host: HOST/SESSION-TIME [default]",
        ..SWITCH
    },
    Spec {
        id: Id::DisallowClear,
        short: Some('x'),
        long: "disallow-clear",
        help: "Refuse lttng clear",
        ..SWITCH
    },
    Spec {
        id: Id::PidFile,
        short: Some('P'),
        long: "pid-file",
        value: Some("FILE"),
        help: "Write the process id here while the relay runs",
        ..SWITCH
    },
    Spec {
        id: Id::DynamicPortAllocation,
        long: "dynamic-port-allocation",
        help: "Let the system choose ports that are 0 or not given, and write them to control.port, data.port and live.port in the run directory",
        ..SWITCH
    },
    Spec {
        id: Id::SigParent,
        short: Some('S'),
        long: "sig-parent",
        help: "Send SIGUSR1 to the parent of this process once all ports listen",
        ..SWITCH
    },
    Spec {
        id: Id::Serve,
        long: "serve",
        value: Some("WHICH"),
        values: &["live", "all"],
        help: "Sessions that viewers may read. live: those created with --live, while their producer is connected; all: also sessions without --live, and those that ended most recently [default: live]",
        shared: false,
        ..SWITCH
    },
    Spec {
        id: Id::LiveHoldBack,
        long: "live-hold-back",
        value: Some("MILLISECONDS"),
        help: "Hold-back: age of packets when viewers are told of them, so that a stream that appears after its first event is still in order; auto: 500 in sessions with buffers per process, 0 in others [default: auto]",
        shared: false,
        ..SWITCH
    },
    Spec {
        id: Id::BusyPoll,
        long: "busy-poll",
        value: Some("MICROSECONDS"),
        help: "Microseconds to busy-poll for a peer's next message after a reply, before sleeping; 0: never busy-poll [default: 100]",
        shared: false,
        ..SWITCH
    },
    Spec {
        id: Id::Check,
        long: "check",
        help: "Check the configuration, print it as it applies, and exit",
        shared: false,
        ..SWITCH
    },
    Spec {
        id: Id::Audit,
        long: "audit",
        help: "Debugging: check all internal reference counts after every turn of the event loop (tick), and exit at the first mismatch",
        shared: false,
        ..SWITCH
    },
    Spec {
        id: Id::Journal,
        long: "journal",
        value: Some("FILE"),
        help: "Record all input in this file, for baton replay; an earlier journal is renamed FILE.1, or the next free number",
        shared: false,
        ..SWITCH
    },
    Spec {
        id: Id::JournalPayload,
        long: "journal-payload",
        value: Some("HOW"),
        values: &["copy", "reference"],
        help: "copy: all packets are copied into the journal; reference: the journal refers to the trace files [default: copy]",
        shared: false,
        ..SWITCH
    },
];

/// An option as it was given: on a command line or in a file.
#[derive(Debug, PartialEq, Eq)]
pub struct Given {
    pub id: Id,
    /// None for a switch.
    pub value: Option<std::ffi::OsString>,
}

impl Id {
    pub fn spec(self) -> &'static Spec {
        OPTIONS
            .iter()
            .find(|spec| spec.id == self)
            .expect("law: every option is in the table")
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
                assert_ne!(one.id, other.id);
                assert!(one.short.is_none() || one.short != other.short);
            }
        }
    }
}
