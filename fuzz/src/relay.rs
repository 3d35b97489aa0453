//! Target `relay`: a whole relay in memory, with peers driven by the input: no panic, no
//! wrong reference count, and empty arenas when all peers have gone.
//!
//! The first byte chooses the settings. An act follows another, each a byte of its kind
//! (`ACTS`) and its operands.

use std::time::Duration;

use baton_components::connection::Endpoint;
use baton_components::wire::TraceFormat;
use baton_components::wire::producer::data::PacketHeader;
use baton_components::wire::producer::{
    AddStream, BeginDataPending, CloseStream, CloseTraceChunk, Command, CommandKind, CreateSession,
    CreateTraceChunk, DataPending, EndDataPending, GetConfiguration, Origin, QuiescentControl,
    ResetMetadata, RotatePosition, RotateStreams, SendIndex, SendMetadata, TraceChunkExists,
    Version,
};
use baton_components::wire::viewer::{Request, RequestKind};
use baton_systems::client;
use baton_systems::memory::Operation;
use baton_systems::settings::{Grouping, HoldBack, Served, Settings};

use crate::crowd::{Crowd, DISK_BYTES};
use crate::input::Input;

type Act = fn(&mut Crowd, &mut Input);

/// The kinds of acts.
const ACTS: [Act; 12] = [
    connect, write, command, request, packet, tick, settle, finish, reset, pass, slow, disk,
];
/// Kinds of acts, for generators of inputs.
pub const CONNECT: u8 = 0;
/// A length in two bytes, and that number of bytes.
pub const WRITE: u8 = 1;
/// A command of a producer.
pub const COMMAND: u8 = 2;
/// A request of a viewer.
pub const REQUEST: u8 = 3;
/// A packet on a data connection.
pub const PACKET: u8 = 4;
/// Ticks until nothing is left to do.
pub const SETTLE: u8 = 6;
/// A peer sends no more.
pub const FINISH: u8 = 7;
/// Time passes.
pub const PASS: u8 = 9;

/// Runs the target.
pub fn run(input: &[u8]) {
    let mut input = Input(input);
    let choices = input.byte();
    let settings = Settings {
        grouping: if choices & 1 == 0 {
            Grouping::Host
        } else {
            Grouping::Session
        },
        clear_allowed: choices & 2 == 0,
        serve: if choices & 4 == 0 {
            Served::Live
        } else {
            Served::All
        },
        hold_back: if choices & 8 == 0 {
            HoldBack::Auto
        } else {
            HoldBack::Fixed(Duration::ZERO)
        },
        ..Settings::default()
    };
    let mut crowd = Crowd::new(settings, None);
    play(&mut crowd, &mut input);
}

/// Does all acts, and then all leave.
pub fn play(crowd: &mut Crowd, input: &mut Input) {
    while !input.is_empty() {
        input.of(&ACTS)(crowd, input);
    }
    crowd.leave();
}

fn connect(crowd: &mut Crowd, input: &mut Input) {
    crowd.connect(input.of(&Endpoint::ALL));
}

fn write(crowd: &mut Crowd, input: &mut Input) {
    let peer = input.byte();
    let bytes = input.bytes();
    if let Some(peer) = crowd.peer(peer) {
        peer.write(bytes);
    }
}

fn command(crowd: &mut Crowd, input: &mut Input) {
    let peer = input.byte();
    let minor = u32::from(input.byte()) % 17;
    let bytes = client::command(minor, &command_of(input));
    if let Some(peer) = crowd.peer(peer) {
        peer.write(&bytes);
    }
}

fn request(crowd: &mut Crowd, input: &mut Input) {
    let peer = input.byte();
    let bytes = client::request(request_of(input));
    if let Some(peer) = crowd.peer(peer) {
        peer.write(&bytes);
    }
}

fn packet(crowd: &mut Crowd, input: &mut Input) {
    let peer = input.byte();
    let header = PacketHeader {
        stream: input.number(),
        sequence: input.number(),
        size: input.word(),
        padding: input.word(),
    };
    let mut bytes = client::headed(&header, &[]);
    // A large packet stays without its end.
    let size = (u64::from(header.size) + u64::from(header.padding)).min(PACKET_BYTES_MAX);
    bytes.resize(bytes.len() + size as usize, 0x5A);
    if let Some(peer) = crowd.peer(peer) {
        peer.write(&bytes);
    }
}

fn tick(crowd: &mut Crowd, _: &mut Input) {
    crowd.stage.tick();
}

fn settle(crowd: &mut Crowd, _: &mut Input) {
    crowd.stage.settle();
}

fn finish(crowd: &mut Crowd, input: &mut Input) {
    if let Some(peer) = crowd.peer(input.byte()) {
        peer.finish();
    }
}

fn reset(crowd: &mut Crowd, input: &mut Input) {
    if let Some(peer) = crowd.peer(input.byte()) {
        peer.reset("reset");
    }
}

fn pass(crowd: &mut Crowd, input: &mut Input) {
    // From a millisecond to nine hours.
    crowd
        .stage
        .pass(Duration::from_millis(1 << (input.byte() % 26)));
}

/// The ways of a network that is slow.
fn slow(crowd: &mut Crowd, input: &mut Input) {
    let Some(peer) = crowd.peer(input.byte()) else {
        return;
    };
    let size = usize::from(input.byte());
    match input.byte() % 4 {
        0 => peer.cut_every(size.max(16)),
        1 => peer.delay_polls(size as u64 % 8),
        2 => peer.block(),
        _ => peer.accept_bytes(size),
    }
}

