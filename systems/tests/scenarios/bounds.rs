//! Bounds and quotas: a peer takes no more of the relay than it may, and others get the rest.

use baton_components::connection::Endpoint;
use baton_components::limits::{
    AWAITED_FILES_PER_STREAM, HALF_BYTES, HANDSHAKE_PATIENCE, MEMORY_FREE_BYTES, MESSAGE_PATIENCE,
    PACKET_PATIENCE, TLS_CONNECTION_BYTES, VIEWER_STREAM_BYTES, WAITING_METADATA_BYTES_MAX,
    WAITING_METADATA_BYTES_TOTAL_MAX, WAITING_METADATA_RETRY,
};
use baton_components::rights::Rights;
use baton_components::shares::{Amounts, Asset, Shares};
use baton_components::wire::producer::{
    AddStream, Command, CreateSession, Origin, SendMetadata, code,
};
use baton_components::wire::viewer::{Request, SEEK_BEGINNING};
use baton_systems::audit::Audit;
use baton_systems::client;
use baton_systems::entities::Entities;
use baton_systems::memory::Peer;
use baton_systems::settings::Settings;
use bevy_ecs::system::ResMut;

use crate::stage::{self, Producer, Stage, Viewer};

const GREEDY: &str = "10.0.0.1";
const OTHER: &str = "10.0.0.2";

/// A relay in which there is little of something, of which an address may have a quarter
/// when it gets scarce.
fn stage_with(asset: Asset, amount: u64) -> Stage {
    let mut stage = Stage::new();
    let mut entities = stage.relay.prepare::<ResMut<Entities>>();
    let shares = Shares::new(Amounts::ALL.with(asset, amount), 25);
    stage.relay.lend(&mut entities).shares = shares;
    stage
}

fn connect(stage: &mut Stage, endpoint: Endpoint, address: &str, count: usize) -> Vec<Peer> {
    let peers = (0..count).map(|port| {
        let peer = format!("{address}:{port}");
        stage.network.connect(endpoint, &peer)
    });
    let peers = peers.collect();
    stage.settle();
    peers
}

fn open(peers: &[Peer]) -> usize {
    peers.iter().filter(|peer| !peer.is_closed()).count()
}

fn numbered(number: u64) -> CreateSession<'static> {
    let session = stage::session("session");
    CreateSession {
        origin: session.origin.map(|origin| Origin {
            session: number,
            ..origin
        }),
        ..session
    }
}

/// A producer with a session of that number, without a chunk.
fn producer(stage: &mut Stage, address: &str, number: u64) -> Producer {
    let producer = Producer::connect_from(stage, address, 15);
    producer.make(stage, &Command::CreateSession(numbered(number)));
    producer
}

fn leave(stage: &mut Stage, peers: &[Peer]) {
    for peer in peers {
        peer.finish();
    }
    stage.settle();
}

#[test]
fn a_message_that_does_not_go_on_ends_its_connection() {
    let mut stage = Stage::new();
    let producer = Producer::with_session(&mut stage, 15);
    let (_, stream) = producer.add_trace(&mut stage, "ust");
    let viewer = Viewer::connect(&mut stage, 15);
    for peer in [&producer.control, &viewer.peer] {
        peer.write(&[0; 5]);
    }
    stage.settle();
    stage.pass(MESSAGE_PATIENCE * 9 / 10);
    // A little more comes of one of them.
    producer.control.write(&[0]);
    stage.settle();
    stage.pass(MESSAGE_PATIENCE * 2 / 10);
    assert!(viewer.peer.is_closed() && !producer.control.is_closed());
    // A packet may take longer.
    producer.data.write(&stage::packet_bytes(stream, 0)[..30]);
    stage.settle();
    stage.pass(MESSAGE_PATIENCE * 2 / 10);
    producer.data.write(&stage::packet_bytes(stream, 0)[30..40]);
    stage.settle();
    assert!(!producer.control.is_closed() && !producer.data.is_closed());
    stage.pass(MESSAGE_PATIENCE);
    assert!(producer.control.is_closed());
    producer.data.finish();
    stage.assert_empty();
}

