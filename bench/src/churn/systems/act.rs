//! The messages of peers, a tick for each: the records that they create and free.

use super::super::family::{Counts, DATA_STREAMS, Kind, in_family};

/// The action of all families of a batch before a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Connect,
    CreateSession,
    CreateChunk,
    AddStreams,
    FirstPackets,
    Describe,
    CreateViewerSession,
    Attach,
    NextIndex,
    Detach,
    LeaveViewer,
    SendPackets,
    CloseStreams,
    LeaveProducer,
    LeaveAll,
}

impl Act {
    pub const ALL: [Self; 15] = [
        Self::Connect,
        Self::CreateSession,
        Self::CreateChunk,
        Self::AddStreams,
        Self::FirstPackets,
        Self::Describe,
        Self::CreateViewerSession,
        Self::Attach,
        Self::NextIndex,
        Self::Detach,
        Self::LeaveViewer,
        Self::SendPackets,
        Self::CloseStreams,
        Self::LeaveProducer,
        Self::LeaveAll,
    ];

    /// The actions that create a family.
    pub const COMING: [Self; 9] = [
        Self::Connect,
        Self::CreateSession,
        Self::CreateChunk,
        Self::AddStreams,
        Self::FirstPackets,
        Self::Describe,
        Self::CreateViewerSession,
        Self::Attach,
        Self::NextIndex,
    ];

    /// The actions that end a family in order: viewer first, streams one by one.
    pub const GOING: [Self; 5] = [
        Self::Detach,
        Self::LeaveViewer,
        Self::SendPackets,
        Self::CloseStreams,
        Self::LeaveProducer,
    ];

    /// The actions that end a family by disconnecting all peers at once.
    pub const GOING_AT_ONCE: [Self; 2] = [Self::SendPackets, Self::LeaveAll];

    /// Name of the message.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "three connections are accepted",
            Self::CreateSession => "VERSION, CREATE_SESSION",
            Self::CreateChunk => "CREATE_TRACE_CHUNK",
            Self::AddStreams => "5 ADD_STREAM, STREAMS_SENT",
            Self::FirstPackets => "4 packets, described first",
            Self::Describe => "4 SEND_INDEX, packets to come",
            Self::CreateViewerSession => "CONNECT, CREATE_SESSION of a viewer",
            Self::Attach => "ATTACH_SESSION",
            Self::NextIndex => "4 GET_NEXT_INDEX",
            Self::Detach => "DETACH_SESSION",
            Self::LeaveViewer => "the viewer's connection ends",
            Self::SendPackets => "4 packets that were described",
            Self::CloseStreams => "5 CLOSE_STREAM",
            Self::LeaveProducer => "the producer's connections end",
            Self::LeaveAll => "all three connections end",
        }
    }

    /// Records that come in a family.
    pub fn made(self) -> Counts {
        match self {
            Self::Connect => [(Kind::Connection, in_family(Kind::Connection))].into(),
            Self::CreateSession => [(Kind::Session, 1)].into(),
            Self::CreateChunk => [(Kind::Chunk, 1)].into(),
            Self::AddStreams => [
                (Kind::Stream, in_family(Kind::Stream)),
                (Kind::Trace, 1),
                (Kind::TraceFile, in_family(Kind::TraceFile)),
                (Kind::File, in_family(Kind::TraceFile)),
            ]
            .into(),
            // Index files; the indexes in flight go in the same tick.
            Self::FirstPackets => [(Kind::File, DATA_STREAMS), (Kind::Index, DATA_STREAMS)].into(),
            Self::Describe => [(Kind::Index, DATA_STREAMS)].into(),
            Self::CreateViewerSession => [(Kind::ViewerSession, 1)].into(),
            Self::Attach => [(Kind::ViewerStream, in_family(Kind::ViewerStream))].into(),
            _ => Counts::default(),
        }
    }

    /// Records that go in a family.
    pub fn freed(self) -> Counts {
        let family = Counts::of_families(1);
        match self {
            Self::FirstPackets | Self::SendPackets => [(Kind::Index, DATA_STREAMS)].into(),
            Self::Detach => [(Kind::ViewerStream, in_family(Kind::ViewerStream))].into(),
            Self::LeaveViewer => [(Kind::Connection, 1), (Kind::ViewerSession, 1)].into(),
            Self::CloseStreams => [
                (Kind::Stream, in_family(Kind::Stream)),
                (Kind::Trace, 1),
                (Kind::TraceFile, in_family(Kind::TraceFile)),
                (Kind::File, in_family(Kind::File)),
            ]
            .into(),
            Self::LeaveProducer => {
                [(Kind::Connection, 2), (Kind::Session, 1), (Kind::Chunk, 1)].into()
            }
            Self::LeaveAll => family.without(&[(Kind::Index, DATA_STREAMS)].into()),
            _ => Counts::default(),
        }
    }

    /// The divisor of its time: the created records, or the freed ones, or the requests.
    pub fn counted(self) -> u64 {
        let (made, freed) = (self.made().total(), self.freed().total());
        match (made, freed) {
            (0, 0) => DATA_STREAMS,
            (0, freed) => freed,
            (made, _) => made,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_created_record_is_freed_in_both_orders() {
        let sum = |acts: &[Act], count: fn(Act) -> Counts| {
            let mut sum = Counts::default();
            for act in acts {
                sum.add(&count(*act), 1);
            }
            sum
        };
        let stays = sum(&Act::COMING, Act::made).without(&sum(&Act::COMING, Act::freed));
        assert_eq!(stays, Counts::of_families(1));
        assert_eq!(sum(&Act::GOING, Act::freed), stays);
        assert_eq!(sum(&Act::GOING_AT_ONCE, Act::freed), stays);
    }
}
