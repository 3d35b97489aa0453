//! A pending index: a packet of which one half has arrived.
//!
//! The bytes of a packet come on the data connection, its description on the control
//! connection, in either order. When both are there, an index record is written and this
//! record is freed.

use crate::hold::{Held, Holder, Links};
use crate::keys::{StreamKey, TraceFileKey};
use crate::kinds::Id;
use crate::wire::producer::SendIndex;

/// A packet of which one half has arrived. Owned until the other half comes, or never will.
#[derive(Debug)]
pub struct Index {
    /// The stream of the packet.
    pub stream: Held<StreamKey>,
    /// The half that waits.
    pub half: Half,
}

/// The half that has arrived.
#[derive(Debug)]
pub enum Half {
    /// Its bytes: see [`PacketLocation`].
    Packet {
        /// The file that has the bytes.
        file: Held<TraceFileKey>,
        /// Start of the packet in the file, in bytes.
        offset: u64,
        /// Size of the packet in bytes, padding included.
        size: u64,
        /// As in [`PacketLocation`].
        padding: u32,
    },
    /// Its description, as SEND_INDEX sent it.
    Description(SendIndex),
}

impl Half {
    /// The half of a packet whose bytes are there.
    pub fn at(location: PacketLocation, links: &Links) -> Self {
        Self::Packet {
            file: links.hold(location.file),
            offset: location.offset,
            size: location.size,
            padding: location.padding,
        }
    }

    /// Where the packet is, if its bytes have come.
    pub fn location(&self) -> Option<PacketLocation> {
        match self {
            Self::Packet {
                file,
                offset,
                size,
                padding,
            } => Some(PacketLocation {
                file: file.key(),
                offset: *offset,
                size: *size,
                padding: *padding,
            }),
            Self::Description(_) => None,
        }
    }

    /// The packet's description, if that has come.
    pub fn description(&self) -> Option<SendIndex> {
        match self {
            Self::Packet { .. } => None,
            Self::Description(description) => Some(*description),
        }
    }
}

/// Location of the bytes of a complete packet.
#[derive(Clone, Copy, Debug)]
pub struct PacketLocation {
    /// Weak: the file they were written to. The record goes beside it, whatever file the
    /// stream writes by then.
    pub file: TraceFileKey,
    /// Start of the packet in it, in bytes.
    pub offset: u64,
    /// Its bytes, padding included.
    pub size: u64,
    /// How many of these are zeros at its end that were announced and not sent.
    pub padding: u32,
}

impl Holder for Index {
    fn holds(&self, visit: &mut dyn FnMut(Id)) {
        visit((&self.stream).into());
        if let Half::Packet { file, .. } = &self.half {
            visit(file.into());
        }
    }
}
