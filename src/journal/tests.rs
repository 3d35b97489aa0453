//! Tests of the format: round trips, detection of damage, and robustness against garbage.

use std::time::Duration;

use baton_systems::settings::{
    Amount, Grouping, HoldBack, MaxAge, MaxChunks, MetricsSessions, MinFree, Ports, Served,
    Settings, SyncWhen, WhenFull,
};
use baton_systems::usage::{Usage, Warning};
use proptest::prelude::*;

use super::block::{Block, Header, Payload, ReadError, Reader, Writer};
use super::digest::digest;
use super::record::Record;
use super::values::{Came, ConnectionId, Content, Failure, FileId, Left, RecordedEndpoint};

fn header() -> Header {
    Header {
        program: "1.2.3".to_owned(),
        output: b"/tmp/traces".to_vec(),
        started_unix_s: 1_795_331_211,
        payload: Payload::Reference,
        lttng_relayd: false,
        settings: Settings {
            grouping: Grouping::Session,
            clear_allowed: false,
            serve: Served::All,
            hold_back: HoldBack::Fixed(Duration::from_millis(250)),
            names: vec!["relay1".to_owned()],
            metrics_sessions: MetricsSessions(3),
            connections_max: 400,
            files_max: 401,
            memory_bytes_max: 1 << 29,
            write_buffer_bytes_max: 1 << 26,
            address_share_percent: 25,
            ports: Ports {
                control: 1,
                data: 2,
                live: 3,
                status: Some(4),
            },
            max_size: Amount::Bytes(1 << 40),
            max_session_size: Amount::Bytes(1 << 30),
            max_age: MaxAge(Some(Duration::from_hours(24))),
            max_chunks: MaxChunks(Some(5)),
            min_free: MinFree::Amount(Amount::Bytes(1 << 20)),
            when_full: WhenFull::Wait,
            sync: SyncWhen::Every(Duration::from_secs(5)),
            probes_disk: true,
            durable_replies: true,
        },
    }
}

/// A journal of these blocks, and where each of them begins.
fn journal(blocks: &[Vec<u8>]) -> (Vec<u8>, Vec<u64>) {
    let mut bytes = Vec::new();
    let mut offsets = Vec::new();
    Writer::new(&mut bytes, &header()).unwrap();
    // Blocks are numbered by their writer: one for all.
    let mut journal = Vec::new();
    let mut writer = Writer::new(&mut journal, &header()).unwrap();
    let mut end = bytes.len() as u64;
    for (number, block) in blocks.iter().enumerate() {
        writer.write(number as u64 * 10, block).unwrap();
        offsets.push(end);
        end += 32 + block.len() as u64;
    }
    assert_eq!(journal.len() as u64, end);
    (journal, offsets)
}

/// The blocks that can be read, and why there is no other.
fn read(bytes: &[u8]) -> (Vec<Block>, Option<ReadError>) {
    let mut blocks = Vec::new();
    let mut reader = match Reader::new(bytes) {
        Ok(reader) => reader,
        Err(error) => return (blocks, Some(error)),
    };
    loop {
        match reader.next() {
            Ok(Some(block)) => blocks.push(block),
            Ok(None) => return (blocks, None),
            Err(error) => return (blocks, Some(error)),
        }
    }
}

fn three_blocks() -> Vec<Vec<u8>> {
    vec![b"first".to_vec(), Vec::new(), vec![7; 100]]
}

#[test]
fn written_blocks_are_read_again() {
    let contents = three_blocks();
    let (bytes, offsets) = journal(&contents);
    assert_eq!(Reader::new(&bytes[..]).unwrap().header(), &header());
    let (blocks, error) = read(&bytes);
    assert!(error.is_none(), "{error:?}");
    for (at, block) in blocks.iter().enumerate() {
        assert_eq!(block.number, at as u64);
        assert_eq!(block.offset, offsets[at]);
        assert_eq!(block.first_tick, at as u64 * 10);
        assert_eq!(block.records, contents[at]);
    }
    assert_eq!(blocks.len(), 3);
}

#[test]
fn a_changed_byte_is_found_in_its_block() {
    let (bytes, offsets) = journal(&three_blocks());
    for at in 0..bytes.len() {
        for bit in [1, 0x80] {
            let mut changed = bytes.clone();
            changed[at] ^= bit;
            let (blocks, error) = read(&changed);
            let expected = offsets.partition_point(|offset| *offset <= at as u64);
            if expected == 0 {
                assert!(blocks.is_empty(), "byte {at} of the header");
                assert!(
                    matches!(
                        error,
                        Some(ReadError::NoJournal | ReadError::Version(_) | ReadError::Header)
                    ),
                    "byte {at}: {error:?}"
                );
                continue;
            }
            let number = expected as u64 - 1;
            assert_eq!(blocks.len() as u64, number, "byte {at}");
            let Some(ReadError::Damaged { block, offset }) = error else {
                panic!("byte {at}: {error:?}");
            };
            assert_eq!(
                (block, offset),
                (number, offsets[expected - 1]),
                "byte {at}"
            );
        }
    }
}

