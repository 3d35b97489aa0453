//! A connection of a producer (control or data), of a viewer, or of a monitor.
//!
//! Owned by the network port while its socket is open. The network has the buffers, too;
//! the record has the state of the protocol.

use std::time::Duration;

use crate::hold::{Held, Holder};
use crate::keys::{FileKey, SessionKey, StreamKey, ViewerSessionKey};
use crate::kinds::Id;
use crate::limits::TLS_CONNECTION_BYTES;
use crate::refusals::Refusals;
use crate::rights::Rights;
use crate::shares::AddressKey;
use crate::storage_error::StorageError;
use crate::wire::producer::data::PacketHeader;
use crate::wire::viewer::reply;

/// A TCP endpoint of the relay, to which peers connect: one for each protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// Producers' commands (default port 5342).
    Control,
    /// Producers' packets (default port 5343).
    Data,
    /// Viewers (default port 5344).
    Live,
    /// Monitors, by HTTP (default port 5340).
    Status,
}

impl Endpoint {
    /// All endpoints, those of the protocols first, in the order of their default ports.
    pub const ALL: [Self; 4] = [Self::Control, Self::Data, Self::Live, Self::Status];

    /// Its name in log lines and options.
    pub fn name(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Data => "data",
            Self::Live => "live",
            Self::Status => "status",
        }
    }
}

/// The record of an open connection. Made at accept, freed when it was closed.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools)] // Facts that have nothing to do with each other.
pub struct Connection {
    /// Its address and port, for log lines.
    pub peer: String,
    /// The address that its costs count for.
    pub address: AddressKey,
    /// Its bytes go through TLS.
    pub has_tls: bool,
    /// Its rights, if a rule limits them.
    pub rights: Option<Box<Rights>>,
    /// Bytes that it takes in memory: its incomplete message, unsent replies, and those of TLS.
    pub memory_bytes: u64,
    /// Its protocol, which follows from the endpoint that it came to, and the protocol's state.
    pub role: Role,
    /// Set once: the connection is closed at the end of this tick.
    pub ending: Option<Ending>,
    /// Backpressure: its messages wait until its replies have left.
    pub throttled: bool,
    /// It waits for the batches of its session up to this one: its next message stays unread.
    pub awaits_batch: Option<u64>,
    /// Its next message makes names, and stays unread until the disk has answered a probe.
    pub probe: Probe,
    /// Time since which it has not read any of its waiting replies.
    pub stalled_since: Option<Duration>,
    /// A timer will look at that.
    pub is_stall_watched: bool,
    /// Time since which nothing more has come of the message that is incomplete.
    pub half_since: Option<Duration>,
    /// A timer will look at that.
    pub is_half_watched: bool,
}

/// The protocol of a connection, with its state.
#[derive(Debug)]
pub enum Role {
    /// Producers' commands: see [`Control`].
    Control(Control),
    /// Producers' packets: see [`Data`].
    Data(Data),
    /// A viewer: see [`Viewer`].
    Viewer(Viewer),
    /// A monitor: see [`Monitor`].
    Status(Monitor),
}

/// The state of a connection as to a probe of the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Probe {
    /// Nothing: none is needed.
    #[default]
    None,
    /// It waits for the answer.
    Awaited,
    /// It has ended, and is closed when there is an answer.
    PutOff,
    /// The disk has answered, and the message goes on.
    Answered,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// In order, by the peer: streams may still get the packets that were announced.
    Close,
    /// It broke, as that of a killed peer often does. Bytes on the peer's other connection
    /// can still be read.
    Broken,
    /// By a fault of the peer.
    Fault,
    /// It did not go on in time.
    Expired,
    /// Its address has too much.
    Refused,
    /// The relay stops.
    Stop,
}

impl Ending {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Close,
        Self::Broken,
        Self::Fault,
        Self::Expired,
        Self::Refused,
        Self::Stop,
    ];

    /// Whether the relay ends it: the session of a control connection is over at once, and no
    /// packet is waited for.
    pub fn is_abort(self) -> bool {
        !matches!(self, Self::Close | Self::Broken)
    }

    /// Its name for programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Close => "closed",
            Self::Broken => "broken",
            Self::Fault => "fault",
            Self::Expired => "expired",
            Self::Refused => "refused",
            Self::Stop => "stop",
        }
    }
}

/// A producer's control connection: commands in, replies out.
#[derive(Debug, Default)]
pub struct Control {
    /// The minor of the protocol, once VERSION has settled it.
    pub minor: Option<u32>,
    /// The session that CREATE_SESSION made on it: at most one in its life.
    pub session: Option<Held<SessionKey>>,
    /// Counts refused commands for the log.
    pub refusals: Refusals,
    /// Streams of the current ROTATE_STREAMS that are rotated.
    pub rotated: u32,
}

