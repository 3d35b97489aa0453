//! Sans-I/O clients of both protocols: they encode what a producer or a viewer sends, and
//! decode the replies. Bytes go in and out: no socket, no clock, no waiting.
//!
//! Tests, fuzz targets, benchmarks and `baton replay` use them, each over its own transport.
//! [`Producer`] and [`Viewer`] keep track of the replies that are due; [`command`],
//! [`packet`] and [`request`] encode a single message.

mod producer;
mod viewer;

use std::collections::VecDeque;
use std::io::{self, Read};

pub use producer::{Producer, command, description, headed, packet};
pub use viewer::{Viewer, connect, request};

/// The replies that are due, and their bytes that have arrived.
#[derive(Debug)]
struct Replies<Asked> {
    due: VecDeque<Asked>,
    buffer: Vec<u8>,
    /// Range of the buffer with the bytes that are not decoded yet.
    begin: usize,
    end: usize,
}

impl<Asked> Default for Replies<Asked> {
    fn default() -> Self {
        Self {
            due: VecDeque::new(),
            buffer: Vec::new(),
            begin: 0,
            end: 0,
        }
    }
}

impl<Asked> Replies<Asked> {
    fn hear(&mut self, bytes: &[u8]) {
        self.make_room(bytes.len());
        self.buffer[self.end..self.end + bytes.len()].copy_from_slice(bytes);
        self.end += bytes.len();
    }

    /// Reads once; the end of the connection is an error.
    fn read_from(&mut self, connection: &mut impl Read) -> io::Result<()> {
        self.make_room(READ_BYTES_MIN);
        loop {
            match connection.read(&mut self.buffer[self.end..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    self.end += count;
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn make_room(&mut self, bytes: usize) {
        // Also where the beginning of a reply always waits for its end.
        if self.begin == self.end || self.end + bytes > self.buffer.len() {
            self.buffer.copy_within(self.begin..self.end, 0);
            (self.begin, self.end) = (0, self.end - self.begin);
        }
        let needed = self.end + bytes;
        if needed > self.buffer.len() {
            self.buffer.resize(needed.next_power_of_two(), 0);
        }
    }

    /// The bytes that are not decoded yet.
    fn left_over(&self) -> usize {
        self.end - self.begin
    }
}

/// Initial size: every reply fits except lists, metadata and packets.
const READ_BYTES_MIN: usize = 1024;

#[cfg(test)]
mod tests {
    use baton_components::wire::producer::{Command, CommandKind, Version, code, reply};
    use baton_components::wire::viewer::reply::{ConnectReply, Reply};

    use super::*;

    /// A producer that asks the same so many times, and the replies.
    fn asked(count: usize) -> (Producer, Vec<u8>) {
        let (mut producer, mut bytes, mut replies) = (Producer::new(15), Vec::new(), Vec::new());
        for _ in 0..count {
            producer.say(&Command::StreamsSent, &mut bytes);
            reply::code(&mut replies, code::OK);
        }
        (producer, replies)
    }

    #[test]
    fn replies_are_understood_in_any_pieces() {
        for size in 1..9 {
            let (mut producer, replies) = asked(100);
            let mut heard = 0;
            for piece in replies.chunks(size) {
                producer.hear(piece);
                while let Some((kind, reply)) = producer.reply().expect("a reply") {
                    assert_eq!((kind, reply.code()), (CommandKind::StreamsSent, code::OK));
                    heard += 1;
                }
            }
            assert_eq!((heard, producer.due()), (100, 0), "pieces of {size} bytes");
        }
    }

    #[test]
    fn a_buffer_does_not_grow_with_what_was_understood() {
        let mut replies = Replies::<()>::default();
        // A part of the next reply always waits.
        replies.hear(&[0]);
        for _ in 0..10_000 {
            replies.hear(&[0; 4]);
            replies.begin += 4;
        }
        assert_eq!((replies.left_over(), replies.buffer.len()), (1, 8));
    }

    #[test]
    fn the_end_of_a_connection_is_an_error() {
        let (mut producer, _) = asked(1);
        let ended = producer.read_from(&mut io::empty()).map_err(|it| it.kind());
        assert_eq!(ended, Err(io::ErrorKind::UnexpectedEof));
    }

    #[test]
    fn both_sides_speak_the_lower_minor() {
        let (mut producer, mut bytes) = (Producer::new(16), Vec::new());
        let version = Version {
            major: 2,
            minor: 16,
        };
        producer.say(&Command::Version(version), &mut bytes);
        let mut told = Vec::new();
        reply::version(&mut told);
        producer.hear(&told);
        producer.reply().expect("a reply");
        assert_eq!(producer.minor(), 15);

        let mut viewer = Viewer::default();
        viewer.say(connect(4), &mut bytes);
        let mut told = Vec::new();
        ConnectReply::ours(7).encode(&mut told);
        viewer.hear(&told);
        let (request, reply) = viewer.reply().expect("a reply").expect("all of it");
        assert_eq!(request, connect(4));
        assert!(matches!(reply, Reply::Connect(relay) if relay.viewer_session == 7));
        assert_eq!((viewer.minor, viewer.left_over()), (4, 0));
    }
}
