//! Costs of commands: in lookups of records, visits of links and calls of storage, never in
//! time. No command's cost grows with what there is beside it.
//!
//! Each world has so many of something; a command costs the same in the smallest and in the
//! largest, but for a logarithm. (Ordered maps are not looked into: a lookup there is none of
//! these steps.)

use std::fmt::Write;

use baton_components::costs::LEVELS_MADE_AT_ONCE;
use baton_components::path::RelativePath;
use baton_components::steps;
use baton_components::wire::producer::data::PacketHeader;
use baton_components::wire::producer::{
    AddStream, BeginDataPending, Command, DataPending, EndDataPending,
};
use baton_components::wire::viewer::{Request, SEEK_BEGINNING};
use baton_systems::client;
use baton_systems::memory::Operation;
use baton_systems::settings::{Amount, Settings};

use crate::stage::{self, PACKET_BYTES, Producer, Stage, Viewer, add_stream, create_chunk};

/// Sizes of worlds whose records take a while to be made.
const SIZES: [usize; 3] = [10, 1_000, 10_000];
/// Sizes of those that are names on disk alone.
const SIZES_OF_NAMES: [usize; 3] = [10, 1_000, 100_000];

/// The steps of each command, by its name.
type Costs = Vec<(&'static str, u64)>;

/// A measurement of one world.
struct Measured<'a> {
    stage: &'a mut Stage,
    costs: Costs,
}

impl<'a> Measured<'a> {
    fn new(stage: &'a mut Stage) -> Self {
        let costs = Vec::new();
        Self { stage, costs }
    }

    /// Counts the steps of a command, and of the ticks in which it is done.
    fn command<T>(&mut self, name: &'static str, act: impl FnOnce(&mut Stage) -> T) -> T {
        let before = steps_taken(self.stage);
        let made = act(self.stage);
        self.costs.push((name, steps_taken(self.stage) - before));
        made
    }
}

fn steps_taken(stage: &Stage) -> u64 {
    let calls = Operation::ALL.map(|operation| stage.storage.count(operation));
    steps::taken() + calls.iter().sum::<u64>()
}

/// Measures worlds of each size: what a command costs more in a larger one is no more than
/// a search of it takes.
fn assert_constant(sizes: [usize; 3], measure: impl Fn(usize) -> Costs) {
    let measured = sizes.map(&measure);
    let mut grown = String::new();
    for (at, (name, first)) in measured[0].iter().enumerate() {
        let all: Vec<u64> = measured.iter().map(|costs| costs[at].1).collect();
        for (size, cost) in sizes.iter().zip(&all) {
            if *cost > first + 16 * u64::from(size.ilog2()) {
                writeln!(grown, "{name}: {all:?}").unwrap();
                break;
            }
        }
    }
    assert!(grown.is_empty(), "steps for {sizes:?}:\n{grown}");
}

/// Sends many commands at once.
fn send_all<'a>(
    stage: &mut Stage,
    producer: &Producer,
    commands: impl Iterator<Item = Command<'a>>,
) {
    let bytes: Vec<u8> = commands
        .flat_map(|command| client::command(producer.minor, &command))
        .collect();
    producer.control.write(&bytes);
    stage.settle();
    producer.control.take_received();
}

fn create_session(stage: &mut Stage, name: &str, number: u64) -> Producer {
    let mut session = stage::session(name);
    if let Some(origin) = &mut session.origin {
        origin.session = number;
    }
    let producer = Producer::create(stage, 15, session);
    producer.expect_ok(stage, &create_chunk(0));
    producer
}

fn attach(session: u64) -> Request {
    let seek = SEEK_BEGINNING;
    Request::Attach { session, seek }
}

/// A relay with session 1.
fn one_session() -> (Stage, Producer) {
    let mut stage = Stage::without_audit();
    let producer = create_session(&mut stage, "session", 1);
    (stage, producer)
}

