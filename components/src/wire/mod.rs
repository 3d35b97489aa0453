//! Byte layouts: the producers' control and data connections, the viewers'
//! connections, and CTF index files.
//!
//! Bytes become typed values or a [`codec::WireError`]; typed values become
//! bytes. Requests and replies are both read and written, since peers of a
//! relay (for tests, load and replay) speak the same layouts. All minors of
//! protocol 2 up to 2.15 are here; a layout that depends on the minor takes it
//! as an argument.
//!
//! Not here: state, sockets, files, and policy. A decoded name is terminated and not too
//! long; other modules decide whether it may name a directory, or whether a session may be
//! created at this minor.
//!
//! Nothing here panics, whatever the bytes, and nothing is allocated by a
//! length or a count that was not compared with the bytes at hand.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

pub mod codec;
pub mod ctf_index;
mod numbered;
pub mod producer;
pub mod speaker;
#[cfg(test)]
mod testing;
pub mod viewer;

/// Format of a session's traces.
///
/// The two protocols number it differently, so the numbers are kept apart from
/// the value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TraceFormat {
    /// CTF 1.8. Producers before 2.15 know no other.
    #[default]
    Ctf1,
    /// CTF 2. Viewers before 2.15 do not know it.
    Ctf2,
}

impl TraceFormat {
    /// The format a producer means by `number` in `CREATE_SESSION` (2.15).
    pub fn from_producer_number(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::Ctf1),
            2 => Some(Self::Ctf2),
            _ => None,
        }
    }

    /// Number in `CREATE_SESSION` of the producer protocol (2.15).
    pub fn producer_number(self) -> u32 {
        match self {
            Self::Ctf1 => 1,
            Self::Ctf2 => 2,
        }
    }

    /// The format a relay means by `number` in an entry of the viewer
    /// protocol's session list (2.15).
    pub fn from_viewer_number(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::Ctf1),
            1 => Some(Self::Ctf2),
            _ => None,
        }
    }

    /// Number in an entry of the viewer protocol's session list (2.15).
    pub fn viewer_number(self) -> u32 {
        match self {
            Self::Ctf1 => 0,
            Self::Ctf2 => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::TraceFormat;

    #[test]
    fn trace_formats_have_two_numberings() {
        for format in [TraceFormat::Ctf1, TraceFormat::Ctf2] {
            let producer = format.producer_number();
            let viewer = format.viewer_number();
            assert_eq!(producer, viewer + 1);
            assert_eq!(TraceFormat::from_producer_number(producer), Some(format));
            assert_eq!(TraceFormat::from_viewer_number(viewer), Some(format));
        }
        assert_eq!(TraceFormat::from_producer_number(0), None);
        assert_eq!(TraceFormat::from_producer_number(3), None);
        assert_eq!(TraceFormat::from_viewer_number(2), None);
    }
}
