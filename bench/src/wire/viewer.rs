//! A viewer of the load: sends requests, and checks the replies.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use baton_components::wire::viewer::reply::{IndexReply, Reply};
use baton_components::wire::viewer::{
    AttachStatus, DetachStatus, MetadataStatus, NEW_METADATA, NewStreamsStatus, NextIndexStatus,
    PacketStatus, Request, SEEK_BEGINNING,
};
use baton_systems::client::{self, connect, request};

use baton::producer;

use super::relay::Target;

/// The live protocol that every relay speaks: entries of a fixed size.
const MINOR: u32 = 4;
/// Maximum bytes of a GET_PACKET, as Babeltrace 2 uses.
pub const PIECE_BYTES: u32 = 256 * 1024;
/// Size of a session in a list, at [`MINOR`]: four numbers and two names.
const SESSION_ENTRY_BYTES: u64 = 8 + 3 * 4 + 64 + 255;

#[derive(Debug)]
pub struct Viewer {
    socket: TcpStream,
    protocol: client::Viewer,
    request: Vec<u8>,
    /// Data streams that have not ended.
    pub streams: Vec<u64>,
    /// The metadata of their trace: a session of the load has one.
    metadata: Option<u64>,
    pub bytes: u64,
    pub packets: u64,
}

impl Viewer {
    /// Connects, and sends CONNECT only.
    pub fn connect(target: &Target) -> io::Result<Self> {
        let socket = producer::connect(target.live)?;
        socket.set_nodelay(true)?;
        let mut viewer = Self {
            socket,
            protocol: client::Viewer::default(),
            request: Vec::new(),
            streams: Vec::new(),
            metadata: None,
            bytes: 0,
            packets: 0,
        };
        viewer.ask(connect(MINOR), |_| ())?;
        Ok(viewer)
    }

    /// Connects and attaches a session from its first packet.
    pub fn follow(target: &Target, session: u64) -> io::Result<Self> {
        let mut viewer = Self::connect(target)?;
        viewer.ask(Request::CreateSession, |_| ())?;
        viewer.attach(session)?;
        Ok(viewer)
    }

    pub fn attach(&mut self, session: u64) -> io::Result<()> {
        let seek = SEEK_BEGINNING;
        let streams = self.ask(Request::Attach { session, seek }, |reply| match reply {
            Reply::Attach(AttachStatus::Ok, streams) => {
                let streams = streams.iter().map(|it| (it.stream, it.metadata));
                Ok(streams.collect::<Vec<_>>())
            }
            other => Err(refused(other)),
        })??;
        self.streams.clear();
        for (stream, is_metadata) in streams {
            if is_metadata {
                self.metadata = Some(stream);
            } else {
                self.streams.push(stream);
            }
        }
        Ok(())
    }

    pub fn detach(&mut self, session: u64) -> io::Result<()> {
        self.ask(Request::Detach { session }, |reply| match reply {
            Reply::Detach(DetachStatus::Ok) => Ok(()),
            other => Err(refused(other)),
        })?
    }

    /// Asks for the streams that are new since the last time, and returns their number.
    pub fn new_streams(&mut self, session: u64) -> io::Result<usize> {
        self.ask(Request::NewStreams { session }, |reply| match reply {
            Reply::NewStreams(NewStreamsStatus::Ok, streams) => Ok(streams.len()),
            Reply::NewStreams(NewStreamsStatus::NoNew, _) => Ok(0),
            other => Err(refused(other)),
        })?
    }

    /// Lists the relay's sessions, and returns their number. The entries are not decoded, since
    /// that would be measured, too.
    pub fn count_sessions(&mut self) -> io::Result<usize> {
        self.socket.write_all(&request(Request::ListSessions))?;
        let mut count = [0; 4];
        self.socket.read_exact(&mut count)?;
        let count = u32::from_be_bytes(count);
        let bytes = u64::from(count) * SESSION_ENTRY_BYTES;
        let entries = io::copy(&mut (&self.socket).take(bytes), &mut io::sink())?;
        if entries < bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(count as usize)
    }

