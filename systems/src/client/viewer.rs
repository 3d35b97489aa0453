//! A viewer: the live connection of a trace reader.

use std::io::{self, Read};

use baton_components::wire::codec::WireError;
use baton_components::wire::viewer::reply::{self, Reply};
use baton_components::wire::viewer::{KIND_COMMAND, MAJOR, Request};

use super::Replies;

/// A viewer's side of a live connection. It speaks the minor of its [`connect`], or the
/// relay's if that is lower.
#[derive(Debug, Default)]
pub struct Viewer {
    pub(super) minor: u32,
    replies: Replies<Request>,
}

impl Viewer {
    /// Requests whose replies are due, in their order.
    pub fn due(&self) -> impl ExactSizeIterator<Item = &Request> {
        self.replies.due.iter()
    }

    /// The bytes that are not decoded yet.
    pub fn left_over(&self) -> usize {
        self.replies.left_over()
    }

    /// Appends a request to the bytes to send.
    pub fn say(&mut self, request: Request, out: &mut Vec<u8>) {
        request.encode(out);
        self.replies.due.push_back(request);
    }

    /// Adds bytes that the relay sent.
    pub fn hear(&mut self, bytes: &[u8]) {
        self.replies.hear(bytes);
    }

    /// Reads from the relay with one call.
    pub fn read_from(&mut self, connection: &mut impl Read) -> io::Result<()> {
        self.replies.read_from(connection)
    }

    /// The next reply, once it is complete, with the request that it answers.
    pub fn reply(&mut self) -> Result<Option<(Request, Reply<'_>)>, WireError> {
        let replies = &mut self.replies;
        let Some(request) = replies.due.front().copied() else {
            return Ok(None);
        };
        let bytes = &replies.buffer[replies.begin..replies.end];
        let Some((reply, size)) = reply::decode(request.kind(), self.minor, bytes)? else {
            return Ok(None);
        };
        replies.due.pop_front();
        replies.begin += size;
        if let (Request::Connect { minor, .. }, Reply::Connect(relay)) = (request, &reply) {
            self.minor = minor.min(relay.minor);
        }
        Ok(Some((request, reply)))
    }
}

/// The first request of a viewer that speaks this minor.
pub fn connect(minor: u32) -> Request {
    Request::Connect {
        major: MAJOR,
        minor,
        kind: KIND_COMMAND,
    }
}

/// The bytes of a request.
pub fn request(request: Request) -> Vec<u8> {
    let mut bytes = Vec::new();
    request.encode(&mut bytes);
    bytes
}
