//! A viewer: what it asks, and that it gets it.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use baton_components::wire::viewer::{
    AttachStatus, DetachStatus, KIND_COMMAND, MAJOR, MetadataStatus, NEW_METADATA, NextIndexStatus,
    PacketStatus, Request, SEEK_BEGINNING, StreamEntry,
};

use super::relay::Target;

/// The live protocol that every relay speaks: entries of a fixed size.
const MINOR: u32 = 4;
/// As Babeltrace 2 asks.
pub const PIECE_BYTES: u32 = 256 * 1024;

/// Of a session in a list, at [`MINOR`]: four numbers and two names.
const SESSION_ENTRY_BYTES: u64 = 8 + 3 * 4 + 64 + 255;

#[derive(Debug)]
pub struct Viewer {
    socket: TcpStream,
    request: Vec<u8>,
    payload: Vec<u8>,
    /// Data streams that have not ended.
    pub streams: Vec<u64>,
    /// The metadata of their trace: a session of the load has one.
    metadata: Option<u64>,
    pub bytes: u64,
    pub packets: u64,
}

impl Viewer {
    /// Connects, says which version it speaks, and nothing more.
    pub fn connect(target: &Target) -> io::Result<Self> {
        let socket = TcpStream::connect(target.live)?;
        socket.set_nodelay(true)?;
        let mut viewer = Self {
            socket,
            request: Vec::new(),
            payload: Vec::new(),
            streams: Vec::new(),
            metadata: None,
            bytes: 0,
            packets: 0,
        };
        viewer.ask::<20>(Request::Connect {
            major: MAJOR,
            minor: MINOR,
            kind: KIND_COMMAND,
        })?;
        Ok(viewer)
    }

    /// Connects and attaches a session from its first packet.
    pub fn follow(target: &Target, session: u64) -> io::Result<Self> {
        let mut viewer = Self::connect(target)?;
        viewer.ask::<4>(Request::CreateSession)?;
        viewer.attach(session)?;
        viewer.payload = vec![0; PIECE_BYTES as usize];
        Ok(viewer)
    }

    pub fn attach(&mut self, session: u64) -> io::Result<()> {
        let attached = self.ask::<8>(Request::Attach {
            session,
            seek: SEEK_BEGINNING,
        })?;
        match AttachStatus::from_number(number(&attached)) {
            Some(AttachStatus::Ok) => {}
            other => return Err(refused("ATTACH_SESSION", other.map(AttachStatus::name))),
        }
        self.streams.clear();
        for _ in 0..number(&attached[4..]) {
            let mut entry = [0; StreamEntry::SIZE];
            self.socket.read_exact(&mut entry)?;
            let stream = long(&entry[..8]);
            let is_metadata = number(&entry[16..20]) == 1;
            if is_metadata {
                self.metadata = Some(stream);
            } else {
                self.streams.push(stream);
            }
        }
        Ok(())
    }

    pub fn detach(&mut self, session: u64) -> io::Result<()> {
        let status = self.ask::<4>(Request::Detach { session })?;
        match DetachStatus::from_number(number(&status)) {
            Some(DetachStatus::Ok) => Ok(()),
            other => Err(refused("DETACH_SESSION", other.map(DetachStatus::name))),
        }
    }

    /// Lists the relay's sessions; gives how many there are.
    pub fn count_sessions(&mut self) -> io::Result<usize> {
        let count = self.ask::<4>(Request::ListSessions)?;
        let count = number(&count);
        let bytes = u64::from(count) * SESSION_ENTRY_BYTES;
        let entries = io::copy(&mut (&self.socket).take(bytes), &mut io::sink())?;
        if entries < bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(count as usize)
    }

    /// Reads the next packet of a stream; whether there was one. Metadata is read when
    /// the relay says that it is there.
    pub fn read_packet(&mut self, stream: u64) -> io::Result<bool> {
        let index = self.ask::<64>(Request::NextIndex { stream })?;
        if number(&index[60..]) & NEW_METADATA != 0
            && let Some(metadata) = self.metadata
        {
            self.read_metadata(metadata)?;
        }
        match NextIndexStatus::from_number(number(&index[56..60])) {
            Some(NextIndexStatus::Ok) => {}
            Some(NextIndexStatus::Hup) => {
                self.streams.retain(|other| *other != stream);
                return Ok(false);
            }
            Some(NextIndexStatus::Retry | NextIndexStatus::Inactive) => return Ok(false),
            other => return Err(refused("GET_NEXT_INDEX", other.map(NextIndexStatus::name))),
        }
        let (mut offset, size) = (long(&index[..8]), long(&index[8..16]) / 8);
        let end = offset + size;
        while offset < end {
            let length = PIECE_BYTES.min((end - offset) as u32);
            let reply = self.ask::<12>(Request::Packet {
                stream,
                offset,
                length,
            })?;
            match PacketStatus::from_number(number(&reply)) {
                Some(PacketStatus::Ok) => {}
                other => return Err(refused("GET_PACKET", other.map(PacketStatus::name))),
            }
            self.socket
                .read_exact(&mut self.payload[..length as usize])?;
            offset += u64::from(length);
        }
        self.bytes += size;
        self.packets += 1;
        Ok(true)
    }

    fn read_metadata(&mut self, stream: u64) -> io::Result<()> {
        loop {
            let reply = self.ask::<12>(Request::Metadata { stream })?;
            match MetadataStatus::from_number(number(&reply[8..])) {
                Some(MetadataStatus::Ok) => {}
                Some(MetadataStatus::NoNew) => return Ok(()),
                other => return Err(refused("GET_METADATA", other.map(MetadataStatus::name))),
            }
            let bytes = long(&reply[..8]);
            io::copy(&mut (&self.socket).take(bytes), &mut io::sink())?;
        }
    }

    fn ask<const N: usize>(&mut self, request: Request) -> io::Result<[u8; N]> {
        self.request.clear();
        request.encode(&mut self.request);
        self.socket.write_all(&self.request)?;
        let mut reply = [0; N];
        self.socket.read_exact(&mut reply)?;
        Ok(reply)
    }
}

fn refused(request: &str, status: Option<&str>) -> io::Error {
    let status = status.unwrap_or("a status that there is not");
    io::Error::other(format!("the relay answered {request} with {status}"))
}

fn number(bytes: &[u8]) -> u32 {
    bytes
        .first_chunk()
        .map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

fn long(bytes: &[u8]) -> u64 {
    bytes
        .first_chunk()
        .map_or(0, |bytes| u64::from_be_bytes(*bytes))
}