/// A relay with session 1, which has a viewer, and published streams in so many traces.
fn session_of_traces(count: usize, channels: &[&str]) -> (Stage, Producer, Viewer) {
    let (mut stage, producer) = one_session();
    let viewer = Viewer::connect(&mut stage, 15);
    viewer.ask(&mut stage, attach(1));
    add_to_traces(&mut stage, &producer, count, channels);
    producer.expect_ok(&mut stage, &Command::StreamsSent);
    (stage, producer, viewer)
}

fn add_to_traces(stage: &mut Stage, producer: &Producer, count: usize, channels: &[&str]) {
    let paths: Vec<String> = (0..count).map(|at| format!("ust/pid/{at}")).collect();
    let streams = paths.iter().flat_map(|path| {
        let channels = channels.iter();
        channels.map(move |channel| add_stream(path, channel))
    });
    send_all(stage, producer, streams);
}

fn new_streams(stage: &mut Stage, viewer: &Viewer) -> Vec<u8> {
    viewer.ask(stage, Request::NewStreams { session: 1 })
}

#[test]
fn of_a_session_with_many_streams() {
    assert_constant(SIZES, |count| {
        // Streams that cannot be announced, since the metadata of their traces is missing, and
        // others that are not published.
        let (mut stage, producer, viewer) = session_of_traces(count, &["chan"]);
        new_streams(&mut stage, &viewer);
        let (metadata, data) = producer.add_trace(&mut stage, "ust/uid");
        new_streams(&mut stage, &viewer);
        let viewer_id = |stage: &Stage, handle| stage.stream(handle).unwrap().viewer_id;
        let (read, read_metadata) = (viewer_id(&stage, data), viewer_id(&stage, metadata));
        add_to_traces(&mut stage, &producer, count, &["other"]);
        let other = create_session(&mut stage, "other", 2);
        other.add_trace(&mut stage, "ust/uid");
        viewer.ask(&mut stage, attach(2));

        let mut world = Measured::new(&mut stage);
        let late = world.command("ADD_STREAM", |stage| {
            producer.add_stream(stage, "ust/late", "chan")
        });
        world.command("SEND_METADATA", |stage| {
            producer.send_metadata(stage, metadata, b"metadata");
        });
        world.command("packet", |stage| {
            producer.send_packet(stage, data, 0, &stage::payload(data, 0));
        });
        world.command("SEND_INDEX", |stage| producer.send_index(stage, data, 0));
        world.command("GET_NEXT_INDEX", |stage| {
            viewer.ask(stage, Request::NextIndex { stream: read })
        });
        let stream = read_metadata;
        world.command("GET_METADATA", |stage| {
            viewer.ask(stage, Request::Metadata { stream })
        });
        let session = 1;
        world.command("BEGIN_DATA_PENDING", |stage| {
            let command = Command::BeginDataPending(BeginDataPending { session });
            producer.expect_ok(stage, &command);
        });
        world.command("DATA_PENDING", |stage| {
            let (stream, last_sequence) = (data, 0);
            let asked = DataPending {
                stream,
                last_sequence,
            };
            producer.ask(stage, &Command::DataPending(asked))
        });
        world.command("END_DATA_PENDING", |stage| {
            let command = Command::EndDataPending(EndDataPending { session });
            producer.ask(stage, &command)
        });
        world.command("CLOSE_STREAM", |stage| {
            producer.close_stream(stage, late, None);
        });
        world.command("LIST_SESSIONS", |stage| {
            viewer.ask(stage, Request::ListSessions)
        });
        world.command("DETACH_SESSION", |stage| {
            viewer.ask(stage, Request::Detach { session: 2 })
        });
        world.command("ATTACH_SESSION", |stage| viewer.ask(stage, attach(2)));
        world.command("CREATE_TRACE_CHUNK", |stage| {
            producer.expect_ok(stage, &create_chunk(1));
        });
        world.command("ROTATE_STREAMS", |stage| {
            producer.expect_ok(stage, &stage::rotate(Some(1), &[(data, 1), (metadata, 0)]));
        });
        world.command("CLOSE_TRACE_CHUNK", |stage| {
            producer.close_chunk(stage, 0, Some(0))
        });
        world.costs
    });
}