/// A disk that is full, or fails once.
fn disk(crowd: &mut Crowd, input: &mut Input) {
    let operation = input.byte();
    let number = input.byte();
    match Operation::ALL.get(usize::from(operation) % (Operation::ALL.len() + 2)) {
        Some(operation) => {
            let nth = crowd.stage.storage.count(*operation) + 1 + u64::from(number % 8);
            crowd
                .stage
                .storage
                .fail(*operation, nth, "the disk is broken");
        }
        None if operation.is_multiple_of(2) => {
            let capacity = crowd.stage.storage.used_bytes() + u64::from(number);
            crowd.stage.storage.limit_bytes(Some(capacity));
        }
        None => crowd.stage.storage.limit_bytes(Some(DISK_BYTES)),
    }
}

// Long because: one arm a command.
fn command_of<'a>(input: &mut Input<'a>) -> Command<'a> {
    match input.of(&CommandKind::ALL) {
        CommandKind::AddStream => Command::AddStream(AddStream {
            channel: input.name(),
            path: input.name(),
            tracefile_size: input.number(),
            tracefile_count: input.number(),
            chunk: input.optional(),
        }),
        CommandKind::CreateSession => Command::CreateSession(create_session(input)),
        CommandKind::StartData => Command::StartData,
        CommandKind::Version => Command::Version(Version {
            major: 2 + u32::from(input.byte() >> 7),
            minor: input.word(),
        }),
        CommandKind::SendMetadata => Command::SendMetadata(SendMetadata {
            stream: input.number(),
            padding_size: input.word(),
            bytes: input.name(),
        }),
        CommandKind::CloseStream => Command::CloseStream(CloseStream {
            stream: input.number(),
            last_sequence: input.number(),
        }),
        CommandKind::DataPending => Command::DataPending(DataPending {
            stream: input.number(),
            last_sequence: input.number(),
        }),
        CommandKind::QuiescentControl => Command::QuiescentControl(QuiescentControl {
            stream: input.number(),
        }),
        CommandKind::BeginDataPending => Command::BeginDataPending(BeginDataPending {
            session: input.number(),
        }),
        CommandKind::EndDataPending => Command::EndDataPending(EndDataPending {
            session: input.number(),
        }),
        CommandKind::SendIndex => Command::SendIndex(SendIndex {
            stream: input.number(),
            sequence: input.number(),
            packet_size_bits: input.number(),
            content_size_bits: input.number(),
            timestamp_begin: input.number(),
            timestamp_end: input.number(),
            events_discarded: input.number(),
            class: input.number(),
            instance: input.number(),
            packet_sequence: input.number(),
        }),
        CommandKind::StreamsSent => Command::StreamsSent,
        CommandKind::ResetMetadata => Command::ResetMetadata(ResetMetadata {
            stream: input.number(),
            version: input.number(),
        }),
        CommandKind::RotateStreams => Command::RotateStreams(RotateStreams {
            new_chunk: input.optional(),
            positions: (0..input.byte() % 4)
                .map(|_| RotatePosition {
                    stream: input.number(),
                    position: input.number(),
                })
                .collect(),
        }),
        CommandKind::CreateTraceChunk => Command::CreateTraceChunk(CreateTraceChunk {
            chunk: input.number(),
            creation_time_s: input.number(),
            override_name: (input.byte() & 1 == 1).then(|| input.name()),
        }),
        CommandKind::CloseTraceChunk => Command::CloseTraceChunk(CloseTraceChunk {
            chunk: input.number(),
            close_time_s: input.number(),
            command: input.optional().map(|it| it as u32),
        }),
        CommandKind::TraceChunkExists => Command::TraceChunkExists(TraceChunkExists {
            chunk: input.number(),
        }),
        CommandKind::GetConfiguration => Command::GetConfiguration(GetConfiguration {
            flags: input.number(),
        }),
    }
}

fn create_session<'a>(input: &mut Input<'a>) -> CreateSession<'a> {
    let flags = input.byte();
    CreateSession {
        name: input.name(),
        host: input.name(),
        base_path: input.name(),
        live_timer_us: input.word(),
        snapshot: flags & 1 != 0,
        name_holds_time: flags & 2 != 0,
        origin: (flags & 4 != 0).then(|| Origin {
            daemon: [input.byte(); 16],
            session: input.number(),
            creation_time_s: input.number(),
            current_chunk: input.optional(),
        }),
        trace_format: if flags & 8 == 0 {
            TraceFormat::Ctf1
        } else {
            TraceFormat::Ctf2
        },
    }
}

fn request_of(input: &mut Input) -> Request {
    match input.of(&RequestKind::ALL) {
        RequestKind::Connect => Request::Connect {
            major: 2,
            minor: input.word(),
            kind: input.word(),
        },
        RequestKind::ListSessions => Request::ListSessions,
        RequestKind::Attach => Request::Attach {
            session: input.number(),
            seek: input.word(),
        },
        RequestKind::NextIndex => Request::NextIndex {
            stream: input.number(),
        },
        RequestKind::Packet => Request::Packet {
            stream: input.number(),
            offset: input.number(),
            length: input.word(),
        },
        RequestKind::Metadata => Request::Metadata {
            stream: input.number(),
        },
        RequestKind::NewStreams => Request::NewStreams {
            session: input.number(),
        },
        RequestKind::CreateSession => Request::CreateSession,
        RequestKind::Detach => Request::Detach {
            session: input.number(),
        },
    }
}

/// Of which a packet has bytes here.
const PACKET_BYTES_MAX: u64 = 8192;
