//! Statuses of the replies to viewers. The same status has different numbers in different
//! replies.

use crate::wire::numbered::numbered;

numbered! {
    /// Of the reply to `ATTACH_SESSION`.
    pub enum AttachStatus {
        /// Attached; streams follow.
        Ok = 1, "OK";
        /// A viewer is attached already.
        Already = 2, "ALREADY";
        /// No such session, or none for this viewer.
        Unknown = 3, "UNK";
        /// The session has no live timer.
        NotLive = 4, "NOT_LIVE";
        /// The seek is not defined.
        SeekError = 5, "SEEK_ERR";
        /// No viewer session was created.
        NoSession = 6, "NO_SESSION";
    }
}

numbered! {
    /// Of the reply to `GET_NEXT_INDEX`.
    pub enum NextIndexStatus {
        /// The index of the next packet.
        Ok = 1, "OK";
        /// Nothing yet, ask again.
        Retry = 2, "RETRY";
        /// Nothing ever again.
        Hup = 3, "HUP";
        /// No such stream, or a failure.
        Error = 4, "ERR";
        /// Nothing until the time in the reply.
        Inactive = 5, "INACTIVE";
        /// Never sent.
        Eof = 6, "EOF";
    }
}

numbered! {
    /// Of the reply to `GET_PACKET`.
    pub enum PacketStatus {
        /// The bytes follow.
        Ok = 1, "OK";
        /// Never sent.
        Retry = 2, "RETRY";
        /// No such stream or bytes, or a failure.
        Error = 3, "ERR";
        /// Not sent since 2.6.1.
        Eof = 4, "EOF";
    }
}

numbered! {
    /// Of the reply to `GET_METADATA`.
    pub enum MetadataStatus {
        /// The bytes follow.
        Ok = 1, "OK";
        /// Everything received was delivered.
        NoNew = 2, "NO_NEW";
        /// No such stream, or a failure.
        Error = 3, "ERR";
    }
}

numbered! {
    /// Of the reply to `GET_NEW_STREAMS`.
    pub enum NewStreamsStatus {
        /// The streams follow, if there are any.
        Ok = 1, "OK";
        /// None yet.
        NoNew = 2, "NO_NEW";
        /// No such session, or a failure.
        Error = 3, "ERR";
        /// None ever again.
        Hup = 4, "HUP";
    }
}

numbered! {
    /// Of the reply to `CREATE_SESSION`.
    pub enum CreateSessionStatus {
        /// Done.
        Ok = 1, "OK";
        /// Not done.
        Error = 2, "ERR";
    }
}

numbered! {
    /// Of the reply to `DETACH_SESSION`.
    pub enum DetachStatus {
        /// Done.
        Ok = 1, "OK";
        /// No such session.
        Unknown = 2, "UNK";
        /// Not attached, or no viewer session was created.
        Error = 3, "ERR";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count_from_one() {
        macro_rules! assert_numbers {
            ($($status:ident $count:literal),+) => {$(
                assert_eq!($status::ALL.len(), $count);
                for (number, status) in (1..).zip($status::ALL) {
                    assert_eq!(status.number(), number);
                    assert_eq!($status::from_number(number), Some(status));
                }
                assert_eq!($status::from_number(0), None);
                assert_eq!($status::from_number($count + 1), None);
            )+};
        }
        assert_numbers!(
            AttachStatus 6,
            NextIndexStatus 6,
            PacketStatus 4,
            MetadataStatus 3,
            NewStreamsStatus 4,
            CreateSessionStatus 2,
            DetachStatus 3
        );
    }
}