/// One more trace, where others wait for their metadata.
#[test]
fn of_announcing_a_trace() {
    assert_constant(SIZES, |count| {
        let (mut stage, producer, viewer) = session_of_traces(count, &["chan"]);
        new_streams(&mut stage, &viewer);
        producer.add_stream(&mut stage, "ust/uid", "metadata");
        producer.add_stream(&mut stage, "ust/uid", "chan");

        let mut world = Measured::new(&mut stage);
        world.command("STREAMS_SENT", |stage| {
            producer.expect_ok(stage, &Command::StreamsSent);
        });
        world.command("GET_NEW_STREAMS", |stage| new_streams(stage, &viewer));
        world.costs
    });
}

/// Many traces at once cost each the same.
#[test]
fn of_announcing_many_traces() {
    assert_constant(SIZES, |count| {
        let (mut stage, _producer, viewer) = session_of_traces(count, &["metadata", "chan"]);
        let mut world = Measured::new(&mut stage);
        world.command("GET_NEW_STREAMS", |stage| new_streams(stage, &viewer));
        each(world.costs, count)
    });
}

/// The cost of each of so many.
fn each(costs: Costs, count: usize) -> Costs {
    let of_one = |(name, cost): (_, u64)| (name, cost.div_ceil(count as u64));
    costs.into_iter().map(of_one).collect()
}

#[test]
fn of_a_stream_with_many_files() {
    assert_constant(SIZES, |count| {
        let (mut stage, producer) = one_session();
        let metadata = producer.add_stream(&mut stage, "ust", "metadata");
        let data = producer.make(&mut stage, &in_files("chan"));
        producer.expect_ok(&mut stage, &Command::StreamsSent);
        producer.send_metadata(&mut stage, metadata, b"metadata");
        let many = count as u64;
        for first in (0..many).step_by(1000) {
            for number in first..many.min(first + 1000) {
                producer.data.write(&stage::packet_bytes(data, number));
            }
            let of_each = |number| Command::SendIndex(stage::index(data, number));
            send_all(
                &mut stage,
                &producer,
                (first..many.min(first + 1000)).map(of_each),
            );
        }
        let viewer = Viewer::connect(&mut stage, 15);
        let stream = stage.stream(data).unwrap().viewer_id;

        let mut world = Measured::new(&mut stage);
        world.command("packet", |stage| {
            producer.send_packet(stage, data, many, &stage::payload(data, many));
        });
        world.command("SEND_INDEX", |stage| producer.send_index(stage, data, many));
        world.command("ATTACH_SESSION", |stage| viewer.ask(stage, attach(1)));
        for name in ["GET_NEXT_INDEX", "GET_NEXT_INDEX of the next file"] {
            world.command(name, |stage| {
                viewer.ask(stage, Request::NextIndex { stream })
            });
        }
        producer.expect_ok(world.stage, &create_chunk(1));
        world.command("ROTATE_STREAMS", |stage| {
            producer.expect_ok(stage, &stage::rotate(Some(1), &[(data, many + 1)]));
        });
        world.command("CLOSE_STREAM", |stage| {
            producer.close_stream(stage, data, None);
        });
        world.costs
    });
}

/// Sessions whose packets wait for their commit.
#[test]
fn of_a_packet_beside_many_that_gather() {
    assert_constant([10, 100, 1_000], |count| {
        let mut stage = Stage::without_audit();
        let producers: Vec<(Producer, u64)> = (1..=count as u64)
            .map(|number| {
                let name = format!("session{number}");
                let producer = create_session(&mut stage, &name, number);
                let stream = producer.add_stream(&mut stage, "ust", "chan");
                (producer, stream)
            })
            .collect();
        let gathering = |stage: &Stage| stage.entities().batches.iter().count();
        let send = |(producer, stream): &(Producer, u64)| {
            producer.data.write(&stage::packet_bytes(*stream, 0));
        };
        let (last, others) = producers.split_last().unwrap();
        others.iter().for_each(send);
        while gathering(&stage) < others.len() {
            stage.tick();
        }

        let mut world = Measured::new(&mut stage);
        world.command("packet", |stage| {
            send(last);
            for _ in 0..5 {
                stage.tick();
            }
        });
        assert_eq!(gathering(world.stage), count);
        world.costs
    });
}

