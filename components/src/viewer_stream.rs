//! A viewer stream: the read position of one viewer in one stream.
//!
//! Owned by its viewer session until the viewer got HUP. It holds the stream, so that all
//! its packets stay readable, and the trace file that it reads.

use crate::hold::{Held, Holder};
use crate::keys::{FileKey, StreamKey, TraceFileKey, TraceKey, ViewerSessionKey};
use crate::kinds::Id;
use crate::shares::AddressKey;

/// The record of a viewer stream. Made when a viewer attaches the session, or when streams of
/// an attached session are published.
#[derive(Debug)]
pub struct ViewerStream {
    /// Weak: the viewer session has its viewer streams listed.
    pub viewer_session: ViewerSessionKey,
    /// The stream that it reads.
    pub stream: Held<StreamKey>,
    /// Weak: the stream holds its trace.
    pub trace: TraceKey,
    /// The address that its memory counts for: that of the viewer.
    pub address: AddressKey,
    /// It was announced to the viewer.
    pub announced: bool,
    /// The next packet, or the next byte of metadata.
    pub position: Position,
}

/// The read position, for each kind of stream.
#[derive(Debug)]
pub enum Position {
    /// In a data stream.
    Packets(PacketPosition),
    /// In a metadata stream.
    Metadata(MetadataPosition),
}

/// The next packet of a data stream.
#[derive(Debug, Default)]
pub struct PacketPosition {
    /// The trace file it is in; none: the oldest there is when asked.
    pub file: Option<Held<TraceFileKey>>,
    /// Its record in that file's index.
    pub record: u64,
    /// The range that GET_PACKET may read, set by the last index.
    pub readable: Option<Readable>,
}

/// The part of a data file that a viewer may read: up to the end of the last packet whose
/// index it has.
#[derive(Debug)]
pub struct Readable {
    /// The data file, kept open for GET_PACKET.
    pub file: Held<FileKey>,
    /// In bytes from the start of the file.
    pub end: u64,
}

/// The next byte of a metadata stream.
#[derive(Debug, Default)]
pub struct MetadataPosition {
    /// The file that it was in last; none: the oldest there is when asked.
    pub file: Option<Held<TraceFileKey>>,
    /// Number of bytes that the viewer has. The file after a rotation begins with the same
    /// bytes as the previous one, so the number is valid in it too.
    pub sent: u64,
}

impl ViewerStream {
    /// The trace file that it reads.
    pub fn file(&self) -> Option<&Held<TraceFileKey>> {
        match &self.position {
            Position::Packets(position) => position.file.as_ref(),
            Position::Metadata(position) => position.file.as_ref(),
        }
    }

    /// The position in a data stream; none in a metadata stream.
    pub fn packets(&self) -> Option<&PacketPosition> {
        if let Position::Packets(position) = &self.position {
            Some(position)
        } else {
            None
        }
    }

    /// As [`Self::packets`], mutable.
    pub fn packets_mut(&mut self) -> Option<&mut PacketPosition> {
        if let Position::Packets(position) = &mut self.position {
            Some(position)
        } else {
            None
        }
    }

    /// As [`Self::metadata`], mutable.
    pub fn metadata_mut(&mut self) -> Option<&mut MetadataPosition> {
        if let Position::Metadata(position) = &mut self.position {
            Some(position)
        } else {
            None
        }
    }

    /// The position in a metadata stream; none in a data stream.
    pub fn metadata(&self) -> Option<&MetadataPosition> {
        if let Position::Metadata(position) = &self.position {
            Some(position)
        } else {
            None
        }
    }
}

impl Holder for ViewerStream {
    fn holds(&self, visit: &mut dyn FnMut(Id)) {
        visit((&self.stream).into());
        if let Some(file) = self.file() {
            visit(file.into());
        }
        if let Some(readable) = self.packets().and_then(|it| it.readable.as_ref()) {
            visit((&readable.file).into());
        }
    }
}
