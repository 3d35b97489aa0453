//! Bad peers with packets whose files cost more than their bytes.

use std::io;
use std::sync::atomic::AtomicBool;

use baton_components::wire::producer::data::PacketHeader;
use baton_components::wire::producer::{
    AddStream, CloseTraceChunk, Command, CreateTraceChunk, RotatePosition, RotateStreams,
};
use baton_systems::client::description;

use super::super::commands::IDLE;
use super::super::producer::Producer;
use super::super::relay::Target;
use super::{Member, again, await_end, goes_on};

/// A packet with so much padding moves from chunk to chunk: each rotation says that it
/// belongs to the next.
pub fn padding(target: &Target, bytes: u32) -> Vec<Member> {
    vec![again(target, u64::MAX, move |target, number, is_over| {
        rotate(target, number, bytes, is_over)
    })]
}

fn rotate(target: &Target, number: u64, padding: u32, is_over: &AtomicBool) -> io::Result<()> {
    let mut producer = Producer::connect(target, number, IDLE)?;
    let client = producer.client();
    let stream = client.add_stream(AddStream {
        channel: b"padded_0",
        path: b"ust",
        chunk: Some(0),
        ..AddStream::default()
    })?;
    send_small(client, stream, 0, padding)?;
    let index = description(stream, 0, SMALL.len() + padding as usize);
    client.describe(index, 1)?;
    for chunk in (1..).take_while(|_| goes_on(is_over)) {
        client.ask_ok(&Command::CreateTraceChunk(CreateTraceChunk {
            chunk,
            creation_time_s: chunk,
            override_name: None,
        }))?;
        client.ask_ok(&Command::RotateStreams(RotateStreams {
            new_chunk: Some(chunk),
            positions: [RotatePosition {
                stream,
                position: 0,
            }]
            .into_iter()
            .collect(),
        }))?;
        client.ask_ok(&Command::CloseTraceChunk(CloseTraceChunk {
            chunk: chunk - 1,
            close_time_s: chunk,
            command: None,
        }))?;
    }
    Ok(())
}

/// Producers with a ring of two files of one byte: each packet begins a file, and the one
/// before it waits for its index. They come one after another, and stay.
pub fn small_ring(target: &Target, packets: usize) -> Vec<Member> {
    let target = target.clone();
    vec![Box::new(move |is_over| {
        let mut staying = Vec::new();
        for number in (1..=RINGS_MAX).take_while(|_| goes_on(is_over)) {
            // One that was refused does not stay.
            staying.extend(fill_ring(&target, number, packets).ok());
        }
        await_end(is_over);
        Ok(())
    })]
}

fn fill_ring(target: &Target, number: u64, packets: usize) -> io::Result<Producer> {
    let mut producer = Producer::connect(target, number, IDLE)?;
    let client = producer.client();
    let stream = client.add_stream(AddStream {
        channel: b"ring_0",
        path: b"ust",
        tracefile_size: 1,
        tracefile_count: 2,
        chunk: Some(0),
    })?;
    for sequence in 0..packets as u64 {
        send_small(client, stream, sequence, 0)?;
    }
    producer.is_pending()?;
    Ok(producer)
}

fn send_small(
    client: &mut baton::producer::Client,
    stream: u64,
    sequence: u64,
    padding: u32,
) -> io::Result<()> {
    let header = PacketHeader {
        stream,
        sequence,
        size: SMALL.len() as u32,
        padding,
    };
    client.begin_packet(header, SMALL)
}

const SMALL: &[u8] = &[1; 4];
const RINGS_MAX: u64 = 40;