/// A stream whose files have room for one packet each.
fn in_files(channel: &str) -> Command<'_> {
    Command::AddStream(AddStream {
        channel: channel.as_bytes(),
        path: b"ust",
        tracefile_size: PACKET_BYTES as u64,
        tracefile_count: 0,
        chunk: None,
    })
}

/// Streams that have the same name in the same directory get numbers.
#[test]
fn of_a_stream_with_many_namesakes() {
    assert_constant(SIZES, |count| {
        let (mut stage, producer) = one_session();
        let same = || add_stream("ust", "chan");
        send_all(&mut stage, &producer, (0..count).map(|_| same()));
        let mut world = Measured::new(&mut stage);
        world.command("ADD_STREAM", |stage| producer.make(stage, &same()));
        let last = format!("{}/ust/chan-{}", stage::DIRECTORY, count + 1);
        assert_eq!(world.stage.file(&last), b"");
        world.costs
    });
}

/// Names that are taken on disk, each with its number.
fn take_names(stage: &Stage, name: &str, count: usize) {
    let mut storage = stage.storage.port();
    for number in 1..=count {
        let path = match number {
            1 => name.to_owned(),
            number => format!("{name}-{number}"),
        };
        let path = RelativePath::parse(path.as_bytes()).unwrap();
        storage.create_directory(&path).unwrap();
    }
}

#[test]
fn of_a_session_whose_name_is_taken() {
    assert_constant(SIZES_OF_NAMES, |count| {
        let mut stage = Stage::without_audit();
        take_names(&stage, stage::DIRECTORY, count);
        let mut world = Measured::new(&mut stage);
        let producer = world.command("CREATE_SESSION", |stage| {
            Producer::create(stage, 15, stage::session("session"))
        });
        let place = format!("{}-{}/", stage::DIRECTORY, count + 1);
        assert!(world.stage.tree().contains(&place));
        let second = world.command("CREATE_SESSION of the same origin", |stage| {
            Producer::create(stage, 15, stage::session("session"))
        });
        let sessions = [1, 2].map(|id| &world.stage.session(id).unwrap().directory);
        assert_eq!(sessions[0], sessions[1]);
        producer.leave(world.stage);
        second.leave(world.stage);
        world.costs
    });
}

#[test]
fn of_a_chunk_whose_name_is_taken() {
    assert_constant(SIZES_OF_NAMES, |count| {
        let (mut stage, producer) = one_session();
        for name in [".tmp_old_chunk", ".tmp_new_chunk"] {
            take_names(&stage, &format!("{}/{name}", stage::DIRECTORY), count);
        }
        let mut world = Measured::new(&mut stage);
        world.command("CREATE_TRACE_CHUNK", |stage| {
            producer.expect_ok(stage, &create_chunk(1));
        });
        world.command("CLOSE_TRACE_CHUNK", |stage| {
            producer.close_chunk(stage, 0, Some(0))
        });
        world.costs
    });
}

/// Chunks that are made and deleted in one burst, and so in one tick.
#[test]
fn of_many_chunks_in_one_tick() {
    assert_constant(SIZES, |count| {
        let (mut stage, producer) = one_session();
        let count = count.min(2_000);
        let mut world = Measured::new(&mut stage);
        world.command("CREATE_TRACE_CHUNK and CLOSE_TRACE_CHUNK", |stage| {
            let numbers = 1..=count as u64;
            let commands = numbers.flat_map(|number| {
                let close = stage::close_chunk(number - 1, Some(2));
                [create_chunk(number), close]
            });
            send_all(stage, &producer, commands);
        });
        let chunks = world.stage.entities().chunks.len();
        assert_eq!(chunks, 1);
        each(world.costs, count)
    });
}

