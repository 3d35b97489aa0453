//! The metadata of a trace: what it says that reading packets needs, and where it is
//! whole.
//!
//! It is text (CTF 1.8) or a sequence of JSON records (CTF 2). Producers before 2.14
//! send text in packets of its own kind.

use std::fs;
use std::path::Path;

use baton_components::wire::TraceFormat;

use super::layout::Layout;
use super::{TraceError, json, tsdl};

/// What metadata says of a trace.
#[derive(Debug, PartialEq, Eq)]
pub struct Description {
    pub format: TraceFormat,
    pub clock: Clock,
    /// What a packet begins with; none if it is not what tracers of LTTng write.
    pub layout: Option<Layout>,
    /// Which trace it is, wherever parts of it are.
    pub uuid: Option<String>,
    /// Where and in which session it was recorded, if it is said.
    pub host: Option<String>,
    pub session: Option<String>,
}

/// From the cycles of a trace's clock to time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Cycles in a second, never 0.
    pub frequency: u64,
    /// What the clock shows when it reads 0, since the epoch.
    pub offset_s: i64,
    pub offset_cycles: u64,
}

/// A trace without a clock counts nanoseconds.
impl Default for Clock {
    fn default() -> Self {
        Self {
            frequency: NS_PER_S as u64,
            offset_s: 0,
            offset_cycles: 0,
        }
    }
}

impl Clock {
    /// Nanoseconds since the epoch.
    pub fn time_ns(&self, cycles: u64) -> i128 {
        // Below 2^65 and 2^30: far from the limits of 128 bits.
        let cycles = i128::from(self.offset_cycles) + i128::from(cycles);
        i128::from(self.offset_s) * NS_PER_S + cycles * NS_PER_S / i128::from(self.frequency)
    }

    /// The last cycle that is not after a moment; 0 if that was before the clock.
    pub fn cycles(&self, time_ns: i128) -> u64 {
        let since = time_ns.saturating_sub(i128::from(self.offset_s) * NS_PER_S);
        let cycles = since.saturating_mul(i128::from(self.frequency)) / NS_PER_S;
        let cycles = cycles.saturating_sub(self.offset_cycles.into());
        u64::try_from(cycles.max(0)).unwrap_or(u64::MAX)
    }
}

impl Description {
    pub fn read(path: &Path) -> Result<Self, TraceError> {
        let fault = |reason: &str| TraceError::new(path, reason);
        let size = fs::metadata(path).map_err(TraceError::io(path))?.len();
        if size > METADATA_SIZE_MAX {
            return Err(fault("it is too large for metadata"));
        }
        let bytes = fs::read(path).map_err(TraceError::io(path))?;
        if whole_size(&bytes) < bytes.len() {
            return Err(fault("its end is torn; baton repair cuts it off"));
        }
        Self::parse(&bytes).map_err(|reason| fault(&reason))
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let text = match Packetized::of(bytes) {
            Some(packets) => packets.text(bytes),
            None => bytes.to_vec(),
        };
        let text = String::from_utf8(text).map_err(|_| NO_METADATA)?;
        if text.starts_with(char::from(JSON_RECORD)) {
            json::parse(&text)
        } else {
            tsdl::parse(&text)
        }
        .map_err(|reason| format!("{NO_METADATA}: {reason}"))
    }
}

/// Bytes that are whole: packets if it comes in packets, records if they are of JSON.
/// Plain text has no such ends: all of it.
pub fn whole_size(bytes: &[u8]) -> usize {
    if let Some(packets) = Packetized::of(bytes) {
        packets.sizes(bytes).sum()
    } else if bytes.first() == Some(&JSON_RECORD) {
        whole_json_records(bytes)
    } else {
        bytes.len()
    }
}

/// Metadata in packets, in the byte order that this function reads.
struct Packetized(fn([u8; 4]) -> u32);

impl Packetized {
    fn of(bytes: &[u8]) -> Option<Self> {
        let magic = *bytes.first_chunk::<4>()?;
        [u32::from_le_bytes, u32::from_be_bytes]
            .into_iter()
            .find(|number| number(magic) == PACKET_MAGIC)
            .map(Self)
    }

    /// Sizes of the whole packets at the beginning.
    fn sizes(&self, bytes: &[u8]) -> impl Iterator<Item = usize> {
        let mut rest = bytes;
        std::iter::from_fn(move || {
            let size = self.size(rest, PACKET_SIZE_BITS)?;
            if size < PACKET_HEADER {
                return None;
            }
            rest = rest.get(size..)?;
            Some(size)
        })
    }