/// A producer's data connection: packets in, no replies.
#[derive(Debug, Default)]
pub struct Data {
    /// The session of the first stream of which it brought payload.
    pub session: Option<Held<SessionKey>>,
    /// The packet that is arriving.
    pub packet: Option<ArrivingPacket>,
    /// The last packet was a large one.
    pub was_large: bool,
    /// It brought no packet yet, and is counted among those of its address.
    pub is_silent: bool,
    /// When it was opened, its address had a session that lacked one.
    pub is_expected: bool,
}

/// An incomplete packet: its header was read, and its payload up to `received`.
#[derive(Clone, Copy, Debug)]
pub struct ArrivingPacket {
    /// The header, as the producer sent it.
    pub header: PacketHeader,
    /// Weak: the stream may close while the payload arrives.
    pub stream: StreamKey,
    /// Payload bytes that are in the stream's file, or lost.
    pub received: u32,
}

/// A viewer's connection: requests in, replies out.
#[derive(Debug, Default)]
pub struct Viewer {
    /// The minor of the live protocol, once CONNECT has settled it.
    pub minor: Option<u32>,
    /// Made by CREATE_SESSION, which replaces an earlier one; none before it.
    pub session: Option<Held<ViewerSessionKey>>,
    /// It has asked for the list of sessions, and attached none.
    pub has_only_listed: bool,
    /// The rest of the current reply, if it is sent from a file.
    pub body: Option<Body>,
    /// The part of a file that it gets next, if that is not in memory.
    pub fetch: Option<Box<Fetch>>,
    /// The list of sessions for its current request, as far as it is written.
    pub list: Option<Box<SessionList>>,
}

/// The reply to LIST_SESSIONS, which is written in slices.
#[derive(Debug)]
pub struct SessionList {
    /// Id of the last session that was looked at.
    pub after: u64,
    /// Entries so far.
    pub count: u32,
    /// The reply so far.
    pub bytes: Vec<u8>,
}

impl SessionList {
    /// A list without entries, behind these bytes.
    pub fn begin(mut bytes: Vec<u8>) -> Self {
        reply::begin_session_list(&mut bytes);
        Self {
            after: 0,
            count: 0,
            bytes,
        }
    }
}

/// A cold read: what a viewer gets next is not in memory, and storage fetches it.
#[derive(Debug)]
pub struct Fetch {
    /// The part that is fetched.
    pub extent: Extent,
    /// None: storage was asked, and the viewer waits for it.
    pub answer: Option<Result<(), StorageError>>,
}

/// A range of a file, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Weak.
    pub file: FileKey,
    /// Its first byte, from the start of the file.
    pub offset: u64,
    /// Number of bytes.
    pub size: u64,
}

/// A monitor's connection: one request, one answer.
#[derive(Debug, Default)]
pub struct Monitor {
    /// How far its answer is.
    pub answer: Progress,
    /// A part of a list was written since its timer looked last: it gets more time.
    pub has_moved: bool,
}

/// How far the answer to a monitor is.
#[derive(Debug, Default)]
pub enum Progress {
    /// Its request has not come.
    #[default]
    Nothing,
    /// A part of a list was given to the network.
    Part(Box<Listing>),
    /// All was given to the network.
    All,
}

/// A list that is written in slices.
#[derive(Clone, Debug)]
pub struct Listing {
    /// The subject of the list.
    pub what: Listed,
    /// Id or number of the last record that was written; 0: none was.
    pub after: u64,
    /// Each slice has its size before it, as HTTP/1.1 has it; else the answer ends with its
    /// connection.
    pub is_chunked: bool,
    /// The name of this machine by which it was asked.
    pub host: String,
}

/// The subject of the list.
#[derive(Clone, Copy, Debug)]
pub enum Listed {
    /// All sessions.
    Sessions,
    /// The open streams of the session with that id.
    Streams(u64),
}

/// A range of a file that belongs to the current reply.
#[derive(Debug)]
pub struct Body {
    /// The data or metadata file, kept open while it is sent.
    pub file: Held<FileKey>,
    /// Next byte to send, in bytes from the start of the file.
    pub offset: u64,
    /// Number of bytes that are not sent yet.
    pub remaining: u64,
}

impl Viewer {
    /// Whether it waits for the disk.
    pub fn is_fetching(&self) -> bool {
        self.fetch.as_ref().is_some_and(|it| it.answer.is_none())
    }
}

impl Extent {
    /// Whether all of another one is in it.
    pub fn contains(&self, other: &Self) -> bool {
        let end = self.offset.saturating_add(self.size);
        let others = other.offset.saturating_add(other.size);
        self.file == other.file && self.offset <= other.offset && others <= end
    }
}