#[test]
fn a_packet_that_does_not_go_on_ends_its_connection() {
    for part in [1, 30] {
        let mut stage = Stage::new();
        let producer = Producer::with_session(&mut stage, 15);
        let (_, stream) = producer.add_trace(&mut stage, "ust");
        producer.data.write(&stage::packet_bytes(stream, 0)[..part]);
        stage.settle();
        stage.pass(PACKET_PATIENCE * 9 / 10);
        assert!(!producer.data.is_closed());
        stage.pass(PACKET_PATIENCE / 5);
        assert!(producer.data.is_closed(), "after {part} bytes");
        // Another connection brings the packet.
        let data = stage.network.connect(Endpoint::Data, "producer:again");
        data.write(&stage::packet_bytes(stream, 0));
        producer.send_index(&mut stage, stream, 0);
        producer.leave(&mut stage);
        data.finish();
        stage.assert_empty();
    }
}

/// Between whole messages a peer may wait for ever.
#[test]
fn a_timer_of_a_message_that_became_whole_ends_nothing() {
    let mut stage = Stage::new();
    let producer = Producer::with_session(&mut stage, 15);
    let (_, stream) = producer.add_trace(&mut stage, "ust");
    let command = client::command(15, &Command::StreamsSent);
    let packet = stage::packet_bytes(stream, 0);
    producer.control.write(&command[..7]);
    producer.data.write(&packet[..7]);
    stage.settle();
    producer.control.write(&command[7..]);
    producer.data.write(&packet[7..]);
    stage.settle();
    stage.pass(3 * PACKET_PATIENCE);
    assert!(!producer.control.is_closed() && !producer.data.is_closed());
    producer.leave(&mut stage);
    stage.assert_empty();
}

#[test]
fn a_greedy_address_keeps_no_other_out() {
    for endpoint in Endpoint::ALL {
        let mut stage = stage_with(Asset::Connections, 40);
        let crowd = connect(&mut stage, endpoint, GREEDY, 600);
        assert_eq!(open(&crowd), 30, "{endpoint:?}");
        let producer = producer(&mut stage, OTHER, 1);
        leave(&mut stage, &crowd);
        // The crowd is gone: there is room for all.
        let again = connect(&mut stage, endpoint, GREEDY, 20);
        assert_eq!(open(&again), 20, "{endpoint:?}");
        leave(&mut stage, &again);
        producer.leave(&mut stage);
        stage.assert_empty();
    }
}

/// TLS takes memory before a byte has come.
#[test]
fn a_greedy_address_with_tls_keeps_no_other_out() {
    let mut stage = stage_with(Asset::Memory, 40 * TLS_CONNECTION_BYTES);
    let dial = |stage: &mut Stage, address: &str, count: usize| -> Vec<Peer> {
        let peers = (0..count).map(|port| {
            let peer = format!("{address}:{port}");
            let certified = Some(Rights::default());
            stage.network.connect_with(Endpoint::Live, &peer, certified)
        });
        let peers = peers.collect();
        stage.settle();
        peers
    };
    let crowd = dial(&mut stage, GREEDY, 100);
    assert_eq!(open(&crowd), 30);
    let others = dial(&mut stage, OTHER, 5);
    assert_eq!(open(&others), 5);
    let plain = connect(&mut stage, Endpoint::Live, GREEDY, 20);
    assert_eq!(open(&plain), 20);
    for peers in [&crowd, &others, &plain] {
        leave(&mut stage, peers);
    }
    stage.assert_empty();
}

/// Without an option nothing is scarce, and on one machine there may be any number.
#[test]
fn a_crowd_of_one_address_is_let_in_where_there_is_room() {
    let mut stage = Stage::with(Settings {
        connections_max: 4000,
        address_share_percent: 25,
        ..Settings::default()
    });
    let crowd = connect(&mut stage, Endpoint::Data, "127.0.0.1", 3000);
    assert_eq!(open(&crowd), 3000);
    leave(&mut stage, &crowd);
    stage.assert_empty();
}

/// Those of one's own machine, as well: a producer has one data connection, which may be
/// silent for as long as nothing happens.
#[test]
fn silent_data_connections_give_way() {
    let mut stage = stage_with(Asset::Connections, 40);
    let early = producer(&mut stage, GREEDY, 1);
    // Its second one, which comes as those of consumer daemons do: after the session.
    leave(&mut stage, std::slice::from_ref(&early.data));
    let data = connect(&mut stage, Endpoint::Data, GREEDY, 1);
    let crowd = connect(&mut stage, Endpoint::Data, GREEDY, 600);
    assert_eq!(open(&crowd), 28);
    let refused = stage.network.connect(Endpoint::Control, GREEDY);
    stage.settle();
    assert!(refused.is_closed());
    stage.pass(HANDSHAKE_PATIENCE);
    assert_eq!((open(&crowd), open(&data)), (0, 1));
    let late = producer(&mut stage, GREEDY, 2);
    stage.pass(10 * HANDSHAKE_PATIENCE);
    assert!(!late.data.is_closed());
    leave(&mut stage, &data);
    early.leave(&mut stage);
    late.leave(&mut stage);
    stage.assert_empty();
}

