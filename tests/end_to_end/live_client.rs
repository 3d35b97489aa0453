//! A viewer of our own. Babeltrace 2.0 always begins at the end of what a
//! relay has; this one can begin at the beginning.
//!
//! It is an independent reading of the viewer protocol, so it shares no code
//! with the relay. It announces minor version 15, where Babeltrace 2.0
//! announces 4: between them both forms of the session list are read.

use crate::events::Event;
use crate::sandbox;
use crate::viewer::read_directory;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long a relay may take for a reply.
const PATIENCE: Duration = Duration::from_mins(2);

/// How long to wait when no stream had anything new; Babeltrace waits as long.
pub const IDLE_PERIOD: Duration = Duration::from_millis(100);

/// Session lists: sockets hold neither so many requests, nor the replies.
const FLOOD: usize = 1_000_000;

const CONNECT: u32 = 1;
const LIST_SESSIONS: u32 = 2;
const ATTACH_SESSION: u32 = 3;
const NEXT_INDEX: u32 = 4;
const PACKET: u32 = 5;
const METADATA: u32 = 6;
const NEW_STREAMS: u32 = 7;
const CREATE_SESSION: u32 = 8;

const MAJOR: u32 = 2;
const MINOR: u32 = 15;

/// The status of a success, in replies to all commands.
const OK: u32 = 1;
/// Of metadata and of new streams.
const NO_NEW: u32 = 2;
const ERROR: u32 = 3;
const STREAMS_HANG_UP: u32 = 4;
const INDEX_RETRY: u32 = 2;
const INDEX_HANG_UP: u32 = 3;
const INDEX_INACTIVE: u32 = 5;

/// Where a viewer begins in the streams that it finds.
#[derive(Clone, Copy, Debug)]
pub enum Seek {
    Beginning = 1,
    Last = 2,
}

/// A session as a relay lists it.
#[derive(Clone, Debug)]
pub struct ListedSession {
    pub id: u64,
    pub clients: u32,
    pub host: String,
    pub name: String,
}

/// A connection to the viewer port of a relay.
#[derive(Debug)]
pub struct LiveClient {
    connection: TcpStream,
    minor: u32,
}

impl LiveClient {
    pub fn connect(relay: SocketAddr) -> Self {
        let connection = TcpStream::connect(relay).expect("a connection to the viewer port");
        connection
            .set_read_timeout(Some(PATIENCE))
            .expect("a time-out");
        let mut client = Self {
            connection,
            minor: MINOR,
        };
        let version = [&u64::MAX.to_be_bytes()[..], &be32(&[MAJOR, MINOR, 1])].concat();
        client.request(CONNECT, &version);
        let reply = client.read(20);
        assert_eq!(u32_at(&reply, 8), MAJOR, "major version of the relay");
        client.minor = MINOR.min(u32_at(&reply, 12));
        client
    }

    /// The session of this machine with that name; the relay must list it.
    pub fn session(&mut self, name: &str) -> ListedSession {
        let sessions = self.sessions();
        let found = sessions
            .iter()
            .find(|session| session.name == name && session.host == sandbox::host());
        found
            .unwrap_or_else(|| panic!("{name} is not among {sessions:?}"))
            .clone()
    }

    /// Attaches to a session, to read it with [`Attached::read_to_end`].
    pub fn attach(mut self, session: &str, seek: Seek) -> Attached {
        let id = self.session(session).id;
        self.request(CREATE_SESSION, &[]);
        assert_eq!(u32_at(&self.read(4), 0), OK, "reply to CREATE_SESSION");
        let mut payload = be64(&[id, 0]);
        payload.extend(be32(&[seek as u32]));
        self.request(ATTACH_SESSION, &payload);
        let reply = self.read(8);
        assert_eq!(u32_at(&reply, 0), OK, "reply to ATTACH_SESSION");
        let streams = self.streams(u32_at(&reply, 4));
        Attached {
            client: self,
            session: id,
            streams,
        }
    }

    fn sessions(&mut self) -> Vec<ListedSession> {
        self.request(LIST_SESSIONS, &[]);
        self.listed_sessions()
    }

    fn listed_sessions(&mut self) -> Vec<ListedSession> {
        let count = u32_at(&self.read(4), 0);
        (0..count).map(|_| self.listed_session()).collect()
    }

