//! Target `wire`: decoders of both protocols and of index files never panic, and a decoded
//! value is the same after encoding and decoding again.
//!
//! An input is a layout, a kind, two minors, and the bytes.

use baton_components::wire::ctf_index::{IndexRecord, Version};
use baton_components::wire::producer::{self, CommandKind, Minors, data};
use baton_components::wire::viewer::{self, RequestKind};

use crate::input::Input;

/// Layouts by the first byte of an input.
pub const LAYOUTS: [fn(&mut Input); 6] = [command, answer, request, reply, index, packet];
/// Where some are among [`LAYOUTS`].
pub const COMMAND: u8 = 0;
/// Replies to producers.
pub const ANSWER: u8 = 1;
/// Requests of viewers.
pub const REQUEST: u8 = 2;
/// Replies to viewers.
pub const REPLY: u8 = 3;
/// Index files.
pub const INDEX: u8 = 4;

/// Runs the target.
pub fn run(input: &[u8]) {
    let mut input = Input(input);
    input.of(&LAYOUTS)(&mut input);
}

fn command(input: &mut Input) {
    let kind = input.of(&CommandKind::ALL);
    let minors = Minors {
        connection: minor(input),
        session: minor(input),
    };
    let Ok(command) = producer::decode(kind, minors, input.0) else {
        return;
    };
    assert_eq!(command.kind(), kind);
    let mut bytes = Vec::new();
    command.encode_payload(minors, &mut bytes);
    assert_eq!(producer::decode(kind, minors, &bytes), Ok(command));
}

fn answer(input: &mut Input) {
    let kind = input.of(&CommandKind::ALL);
    let minor = minor(input);
    let Ok(Some((reply, used))) = producer::reply::decode(kind, minor, input.0) else {
        return;
    };
    assert!(used <= input.0.len());
    let mut bytes = Vec::new();
    reply.encode(minor, &mut bytes);
    let again = producer::reply::decode(kind, minor, &bytes);
    assert_eq!(again, Ok(Some((reply, bytes.len()))));
}

fn request(input: &mut Input) {
    let kind = input.of(&RequestKind::ALL);
    minor(input);
    let Ok(request) = viewer::decode(kind, input.0) else {
        return;
    };
    assert_eq!(request.kind(), kind);
    let mut bytes = Vec::new();
    request.encode(&mut bytes);
    let payload = &bytes[viewer::HEADER_SIZE..];
    assert_eq!(payload.len(), kind.payload_size());
    assert_eq!(viewer::decode(kind, payload), Ok(request));
}

fn reply(input: &mut Input) {
    let kind = input.of(&RequestKind::ALL);
    let minor = minor(input);
    let Ok(Some((reply, used))) = viewer::reply::decode(kind, minor, input.0) else {
        return;
    };
    assert!(used <= input.0.len());
    let mut bytes = Vec::new();
    reply.encode(minor, &mut bytes);
    // Names that are too long are cut when they are written.
    let again = viewer::reply::decode(kind, minor, &bytes);
    let Ok(Some((again, used))) = again else {
        panic!("{again:?} comes back of {reply:?}");
    };
    assert_eq!(used, bytes.len());
    let mut rewritten = Vec::new();
    again.encode(minor, &mut rewritten);
    assert_eq!(rewritten, bytes);
}

fn index(input: &mut Input) {
    let Ok(version) = Version::from_header(input.0) else {
        return;
    };
    let header = version.header();
    assert!(input.0.starts_with(&header));
    for record in input.0[header.len()..].chunks(version.record_size()) {
        let decoded = IndexRecord::decode(version, record);
        assert_eq!(decoded.is_ok(), record.len() == version.record_size());
        if let Ok(decoded) = decoded {
            let mut bytes = Vec::new();
            decoded.encode(version, &mut bytes);
            assert_eq!(bytes, record);
        }
    }
}

fn packet(input: &mut Input) {
    if let Some(bytes) = input.0.first_chunk() {
        let header = data::PacketHeader::decode(bytes);
        let mut again = Vec::new();
        header.encode(&mut again);
        let again = again.first_chunk().expect("law: a header has its size");
        assert_eq!(data::PacketHeader::decode(again), header);
    }
}

/// Mostly one that exists.
fn minor(input: &mut Input) -> u32 {
    u32::from(input.byte()) % 18
}
