//! A producer's side of the protocol: what a session daemon and a consumer daemon say
//! to a relay for one session.
//!
//! Blocking, one command after another; only packets and their descriptions may be sent
//! ahead of the replies. The load generator and the replay speak through it.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use baton_components::wire::producer::data::PacketHeader;
use baton_components::wire::producer::reply::{self, Reply};
use baton_components::wire::producer::{
    AddStream, CloseStream, Command, CommandKind, CreateSession, DataPending, GetConfiguration,
    Minors, SendIndex, Version, code,
};

use crate::os::said;

/// What we ask for; the relay's own may be lower.
const MINOR: u32 = 15;
/// From here on a relay is asked for its configuration.
const MINOR_OF_CONFIGURATION: u32 = 12;

/// The two connections of a producer. Either may break while the other lives.
#[derive(Debug)]
pub struct Client {
    control: TcpStream,
    data: TcpStream,
    /// Where they lead, for people.
    relay: [SocketAddr; 2],
    minor: u32,
    /// Replies to descriptions that were not read.
    awaited: usize,
    scratch: Vec<u8>,
}

impl Client {
    /// Connects and says nothing yet: [`Self::negotiate`] follows.
    pub fn connect(control: SocketAddr, data: SocketAddr) -> io::Result<Self> {
        let connect = |address| {
            let socket = TcpStream::connect(address).map_err(|error| {
                io::Error::new(
                    error.kind(),
                    format!("cannot connect to {address}: {error}"),
                )
            })?;
            Ok::<_, io::Error>(socket)
        };
        Ok(Self {
            control: connect(control)?,
            data: connect(data)?,
            relay: [control, data],
            minor: MINOR,
            awaited: 0,
            scratch: Vec::new(),
        })
    }

    /// Has small messages leave at once. Real producers do not: they wait for the relay's
    /// side to acknowledge what went before.
    pub fn hurry(&self) -> io::Result<()> {
        self.control.set_nodelay(true)?;
        self.data.set_nodelay(true)
    }

    /// Settles the protocol's version, as every producer does first.
    pub fn negotiate(&mut self) -> io::Result<()> {
        let command = Command::Version(Version {
            major: 2,
            minor: MINOR,
        });
        match self.ask(&command)? {
            Answer::Minor(minor) => self.minor = minor.min(MINOR),
            other => return Err(refused(&command, &other)),
        }
        if self.minor >= MINOR_OF_CONFIGURATION {
            self.ask_ok(&Command::GetConfiguration(GetConfiguration { flags: 0 }))?;
        }
        Ok(())
    }

    /// The minor that both sides speak.
    pub fn minor(&self) -> u32 {
        self.minor
    }

    /// The number that the relay gives the session.
    pub fn create_session(&mut self, session: CreateSession) -> io::Result<u64> {
        self.ask_id(&Command::CreateSession(session))
    }

    /// The handle that the relay gives the stream.
    pub fn add_stream(&mut self, stream: AddStream) -> io::Result<u64> {
        self.ask_id(&Command::AddStream(stream))
    }

    /// Sends a command that must be answered well.
    pub fn ask_ok(&mut self, command: &Command) -> io::Result<()> {
        match self.ask(command)? {
            Answer::Code(code::OK) => Ok(()),
            other => Err(refused(command, &other)),
        }
    }

    /// Sends a command and reads no reply: there is none, or it is read later.
    pub fn send(&mut self, command: &Command) -> io::Result<()> {
        self.scratch.clear();
        command.encode(Minors::both(self.minor), &mut self.scratch);
        let sent = self.control.write_all(&self.scratch);
        sent.map_err(|reason| self.control_broke(&reason))
    }

    /// Begins a packet with its header and its first bytes, in one write. The rest goes
    /// to [`Self::data`].
    pub fn begin_packet(&mut self, header: PacketHeader, bytes: &[u8]) -> io::Result<()> {
        self.scratch.clear();
        header.encode(&mut self.scratch);
        self.scratch.extend_from_slice(bytes);
        let sent = self.data.write_all(&self.scratch);
        sent.map_err(|reason| self.data_broke(&reason))
    }

    pub fn data(&mut self) -> &mut TcpStream {
        &mut self.data
    }

    /// Describes a packet or tells a live beacon; fewer than `window` replies stay
    /// unread.
    pub fn describe(&mut self, index: SendIndex, window: usize) -> io::Result<()> {
        self.send(&Command::SendIndex(index))?;
        self.awaited += 1;
        while self.awaited >= window {
            self.read_code()?;
        }
        Ok(())
    }

    /// Reads all replies to descriptions.
    pub fn catch_up(&mut self) -> io::Result<()> {
        while self.awaited > 0 {
            self.read_code()?;
        }
        Ok(())
    }

    /// Waits until the relay has written a stream up to this packet. Without the data
    /// connection it never will, and says for ever that it has not.
    pub fn settle(&mut self, question: DataPending) -> io::Result<()> {
        while self.is_pending(&Command::DataPending(question))? {
            self.look_at_data()?;
            std::thread::sleep(PENDING_RETRY);
        }
        Ok(())
    }

