//! Packets of a CTF 1.8 trace that readers of traces understand: one event after
//! another, each with a number, and the metadata that describes them.

/// Bytes before the first event.
pub const HEADER_BYTES: usize = 64;
/// Bytes of an event.
const EVENT_BYTES: usize = 16;
/// First four bytes of a packet.
const MAGIC: u32 = 0xC1FC_1FC1;
/// Clock cycles from one event to the next.
const EVENT_CYCLES: u64 = 1000;

/// Describes what [`Packets`] makes.
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
stream {
	id = 0;
	packet.context := struct {
		time_t timestamp_begin; time_t timestamp_end;
		uint64_t content_size; uint64_t packet_size;
		uint64_t packet_seq_num; uint64_t events_discarded; uint64_t unused;
	};
	event.header := struct { time_t timestamp; };
};
event { name = "load"; id = 0; stream_id = 0; fields := struct { uint64_t number; }; };
"#;

/// The packets of one stream, made one after another in the same buffer.
#[derive(Debug)]
pub struct Packets {
    bytes: Vec<u8>,
    events: u64,
    next: u64,
}

/// What an index says of a packet.
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
        Self {
            bytes,
            events: ((size - HEADER_BYTES) / EVENT_BYTES) as u64,
            next: 0,
        }
    }

    /// The next packet. Of a large packet only the header and the first events are
    /// made anew: a load generator must cost less than what it loads.
    pub fn next(&mut self) -> (Described, &[u8]) {
        let sequence = self.next;
        self.next += 1;
        let first = sequence * self.events.max(1);
        let content = HEADER_BYTES as u64 + self.events * EVENT_BYTES as u64;
        let described = Described {
            sequence,
            timestamp_begin: first * EVENT_CYCLES,
            timestamp_end: (first + self.events.saturating_sub(1)) * EVENT_CYCLES,
            content_bytes: content,
        };
        let fields = [
            described.timestamp_begin,
            described.timestamp_end,
            content * 8,
            self.bytes.len() as u64 * 8,
            sequence,
            0,
            0,
        ];
        for (field, place) in fields
            .iter()
            .zip(self.bytes[8..HEADER_BYTES].chunks_exact_mut(8))
        {
            place.copy_from_slice(&field.to_le_bytes());
        }
        for (number, event) in
            (first..).zip(self.bytes[HEADER_BYTES..].chunks_exact_mut(EVENT_BYTES))
        {
            let (time, payload) = event.split_at_mut(8);
            time.copy_from_slice(&(number * EVENT_CYCLES).to_le_bytes());
            payload.copy_from_slice(&number.to_le_bytes());
        }
        (described, &self.bytes)
    }
}
