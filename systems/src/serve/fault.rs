//! The reasons why a viewer's connection is closed.

use baton_components::wire::codec::WireError;

/// In the words of a log line that begins with the peer.
#[derive(Debug, thiserror::Error)]
pub enum Rejection {
    #[error("unknown request {0}")]
    UnknownRequest(u32),
    #[error("{0} before CONNECT")]
    NotConnected(&'static str),
    #[error("CONNECT: protocol {0}.x is requested, this relay speaks 2.x")]
    Major(u32),
    #[error("CONNECT: unknown connection type {0}")]
    Type(u32),
    #[error("malformed: {0}")]
    Malformed(#[from] WireError),
}
