//! Fairness: a busy peer does not delay the others. Delays are counted in ticks, each of which
//! does a bounded amount of work for each peer.

use baton_components::connection::Endpoint;
use baton_components::costs::{HEAVY_TURN, LIGHT_TURN, RECORD, SHORT_TICK, TICK};
use baton_components::limits::{RECEIVE_BYTES_MAX, WATCHED_FOR};
use baton_components::wire::producer::{BeginDataPending, Command, DataPending, code};
use baton_components::wire::viewer::{Request, SEEK_BEGINNING};
use baton_systems::client;
use baton_systems::ports::NetworkPort;

use crate::stage::{PACKET_BYTES, Producer, Stage, Viewer, index, packet_bytes, payload};

/// A producer with a session of its own and one data stream, whose handle it gives.
fn producer(stage: &mut Stage, number: u64) -> (Producer, u64) {
    let producer = Producer::numbered(stage, number);
    let data = producer.add_stream(stage, "ust", "chan_0");
    (producer, data)
}

/// A producer of session 1, which has so many streams that cannot be announced, since their
/// metadata is missing.
fn producer_of_many(stage: &mut Stage, streams: u64) -> (Producer, u64) {
    let (producer, data) = producer(stage, 0);
    for number in 1..streams {
        producer.add_stream(stage, "ust", &format!("chan_{number}"));
    }
    (producer, data)
}

/// Attaches session 1.
const ATTACH: Request = Request::Attach {
    session: 1,
    seek: SEEK_BEGINNING,
};

/// Repeats a command.
fn repeated(command: &Command, count: usize) -> Vec<u8> {
    client::command(15, command).repeat(count)
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
        assert!(flood.len() > 8 * RECEIVE_BYTES_MAX);
        producer.control.write(&flood);
    }
    stage.tick();
    for sequence in 0..5 {
        quiet.data.write(&packet_bytes(data, sequence));
    }
    stage.tick();
    assert_eq!(recorded(&stage, 0), 5 * PACKET_BYTES, "after one tick");
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
        much as u64 <= LIGHT_TURN + HEAVY_TURN,
        "{much} bytes in two ticks"
    );
}