#[test]
fn a_journal_that_is_cut_is_read_up_to_there() {
    let (bytes, offsets) = journal(&three_blocks());
    let (whole, _) = read(&bytes);
    for length in offsets[0] as usize..bytes.len() {
        let (blocks, error) = read(&bytes[..length]);
        assert_eq!(blocks, whole[..blocks.len()], "{length} bytes");
        let at_the_start = offsets.iter().position(|offset| *offset == length as u64);
        match (at_the_start, error) {
            (Some(number), None) => assert_eq!(blocks.len(), number),
            (None, Some(ReadError::Cut { block, offset })) => {
                assert_eq!(block, blocks.len() as u64);
                assert_eq!(offset, offsets[block as usize]);
            }
            (_, error) => panic!("{length} bytes: {error:?}"),
        }
    }
}

#[test]
fn blocks_do_not_change_places() {
    let (bytes, offsets) = journal(&[b"one".to_vec(), b"two".to_vec()]);
    let [first, second] = [offsets[0], offsets[1]].map(|offset| offset as usize);
    let swapped = [&bytes[..first], &bytes[second..], &bytes[first..second]].concat();
    let (blocks, error) = read(&swapped);
    assert!(blocks.is_empty());
    assert!(
        matches!(error, Some(ReadError::Damaged { block: 0, .. })),
        "{error:?}"
    );
}

#[test]
fn another_format_is_refused_by_its_version() {
    let (mut bytes, _) = journal(&[]);
    for version in [1, 2, 3, 5] {
        bytes[8] = version;
        let error = Reader::new(&bytes[..]).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "its format is version {version}, and this program reads version 4: replay it \
                 with the version of Baton that recorded it"
            )
        );
    }
    let error = Reader::new(&b"#!/bin/sh\n"[..]).unwrap_err();
    assert_eq!(error.to_string(), "it is not a journal of a relay");
}

/// A journal without blocks whose header is this text.
fn with_header(body: &str) -> Vec<u8> {
    let mut bytes = b"BATONJNL".to_vec();
    bytes.extend(super::block::VERSION.to_le_bytes());
    bytes.extend((body.len() as u32).to_le_bytes());
    bytes.extend(body.as_bytes());
    bytes.extend(digest(&bytes).to_le_bytes());
    bytes
}

#[test]
fn settings_are_in_the_header_by_name() {
    let whole = serde_json::to_string(&header()).unwrap();
    let hold_back = r#","hold_back":{"Fixed":{"secs":0,"nanos":250000000}}"#;
    // As one that knew fewer settings has written it.
    let fewer = whole.replace(hold_back, "");
    assert_ne!(fewer, whole);
    let fewer = with_header(&fewer);
    let read = Reader::new(&fewer[..]).unwrap();
    let mut expected = header();
    expected.settings.hold_back = HoldBack::default();
    assert_eq!(read.header(), &expected);
    // As one will that knows more of them.
    let more = whole.replace(hold_back, &format!("{hold_back},\"tone\":1"));
    let error = Reader::new(&with_header(&more)[..])
        .unwrap_err()
        .to_string();
    assert!(error.contains("unknown field `tone`"), "{error}");
}

#[test]
fn a_length_is_not_believed() {
    let (mut bytes, offsets) = journal(&[vec![1; 16]]);
    // A sound header of a block that would be larger than any memory.
    let start = offsets[0] as usize;
    bytes[start..start + 8].copy_from_slice(&u64::MAX.to_le_bytes());
    let seal = twox_hash::XxHash3_64::oneshot_with_seed(0, &bytes[start..start + 24]);
    bytes[start + 24..start + 32].copy_from_slice(&seal.to_le_bytes());
    let (blocks, error) = read(&bytes);
    assert!(blocks.is_empty());
    assert!(
        matches!(error, Some(ReadError::Cut { block: 0, .. })),
        "{error:?}"
    );
}

/// Bytes and texts that records of a test borrow.
fn borrowed() -> impl Strategy<Value = (Vec<u8>, String)> {
    (proptest::collection::vec(any::<u8>(), 0..300), ".{0,20}")
}

fn failure(text: &str) -> Failure<'_> {
    Failure {
        kind: 3,
        action: "write to".into(),
        path: text.into(),
        reason: text.into(),
    }
}

