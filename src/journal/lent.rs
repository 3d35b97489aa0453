//! Whether what is written to a file is a part of what a peer sent.
//!
//! The systems write packets straight out of a connection's input. By its address such
//! a slice is recognised, and it is named by its place in the connection: nothing has to
//! be copied or digested. A replay does the same with its own buffers.

use baton_components::keys::ConnectionKey;

use super::record::{Content, digest, edges};

/// The input that a system looks at, by its addresses: they are compared, never followed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lent(Option<Input>);

#[derive(Clone, Copy, Debug)]
struct Input {
    connection: ConnectionKey,
    /// Of its first byte, from the first of the connection.
    position: u64,
    start: usize,
    length: usize,
}

impl Lent {
    /// A system looks at a connection's input, which begins at that position.
    pub fn lend(&mut self, connection: ConnectionKey, position: u64, input: &[u8]) {
        self.0 = Some(Input {
            connection,
            position,
            start: input.as_ptr() as usize,
            length: input.len(),
        });
    }

    /// The input changes: its addresses mean nothing any more.
    pub fn take_back(&mut self) {
        self.0 = None;
    }

    /// What is written, by its place in the input if it is a part of that.
    pub fn content(&self, bytes: &[u8]) -> Content {
        let length = bytes.len() as u64;
        match self.0.and_then(|input| input.place(bytes)) {
            Some((connection, position)) => Content::Input {
                connection: connection.into(),
                position,
                length,
                edges: edges(bytes),
            },
            None => Content::Bytes {
                length,
                digest: digest(bytes),
            },
        }
    }
}

impl Input {
    fn place(&self, bytes: &[u8]) -> Option<(ConnectionKey, u64)> {
        let offset = (bytes.as_ptr() as usize).checked_sub(self.start)?;
        let inside = !bytes.is_empty() && offset + bytes.len() <= self.length;
        inside.then(|| (self.connection, self.position + offset as u64))
    }
}
