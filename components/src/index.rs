//! An index in flight: a packet of which one half has come.
//!
//! The bytes of a packet come on the data connection, its description on the
//! control connection, in either order. When both are there a record is written
//! and the index is gone.

use crate::hold::Holder;
use crate::keys::{StreamKey, TraceFileKey};
use crate::kinds::Id;
use crate::wire::producer::SendIndex;

#[derive(Debug)]
pub struct Index {
    pub stream: StreamKey,
    pub half: Half,
}

/// The half that has come.
#[derive(Clone, Copy, Debug)]
pub enum Half {
    Packet(PacketPlace),
    Description(SendIndex),
}

/// Where the bytes of a complete packet are.
#[derive(Clone, Copy, Debug)]
pub struct PacketPlace {
    /// The file they were written to: the record goes beside it, whatever file the
    /// stream writes by then.
    pub file: TraceFileKey,
    /// Start of the packet in it, in bytes.
    pub offset: u64,
    /// Its bytes, padding included.
    pub size: u64,
}

impl Holder for Index {
    fn holds(&self, visit: &mut dyn FnMut(Id)) {
        visit(self.stream.into());
        if let Half::Packet(place) = self.half {
            visit(place.file.into());
        }
    }
}
