//! A stranger on the data port. Its connection is closed if it guesses a handle, or if it
//! knows one and begins a packet in the middle of the producer's. No other peer notices; in the
//! end the reader checks that the files have exactly the bytes of their producers.

use baton_components::connection::Endpoint;
use baton_components::wire::producer::data::PacketHeader;
use baton_systems::client;
use baton_systems::memory::Peer;
use proptest::prelude::*;

use super::producer::Producer;
use crate::stage::Stage;

#[derive(Clone, Debug)]
pub enum Intrusion {
    /// Names a stream that does not exist.
    Guess { handle: u64, payload: usize },
    /// Names a stream of which a packet is arriving.
    Interrupt { stream: usize, payload: usize },
    /// Begins a packet where none is arriving, and goes before its end.
    Begin {
        stream: usize,
        payload: usize,
        breaks: bool,
    },
}

pub fn intrusions() -> impl Strategy<Value = Intrusion> {
    let stream = || 0..4_usize;
    let payload = || 0..PACKET_BYTES;
    prop_oneof![
        1 => (HANDLES_MIN..u64::MAX, payload()).prop_map(|(handle, payload)| {
            Intrusion::Guess { handle, payload }
        }),
        3 => (stream(), payload()).prop_map(|(stream, payload)| {
            Intrusion::Interrupt { stream, payload }
        }),
        2 => (stream(), payload(), any::<bool>()).prop_map(|(stream, payload, breaks)| {
            Intrusion::Begin { stream, payload, breaks }
        }),
    ]
}

/// Does what is possible of it to a producer.
pub fn intrude(stage: &mut Stage, producer: &Producer, intrusion: &Intrusion) {
    stage.settle();
    match *intrusion {
        Intrusion::Guess { handle, payload } => {
            assert!(send(stage, handle, 0, payload).is_closed());
        }
        Intrusion::Interrupt { stream, payload } => {
            if let Some((handle, next)) = target(producer, stream, true) {
                assert!(send(stage, handle, next, payload).is_closed());
            }
        }
        Intrusion::Begin {
            stream,
            payload,
            breaks,
        } => {
            let Some((handle, next)) = target(producer, stream, false) else {
                return;
            };
            let peer = send(stage, handle, next, payload);
            if breaks {
                peer.reset("reset by peer");
            } else {
                peer.finish();
            }
            stage.settle();
            assert!(peer.is_closed());
        }
    }
}

/// The handle of a stream of which a packet is arriving, or is not; and the number of a
/// packet that its producer will send.
fn target(producer: &Producer, wish: usize, arriving: bool) -> Option<(u64, u64)> {
    let model = &producer.models[0];
    if !producer.control_open || !producer.data_open || producer.is_suffering || !model.is_bound() {
        return None;
    }
    let stream = producer.open_stream(wish)?;
    let is_so = |model: &super::model::Session| {
        let model = &model.streams[stream];
        // The packet of a stranger may begin another file.
        let is_harmless = arriving || (model.is_endless() && model.chunk.is_some());
        model.is_arriving() == arriving && is_harmless && !model.closed
    };
    let made = &producer.streams[stream];
    let next = made.packets.len() as u64;
    producer
        .models
        .iter()
        .all(is_so)
        .then_some((made.handle, next))
}

/// A new connection that sends the header of a packet and a part of it.
fn send(stage: &mut Stage, handle: u64, sequence: u64, payload: usize) -> Peer {
    let peer = stage.network.connect(Endpoint::Data, "stranger");
    let header = PacketHeader {
        stream: handle,
        sequence,
        size: PACKET_BYTES as u32,
        padding: 0,
    };
    peer.write(&client::headed(&header, &vec![FOREIGN; payload]));
    stage.settle();
    peer
}

const PACKET_BYTES: usize = 200;
/// In no packet of a producer of this cast is it all there is.
const FOREIGN: u8 = 0xEE;
/// Chance counts here: no stream has such a handle.
const HANDLES_MIN: u64 = 1 << 20;