    fn listed_session(&mut self) -> ListedSession {
        let common = self.read(20);
        let (host, name) = if self.minor < 15 {
            let names = self.read(64 + 255);
            (text(&names[..64]), text(&names[64..]))
        } else {
            let lengths = self.read(12);
            let host = self.read(u32_at(&lengths, 0) as usize);
            let name = self.read(u32_at(&lengths, 4) as usize);
            (text(&host), text(&name))
        };
        ListedSession {
            id: u64_at(&common, 0),
            clients: u32_at(&common, 12),
            host,
            name,
        }
    }

    fn streams(&mut self, count: u32) -> Vec<Stream> {
        (0..count)
            .map(|_| {
                let entry = self.read(8 + 8 + 4 + 4_096 + 255);
                Stream {
                    handle: u64_at(&entry, 0),
                    trace: u64_at(&entry, 8),
                    is_metadata: u32_at(&entry, 16) == 1,
                    name: text(&entry[4_116..]),
                }
            })
            .collect()
    }

    fn request(&mut self, command: u32, payload: &[u8]) {
        self.connection
            .write_all(&request(command, payload))
            .expect("a request is sent");
    }

    fn read(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.connection.read_exact(&mut bytes).expect("a reply");
        bytes
    }
}

/// The answer to a question for the next packet of a stream.
#[derive(Debug)]
pub struct Index {
    pub answer: Answer,
    pub new_metadata: bool,
    pub new_streams: bool,
}

#[derive(Debug)]
pub enum Answer {
    Packet(Packet),
    /// Nothing comes before that time.
    Inactive(u64),
    Retry,
    End,
}

/// Where a packet is in its file, and from when to when it lasts.
#[derive(Debug)]
pub struct Packet {
    offset: u64,
    length: u64,
    pub begin: u64,
    pub end: u64,
}

/// The current state of a stream.
pub enum Next {
    Bytes(Vec<u8>),
    Nothing,
    End,
}

#[derive(Debug)]
pub struct Stream {
    pub handle: u64,
    pub trace: u64,
    pub is_metadata: bool,
    /// That of its file: the channel and the processor, or `metadata`.
    name: String,
}

impl Stream {
    fn next(&self, client: &mut LiveClient) -> Next {
        if self.is_metadata {
            self.next_metadata(client)
        } else {
            self.next_packet(client)
        }
    }

    pub fn next_metadata(&self, client: &mut LiveClient) -> Next {
        client.request(METADATA, &be64(&[self.handle]));
        let reply = client.read(12);
        match u32_at(&reply, 8) {
            OK => Next::Bytes(client.read(u64_at(&reply, 0) as usize)),
            NO_NEW => Next::Nothing,
            // An error is how a relay says that there will be no more.
            ERROR => Next::End,
            status => panic!("status {status} of GET_METADATA"),
        }
    }

    fn next_packet(&self, client: &mut LiveClient) -> Next {
        match self.next_index(client).answer {
            Answer::Packet(packet) => Next::Bytes(self.fetch(client, &packet)),
            Answer::Retry | Answer::Inactive(_) => Next::Nothing,
            Answer::End => Next::End,
        }
    }

    pub fn next_index(&self, client: &mut LiveClient) -> Index {
        client.request(NEXT_INDEX, &be64(&[self.handle]));
        let index = client.read(64);
        let answer = match u32_at(&index, 56) {
            OK => Answer::Packet(Packet {
                offset: u64_at(&index, 0),
                length: u64_at(&index, 8) / 8,
                begin: u64_at(&index, 24),
                end: u64_at(&index, 32),
            }),
            INDEX_RETRY => Answer::Retry,
            INDEX_INACTIVE => Answer::Inactive(u64_at(&index, 32)),
            INDEX_HANG_UP => Answer::End,
            status => panic!("status {status} of GET_NEXT_INDEX on {self:?}"),
        };
        let flags = u32_at(&index, 60);
        Index {
            answer,
            new_metadata: flags & 1 != 0,
            new_streams: flags & 2 != 0,
        }
    }

