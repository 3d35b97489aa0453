//! Nobody keeps others waiting: counted in ticks, each of which does a bounded amount
//! for each peer.

use baton_components::connection::Port;
use baton_components::limits::RECEIVE_BYTES_PER_TICK;
use baton_components::wire::producer::{
    self, BeginDataPending, Command, DataPending, Minors, Origin, code,
};

use crate::stage::{
    self, PACKET_BYTES, Producer, Stage, create_chunk, index, packet_bytes, payload,
};

/// A producer with a session of its own and one data stream, whose handle it gives.
fn producer(stage: &mut Stage, number: u64) -> (Producer, u64) {
    let name = format!("session-{number}");
    let mut session = stage::session(&name);
    session.origin = session.origin.map(|origin| Origin {
        session: number,
        ..origin
    });
    let producer = Producer::create(stage, 15, session);
    producer.expect_ok(stage, &create_chunk(0));
    let data = producer.add_stream(stage, "ust", "chan_0");
    (producer, data)
}

/// A command so many times.
fn repeated(command: &Command, count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    command.encode(Minors::both(15), &mut bytes);
    bytes.repeat(count)
}

/// Bytes that are in the first data file of a session.
fn recorded(stage: &Stage, number: u64) -> usize {
    let tree = stage.storage.tree();
    let of_session = |path: &str| path.contains(&format!("/session-{number}-"));
    let file = tree.iter().find_map(|(path, content)| {
        let path = path.to_string();
        let is_it = of_session(&path) && path.ends_with("chan_0");
        content.as_ref().filter(|_| is_it)
    });
    file.map_or(0, Vec::len)
}

#[test]
fn questions_keep_no_data_waiting() {
    let mut stage = Stage::new();
    let (quiet, data) = producer(&mut stage, 0);
    let curious: Vec<_> = (1..=32)
        .map(|number| producer(&mut stage, number))
        .collect();
    let question = Command::BeginDataPending(BeginDataPending { session: 0 });
    for (producer, _) in &curious {
        // More than is read of each in many ticks.
        let flood = repeated(&question, 100_000);
        assert!(flood.len() > 8 * RECEIVE_BYTES_PER_TICK);
        producer.control.write(&flood);
    }
    stage.tick();
    for sequence in 0..10 {
        quiet.data.write(&packet_bytes(data, sequence));
    }
    stage.tick();
    assert_eq!(recorded(&stage, 0), 10 * PACKET_BYTES, "after one tick");
}

#[test]
fn data_keep_no_question_waiting() {
    let mut stage = Stage::new();
    let (busy, data) = producer(&mut stage, 0);
    let (curious, stream) = producer(&mut stage, 1);
    flood_with_data(&busy, data);
    stage.tick();
    let question = Command::DataPending(DataPending {
        stream,
        last_sequence: 0,
    });
    curious.control.write(&repeated(&question, 1));
    stage.tick();
    let reply = curious.control.take_received();
    assert_eq!(reply, code::PENDING.to_be_bytes(), "after one tick");
}

#[test]
fn data_keep_no_other_data_waiting() {
    let mut stage = Stage::new();
    let (busy, busy_data) = producer(&mut stage, 0);
    let (other, data) = producer(&mut stage, 1);
    flood_with_data(&busy, busy_data);
    stage.tick();
    other.data.write(&packet_bytes(data, 0));
    stage.tick();
    assert_eq!(recorded(&stage, 1), PACKET_BYTES, "after one tick");
    let much = recorded(&stage, 0);
    assert!(
        much <= 2 * RECEIVE_BYTES_PER_TICK,
        "{much} bytes in two ticks"
    );
}

#[test]
fn newcomers_keep_nobody_waiting() {
    let mut stage = Stage::new();
    let (producer, data) = producer(&mut stage, 0);
    let crowd: Vec<_> = (0..5000)
        .map(|_| stage.network.connect(Port::Control, "crowd"))
        .collect();
    producer.data.write(&packet_bytes(data, 0));
    producer
        .control
        .write(&repeated(&Command::SendIndex(index(data, 0)), 1));
    stage.tick();
    assert_eq!(
        recorded(&stage, 0),
        payload(data, 0).len(),
        "after one tick"
    );
    let reply = producer.control.take_received();
    assert_eq!(reply, code::OK.to_be_bytes(), "after one tick");
    drop(crowd);
}

#[test]
fn a_producer_that_takes_no_reply_keeps_nobody_waiting() {
    let mut stage = Stage::new();
    let (deaf, _) = producer(&mut stage, 0);
    let (other, data) = producer(&mut stage, 1);
    deaf.control.block();
    let question = Command::BeginDataPending(BeginDataPending { session: 0 });
    deaf.control.write(&repeated(&question, 200_000));
    stage.settle();
    other.send_whole_packet(&mut stage, data, 0);
    assert_eq!(recorded(&stage, 1), PACKET_BYTES);
    // Its questions wait for it, outside.
    deaf.control.accept_bytes(usize::MAX);
    stage.settle();
    assert_eq!(deaf.control.take_received().len(), 4 * 200_000);
}

/// Sends far more than is read in a tick: packets of 64 KiB.
fn flood_with_data(producer: &Producer, stream: u64) {
    const SIZE: u32 = 64 * 1024;
    for sequence in 0..64 {
        let mut bytes = Vec::new();
        producer::data::PacketHeader {
            stream,
            sequence,
            size: SIZE,
            padding: 0,
        }
        .encode(&mut bytes);
        bytes.resize(bytes.len() + SIZE as usize, 0);
        producer.data.write(&bytes);
    }
}
