//! Samples and round trips of the replies to viewers.

use super::*;
use crate::wire::TraceFormat;
use crate::wire::testing::{any_name, hex};
use crate::wire::viewer::NEW_STREAM;
use proptest::prelude::*;

fn encoded(reply: &Reply<'_>, minor: u32) -> Vec<u8> {
    let mut out = Vec::new();
    reply.encode(minor, &mut out);
    out
}

fn zeros(count: usize) -> String {
    "00".repeat(count)
}

/// Comes back with more bytes behind, and asks for more without its last ones.
fn assert_round_trip(kind: RequestKind, minor: u32, reply: &Reply<'_>) {
    let mut bytes = encoded(reply, minor);
    let size = bytes.len();
    for cut in (0..size).filter(|cut| size < 500 || cut % 97 == 0 || cut + 1 == size) {
        assert_eq!(
            decode(kind, minor, &bytes[..cut]),
            Ok(None),
            "{kind:?} at {cut}"
        );
    }
    bytes.extend_from_slice(b"more");
    let (read, used) = decode(kind, minor, &bytes).unwrap().unwrap();
    assert_eq!((&read, used), (reply, size));
}

// Long because: one sample a reply.
#[test]
fn samples() {
    let session = SessionEntry {
        session: 1,
        live_timer_us: 200_000,
        clients: 0,
        streams: 3,
        host: b"vm",
        name: b"s1",
        trace_format: TraceFormat::Ctf1,
    };
    let no_bytes = MetadataReply::without_bytes(MetadataStatus::NoNew);
    for (kind, reply, sample) in [
        (
            RequestKind::Connect,
            Reply::Connect(ConnectReply::ours(1)),
            "00 00 00 00 00 00 00 01  00 00 00 02  00 00 00 0f  00 00 00 00".to_owned(),
        ),
        (
            RequestKind::CreateSession,
            Reply::CreateSession(CreateSessionStatus::Ok),
            "00 00 00 01".to_owned(),
        ),
        (
            RequestKind::ListSessions,
            Reply::ListSessions(vec![session]),
            "00 00 00 01
             00 00 00 00 00 00 00 01  00 03 0d 40  00 00 00 00  00 00 00 03
             00 00 00 02  00 00 00 02  00 00 00 00  76 6d  73 31"
                .to_owned(),
        ),
        (
            RequestKind::ListSessions,
            Reply::ListSessions(vec![]),
            zeros(4),
        ),
        (
            RequestKind::Packet,
            Reply::Packet(PacketReply::ok(4096), &[0; 4096]),
            "00 00 00 01  00 00 10 00  00 00 00 00".to_owned() + &zeros(4096),
        ),
        (
            RequestKind::Packet,
            Reply::Packet(PacketReply::error(), &[]),
            "00 00 00 03  00 00 00 00  00 00 00 00".to_owned(),
        ),
        (
            RequestKind::Metadata,
            Reply::Metadata(MetadataReply::ok(16384), &[0; 16384]),
            "00 00 00 00 00 00 40 00  00 00 00 01".to_owned() + &zeros(16384),
        ),
        (
            RequestKind::Metadata,
            Reply::Metadata(no_bytes, &[]),
            "00 00 00 00 00 00 00 00  00 00 00 02".to_owned(),
        ),
        (
            RequestKind::NewStreams,
            Reply::NewStreams(NewStreamsStatus::Ok, vec![]),
            "00 00 00 01  00 00 00 00".to_owned(),
        ),
        (
            RequestKind::NewStreams,
            Reply::NewStreams(NewStreamsStatus::Hup, vec![]),
            "00 00 00 04  00 00 00 00".to_owned(),
        ),
        (
            RequestKind::Detach,
            Reply::Detach(DetachStatus::Ok),
            "00 00 00 01".to_owned(),
        ),
    ] {
        assert_eq!(encoded(&reply, 15), hex(&sample), "{kind:?}");
        assert_round_trip(kind, 15, &reply);
    }
    let mut out = Vec::new();
    unknown_command(&mut out);
    assert_eq!(out, hex("00 00 00 0b"));
}

#[test]
fn samples_of_indexes() {
    let index = IndexReply {
        offset_bytes: 4096,
        packet_size_bits: 4096 * 8,
        content_size_bits: 1541 * 8,
        timestamp_begin: 1,
        timestamp_end: 2,
        events_discarded: 3,
        class: 0,
        status: NextIndexStatus::Ok,
        flags: NEW_STREAM,
    };
    for (kind, reply, sample) in [
        (
            RequestKind::NextIndex,
            Reply::NextIndex(index),
            "00 00 00 00 00 00 10 00  00 00 00 00 00 00 80 00  00 00 00 00 00 00 30 28
             0000000000000001 0000000000000002 0000000000000003
             00 00 00 00 00 00 00 00  00 00 00 01  00 00 00 02"
                .to_owned(),
        ),
        (
            RequestKind::NextIndex,
            Reply::NextIndex(IndexReply::inactive(1_796_332_463_738, 0, 0)),
            zeros(32) + "00 00 01 a2 3d c2 26 7a" + &zeros(16) + "00 00 00 05  00 00 00 00",
        ),
        (
            RequestKind::NextIndex,
            Reply::NextIndex(IndexReply::without_index(NextIndexStatus::Retry, 0)),
            zeros(56) + "00 00 00 02  00 00 00 00",
        ),
    ] {
        assert_eq!(encoded(&reply, 15), hex(&sample), "{kind:?}");
        assert_round_trip(kind, 15, &reply);
    }
}