    /// Finds whether the relay has closed the data connection, on which it says nothing.
    fn look_at_data(&self) -> io::Result<()> {
        self.data.set_nonblocking(true)?;
        let seen = self.data.peek(&mut [0]);
        self.data.set_nonblocking(false)?;
        match seen {
            Ok(0) => Err(self.data_broke(&io::ErrorKind::UnexpectedEof.into())),
            Err(reason) if reason.kind() != io::ErrorKind::WouldBlock => {
                Err(self.data_broke(&reason))
            }
            _ => Ok(()),
        }
    }

    /// The error of a data connection that broke for that reason.
    pub fn data_broke(&self, reason: &io::Error) -> io::Error {
        broke("data", self.relay[1], reason)
    }

    fn control_broke(&self, reason: &io::Error) -> io::Error {
        broke("control", self.relay[0], reason)
    }

    /// Asks one of the two questions about what is still on its way.
    pub fn is_pending(&mut self, question: &Command) -> io::Result<bool> {
        match self.ask(question)? {
            Answer::Code(code::PENDING) => Ok(true),
            Answer::Code(code::NOT_PENDING) => Ok(false),
            other => Err(refused(question, &other)),
        }
    }

    pub fn close_stream(&mut self, stream: u64, last_sequence: u64) -> io::Result<()> {
        self.ask_ok(&Command::CloseStream(CloseStream {
            stream,
            last_sequence,
        }))
    }

    fn ask_id(&mut self, command: &Command) -> io::Result<u64> {
        match self.ask(command)? {
            Answer::Id(id) => Ok(id),
            other => Err(refused(command, &other)),
        }
    }

    fn ask(&mut self, command: &Command) -> io::Result<Answer> {
        self.catch_up()?;
        self.send(command)?;
        self.read_answer(command.kind())
    }

    fn read_code(&mut self) -> io::Result<()> {
        let mut bytes = [0; 4];
        self.read(&mut bytes)?;
        self.awaited -= 1;
        match u32::from_be_bytes(bytes) {
            code::OK => Ok(()),
            other => Err(refusal(CommandKind::SendIndex, other)),
        }
    }

    fn read(&mut self, into: &mut [u8]) -> io::Result<()> {
        let read = self.control.read_exact(into);
        read.map_err(|reason| self.control_broke(&reason))
    }

    /// Reads exactly one reply.
    fn read_answer(&mut self, kind: CommandKind) -> io::Result<Answer> {
        let mut bytes = Vec::new();
        loop {
            match reply::decode(kind, self.minor, &bytes) {
                Ok(Some((reply, _))) => return Ok(Answer::from(&reply)),
                Ok(None) => {
                    // Replies come one at a time: byte by byte never reads too far.
                    let mut byte = [0];
                    self.read(&mut byte)?;
                    bytes.push(byte[0]);
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
    }
}

/// What matters of a reply.
#[derive(Clone, Copy, Debug)]
enum Answer {
    Code(u32),
    Minor(u32),
    Id(u64),
}

impl From<&Reply<'_>> for Answer {
    fn from(reply: &Reply<'_>) -> Self {
        match *reply {
            Reply::Version(version) => Self::Minor(version.minor),
            Reply::SessionCreated {
                session: id,
                code: code::OK,
                ..
            }
            | Reply::StreamAdded {
                stream: id,
                code: code::OK,
            } => Self::Id(id),
            Reply::SessionCreated { code, .. }
            | Reply::StreamAdded { code, .. }
            | Reply::Code(code)
            | Reply::ChunkClosed { code, .. }
            | Reply::ChunkExists { code, .. }
            | Reply::Configuration { code, .. } => Self::Code(code),
            Reply::Nothing => Self::Code(code::OK),
        }
    }
}

fn refused(command: &Command, answer: &Answer) -> io::Error {
    match *answer {
        Answer::Code(code) => refusal(command.kind(), code),
        Answer::Minor(_) | Answer::Id(_) => {
            let command = command.kind().name();
            io::Error::other(format!("the relay's reply to {command} belongs to another"))
        }
    }
}

fn refusal(command: CommandKind, code: u32) -> io::Error {
    let command = command.name();
    io::Error::other(format!("the relay refused {command} with code {code}"))
}

fn broke(connection: &str, relay: SocketAddr, reason: &io::Error) -> io::Error {
    let what = if reason.kind() == io::ErrorKind::UnexpectedEof {
        "the relay closed it".to_owned()
    } else {
        said(reason)
    };
    io::Error::new(
        reason.kind(),
        format!(
            "the {connection} connection to {relay} broke: {what}; its log says why; \
             start again after that"
        ),
    )
}

/// Asked without a pause the original answers questions and never takes the data.
const PENDING_RETRY: Duration = Duration::from_millis(5);