    /// A size in a packet's header, in bytes.
    fn size(&self, packet: &[u8], at: usize) -> Option<usize> {
        let bits = packet.get(at..)?.first_chunk::<4>()?;
        Some((self.0)(*bits) as usize / 8)
    }

    /// What the packets hold.
    fn text(&self, bytes: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        let mut rest = bytes;
        for size in self.sizes(bytes) {
            let (packet, next) = rest.split_at(size);
            let end = self.size(packet, CONTENT_SIZE_BITS).unwrap_or(0).min(size);
            text.extend_from_slice(packet.get(PACKET_HEADER..end).unwrap_or_default());
            rest = next;
        }
        text
    }
}

/// Bytes of the whole records at the beginning of a JSON text sequence.
fn whole_json_records(bytes: &[u8]) -> usize {
    let last = bytes
        .iter()
        .rposition(|byte| *byte == JSON_RECORD)
        .unwrap_or(0);
    let mut depth = 0_i64;
    let mut has_begun = false;
    let mut in_string = false;
    let mut escaped = false;
    for byte in &bytes[last..] {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                has_begun = true;
            }
            b'}' | b']' if !in_string => depth -= 1,
            _ => {}
        }
    }
    // An object ends with its bracket: LTTng writes no newline after the last one.
    let is_whole = has_begun && depth == 0 && !in_string;
    if is_whole { bytes.len() } else { last }
}

const NO_METADATA: &str = "it is no metadata of CTF 1.8 or CTF 2";
const NS_PER_S: i128 = 1_000_000_000;
/// Real metadata has some kilobytes for each kind of event.
const METADATA_SIZE_MAX: u64 = 128 << 20;

/// First four bytes of a packet of CTF 1.8 metadata.
const PACKET_MAGIC: u32 = 0x75D1_1D57;
/// Magic, UUID, checksum, content size, packet size, three schemes, two versions.
const PACKET_HEADER: usize = 37;
/// Where the sizes of content and packet stand in its header, in bits.
const CONTENT_SIZE_BITS: usize = 24;
const PACKET_SIZE_BITS: usize = 28;
/// First byte of each record of a JSON text sequence (CTF 2 metadata).
const JSON_RECORD: u8 = 0x1E;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_tell_time_and_back() {
        let clock = Clock {
            frequency: 1000,
            offset_s: -1,
            offset_cycles: 500,
        };
        assert_eq!(clock.time_ns(0), -500_000_000);
        assert_eq!(clock.time_ns(1500), 1_000_000_000);
        assert_eq!(clock.cycles(1_000_999_999), 1500);
        assert_eq!(clock.cycles(i128::MIN), 0);
        assert_eq!(clock.cycles(i128::MAX), u64::MAX);
        let far = clock.time_ns(u64::MAX);
        assert_eq!(clock.cycles(far), u64::MAX);
    }

    #[test]
    fn packets_are_read_in_both_byte_orders() {
        let packet = |number: fn(u32) -> [u8; 4], text: &str| {
            let mut packet = vec![0; 100];
            packet[..4].copy_from_slice(&number(PACKET_MAGIC));
            let content = ((PACKET_HEADER + text.len()) * 8) as u32;
            packet[CONTENT_SIZE_BITS..][..4].copy_from_slice(&number(content));
            packet[PACKET_SIZE_BITS..][..4].copy_from_slice(&number(800));
            packet[PACKET_HEADER..][..text.len()].copy_from_slice(text.as_bytes());
            packet
        };
        for number in [u32::to_le_bytes, u32::to_be_bytes] {
            let bytes = [packet(number, "trace { uu"), packet(number, "id = x; };")].concat();
            let description = Description::parse(&bytes).unwrap();
            assert_eq!(description.uuid.as_deref(), Some("x"));
            assert_eq!(whole_size(&bytes), 200);
            assert_eq!(whole_size(&bytes[..199]), 100);
        }
    }

    #[test]
    fn garbage_is_refused() {
        for bytes in [&b"\xff\xfe"[..], b"", b"hello", b"\x1e{}"] {
            let error = Description::parse(bytes).unwrap_err();
            assert!(error.starts_with(NO_METADATA), "{error}");
        }
    }
}
