//! The description of each kind of record for people, and its parent.

use baton_components::batch::Batch;
use baton_components::chunk::Chunk;
use baton_components::connection::Connection;
use baton_components::file::File;
use baton_components::index::{Half, Index};
use baton_components::kinds::Id;
use baton_components::path::RelativePath;
use baton_components::session::Session;
use baton_components::shown::Shown;
use baton_components::stream::Stream;
use baton_components::trace::Trace;
use baton_components::trace_file::TraceFile;
use baton_components::viewer_session::ViewerSession;
use baton_components::viewer_stream::{Position, ViewerStream};

pub trait Described {
    /// A short description for people.
    fn label(&self) -> String;

    /// The record that it is a part of; none: its holder.
    fn part_of(&self) -> Option<Id> {
        None
    }
}

impl Described for Connection {
    fn label(&self) -> String {
        format!("{} from {}", self.endpoint().name(), self.peer)
    }
}

impl Described for ViewerSession {
    fn label(&self) -> String {
        let attached: Vec<_> = self.attached.keys().map(u64::to_string).collect();
        match attached.as_slice() {
            [] => "nothing attached".to_owned(),
            ids => format!("attached to {}", ids.join(", ")),
        }
    }
}

impl Described for ViewerStream {
    fn label(&self) -> String {
        match &self.position {
            Position::Packets(position) => format!("at record {}", position.record),
            Position::Metadata(position) => format!("metadata, {} bytes sent", position.sent),
        }
    }

    fn part_of(&self) -> Option<Id> {
        Some(self.viewer_session.into())
    }
}

impl Described for Index {
    fn label(&self) -> String {
        match &self.half {
            Half::Packet { offset, size, .. } => format!("packet of {size} bytes at {offset}"),
            Half::Description(index) => format!("description of packet {}", index.sequence),
        }
    }

    fn part_of(&self) -> Option<Id> {
        Some((&self.stream).into())
    }
}

impl Described for Batch {
    fn label(&self) -> String {
        let Self { number, bytes, .. } = self;
        format!("number {number}, {bytes} bytes")
    }

    fn part_of(&self) -> Option<Id> {
        Some((&self.session).into())
    }
}

impl Described for Stream {
    fn label(&self) -> String {
        let name = Shown(&self.channel);
        let closed = if self.closed { ", closed" } else { "" };
        let Self { number, handle, .. } = self;
        format!("{name}, number {number}, handle {handle}{closed}")
    }

    fn part_of(&self) -> Option<Id> {
        Some((&self.trace).into())
    }
}

impl Described for Trace {
    fn label(&self) -> String {
        self.path.to_string()
    }

    fn part_of(&self) -> Option<Id> {
        Some((&self.session).into())
    }
}

impl Described for Session {
    fn label(&self) -> String {
        let directory = place(&self.directory);
        format!("{self}, number {}, {directory}", self.id)
    }
}

impl Described for Chunk {
    fn label(&self) -> String {
        let name = self.id.map_or("unnamed".to_owned(), |_| self.name());
        format!("{name}, {}", place(&self.directory()))
    }
}

impl Described for TraceFile {
    fn label(&self) -> String {
        let Self { ordinal, size, .. } = self;
        let committed = self.committed_records();
        format!("number {ordinal}, {size} bytes, {committed} records")
    }

    fn part_of(&self) -> Option<Id> {
        Some(self.stream.into())
    }
}

impl Described for File {
    fn label(&self) -> String {
        self.path.to_string()
    }
}

/// Producers before 2.11 name directories with each stream.
fn place(path: &RelativePath) -> String {
    if path.is_root() {
        "in no directory of its own".to_owned()
    } else {
        format!("in {path}")
    }
}