#[test]
fn a_greedy_address_keeps_no_other_from_sessions() {
    let mut stage = stage_with(Asset::Sessions, 20);
    let mut crowd = Vec::new();
    let mut made = 0;
    for (address, number) in (0..20).map(|it| (GREEDY, it)).chain([(OTHER, 100)]) {
        let producer = Producer::connect_from(&mut stage, address, 15);
        let command = Command::CreateSession(numbered(number));
        let is_made = producer.try_make(&mut stage, &command).is_some();
        assert_eq!(is_made, number < 15 || address == OTHER, "session {number}");
        made += usize::from(is_made);
        crowd.push(producer);
    }
    assert_eq!(made, 16);
    for producer in &crowd {
        producer.leave(&mut stage);
    }
    stage.assert_empty();
}

#[test]
fn a_greedy_address_keeps_no_other_from_streams() {
    let mut stage = stage_with(Asset::Streams, 20);
    let [greedy, other] = [(GREEDY, 1), (OTHER, 2)].map(|(address, number)| {
        let producer = producer(&mut stage, address, number);
        producer.expect_ok(&mut stage, &stage::create_chunk(0));
        producer
    });
    let mut add = |producer: &Producer, number: u64| {
        let name = format!("chan_{number}");
        let command = stage::add_stream("ust", &name);
        producer.try_make(&mut stage, &command).is_some()
    };
    let made = (0..20).filter(|number| add(&greedy, *number)).count();
    assert_eq!(made, 15);
    assert!(add(&other, 0));
    greedy.leave(&mut stage);
    other.leave(&mut stage);
    stage.assert_empty();
}

#[test]
fn a_greedy_address_keeps_no_other_from_following_streams() {
    const STREAMS: u64 = 10;
    let mut stage = stage_with(Asset::Memory, 20 * STREAMS * VIEWER_STREAM_BYTES);
    let producer = producer(&mut stage, OTHER, 1);
    producer.expect_ok(&mut stage, &stage::create_chunk(0));
    for number in 0..STREAMS {
        producer.add_stream(&mut stage, "ust", &format!("chan_{number}"));
    }
    producer.expect_ok(&mut stage, &Command::StreamsSent);
    let attach = |stage: &mut Stage, address: &str| {
        let viewer = Viewer::connect_from(stage, &format!("{address}:1"), 15);
        let seek = SEEK_BEGINNING;
        viewer.ask(stage, Request::Attach { session: 1, seek });
        viewer
    };
    let greedy: Vec<Viewer> = (0..20).map(|_| attach(&mut stage, GREEDY)).collect();
    let is_open = |viewer: &&Viewer| !viewer.peer.is_closed();
    assert_eq!(greedy.iter().filter(is_open).count(), 15);
    let other = attach(&mut stage, OTHER);
    assert!(!other.peer.is_closed());
    // Streams that come later count as well.
    producer.add_stream(&mut stage, "ust", "late");
    producer.expect_ok(&mut stage, &Command::StreamsSent);
    assert!(greedy.iter().filter(is_open).count() < 15);
    assert!(!other.peer.is_closed());
    for viewer in greedy.iter().chain([&other]) {
        viewer.leave(&mut stage);
    }
    producer.leave(&mut stage);
    stage.assert_empty();
}

/// Messages that are not whole.
#[test]
fn a_greedy_address_keeps_no_other_from_memory() {
    const PART: usize = 100_000;
    let mut stage = stage_with(Asset::Memory, 20 * PART as u64);
    let mut crowd = Vec::new();
    for number in 0..20 {
        let producer = producer(&mut stage, GREEDY, number);
        let message = client::command(15, &metadata(1, &vec![b'x'; 2 * PART]));
        producer.send(&mut stage, &message[..PART]);
        crowd.push(producer);
    }
    let is_open = |producer: &&Producer| !producer.control.is_closed();
    assert_eq!(crowd.iter().filter(is_open).count(), 15);
    let other = producer(&mut stage, OTHER, 100);
    let message = client::command(15, &metadata(1, &vec![b'x'; 2 * PART]));
    other.send(&mut stage, &message[..PART]);
    assert!(!other.control.is_closed());
    // Short messages are accepted however much memory is in use.
    let small = producer(&mut stage, GREEDY, 101);
    let message = client::command(15, &metadata(1, &vec![b'x'; 2 * PART]));
    small.send(&mut stage, &message[..MEMORY_FREE_BYTES as usize]);
    assert!(!small.control.is_closed());
    for producer in crowd.iter().chain([&other, &small]) {
        producer.leave(&mut stage);
    }
    stage.assert_empty();
}

