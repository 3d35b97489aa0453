//! Small traces on disk, for tests.

use std::fs;
use std::path::Path;

use baton_components::wire::ctf_index::{IndexRecord, Version};

/// Metadata with a clock of 1000 cycles a second, and abridged packet headers of LTTng.
const METADATA: &str = r#"/* CTF 1.8 */
typealias integer { size = 32; align = 8; } := uint32_t;
typealias integer { size = 64; align = 8; } := uint64_t;
trace {
	uuid = "UUID"; byte_order = le;
	packet.header := struct { uint32_t magic; uint32_t stream_id; uint64_t stream_instance_id; };
};
env { hostname = "vm"; trace_name = "demo"; };
clock { name = "m"; freq = 1000; offset_s = 5; };
stream { packet.context := struct {
	uint64_t timestamp_begin; uint64_t timestamp_end;
	uint64_t content_size; uint64_t packet_size; uint64_t packet_seq_num;
}; };
"#;

/// Bytes of each packet.
pub const PACKET_BYTES: u64 = 100;

/// Begin, end and number of a packet.
pub type Made = (u64, u64, u64);

/// Makes a directory with metadata.
pub fn trace(directory: &Path, uuid: &str) {
    fs::create_dir_all(directory).unwrap();
    fs::write(directory.join("metadata"), METADATA.replace("UUID", uuid)).unwrap();
}

/// Adds a data file of this instance to a trace, with an index or without.
pub fn data_file(directory: &Path, name: &str, instance: u64, packets: &[Made], indexed: bool) {
    let mut data = Vec::new();
    let mut index = Version::V1_1.header().to_vec();
    for &(timestamp_begin, timestamp_end, packet_sequence) in packets {
        let record = IndexRecord {
            offset_bytes: data.len() as u64,
            packet_size_bits: PACKET_BYTES * 8,
            content_size_bits: PACKET_BYTES * 8,
            timestamp_begin,
            timestamp_end,
            events_discarded: 0,
            class: 0,
            instance,
            packet_sequence,
        };
        record.encode(Version::V1_1, &mut index);
        let end = data.len() + PACKET_BYTES as usize;
        data.extend(0xC1FC_1FC1_u32.to_le_bytes());
        data.extend(0_u32.to_le_bytes());
        for number in [
            instance,
            timestamp_begin,
            timestamp_end,
            PACKET_BYTES * 8,
            PACKET_BYTES * 8,
            packet_sequence,
        ] {
            data.extend(number.to_le_bytes());
        }
        data.resize(end, 0);
    }
    fs::write(directory.join(name), data).unwrap();
    if indexed {
        let beside = directory.join("index");
        fs::create_dir_all(&beside).unwrap();
        fs::write(beside.join(format!("{name}.idx")), index).unwrap();
    }
}