#[test]
fn newcomers_keep_nobody_waiting() {
    let mut stage = Stage::new();
    let (producer, data) = producer(&mut stage, 0);
    let crowd: Vec<_> = (0..5000)
        .map(|_| stage.network.connect(Endpoint::Control, "crowd"))
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

#[test]
fn a_crowd_with_large_packets_keeps_a_light_producer_waiting_for_one_tick() {
    let mut stage = Stage::new();
    let (light, data) = producer(&mut stage, 0);
    let crowd: Vec<_> = (1..=30)
        .map(|number| producer(&mut stage, number))
        .collect();
    light.send_whole_packet(&mut stage, data, 0);
    for (busy, stream) in &crowd {
        busy.data
            .write(&client::packet(*stream, 0, &vec![0; 1 << 20]));
    }
    // Until all of them are known to be heavy.
    for _ in 0..crowd.len() {
        stage.tick();
    }
    for sequence in 1..10 {
        light.data.write(&packet_bytes(data, sequence));
        let index = Command::SendIndex(index(data, sequence));
        light.control.write(&repeated(&index, 1));
        let before = stage.storage.used_bytes();
        stage.tick();
        let packets = sequence as usize + 1;
        assert_eq!(
            recorded(&stage, 0),
            packets * PACKET_BYTES,
            "after one tick"
        );
        let reply = light.control.take_received();
        assert_eq!(reply, code::OK.to_be_bytes(), "after one tick");
        let moved = stage.storage.used_bytes() - before;
        assert!(moved > LIGHT_TURN / 2, "{moved} bytes in one tick");
        assert!(moved <= 2 * TICK, "{moved} bytes in one tick");
    }
    stage.settle();
    assert!(stage.storage.used_bytes() >= crowd.len() as u64 * (1 << 20));
}

#[test]
fn a_flood_of_long_lists_keeps_nobody_waiting() {
    let mut stage = Stage::new();
    let (light, data) = producer(&mut stage, 0);
    for number in 1..30 {
        // They stay, since their connections do.
        let _ = producer(&mut stage, number);
    }
    let quiet = Viewer::connect(&mut stage, 14);
    let crowd: Vec<_> = (0..20).map(|_| Viewer::connect(&mut stage, 14)).collect();
    for viewer in &crowd {
        let flood = client::request(Request::ListSessions).repeat(5000);
        viewer.peer.write(&flood);
    }
    // Until all of them are known to be heavy.
    for _ in 0..crowd.len() {
        stage.tick();
    }
    let received = |crowd: &[Viewer]| -> usize {
        let received = crowd.iter().map(|viewer| viewer.peer.take_received().len());
        received.sum()
    };
    for sequence in 0..10 {
        received(&crowd);
        let index = Command::SendIndex(index(data, sequence));
        light.control.write(&repeated(&index, 1));
        quiet.peer.write(&client::request(Request::CreateSession));
        stage.tick();
        let reply = light.control.take_received();
        assert_eq!(reply, code::OK.to_be_bytes(), "after one tick");
        assert!(!quiet.peer.take_received().is_empty(), "after one tick");
        let sent = received(&crowd);
        assert!(sent as u64 <= 2 * TICK, "{sent} in one tick");
    }
    // Each gets the same, or a turn more.
    let mut each = vec![0; crowd.len()];
    for _ in 0..200 {
        stage.tick();
        for (viewer, bytes) in crowd.iter().zip(&mut each) {
            *bytes += viewer.peer.take_received().len() as u64;
        }
    }
    let (least, most) = (each.iter().min().unwrap(), each.iter().max().unwrap());
    assert!(*least > 0 && most - least <= HEAVY_TURN, "{each:?}");
}

/// Packets that nobody watches go in larger pieces than beside a light viewer.
#[test]
fn large_packets_are_moved_in_smaller_pieces_while_a_viewer_asks() {
    let mut stage = Stage::new();
    let (busy, data) = producer(&mut stage, 0);
    let viewer = Viewer::connect(&mut stage, 15);
    stage.clock.advance(WATCHED_FOR);
    let mut sequence = 0;
    let mut moved = |stage: &mut Stage| {
        busy.data
            .write(&client::packet(data, sequence, &vec![0; 4 << 20]));
        sequence += 1;
        let mut most = 0;
        for _ in 0..8 {
            let before = stage.storage.used_bytes();
            stage.tick();
            most = most.max(stage.storage.used_bytes() - before);
        }
        stage.settle();
        most
    };
    let alone = moved(&mut stage);
    assert!((SHORT_TICK + 1..=TICK).contains(&alone), "{alone}");
    viewer.ask(&mut stage, Request::ListSessions);
    let beside = moved(&mut stage);
    assert!(beside <= SHORT_TICK + RECEIVE_BYTES_MAX as u64, "{beside}");
    stage.clock.advance(WATCHED_FOR);
    assert_eq!(moved(&mut stage), alone);
}

/// Attaching makes a record for each stream, whether or not its reply tells of them.
#[test]
fn a_flood_of_attaches_keeps_nobody_waiting() {
    const STREAMS: u64 = 100;
    let mut stage = Stage::new();
    // The replies are short.
    let (light, data) = producer_of_many(&mut stage, STREAMS);
    light.expect_ok(&mut stage, &Command::StreamsSent);
    let greedy = Viewer::connect(&mut stage, 15);
    let detach = Request::Detach { session: 1 };
    let pair = [client::request(ATTACH), client::request(detach)].concat();
    greedy.peer.write(&pair.repeat(1000));
    for sequence in 0..20 {
        let index = Command::SendIndex(index(data, sequence));
        light.control.write(&repeated(&index, 1));
        let before = stage.entities().changes;
        stage.tick();
        let changes = stage.entities().changes - before;
        // One attach and one detach, and the description that waits for its packet.
        assert!(changes <= 2 * STREAMS + 1, "{changes} records in one tick");
        let reply = light.control.take_received();
        assert_eq!(reply, code::OK.to_be_bytes(), "after one tick");
    }
    stage.settle();
    // An attach is answered with a status and no stream, a detach with a status.
    assert_eq!(greedy.peer.take_received().len(), 1000 * (8 + 4));
}

/// A command that costs more than its turn is paid for by later turns.
#[test]
fn a_costly_command_is_followed_by_turns_of_others() {
    const STREAMS: u64 = 1000;
    let mut stage = Stage::without_audit();
    let (light, _) = producer_of_many(&mut stage, STREAMS);
    light.expect_ok(&mut stage, &Command::StreamsSent);
    let greedy = Viewer::connect(&mut stage, 15);
    let bytes = [
        client::request(ATTACH),
        client::request(Request::ListSessions),
    ];
    greedy.peer.write(&bytes.concat());
    stage.tick();
    assert_eq!(greedy.peer.take_received().len(), 8, "it is attached");
    let turns = STREAMS * RECORD / SHORT_TICK;
    for _ in 1..turns {
        stage.tick();
        assert!(greedy.peer.take_received().is_empty(), "it has debts");
    }
    stage.settle();
    assert!(!greedy.peer.take_received().is_empty());
}

/// Viewer streams that are made when streams are published are paid for by their producer.
#[test]
fn publishing_to_many_viewers_is_followed_by_turns_of_others() {
    const STREAMS: u64 = 100;
    const VIEWERS: u64 = 50;
    let mut stage = Stage::without_audit();
    let (greedy, _) = producer_of_many(&mut stage, STREAMS);
    let (light, data) = producer(&mut stage, 1);
    let viewers: Vec<_> = (0..VIEWERS)
        .map(|_| {
            let viewer = Viewer::connect(&mut stage, 15);
            viewer.ask(&mut stage, ATTACH);
            viewer
        })
        .collect();
    let ok = code::OK.to_be_bytes();
    greedy.control.write(&repeated(&Command::StreamsSent, 1));
    stage.tick();
    assert_eq!(greedy.control.take_received(), ok);
    greedy.control.write(&repeated(&Command::StreamsSent, 1));
    let turns = STREAMS * VIEWERS * RECORD / SHORT_TICK;
    for sequence in 0..turns {
        let index = Command::SendIndex(index(data, sequence));
        light.control.write(&repeated(&index, 1));
        stage.tick();
        assert!(greedy.control.take_received().is_empty(), "it has debts");
        assert_eq!(light.control.take_received(), ok, "after one tick");
    }
    stage.settle();
    assert_eq!(greedy.control.take_received(), ok);
    drop(viewers);
}

/// Bytes that wait in the input of one connection, at most.
fn largest_input(stage: &Stage) -> usize {
    let network = stage.relay.read::<NetworkPort>();
    let connections = stage.entities().connections.iter();
    let sizes = connections.map(|(key, _)| network.input(key).len());
    sizes.max().unwrap_or(0)
}

#[test]
fn what_is_sent_faster_than_it_is_answered_stays_outside() {
    let mut stage = Stage::new();
    let (curious, _) = producer(&mut stage, 0);
    let viewer = Viewer::connect(&mut stage, 15);
    let question = Command::BeginDataPending(BeginDataPending { session: 0 });
    curious.control.write(&repeated(&question, 100_000));
    let lists = client::request(Request::ListSessions).repeat(100_000);
    viewer.peer.write(&lists);
    for _ in 0..200 {
        stage.tick();
        let size = largest_input(&stage);
        assert!(size <= RECEIVE_BYTES_MAX, "{size} bytes wait");
    }
    // A peer that shuts its sending side down in the middle of it is answered all the same.
    curious.control.finish();
    stage.settle();
    assert_eq!(curious.control.take_received().len(), 4 * 100_000);
    assert!(curious.control.is_closed());
}

/// Sends far more than is read in a tick: packets of 64 KiB.
fn flood_with_data(producer: &Producer, stream: u64) {
    for sequence in 0..64 {
        let packet = client::packet(stream, sequence, &vec![0; 64 * 1024]);
        producer.data.write(&packet);
    }
}
