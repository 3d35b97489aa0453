//! A viewer stream: how far one viewer has come in one stream.
//!
//! Owned by its viewer session until the viewer was told that it is over. It holds
//! the stream, so what was recorded stays readable to the end, and the trace file
//! that it reads.

use crate::hold::Holder;
use crate::keys::{FileKey, StreamKey, TraceFileKey, TraceKey, ViewerSessionKey};
use crate::kinds::Id;

#[derive(Debug)]
pub struct ViewerStream {
    /// Weak: the viewer session has its viewer streams listed.
    pub viewer_session: ViewerSessionKey,
    pub stream: StreamKey,
    /// Weak: the stream holds its trace.
    pub trace: TraceKey,
    /// The viewer was told of it.
    pub announced: bool,
    pub position: Position,
}

/// What a viewer reads of a stream, and what comes next.
#[derive(Clone, Copy, Debug)]
pub enum Position {
    Packets(PacketPosition),
    Metadata(MetadataPosition),
}

/// The next packet of a data stream.
#[derive(Clone, Copy, Debug, Default)]
pub struct PacketPosition {
    /// The trace file it is in; none: the oldest there is when asked.
    pub file: Option<TraceFileKey>,
    /// Its record in that file's index.
    pub record: u64,
    /// What the last index made readable.
    pub readable: Option<Readable>,
}

/// The part of a data file that a viewer may read: up to the end of the last packet
/// of which it has the index.
#[derive(Clone, Copy, Debug)]
pub struct Readable {
    pub file: FileKey,
    /// In bytes from the start of the file.
    pub end: u64,
}

/// The next byte of a metadata stream.
#[derive(Clone, Copy, Debug, Default)]
pub struct MetadataPosition {
    /// The file that it was in last; none: the oldest there is when asked.
    pub file: Option<TraceFileKey>,
    /// Bytes that the viewer has. A file that follows a rotation begins with what the
    /// one before it held, so they count in it too.
    pub sent: u64,
}

impl ViewerStream {
    /// The trace file that it reads.
    pub fn file(&self) -> Option<TraceFileKey> {
        match &self.position {
            Position::Packets(position) => position.file,
            Position::Metadata(position) => position.file,
        }
    }

    pub fn packets(&self) -> Option<&PacketPosition> {
        if let Position::Packets(position) = &self.position {
            Some(position)
        } else {
            None
        }
    }

    pub fn packets_mut(&mut self) -> Option<&mut PacketPosition> {
        if let Position::Packets(position) = &mut self.position {
            Some(position)
        } else {
            None
        }
    }

    pub fn metadata_mut(&mut self) -> Option<&mut MetadataPosition> {
        if let Position::Metadata(position) = &mut self.position {
            Some(position)
        } else {
            None
        }
    }

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
        visit(self.stream.into());
        if let Some(file) = self.file() {
            visit(file.into());
        }
        if let Some(readable) = self.packets().and_then(|position| position.readable) {
            visit(readable.file.into());
        }
    }
}
