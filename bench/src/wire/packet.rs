//! Packets of a CTF 1.8 trace that readers of traces understand: one event after
//! another, each with a number, and the metadata that describes them.
//!
//! A load generator must cost less than the program under load. So events have only the lower
//! half of their time, as those of real tracers mostly do, and a packet begins where that half
//! is 0: the packets of a stream differ only in their headers.

/// Bytes before the first event.
pub const HEADER_BYTES: usize = 64;
/// Bytes of an event: its time, its number in the packet, and eight that mean nothing.
const EVENT_BYTES: usize = 16;
/// First four bytes of a packet.
const MAGIC: u32 = 0xC1FC_1FC1;
/// Clock cycles from one event to the next.
const EVENT_CYCLES: u32 = 1000;
/// Clock cycles from one packet to the next: the range of an event's time.
const PACKET_CYCLES: u64 = 1 << 32;

/// The metadata of the packets of [`Packets`].
pub const METADATA: &str = r#"/* CTF 1.8 */
typealias integer { size = 16; align = 8; signed = false; } := uint16_t;
typealias integer { size = 32; align = 8; signed = false; } := uint32_t;
typealias integer { size = 64; align = 8; signed = false; } := uint64_t;
trace {
	major = 1; minor = 8; byte_order = le;
	packet.header := struct { uint32_t magic; uint32_t stream_id; };
};
clock { name = "load"; freq = 1000000000; };
typealias integer {
	size = 64; align = 8; signed = false; map = clock.load.value;
} := time_t;
typealias integer {
	size = 32; align = 8; signed = false; map = clock.load.value;
} := lower_time_t;
stream {
	id = 0;
	packet.context := struct {
		time_t timestamp_begin; time_t timestamp_end;
		uint64_t content_size; uint64_t packet_size;
		uint64_t packet_seq_num; uint64_t events_discarded; uint64_t unused;
	};
	event.header := struct { lower_time_t timestamp; };
};
event {
	name = "load"; id = 0; stream_id = 0;
	fields := struct { uint32_t number; uint64_t unused; };
};
"#;

/// The packets of one stream, made one after another in the same buffer.
#[derive(Debug)]
pub struct Packets {
    bytes: Vec<u8>,
    events: u32,
    next: u64,
}

/// The description of a packet for its index.
#[derive(Clone, Copy, Debug)]
pub struct Described {
    pub sequence: u64,
    pub timestamp_begin: u64,
    pub timestamp_end: u64,
    pub content_bytes: u64,
}

impl Packets {
    /// Packets of `size` bytes, at least [`HEADER_BYTES`].
    pub fn new(size: usize) -> Self {
        let size = size.max(HEADER_BYTES);
        let mut bytes = vec![0; size];
        bytes[..4].copy_from_slice(&MAGIC.to_le_bytes());
        let events = bytes[HEADER_BYTES..].chunks_exact_mut(EVENT_BYTES);
        let mut count = 0;
        for (number, event) in (0u32..).zip(events) {
            event[..4].copy_from_slice(&(number * EVENT_CYCLES).to_le_bytes());
            event[4..8].copy_from_slice(&number.to_le_bytes());
            count += 1;
        }
        Self {
            bytes,
            events: count,
            next: 0,
        }
    }

    /// The next packet.
    pub fn next(&mut self) -> (Described, &[u8]) {
        let sequence = self.next;
        self.next += 1;
        let begin = sequence * PACKET_CYCLES;
        let last = u64::from(self.events.saturating_sub(1) * EVENT_CYCLES);
        let described = Described {
            sequence,
            timestamp_begin: begin,
            timestamp_end: begin + last,
            content_bytes: HEADER_BYTES as u64 + u64::from(self.events) * EVENT_BYTES as u64,
        };
        let fields = [
            described.timestamp_begin,
            described.timestamp_end,
            described.content_bytes * 8,
            self.bytes.len() as u64 * 8,
            sequence,
            0,
            0,
        ];
        let places = self.bytes[8..HEADER_BYTES].chunks_exact_mut(8);
        for (field, place) in fields.iter().zip(places) {
            place.copy_from_slice(&field.to_le_bytes());
        }
        (described, &self.bytes)
    }
}
