//! The commands, by number and name.

use crate::limits::STREAMS_PER_SESSION_MAX;
use crate::wire::numbered::numbered;

numbered! {
    /// A command of the control connection.
    ///
    /// The numbers 4, 12, 14 and 15 were set aside and never used.
    pub enum CommandKind {
        /// Declares a stream of the session.
        AddStream = 1, "ADD_STREAM";
        /// Makes the session of the connection.
        CreateSession = 2, "CREATE_SESSION";
        /// Has no effect; no known producer sends it.
        StartData = 3, "START_DATA";
        /// Announces the producer's version, first of all.
        Version = 5, "VERSION";
        /// Appends to a metadata stream. The only command without a reply.
        SendMetadata = 6, "SEND_METADATA";
        /// Says which packet of a stream was the last.
        CloseStream = 7, "CLOSE_STREAM";
        /// Asks whether a stream's data is still on its way.
        DataPending = 8, "DATA_PENDING";
        /// Says that a metadata stream is quiescent.
        QuiescentControl = 9, "QUIESCENT_CONTROL";
        /// Begins a round of `DATA_PENDING` queries.
        BeginDataPending = 10, "BEGIN_DATA_PENDING";
        /// Ends the round: was a stream not asked about?
        EndDataPending = 11, "END_DATA_PENDING";
        /// Describes a packet, or is a live beacon (since 2.4).
        SendIndex = 13, "SEND_INDEX";
        /// Publishes the streams added so far to viewers (since 2.4).
        StreamsSent = 16, "STREAMS_SENT";
        /// Empties a metadata stream to send it anew (since 2.8).
        ResetMetadata = 17, "RESET_METADATA";
        /// Moves streams to another chunk (since 2.11).
        RotateStreams = 18, "ROTATE_STREAMS";
        /// Makes a trace chunk, or joins it (since 2.11).
        CreateTraceChunk = 19, "CREATE_TRACE_CHUNK";
        /// Ends a trace chunk (since 2.11).
        CloseTraceChunk = 20, "CLOSE_TRACE_CHUNK";
        /// Asks whether a trace chunk is still in use (since 2.11).
        TraceChunkExists = 21, "TRACE_CHUNK_EXISTS";
        /// Asks what the relay allows (since 2.12).
        GetConfiguration = 22, "GET_CONFIGURATION";
    }
}

impl CommandKind {
    /// Greatest payload of the command, in bytes, once its connection has a session; before
    /// that none is larger than [`SMALL_PAYLOAD_SIZE_MAX`].
    pub fn payload_size_max(self) -> u64 {
        match self {
            Self::SendMetadata => PAYLOAD_SIZE_MAX,
            Self::RotateStreams => ROTATE_STREAMS_SIZE_MAX,
            _ => SMALL_PAYLOAD_SIZE_MAX,
        }
    }
}

/// Greatest payload of any command, in bytes: that of metadata.
pub const PAYLOAD_SIZE_MAX: u64 = 128 << 20;

/// Greatest payload of the commands with a few fields and names, of which the largest, an
/// `ADD_STREAM` before 2.11, has 4376 bytes. Also that of a number which is no command.
pub const SMALL_PAYLOAD_SIZE_MAX: u64 = 16 << 10;

/// Greatest payload of `ROTATE_STREAMS`: positions of as many streams as a session may have.
const ROTATE_STREAMS_SIZE_MAX: u64 = 20 + 16 * STREAMS_PER_SESSION_MAX as u64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_the_gaps_stay() {
        let mut known = 0;
        for number in 0..=100 {
            if let Some(kind) = CommandKind::from_number(number) {
                assert_eq!(kind.number(), number);
                known += 1;
            }
        }
        assert_eq!(known, CommandKind::ALL.len());
        assert_eq!(known, 18);
        for unused in [0, 4, 12, 14, 15, 23, u32::MAX] {
            assert_eq!(CommandKind::from_number(unused), None);
        }
        assert_eq!(CommandKind::SendIndex.name(), "SEND_INDEX");
    }
}