fn metadata(stream: u64, bytes: &[u8]) -> Command<'_> {
    Command::SendMetadata(SendMetadata {
        stream,
        padding_size: 0,
        bytes,
    })
}

/// Halves of packets, too: of both kinds.
#[test]
fn halves_of_packets_have_their_room() {
    for is_data in [false, true] {
        let mut stage = stage_with(Asset::Memory, 40 * HALF_BYTES);
        let producer = Producer::with_session(&mut stage, 15);
        let (_, stream) = producer.add_trace(&mut stage, "ust");
        for sequence in 0..40 {
            if is_data {
                producer.data.write(&stage::packet_bytes(stream, sequence));
            } else {
                let index = Command::SendIndex(stage::index(stream, sequence));
                producer.control.write(&client::command(15, &index));
            }
        }
        stage.settle();
        let ended = if is_data {
            &producer.data
        } else {
            &producer.control
        };
        assert!(ended.is_closed());
        let halves = stage.entities().indexes.len();
        assert!(halves <= 30, "{halves}");
        producer.leave(&mut stage);
        stage.assert_empty();
    }
}

/// A ring of two files for packets of which no index comes: each that is left would keep
/// its descriptor.
#[test]
fn a_stream_that_holds_many_files_is_refused_its_next() {
    let mut stage = Stage::new();
    let producer = Producer::with_session(&mut stage, 15);
    producer.add_stream(&mut stage, "ust", "metadata");
    let ring = producer.make(
        &mut stage,
        &Command::AddStream(AddStream {
            channel: b"ring",
            path: b"ust",
            tracefile_size: 1,
            tracefile_count: 2,
            chunk: Some(0),
        }),
    );
    let other = producer.add_stream(&mut stage, "ust", "other");
    for sequence in 0..200 {
        producer.send_packet(&mut stage, ring, sequence, b"x");
    }
    let open = stage.storage.open_files();
    assert!(
        open < 2 * AWAITED_FILES_PER_STREAM as usize + 10,
        "{open} files"
    );
    let lost = stage.stream(ring).unwrap().rare().lost;
    assert_eq!(lost, 199 - u64::from(AWAITED_FILES_PER_STREAM));
    producer.send_whole_packet(&mut stage, other, 0);
    assert_eq!(stage.stream(other).unwrap().rare().lost, 0);
    // Their indexes come: the stream goes on.
    for sequence in 0..200 {
        let index = Command::SendIndex(stage::index(ring, sequence));
        producer.expect_ok(&mut stage, &index);
    }
    producer.send_packet(&mut stage, ring, 200, b"x");
    assert_eq!(stage.stream(ring).unwrap().rare().lost, 0);
    producer.leave(&mut stage);
    stage.assert_empty();
}

/// And one address with many such streams leaves files to others.
#[test]
fn a_greedy_address_keeps_no_other_from_files() {
    let mut stage = stage_with(Asset::AwaitedFiles, 40);
    let ring = |channel: &'static str| {
        Command::AddStream(AddStream {
            channel: channel.as_bytes(),
            path: b"ust",
            tracefile_size: 1,
            tracefile_count: 2,
            chunk: Some(0),
        })
    };
    let [greedy, other] = [(GREEDY, 1), (OTHER, 2)].map(|(address, number)| {
        let producer = producer(&mut stage, address, number);
        producer.expect_ok(&mut stage, &stage::create_chunk(0));
        producer
    });
    for channel in ["a", "b", "c"] {
        let stream = greedy.make(&mut stage, &ring(channel));
        for sequence in 0..20 {
            greedy.send_packet(&mut stage, stream, sequence, b"x");
        }
    }
    let waiting: u32 = stage
        .entities()
        .streams
        .iter()
        .map(|(_, it)| it.awaited_files)
        .sum();
    assert_eq!(waiting, 30);
    let stream = other.make(&mut stage, &ring("a"));
    for sequence in 0..10 {
        other.send_packet(&mut stage, stream, sequence, b"x");
    }
    assert_eq!(stage.stream(stream).unwrap().rare().lost, 0);
    greedy.leave(&mut stage);
    other.leave(&mut stage);
    stage.assert_empty();
}

