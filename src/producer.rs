//! A producer over TCP: what a session daemon and a consumer daemon say to a relay for one
//! session.
//!
//! Blocking, one command after another; only packets and their descriptions are pipelined.
//! `baton replay`, the load generator and tests use it.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use baton_components::wire::producer::data::PacketHeader;
use baton_components::wire::producer::{
    AddStream, CloseStream, Command, CommandKind, CreateSession, DataPending, GetConfiguration,
    SendIndex, Version, code,
};
use baton_systems::client::Producer;

use crate::os::said;

/// The latest minor; the relay's own may be lower.
pub const MINOR: u32 = 15;
/// First minor with GET_CONFIGURATION.
const MINOR_OF_CONFIGURATION: u32 = 12;

/// The two connections of a producer. Either may break alone.
#[derive(Debug)]
pub struct Client {
    control: TcpStream,
    data: TcpStream,
    /// The relay's addresses, for messages.
    relay: [SocketAddr; 2],
    producer: Producer,
    scratch: Vec<u8>,
}

/// Connects to a relay. The error says where that is.
pub fn connect(relay: SocketAddr) -> io::Result<TcpStream> {
    TcpStream::connect(relay).map_err(|error| {
        let text = format!(
            "cannot connect to {relay}: {}; does a relay listen there?",
            said(&error)
        );
        io::Error::new(error.kind(), text)
    })
}

impl Client {
    /// Connects to speak this minor, and says nothing yet: [`Self::negotiate`] follows.
    pub fn connect(control: SocketAddr, data: SocketAddr, minor: u32) -> io::Result<Self> {
        Ok(Self {
            control: connect(control)?,
            data: connect(data)?,
            relay: [control, data],
            producer: Producer::new(minor),
            scratch: Vec::new(),
        })
    }

    /// Sets TCP_NODELAY. Real producers do not: Nagle's algorithm delays their small
    /// messages until the previous ones are acknowledged.
    pub fn hurry(&self) -> io::Result<()> {
        self.control.set_nodelay(true)?;
        self.data.set_nodelay(true)
    }

    /// Gives up on a relay that says nothing for so long.
    pub fn wait_at_most(&self, patience: Duration) -> io::Result<()> {
        self.control.set_read_timeout(Some(patience))
    }

    /// Negotiates the protocol's version, the first exchange of every producer.
    pub fn negotiate(&mut self) -> io::Result<()> {
        self.ask_ok(&Command::Version(Version {
            major: 2,
            minor: self.minor(),
        }))?;
        if self.minor() >= MINOR_OF_CONFIGURATION {
            self.ask_ok(&Command::GetConfiguration(GetConfiguration { flags: 0 }))?;
        }
        Ok(())
    }

    /// The lower minor of both sides.
    pub fn minor(&self) -> u32 {
        self.producer.minor()
    }

    /// Creates a session, and returns its id.
    pub fn create_session(&mut self, session: CreateSession) -> io::Result<u64> {
        self.ask_id(&Command::CreateSession(session))
    }

    /// Adds a stream, and returns its handle.
    pub fn add_stream(&mut self, stream: AddStream) -> io::Result<u64> {
        self.ask_id(&Command::AddStream(stream))
    }

    /// Sends a command whose reply must be a success.
    pub fn ask_ok(&mut self, command: &Command) -> io::Result<()> {
        self.ask(command)?.expect_ok()
    }

    /// Sends a command without reading a reply: there is none, or it is read later.
    pub fn send(&mut self, command: &Command) -> io::Result<()> {
        self.scratch.clear();
        self.producer.say(command, &mut self.scratch);
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

    /// Sends a packet's description or a live beacon; fewer than `window` replies stay
    /// unread.
    pub fn describe(&mut self, index: SendIndex, window: usize) -> io::Result<()> {
        self.send(&Command::SendIndex(index))?;
        self.catch_up_to(window.saturating_sub(1))
    }

    /// Reads all replies to descriptions.
    pub fn catch_up(&mut self) -> io::Result<()> {
        self.catch_up_to(0)
    }

    /// Waits until the relay has written a stream up to this packet. Fails if the data
    /// connection broke, since the relay would report pending data for ever.
    pub fn settle(&mut self, question: DataPending) -> io::Result<()> {
        while self.is_pending(&Command::DataPending(question))? {
            self.look_at_data()?;
            std::thread::sleep(PENDING_RETRY);
        }
        Ok(())
    }

    /// Checks whether the relay has closed the data connection, which has no replies.
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

    /// The error of a data connection that broke.
    pub fn data_broke(&self, reason: &io::Error) -> io::Error {
        broke("data", self.relay[1], reason)
    }

    fn control_broke(&self, reason: &io::Error) -> io::Error {
        broke("control", self.relay[0], reason)
    }

    /// Sends one of the two commands about pending data.
    pub fn is_pending(&mut self, question: &Command) -> io::Result<bool> {
        let answer = self.ask(question)?;
        match answer.code {
            code::PENDING => Ok(true),
            code::NOT_PENDING => Ok(false),
            _ => Err(answer.refusal()),
        }
    }

    pub fn close_stream(&mut self, stream: u64, last_sequence: u64) -> io::Result<()> {
        self.ask_ok(&Command::CloseStream(CloseStream {
            stream,
            last_sequence,
        }))
    }

    fn ask_id(&mut self, command: &Command) -> io::Result<u64> {
        let answer = self.ask(command)?;
        answer.made.ok_or_else(|| answer.refusal())
    }

    fn ask(&mut self, command: &Command) -> io::Result<Answer> {
        self.catch_up()?;
        self.send(command)?;
        self.next_answer()
    }

    /// Reads replies to descriptions until so many are due.
    fn catch_up_to(&mut self, due: usize) -> io::Result<()> {
        while self.producer.due() > due {
            self.next_answer()?.expect_ok()?;
        }
        Ok(())
    }

    fn next_answer(&mut self) -> io::Result<Answer> {
        loop {
            let reply = self.producer.reply().map_err(io::Error::other)?;
            if let Some((command, reply)) = reply {
                return Ok(Answer {
                    command,
                    code: reply.code(),
                    made: reply.made(),
                });
            }
            let read = self.producer.read_from(&mut self.control);
            read.map_err(|reason| self.control_broke(&reason))?;
        }
    }
}

/// The relevant part of a reply.
struct Answer {
    command: CommandKind,
    code: u32,
    made: Option<u64>,
}

impl Answer {
    fn expect_ok(&self) -> io::Result<()> {
        match self.code {
            code::OK => Ok(()),
            _ => Err(self.refusal()),
        }
    }

    fn refusal(&self) -> io::Error {
        let (command, code) = (self.command.name(), self.code);
        io::Error::other(format!("the relay refused {command} with code {code}"))
    }
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

/// Pause between polls: without it the original replies to polls and never receives the
/// data.
const PENDING_RETRY: Duration = Duration::from_millis(5);