    pub fn fetch(&self, client: &mut LiveClient, packet: &Packet) -> Vec<u8> {
        let (offset, length) = (packet.offset, packet.length);
        let mut payload = be64(&[self.handle, offset]);
        payload.extend(be32(&[length as u32]));
        client.request(PACKET, &payload);
        let reply = client.read(12);
        assert_eq!(u32_at(&reply, 0), OK, "status of GET_PACKET on {self:?}");
        assert_eq!(u64::from(u32_at(&reply, 4)), length, "length of a packet");
        client.read(length as usize)
    }

    /// Stores bytes behind those that the stream gave before.
    pub fn store(&self, bytes: &[u8], directory: &Path) {
        let trace = directory.join(format!("trace-{}", self.trace));
        fs::create_dir_all(&trace).expect("the directory of a trace");
        File::options()
            .create(true)
            .append(true)
            .open(trace.join(&self.name))
            .and_then(|mut file| file.write_all(bytes))
            .expect("the file of a stream");
    }
}

/// A viewer attached to one session.
#[derive(Debug)]
pub struct Attached {
    pub client: LiveClient,
    session: u64,
    /// Those that have not ended.
    pub streams: Vec<Stream>,
}

impl Attached {
    /// Reads until the session has ended, and returns what Babeltrace finds in it.
    pub fn read_to_end(mut self) -> Vec<Event> {
        let copy = sandbox::home();
        let mut session_lives = true;
        loop {
            session_lives = session_lives && self.find_streams();
            let received = self.receive(copy.path());
            let has_data_streams = self.streams.iter().any(|stream| !stream.is_metadata);
            if received == 0 && !has_data_streams && !session_lives {
                return read_directory(copy.path());
            }
            if received == 0 {
                thread::sleep(IDLE_PERIOD);
            }
        }
    }

    /// Asks for more than the sockets on the way can hold, and does not read it yet.
    pub fn ask_much(self) -> Flood {
        let mut connection = self.client.connection.try_clone().expect("a second handle");
        let requests = request(LIST_SESSIONS, &[]).repeat(FLOOD);
        // It waits as long as the relay does not take them.
        let asking = thread::spawn(move || connection.write_all(&requests).expect("a relay"));
        Flood {
            viewer: self,
            asking,
        }
    }

    /// Asks for streams that are new. Whether the session goes on.
    pub fn find_streams(&mut self) -> bool {
        self.client.request(NEW_STREAMS, &be64(&[self.session]));
        let reply = self.client.read(8);
        match u32_at(&reply, 0) {
            OK => {
                let new = self.client.streams(u32_at(&reply, 4));
                self.streams.extend(new);
                true
            }
            NO_NEW => true,
            STREAMS_HANG_UP => false,
            status => panic!("status {status} of GET_NEW_STREAMS"),
        }
    }

    /// Asks each stream once, and forgets those that have ended. How many gave something.
    fn receive(&mut self, directory: &Path) -> usize {
        let mut received = 0;
        self.streams
            .retain(|stream| match stream.next(&mut self.client) {
                Next::Bytes(bytes) => {
                    stream.store(&bytes, directory);
                    received += 1;
                    true
                }
                Next::Nothing => true,
                Next::End => false,
            });
        received
    }
}

/// A viewer that has asked, and does not listen.
#[derive(Debug)]
pub struct Flood {
    viewer: Attached,
    asking: JoinHandle<()>,
}

impl Flood {
    /// Reads all replies. So far the relay must have left requests alone.
    pub fn listen(mut self) -> Attached {
        assert!(!self.asking.is_finished(), "a relay that reads on");
        for _ in 0..FLOOD {
            self.viewer.client.listed_sessions();
        }
        self.asking.join().expect("a relay that takes all requests");
        self.viewer
    }
}

/// A request as it crosses the viewer port.
fn request(command: u32, payload: &[u8]) -> Vec<u8> {
    let mut message = be64(&[payload.len() as u64]);
    message.extend(be32(&[command, 0]));
    message.extend(payload);
    message
}

fn be32(values: &[u32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_be_bytes())
        .collect()
}

fn be64(values: &[u64]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_be_bytes())
        .collect()
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_be_bytes(bytes[offset..offset + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from_be_bytes(bytes[offset..offset + 8].try_into().expect("eight bytes"))
}

/// A string up to its first NUL, or to the end of its field.
fn text(field: &[u8]) -> String {
    let bytes = field.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(bytes).into_owned()
}
