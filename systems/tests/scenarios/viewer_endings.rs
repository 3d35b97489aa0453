//! Producers that vanish, in every way and at every point: an attached viewer reads all
//! that was complete, hears the end of each stream and of the session, and nothing is
//! left.

use baton_components::limits::DRAIN_GRACE;
use baton_components::wire::producer::Command;
use baton_components::wire::producer::data::HEADER_SIZE;

use crate::stage::{self, create_chunk, rotate};
use crate::viewer_words::{
    ARCHIVE, ATTACH, DATA, DELETE, METADATA, NEW_STREAMS, NEXT_INDEX, Scene,
};

/// Does what is done until then; the session has a trace, its metadata was read.
type Point = fn(&mut Scene);

/// Ends both of a producer's connections.
type Way = fn(&mut Scene);

/// And how many packets the viewer can read then.
const POINTS: [(&str, Point, usize); 16] = [
    ("nothing came", |_| {}, 0),
    ("metadata came", |scene| scene.send_metadata(b" more"), 0),
    ("a beacon came", |scene| scene.send_beacon(50), 0),
    ("packets are complete", two_packets, 2),
    (
        "bytes without description",
        |scene| {
            two_packets(scene);
            scene.send_bytes(2);
        },
        2,
    ),
    (
        "a description without bytes",
        |scene| {
            two_packets(scene);
            scene.send_index(2);
        },
        2,
    ),
    ("the first description only", |scene| scene.send_index(0), 0),
    (
        "half a packet",
        |scene| {
            two_packets(scene);
            scene.producer.data.write(&half_packet());
            scene.stage.settle();
        },
        2,
    ),
    (
        "half a packet that was announced",
        |scene| {
            two_packets(scene);
            scene.send_index(2);
            scene.producer.data.write(&half_packet());
            scene.stage.settle();
        },
        2,
    ),
    (
        "half a command",
        |scene| {
            two_packets(scene);
            scene.producer.control.write(&[0; 30]);
            scene.stage.settle();
        },
        2,
    ),
    (
        "the next chunk was created",
        |scene| {
            two_packets(scene);
            scene.command(&create_chunk(1));
        },
        2,
    ),
    (
        "the streams were rotated",
        |scene| {
            two_packets(scene);
            scene.rotate(1, 2);
            scene.send(2);
        },
        3,
    ),
    (
        "a rotation was pending",
        |scene| {
            two_packets(scene);
            scene.command(&create_chunk(1));
            scene.command(&rotate(Some(1), &[(METADATA, 0), (DATA, 4)]));
            scene.close_chunk(0, ARCHIVE);
        },
        2,
    ),
    (
        "rotated",
        |scene| {
            two_packets(scene);
            scene.rotate(1, 2);
            scene.close_chunk(0, ARCHIVE);
            scene.send(2);
        },
        3,
    ),
    (
        "cleared",
        |scene| {
            two_packets(scene);
            scene.clear(1, 2);
            scene.send(2);
        },
        1,
    ),
    (
        "stopped and cleared",
        |scene| {
            two_packets(scene);
            scene.rotate_to_none(2);
            scene.close_chunk(0, DELETE);
        },
        0,
    ),
];

fn two_packets(scene: &mut Scene) {
    scene.send(0);
    scene.send(1);
}

fn half_packet() -> Vec<u8> {
    let mut bytes = stage::packet_bytes(DATA, 2);
    bytes.truncate(HEADER_SIZE + 40);
    bytes
}

const WAYS: [(&str, Way); 6] = [
    ("control first", |scene| {
        scene.control_ends();
        scene.data_ends();
    }),
    ("data first", |scene| {
        scene.data_ends();
        scene.control_ends();
    }),
    ("both at once", |scene| {
        scene.producer.data.finish();
        scene.producer.control.finish();
        scene.stage.settle();
    }),
    ("control by a reset", |scene| {
        scene.producer.control.reset("killed");
        scene.stage.settle();
        scene.data_ends();
    }),
    ("data by a reset", |scene| {
        scene.producer.data.reset("killed");
        scene.stage.settle();
        scene.control_ends();
    }),
    ("both by a reset", |scene| {
        scene.producer.data.reset("killed");
        scene.producer.control.reset("killed");
        scene.stage.settle();
    }),
];

#[test]
fn a_producer_vanishes() {
    for (point_name, point, packets) in POINTS {
        for (way_name, way) in WAYS {
            let mut scene = Scene::watched(0);
            point(&mut scene);
            way(&mut scene);
            // Where no data connection was known it is waited for.
            scene.stage.pass(DRAIN_GRACE);
            let case = format!("{point_name}, {way_name}");
            assert_eq!(scene.hear(NEW_STREAMS), "OK []", "{case}");
            for number in 0..packets {
                let told = scene.hear(NEXT_INDEX);
                assert!(told.starts_with("OK "), "{case}: index {number} is {told}");
            }
            let end = scene.hear(NEXT_INDEX);
            assert!(end.starts_with("HUP"), "{case}: the end is {end}");
            assert_eq!(
                scene.hear_all(&[NEXT_INDEX, NEW_STREAMS]),
                "ERR, HUP",
                "{case}"
            );
            let metadata = scene.metadata(3);
            assert!(metadata.ends_with("ERR"), "{case}: metadata is {metadata}");
            scene.end();
        }
    }
}

#[test]
fn a_producer_vanishes_before_its_streams_are_seen() {
    for (way_name, way) in WAYS {
        for published in [false, true] {
            let mut scene = Scene::new();
            assert_eq!(scene.hear(ATTACH), "OK []");
            for channel in ["metadata", "chan_0"] {
                scene.producer.add_stream(&mut scene.stage, "ust", channel);
            }
            if published {
                scene.command(&Command::StreamsSent);
                scene.send_metadata(b"meta");
                scene.send(0);
            }
            way(&mut scene);
            let told = scene.hear(NEW_STREAMS);
            if published {
                assert_eq!(told, "OK [1, 2]", "{way_name}");
                assert_eq!(scene.indexes(2), "OK 0 at 0 NEW_METADATA, HUP NEW_METADATA");
                assert_eq!(scene.metadata(3), "OK meta, NO_NEW, ERR");
            } else {
                assert_eq!(told, "HUP", "{way_name}");
            }
            assert_eq!(scene.hear(NEW_STREAMS), "HUP", "{way_name}");
            scene.end();
        }
    }
}

#[test]
fn viewers_and_producer_leave_in_any_order() {
    for order in 0..6 {
        let mut scene = Scene::watched(2);
        let other = scene.another();
        other.hear(&mut scene.stage, ATTACH);
        scene.indexes(1);
        let leave = |scene: &mut Scene, who: usize| match who {
            0 => scene.viewer.leave(&mut scene.stage),
            1 => other.leave(&mut scene.stage),
            _ => scene.producer.leave(&mut scene.stage),
        };
        let (first, second) = (order / 2, usize::from(order % 2 == 0));
        let rest = [0, 1, 2].into_iter().filter(|who| *who != first);
        let mut rest: Vec<usize> = rest.collect();
        rest.swap(0, second);
        leave(&mut scene, first);
        for who in rest {
            leave(&mut scene, who);
        }
        scene.stage.assert_empty();
    }
}

#[test]
fn the_relay_stops_under_its_viewers() {
    let mut scene = Scene::watched(1);
    let other = scene.another();
    scene.indexes(1);
    scene.stage.relay.hang_up_all();
    scene.stage.tick();
    for peer in [&scene.viewer.peer, &other.peer, &scene.producer.control] {
        assert!(peer.is_closed());
    }
    scene.stage.assert_empty();
}