/// Sessions that are recorded, each with an archive; and the last of them, with its streams.
fn rotated_sessions(count: usize, max_size: u64) -> (Stage, Producer, [u64; 2]) {
    let mut stage = Stage::without_audit_with(Settings {
        max_size: Amount::Bytes(max_size),
        ..Settings::default()
    });
    let mut last = None;
    for number in 1..=count as u64 {
        let producer = create_session(&mut stage, &format!("s{number}"), number);
        let (metadata, data) = producer.add_trace(&mut stage, "ust");
        producer.send_metadata(&mut stage, metadata, b"metadata");
        producer.send_whole_packet(&mut stage, data, 0);
        producer.expect_ok(&mut stage, &create_chunk(1));
        let positions = [(metadata, 0), (data, 1)];
        producer.expect_ok(&mut stage, &stage::rotate(Some(1), &positions));
        producer.close_chunk(&mut stage, 0, Some(0));
        last = Some((producer, [metadata, data]));
    }
    let (producer, streams) = last.expect("a session");
    (stage, producer, streams)
}

/// Packets that are too much for the cap cost what is removed for them.
#[test]
fn of_a_cap_with_many_rotated_sessions() {
    assert_constant([10, 100, 1_000], |count| {
        let (stage, ..) = rotated_sessions(count, u64::MAX);
        let used = stage.entities().totals.stock.used_bytes;
        // About the least cap under which nothing goes yet: what is being written counts.
        let used = used + 256;
        let cap = used + used / 31 + 1;
        let (mut stage, producer, [metadata, data]) = rotated_sessions(count, cap);
        let removed = |stage: &Stage| stage.entities().totals.stock.removed[0].chunks;
        assert_eq!(removed(&stage), 0);
        let mut world = Measured::new(&mut stage);
        world.command("packets above the cap", |stage| {
            producer.send_metadata(stage, metadata, b"metadata");
            for sequence in 1..4 {
                producer.send_whole_packet(stage, data, sequence);
            }
        });
        assert!((1..4).contains(&removed(world.stage)));
        world.costs
    });
}

/// The levels of a path are made with as many calls as one directory, or some at a time.
#[test]
fn of_a_deep_path() {
    let calls = |depth: usize| {
        let (mut stage, producer) = one_session();
        let path = vec!["d"; depth].join("/");
        let before = stage.storage.count(Operation::CreateDirectory);
        producer.add_stream(&mut stage, &path, "chan");
        stage.storage.count(Operation::CreateDirectory) - before
    };
    // The first level has to be new; the others are in it.
    assert_eq!([1, 2, 10, LEVELS_MADE_AT_ONCE].map(calls), [1, 2, 2, 2]);
    assert_eq!(calls(120), 2 * 120_u64.div_ceil(LEVELS_MADE_AT_ONCE as u64));
}

/// The padding of a packet that moves with a rotation is not copied.
#[test]
fn of_padding_that_moves() {
    let calls = |padding: u32| {
        let (mut stage, producer) = one_session();
        let data = producer.add_stream(&mut stage, "ust", "chan");
        let header = PacketHeader {
            stream: data,
            sequence: 0,
            size: 7,
            padding,
        };
        producer.data.write(&client::headed(&header, b"payload"));
        stage.settle();
        producer.expect_ok(&mut stage, &create_chunk(1));
        let mut world = Measured::new(&mut stage);
        world.command("ROTATE_STREAMS", |stage| {
            producer.expect_ok(stage, &stage::rotate(Some(1), &[(data, 0)]));
        });
        let bytes = format!("{}/.tmp_new_chunk/ust/chan", stage::DIRECTORY);
        let size = world.stage.file(&bytes).len();
        assert_eq!(size, 7 + padding as usize);
        world.costs[0].1
    };
    assert_eq!(calls(64 << 20), calls(1));
}