/// Padding takes no memory while it waits.
#[test]
fn padding_of_waiting_metadata_is_not_in_memory() {
    let mut stage = stage_with(Asset::Memory, 1 << 20);
    let producer = Producer::with_session(&mut stage, 15);
    let traces: Vec<_> = (0..20)
        .map(|number| producer.add_trace(&mut stage, &format!("ust-{number}")))
        .collect();
    stage.storage.limit_bytes(Some(stage.storage.used_bytes()));
    for (stream, _) in &traces {
        let command = Command::SendMetadata(SendMetadata {
            stream: *stream,
            padding_size: WAITING_METADATA_BYTES_MAX as u32 - 5,
            bytes: b"bytes",
        });
        assert_eq!(producer.ask(&mut stage, &command), []);
    }
    assert!(!producer.control.is_closed());
    stage.storage.limit_bytes(None);
    stage.pass(WAITING_METADATA_RETRY);
    let path = format!("{}/ust-19/metadata", stage::DIRECTORY);
    assert_eq!(stage.file(&path).len() as u64, WAITING_METADATA_BYTES_MAX);
    producer.leave(&mut stage);
    stage.assert_empty();
}

/// Waiting metadata of all traces has a bound of its own, also without a limit on memory.
#[test]
fn waiting_metadata_of_all_traces_has_one_bound() {
    let mut stage = Stage::new();
    let producer = Producer::with_session(&mut stage, 15);
    let most = WAITING_METADATA_BYTES_TOTAL_MAX / WAITING_METADATA_BYTES_MAX;
    let traces: Vec<_> = (0..most)
        .map(|number| producer.add_trace(&mut stage, &format!("ust-{number}")))
        .collect();
    stage.storage.limit_bytes(Some(stage.storage.used_bytes()));
    let bytes = vec![b'x'; WAITING_METADATA_BYTES_MAX as usize];
    for (number, (stream, _)) in (0..).zip(&traces) {
        assert!(!producer.control.is_closed(), "{number} of {most}");
        assert_eq!(producer.ask(&mut stage, &metadata(*stream, &bytes)), []);
    }
    assert!(producer.control.is_closed());
    producer.data.finish();
    stage.assert_empty();
}

/// A producer is told what is refused it, and stays connected.
#[test]
fn a_refused_session_has_its_reply() {
    let mut stage = stage_with(Asset::Sessions, 0);
    let producer = Producer::connect_from(&mut stage, GREEDY, 15);
    let reply = producer.ask(&mut stage, &Command::CreateSession(numbered(1)));
    assert_eq!(reply[8..12], code::FATAL.to_be_bytes(), "{reply:?}");
    assert!(!producer.control.is_closed());
    producer.leave(&mut stage);
    stage.assert_empty();
}

#[test]
fn a_session_has_so_many_streams_and_a_chunk_so_many_names() {
    for (asset, limit, made) in [
        (Asset::StreamsOfSession, 5, 5),
        // The directory of the trace, and a file of each stream.
        (Asset::NamesOfChunk, 6, 5),
    ] {
        let mut stage = stage_with(asset, limit);
        let producer = Producer::with_session(&mut stage, 15);
        let mut streams = Vec::new();
        for number in 0..10 {
            let name = format!("chan_{number}");
            let command = stage::add_stream("ust", &name);
            streams.extend(producer.try_make(&mut stage, &command));
        }
        assert_eq!(streams.len(), made, "{asset:?}");
        assert!(!producer.control.is_closed());
        // A stream that closes makes room for another.
        producer.close_stream(&mut stage, streams[0], None);
        let again = producer.try_make(&mut stage, &stage::add_stream("ust", "again"));
        assert_eq!(again.is_some(), asset == Asset::StreamsOfSession);
        producer.leave(&mut stage);
        stage.assert_empty();
    }
}

#[test]
fn the_audit_finds_a_share_that_no_record_has() {
    let mut stage = Stage::new();
    let peers = connect(&mut stage, Endpoint::Control, GREEDY, 1);
    let mut entities = stage.relay.prepare::<ResMut<Entities>>();
    let shares = &mut stage.relay.lend(&mut entities).shares;
    let address = shares.address_of(GREEDY);
    shares.add(address, Asset::Memory, 7);
    stage.relay.tick();
    let breaches = &stage.relay.read::<Audit>().breaches;
    let told: Vec<String> = breaches.iter().map(ToString::to_string).collect();
    let expected = [GREEDY, "everybody"]
        .map(|who| format!("{who} is counted with 7 bytes of memory for peers, and has 0"));
    assert_eq!(told, expected);
    assert_eq!(open(&peers), 1);
}
