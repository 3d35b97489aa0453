//! Bad peers with commands whose work is more than their bytes.

use std::io;

use baton_components::wire::producer::{
    AddStream, CloseTraceChunk, Command, CreateTraceChunk, SendMetadata,
};

use super::super::commands::IDLE;
use super::super::producer::{Producer, create_session};
use super::super::relay::Target;
use super::super::viewer::Viewer;
use super::{Member, again, goes_on};

/// Viewers that were attached before most traces were published, so that the first reply has all
/// of them and the others none.
pub fn new_streams(target: &Target, traces: usize) -> io::Result<Vec<Member>> {
    let mut producer = Producer::connect(target, 1, IDLE)?;
    let viewers = (0..NEW_STREAMS_VIEWERS).map(|_| Viewer::follow(target, producer.session));
    let viewers = viewers.collect::<io::Result<Vec<_>>>()?;
    let session = producer.session;
    for trace in 0..traces {
        let path = format!("ust/pid/app-{trace}");
        for channel in ["metadata", "channel0_0"] {
            producer.client().add_stream(AddStream {
                channel: channel.as_bytes(),
                path: path.as_bytes(),
                chunk: Some(0),
                ..AddStream::default()
            })?;
        }
    }
    let ask = |mut viewer: Viewer| -> Member {
        Box::new(move |is_over| {
            while goes_on(is_over) {
                viewer.new_streams(session)?;
            }
            Ok(())
        })
    };
    let mut members: Vec<Member> = viewers.into_iter().map(ask).collect();
    members.push(Box::new(move |is_over| {
        producer.client().ask_ok(&Command::StreamsSent)?;
        super::await_end(is_over);
        Ok(())
    }));
    Ok(members)
}

/// So many chunks are created and deleted before the first reply is read.
pub fn chunks(target: &Target, burst: usize) -> Vec<Member> {
    vec![again(target, u64::MAX, move |target, number, is_over| {
        let (mut client, _) = create_session(target, number, 0)?;
        let mut next = 0;
        while goes_on(is_over) {
            for chunk in next..next + burst as u64 {
                client.send(&Command::CreateTraceChunk(CreateTraceChunk {
                    chunk,
                    creation_time_s: chunk,
                    override_name: None,
                }))?;
                client.send(&Command::CloseTraceChunk(CloseTraceChunk {
                    chunk,
                    close_time_s: chunk,
                    command: Some(DELETE),
                }))?;
            }
            client.catch_up()?;
            next += burst as u64;
        }
        Ok(())
    })]
}

/// So many streams, each below directories that no other one has.
pub fn deep_paths(target: &Target, streams: usize) -> Vec<Member> {
    vec![again(target, DEEP_TIMES, move |target, number, _| {
        let mut producer = Producer::connect(target, number, IDLE)?;
        let client = producer.client();
        for stream in 0..streams {
            let path = format!("{stream}{}", "/d".repeat(LEVELS - 1));
            client.send(&Command::AddStream(AddStream {
                channel: b"channel0_0",
                path: path.as_bytes(),
                chunk: Some(0),
                ..AddStream::default()
            }))?;
        }
        client.catch_up()
    })]
}

/// So many pieces of metadata, and the reply to a command behind them.
pub fn padded_metadata(target: &Target, pieces: usize) -> Vec<Member> {
    vec![again(target, PADDED_TIMES, move |target, number, _| {
        let mut producer = Producer::connect(target, number, IDLE)?;
        let stream = producer.metadata;
        for _ in 0..pieces {
            let piece = Command::SendMetadata(SendMetadata {
                stream,
                padding_size: METADATA_PADDING_BYTES,
                bytes: b"/* CTF 1.8 */\n",
            });
            producer.client().send(&piece)?;
        }
        producer.is_pending().map(drop)
    })]
}

const NEW_STREAMS_VIEWERS: usize = 4;
/// CLOSE_TRACE_CHUNK: the chunk is deleted.
const DELETE: u32 = 2;
/// Directories of a path.
const LEVELS: usize = 120;
/// Each time makes a hundred thousand directories.
const DEEP_TIMES: u64 = 3;
/// A relay may write all padding, and the disk may be the memory.
const METADATA_PADDING_BYTES: u32 = 6 << 20;
const PADDED_TIMES: u64 = 4;
