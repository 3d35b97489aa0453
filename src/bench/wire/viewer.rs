//! A viewer that reads everything of one session as fast as it gets it.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use baton_components::wire::viewer::{
    KIND_COMMAND, MAJOR, NextIndexStatus, Request, SEEK_BEGINNING, StreamEntry,
};

use super::relay::Target;

/// The live protocol that every relay speaks: entries of a fixed size.
const MINOR: u32 = 4;
/// As Babeltrace 2 asks.
const PIECE_BYTES: u32 = 256 * 1024;

#[derive(Debug)]
pub struct Viewer {
    socket: TcpStream,
    request: Vec<u8>,
    payload: Vec<u8>,
    /// Data streams that have not ended.
    pub streams: Vec<u64>,
    pub bytes: u64,
    pub packets: u64,
}

impl Viewer {
    /// Connects and attaches a session from its first packet.
    pub fn attach(target: &Target, session: u64) -> io::Result<Self> {
        let socket = TcpStream::connect(target.live)?;
        socket.set_nodelay(true)?;
        let mut viewer = Self {
            socket,
            request: Vec::new(),
            payload: vec![0; PIECE_BYTES as usize],
            streams: Vec::new(),
            bytes: 0,
            packets: 0,
        };
        viewer.ask::<20>(Request::Connect {
            major: MAJOR,
            minor: MINOR,
            kind: KIND_COMMAND,
        })?;
        viewer.ask::<4>(Request::CreateSession)?;
        let attached = viewer.ask::<8>(Request::Attach {
            session,
            seek: SEEK_BEGINNING,
        })?;
        if attached[..4] != 1_u32.to_be_bytes() {
            return Err(io::Error::other(format!(
                "ATTACH was answered with {attached:?}"
            )));
        }
        for _ in 0..number(&attached[4..]) {
            let mut entry = [0; StreamEntry::SIZE];
            viewer.socket.read_exact(&mut entry)?;
            let is_metadata = number(&entry[16..20]) == 1;
            if !is_metadata {
                viewer.streams.push(long(&entry[..8]));
            }
        }
        Ok(viewer)
    }

    /// Reads the next packet of a stream; whether there was one.
    pub fn read_packet(&mut self, stream: u64) -> io::Result<bool> {
        let index = self.ask::<64>(Request::NextIndex { stream })?;
        match NextIndexStatus::from_number(number(&index[56..60])) {
            Some(NextIndexStatus::Ok) => {}
            Some(NextIndexStatus::Hup) => {
                self.streams.retain(|other| *other != stream);
                return Ok(false);
            }
            Some(NextIndexStatus::Retry | NextIndexStatus::Inactive) => return Ok(false),
            other => {
                return Err(io::Error::other(format!(
                    "an index was answered with {other:?}"
                )));
            }
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
            if reply[..4] != 1_u32.to_be_bytes() {
                return Err(io::Error::other(format!(
                    "a packet was answered with {reply:?}"
                )));
            }
            self.socket
                .read_exact(&mut self.payload[..length as usize])?;
            offset += u64::from(length);
        }
        self.bytes += size;
        self.packets += 1;
        Ok(true)
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
