//! The round of questions a producer asks when tracing stops: is everything it
//! sent stored? Begin, one question a stream, end.

use crate::wire::codec::{Reader, WireError, put_u64};

/// `BEGIN_DATA_PENDING`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BeginDataPending {
    /// Relay session id, as given by the reply to `CREATE_SESSION`.
    pub session: u64,
}

impl BeginDataPending {
    pub(super) fn decode_payload(payload: &[u8]) -> Result<Self, WireError> {
        Ok(Self {
            session: Reader::new(payload).u64("session_id")?,
        })
    }

    pub(super) fn encode_payload(self, out: &mut Vec<u8>) {
        put_u64(out, self.session);
    }
}

/// `DATA_PENDING`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataPending {
    /// Handle of the stream.
    pub stream: u64,
    /// Network sequence number of the last packet, [`NONE`](super::NONE) if none
    /// was sent.
    pub last_sequence: u64,
}

impl DataPending {
    pub(super) fn decode_payload(payload: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(payload);
        Ok(Self {
            stream: reader.u64("stream_id")?,
            last_sequence: reader.u64("last_net_seq_num")?,
        })
    }

    pub(super) fn encode_payload(self, out: &mut Vec<u8>) {
        put_u64(out, self.stream);
        put_u64(out, self.last_sequence);
    }
}

/// `QUIESCENT_CONTROL`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuiescentControl {
    /// Handle of the metadata stream.
    pub stream: u64,
}

impl QuiescentControl {
    pub(super) fn decode_payload(payload: &[u8]) -> Result<Self, WireError> {
        Ok(Self {
            stream: Reader::new(payload).u64("stream_id")?,
        })
    }

    pub(super) fn encode_payload(self, out: &mut Vec<u8>) {
        put_u64(out, self.stream);
    }
}

/// `END_DATA_PENDING`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndDataPending {
    /// Relay session id, as given by the reply to `CREATE_SESSION`.
    pub session: u64,
}

impl EndDataPending {
    pub(super) fn decode_payload(payload: &[u8]) -> Result<Self, WireError> {
        Ok(Self {
            session: Reader::new(payload).u64("session_id")?,
        })
    }

    pub(super) fn encode_payload(self, out: &mut Vec<u8>) {
        put_u64(out, self.session);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::producer::NONE;
    use crate::wire::producer::tests::assert_round_trip;
    use crate::wire::producer::{Command, Minors};
    use proptest::prelude::*;

    #[test]
    fn nothing_sent_is_all_ones() {
        let command = DataPending {
            stream: 1,
            last_sequence: NONE,
        };
        let mut payload = Vec::new();
        command.encode_payload(&mut payload);
        assert_eq!(payload, [[0, 0, 0, 0, 0, 0, 0, 1], [0xff; 8]].concat());
    }

    proptest! {
        #[test]
        fn questions_come_back(id: u64, last_sequence: u64, minor in 1..=15_u32) {
            for command in [
                Command::BeginDataPending(BeginDataPending { session: id }),
                Command::DataPending(DataPending { stream: id, last_sequence }),
                Command::QuiescentControl(QuiescentControl { stream: id }),
                Command::EndDataPending(EndDataPending { session: id }),
            ] {
                assert_round_trip(&command, Minors::both(minor), |_| false);
            }
        }
    }
}