#[test]
fn streams_follow_ok_alone() {
    let stream = StreamEntry {
        stream: 3,
        trace: 1,
        metadata: true,
        path: b"ust/uid/0/64-bit",
        channel: b"metadata",
    };
    for status in AttachStatus::ALL {
        let ok = status == AttachStatus::Ok;
        let mut bytes = Vec::new();
        attached(&mut bytes, status, &[stream, stream]);
        assert_eq!(bytes.len(), if ok { 8 + 2 * 4371 } else { 8 });
        let streams = if ok { vec![stream, stream] } else { vec![] };
        assert_round_trip(RequestKind::Attach, 4, &Reply::Attach(status, streams));
    }
    let mut bytes = Vec::new();
    new_streams(&mut bytes, NewStreamsStatus::NoNew, &[stream]);
    assert_eq!(bytes, hex("00 00 00 02  00 00 00 00"));
}

#[test]
fn a_count_of_billions_asks_for_more_and_no_memory() {
    let bytes = hex("ff ff ff ff");
    assert_eq!(decode(RequestKind::ListSessions, 15, &bytes), Ok(None));
    let bytes = hex("00 00 00 01  ff ff ff ff");
    assert_eq!(decode(RequestKind::Attach, 15, &bytes), Ok(None));
    let bytes = hex("ff ff ff ff ff ff ff ff  00 00 00 01");
    assert_eq!(decode(RequestKind::Metadata, 15, &bytes), Ok(None));
}

#[test]
fn a_status_that_is_none_is_refused() {
    for kind in RequestKind::ALL {
        let answered = decode(kind, 15, &[9; 64]);
        let has_status = !matches!(kind, RequestKind::Connect | RequestKind::ListSessions);
        assert_eq!(
            matches!(answered, Err(WireError::Value { .. })),
            has_status,
            "{kind:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn replies_come_back(
        fields: [u64; 7],
        (viewer_session, major, minor2, flags) in any::<(u64, u32, u32, u32)>(),
        index_status in 1..=6_u32,
        bytes in prop::collection::vec(any::<u8>(), 0..50),
        minor in 1..=15_u32,
    ) {
        let [offset_bytes, packet_size_bits, content_size_bits, timestamp_begin,
            timestamp_end, events_discarded, class] = fields;
        let index = IndexReply {
            offset_bytes,
            packet_size_bits,
            content_size_bits,
            timestamp_begin,
            timestamp_end,
            events_discarded,
            class,
            status: NextIndexStatus::from_number(index_status).unwrap(),
            flags,
        };
        let connect = ConnectReply { viewer_session, major, minor: minor2 };
        let packet = PacketReply { flags, ..PacketReply::ok(bytes.len() as u32) };
        let metadata = MetadataReply::ok(bytes.len() as u64);
        for (kind, reply) in [
            (RequestKind::Connect, Reply::Connect(connect)),
            (RequestKind::NextIndex, Reply::NextIndex(index)),
            (RequestKind::Packet, Reply::Packet(packet, &bytes)),
            (RequestKind::Metadata, Reply::Metadata(metadata, &bytes)),
        ] {
            assert_round_trip(kind, minor, &reply);
        }
    }

    #[test]
    fn lists_come_back(
        names in prop::collection::vec((any_name(60), any_name(60)), 0..4),
        (session, streams, metadata) in any::<(u64, u32, bool)>(),
        minor in 1..=15_u32,
    ) {
        let trace_format = if minor < 15 { TraceFormat::Ctf1 } else { TraceFormat::Ctf2 };
        let sessions = names.iter().map(|(host, name)| SessionEntry {
            session,
            live_timer_us: streams,
            clients: 1,
            streams,
            host,
            name,
            trace_format,
        });
        let streams: Vec<_> = names.iter().map(|(path, channel)| StreamEntry {
            stream: session,
            trace: 1,
            metadata,
            path,
            channel,
        }).collect();
        let sessions = Reply::ListSessions(sessions.collect());
        assert_round_trip(RequestKind::ListSessions, minor, &sessions);
        let attached = Reply::Attach(AttachStatus::Ok, streams.clone());
        assert_round_trip(RequestKind::Attach, minor, &attached);
        let new = Reply::NewStreams(NewStreamsStatus::Ok, streams);
        assert_round_trip(RequestKind::NewStreams, minor, &new);
    }

    #[test]
    fn any_bytes_are_a_reply_or_an_error(
        bytes in prop::collection::vec(prop_oneof![0..3_u8, any::<u8>()], 0..400),
        minor in 0..20_u32,
    ) {
        for kind in RequestKind::ALL {
            if let Ok(Some((_, used))) = decode(kind, minor, &bytes) {
                prop_assert!(used <= bytes.len());
            }
        }
    }
}