impl Connection {
    /// A connection that was just accepted, before its first message.
    pub fn new(peer: String, address: AddressKey, endpoint: Endpoint) -> Self {
        let role = match endpoint {
            Endpoint::Control => Role::Control(Control::default()),
            Endpoint::Data => Role::Data(Data {
                is_silent: true,
                ..Data::default()
            }),
            Endpoint::Live => Role::Viewer(Viewer::default()),
            Endpoint::Status => Role::Status(Monitor::default()),
        };
        Self {
            peer,
            address,
            has_tls: false,
            rights: None,
            memory_bytes: 0,
            role,
            ending: None,
            throttled: false,
            awaits_batch: None,
            probe: Probe::None,
            stalled_since: None,
            is_stall_watched: false,
            half_since: None,
            is_half_watched: false,
        }
    }

    /// Bytes that it takes in memory while nothing waits.
    pub fn idle_bytes(&self) -> u64 {
        if self.has_tls {
            TLS_CONNECTION_BYTES
        } else {
            0
        }
    }

    /// The endpoint that it came to.
    pub fn endpoint(&self) -> Endpoint {
        match self.role {
            Role::Control(_) => Endpoint::Control,
            Role::Data(_) => Endpoint::Data,
            Role::Viewer(_) => Endpoint::Live,
            Role::Status(_) => Endpoint::Status,
        }
    }

    /// Whether its first message was of the protocol of its endpoint.
    pub fn is_introduced(&self) -> bool {
        match &self.role {
            Role::Control(control) => control.minor.is_some(),
            Role::Data(data) => !data.is_silent,
            Role::Viewer(viewer) => viewer.minor.is_some(),
            Role::Status(monitor) => !matches!(monitor.answer, Progress::Nothing),
        }
    }

    /// The state of a control connection; none for the others.
    pub fn control(&self) -> Option<&Control> {
        if let Role::Control(control) = &self.role {
            Some(control)
        } else {
            None
        }
    }

    /// As [`Self::control`], mutable.
    pub fn control_mut(&mut self) -> Option<&mut Control> {
        if let Role::Control(control) = &mut self.role {
            Some(control)
        } else {
            None
        }
    }

    /// The state of a data connection; none for the others.
    pub fn data(&self) -> Option<&Data> {
        if let Role::Data(data) = &self.role {
            Some(data)
        } else {
            None
        }
    }

    /// As [`Self::data`], mutable.
    pub fn data_mut(&mut self) -> Option<&mut Data> {
        if let Role::Data(data) = &mut self.role {
            Some(data)
        } else {
            None
        }
    }

    /// The state of a viewer's connection; none for the others.
    pub fn viewer(&self) -> Option<&Viewer> {
        if let Role::Viewer(viewer) = &self.role {
            Some(viewer)
        } else {
            None
        }
    }

    /// As [`Self::viewer`], mutable.
    pub fn viewer_mut(&mut self) -> Option<&mut Viewer> {
        if let Role::Viewer(viewer) = &mut self.role {
            Some(viewer)
        } else {
            None
        }
    }

    /// The state of a monitor's connection, mutable; none for the others.
    pub fn monitor_mut(&mut self) -> Option<&mut Monitor> {
        if let Role::Status(monitor) = &mut self.role {
            Some(monitor)
        } else {
            None
        }
    }

    /// The session that this connection produces for.
    pub fn session(&self) -> Option<&Held<SessionKey>> {
        match &self.role {
            Role::Control(control) => control.session.as_ref(),
            Role::Data(data) => data.session.as_ref(),
            Role::Viewer(_) | Role::Status(_) => None,
        }
    }

    /// Whether it may be a producer of that host.
    pub fn may_be_of(&self, host: &[u8]) -> bool {
        let rights = self.rights.as_deref();
        rights.is_none_or(|rights| rights.has_host(host))
    }

    /// Whether it may see a session of that host and name.
    pub fn may_see(&self, host: &[u8], session: &[u8]) -> bool {
        let rights = self.rights.as_deref();
        rights.is_none_or(|rights| rights.has_session(host, session))
    }

    /// Whether it has ended, and is closed when the disk answers.
    pub fn is_put_off(&self) -> bool {
        self.probe == Probe::PutOff
    }

    /// Ends the connection at the end of the tick. An abort stays an abort.
    pub fn end(&mut self, ending: Ending) {
        if !self.ending.is_some_and(Ending::is_abort) {
            self.ending = Some(ending);
        }
    }
}

impl Holder for Connection {
    fn holds(&self, visit: &mut dyn FnMut(Id)) {
        if let Some(session) = self.session() {
            visit(session.into());
        }
        if let Role::Viewer(viewer) = &self.role {
            if let Some(session) = &viewer.session {
                visit(session.into());
            }
            if let Some(body) = &viewer.body {
                visit((&body.file).into());
            }
        }
    }
}