/// One record of each kind that has something in it.
// Long because: a record of each kind.
#[expect(clippy::too_many_lines, reason = "a table")]
fn records<'a>(numbers: [u64; 3], bytes: &'a [u8], text: &'a str) -> Vec<Record<'a>> {
    let [one, two, three] = numbers;
    let (connection, file) = (ConnectionId(one), FileId(two));
    vec![
        Record::Poll,
        Record::Readable(connection),
        Record::Now {
            monotonic_ns: one,
            unix_s: two,
        },
        Record::Accept {
            endpoint: RecordedEndpoint::Live,
            peer: text,
        },
        Record::Tls,
        Record::Receive {
            connection,
            outcome: Came::Broken(text.into()),
            count: three,
            bytes,
        },
        Record::Rest {
            connection,
            position: two,
            bytes,
        },
        Record::Transmit {
            connection,
            outcome: Left::Partly,
            unsent: two,
        },
        Record::Exists {
            path: bytes,
            answer: Err(failure(text)),
        },
        Record::Exists {
            path: bytes,
            answer: Ok(true),
        },
        Record::ClaimDirectory {
            path: bytes,
            answer: Ok(false),
        },
        Record::HasName {
            path: bytes,
            answer: Err(failure(text)),
        },
        Record::Usage(Box::new(Usage {
            cpu: Duration::from_nanos(one),
            disk_bytes: two,
            ..Usage::default()
        })),
        Record::Warnings(vec![Warning {
            unix_s: three,
            is_error: true,
            text: text.to_owned(),
        }]),
        Record::Rename {
            from: bytes,
            to: bytes,
            failure: Some(failure(text)),
        },
        Record::Write {
            file,
            offset: three,
            content: Content::Input {
                connection,
                position: one,
                length: two,
                edges: three,
            },
        },
        Record::SendFile {
            connection,
            file,
            offset: one,
            length: two,
            answer: Ok(three),
        },
        Record::Saved {
            file,
            offset: one,
            bytes,
        },
        Record::Commit {
            ticket: one,
            lane: two,
            ends: vec![
                (file, Some((file, three, Content::made(bytes)))),
                (file, None),
            ],
        },
        Record::Committed {
            ticket: one,
            failed: vec![(file, 9, failure(text))],
        },
        Record::NotAtHand {
            file,
            offset: one,
            length: two,
        },
        Record::Fetch {
            ticket: one,
            file,
            offset: two,
            length: three,
        },
        Record::Probe { ticket: one },
        Record::SyncChunk {
            ticket: one,
            directory: b"host/session",
            files: 2,
            directories: 3,
        },
        Record::End,
    ]
}

#[test]
fn a_failure_comes_back_as_it_was() {
    use baton_systems::ports::{StorageError, StorageErrorKind};
    for kind in [
        StorageErrorKind::Full,
        StorageErrorKind::Denied,
        StorageErrorKind::Gone,
        StorageErrorKind::InTheWay,
        StorageErrorKind::Broken,
    ] {
        let error = StorageError {
            kind,
            action: "rename".into(),
            path: "/traces/host".to_owned(),
            reason: "it was wished".to_owned(),
        };
        assert_eq!(StorageError::from(Failure::from(&error)), error);
    }
}

proptest! {
    #[test]
    fn records_come_back(numbers: [u64; 3], (bytes, text) in borrowed()) {
        let records = records(numbers, &bytes, &text);
        let mut encoded = Vec::new();
        for record in &records {
            record.encode(&mut encoded);
        }
        let mut rest = &encoded[..];
        for record in &records {
            let (decoded, after) = Record::decode(rest).unwrap();
            prop_assert_eq!(&decoded, record);
            rest = after;
        }
        prop_assert!(rest.is_empty());
    }

    #[test]
    fn half_a_record_is_none(numbers: [u64; 3], (bytes, text) in borrowed(), part in 0..1000_usize) {
        for record in records(numbers, &bytes, &text) {
            let mut encoded = Vec::new();
            record.encode(&mut encoded);
            let length = encoded.len() * part / 1000;
            prop_assert!(Record::decode(&encoded[..length]).is_none());
        }
    }

    #[test]
    fn garbage_is_no_record_or_one_of_its_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut rest = &bytes[..];
        while let Some((_, after)) = Record::decode(rest) {
            prop_assert!(after.len() < rest.len());
            rest = after;
        }
    }

    #[test]
    fn garbage_is_no_journal(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let (sound, _) = journal(&[]);
        for start in [&b""[..], b"BATONJNL", &sound[..16], &sound] {
            let (blocks, error) = read(&[start, &bytes].concat());
            prop_assert!(blocks.is_empty());
            prop_assert!(error.is_some() || (bytes.is_empty() && start == sound));
        }
    }
}