    /// Reads the next packet of a stream, and returns whether there was one. Metadata is read
    /// when the flag NEW_METADATA is set.
    pub fn read_packet(&mut self, stream: u64) -> io::Result<bool> {
        let index: IndexReply =
            self.ask(Request::NextIndex { stream }, |reply| match reply {
                Reply::NextIndex(index) => Ok(*index),
                other => Err(refused(other)),
            })??;
        if index.flags & NEW_METADATA != 0
            && let Some(metadata) = self.metadata
        {
            self.read_metadata(metadata)?;
        }
        match index.status {
            NextIndexStatus::Ok => {}
            NextIndexStatus::Hup => {
                self.streams.retain(|other| *other != stream);
                return Ok(false);
            }
            NextIndexStatus::Retry | NextIndexStatus::Inactive => return Ok(false),
            _ => return Err(refused(&Reply::NextIndex(index))),
        }
        let size = index.packet_size_bits / 8;
        let (mut offset, end) = (index.offset_bytes, index.offset_bytes + size);
        while offset < end {
            let length = PIECE_BYTES.min((end - offset) as u32);
            let request = Request::Packet {
                stream,
                offset,
                length,
            };
            self.ask(request, |reply| match reply {
                Reply::Packet(head, _) if head.status == PacketStatus::Ok => Ok(()),
                other => Err(refused(other)),
            })??;
            offset += u64::from(length);
        }
        self.bytes += size;
        self.packets += 1;
        Ok(true)
    }

    fn read_metadata(&mut self, stream: u64) -> io::Result<()> {
        let mut is_there = true;
        while is_there {
            is_there = self.ask(Request::Metadata { stream }, |reply| match reply {
                Reply::Metadata(head, _) if head.status == MetadataStatus::Ok => Ok(true),
                Reply::Metadata(head, _) if head.status == MetadataStatus::NoNew => Ok(false),
                other => Err(refused(other)),
            })??;
        }
        Ok(())
    }

    /// Sends a request, waits for its reply, and returns the part that `take` gives.
    fn ask<T>(&mut self, request: Request, take: impl FnOnce(&Reply) -> T) -> io::Result<T> {
        self.request.clear();
        self.protocol.say(request, &mut self.request);
        self.socket.write_all(&self.request)?;
        loop {
            if let Some((_, reply)) = self.protocol.reply().map_err(io::Error::other)? {
                return Ok(take(&reply));
            }
            self.protocol.read_from(&mut self.socket)?;
        }
    }
}

/// Sends one LIST_SESSIONS after another, as many as go out, and drops the replies.
pub fn flood(target: &Target, is_over: &AtomicBool) -> io::Result<()> {
    let viewer = Viewer::connect(target)?;
    viewer.socket.set_nonblocking(true)?;
    let requests = request(Request::ListSessions).repeat(FLOOD_REQUESTS);
    let mut sent = 0;
    let mut replies = vec![0; PIECE_BYTES as usize];
    while !is_over.load(Ordering::Relaxed) {
        let written = unless_blocked((&viewer.socket).write(&requests[sent..]))?;
        sent = (sent + written) % requests.len();
        if unless_blocked((&viewer.socket).read(&mut replies))? + written == 0 {
            sleep(FLOOD_PAUSE);
        }
    }
    Ok(())
}

fn unless_blocked(outcome: io::Result<usize>) -> io::Result<usize> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        outcome => outcome,
    }
}

const FLOOD_REQUESTS: usize = 4096;
/// While neither side of the connection has room.
const FLOOD_PAUSE: Duration = Duration::from_micros(100);

fn refused(reply: &Reply) -> io::Error {
    let (request, status) = match reply {
        Reply::Attach(status, _) => ("ATTACH_SESSION", status.name()),
        Reply::Detach(status) => ("DETACH_SESSION", status.name()),
        Reply::NextIndex(index) => ("GET_NEXT_INDEX", index.status.name()),
        Reply::Packet(head, _) => ("GET_PACKET", head.status.name()),
        Reply::Metadata(head, _) => ("GET_METADATA", head.status.name()),
        Reply::NewStreams(status, _) => ("GET_NEW_STREAMS", status.name()),
        _ => ("a request", "another reply"),
    };
    io::Error::other(format!("the relay answered {request} with {status}"))
}
