//! Result codes of the control connection's replies.
//!
//! Success is 10 and not 0, except for the two commands about pending data,
//! which answer 0, 1 or all ones.

/// Done.
pub const OK: u32 = 10;
/// A failure of any kind; also the reply to an unknown command.
pub const UNKNOWN_ERR: u32 = 11;
/// `CREATE_SESSION` failed, for whatever reason.
pub const FATAL: u32 = 25;
/// A chunk could not be published, or is not known when it is closed.
pub const NOMEM: u32 = 26;
/// An argument is wrong.
pub const INVALID: u32 = 97;
/// A rule of the protocol was broken.
pub const INVALID_PROTOCOL: u32 = 152;
/// A stream could not be rotated.
pub const FILE_CREATION: u32 = 153;

/// `DATA_PENDING`: all data has arrived. `END_DATA_PENDING`: nothing in flight.
pub const NOT_PENDING: u32 = 0;
/// `DATA_PENDING`: data is missing. `END_DATA_PENDING`: some is in flight.
pub const PENDING: u32 = 1;
/// `DATA_PENDING` only: no such stream.
pub const PENDING_ERROR: u32 = u32::MAX;

/// The name of a result, for log lines.
pub fn name(code: u32) -> &'static str {
    match code {
        OK => "OK",
        UNKNOWN_ERR => "UNKNOWN_ERR",
        FATAL => "FATAL",
        NOMEM => "NOMEM",
        INVALID => "INVALID",
        INVALID_PROTOCOL => "INVALID_PROTOCOL",
        FILE_CREATION => "FILE_CREATION",
        _ => "an unknown result",
    }
}

/// The name of a result of the two commands about pending data.
pub fn pending_name(code: u32) -> &'static str {
    match code {
        NOT_PENDING => "NOT_PENDING",
        PENDING => "PENDING",
        _ => "PENDING_ERROR",
    }
}
