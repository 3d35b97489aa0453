//! Tables of the replies to a viewer, for every state and every event before the request.
//!
//! The requests and what they need are in `viewer_preconditions`; the end of a file of a ring,
//! and one that was overwritten, in `viewer_scenarios/reading`.

mod metadata_stream;
mod session;

use baton_components::limits::DRAIN_GRACE;

use crate::viewer_words::{DATA, DETACH, PACKET, Scene};

/// Makes a state; gives the number of the stream's next packet.
type State = fn() -> (Scene, u64);

/// A state in which nothing is asked of the stream's next packet.
type Begun = fn() -> Scene;

/// The event, with its own reply in words, if it has one.
type Event = fn(&mut Scene, u64) -> Option<String>;

fn silently(change: impl FnOnce()) -> Option<String> {
    change();
    None
}

const EVENTS: [(&str, Event); 12] = [
    ("nothing", |_, _| None),
    ("GET_PACKET", |scene, _| Some(scene.hear(PACKET))),
    ("beacon", |scene, next| {
        silently(|| scene.send_beacon(next * 1000 + 50))
    }),
    ("description", |scene, next| {
        silently(|| scene.send_index(next))
    }),
    ("bytes", |scene, next| silently(|| scene.send_bytes(next))),
    ("packet", |scene, next| silently(|| scene.send(next))),
    ("close", |scene, next| {
        let last = next.checked_sub(1);
        silently(|| scene.producer.close_stream(&mut scene.stage, DATA, last))
    }),
    ("rotation", |scene, next| silently(|| scene.rotate(1, next))),
    ("rotation to none", |scene, next| {
        silently(|| scene.rotate_to_none(next))
    }),
    ("clear", |scene, next| silently(|| scene.clear(1, next))),
    ("producer gone", |scene, _| {
        silently(|| scene.producer_leaves())
    }),
    ("DETACH", |scene, _| Some(scene.hear(DETACH))),
];

/// The producer may not do this here.
const NO: &str = "-";

fn read(packets: u64) -> Scene {
    let mut scene = Scene::watched(packets);
    for _ in 0..packets {
        scene.indexes(1);
    }
    scene
}

/// The replies to each event, and then to two GET_NEXT_INDEX.
const DATA_STREAM: [(&str, State, [&str; 12]); 10] = [
    (
        "nothing was received",
        || (Scene::watched(0), 0),
        [
            "RETRY, RETRY",
            "ERR, RETRY, RETRY",
            "INACTIVE 50, INACTIVE 50",
            "RETRY, RETRY",
            "RETRY, RETRY",
            "OK 0 at 0, RETRY",
            "HUP, ERR",
            "RETRY, RETRY",
            "RETRY, RETRY",
            "RETRY, RETRY",
            "HUP, ERR",
            "OK, ERR, ERR",
        ],
    ),
    (
        "all was read",
        || (read(1), 1),
        [
            "RETRY, RETRY",
            "OK 64 bytes, RETRY, RETRY",
            "INACTIVE 1050, INACTIVE 1050",
            "RETRY, RETRY",
            "RETRY, RETRY",
            "OK 1 at 64, RETRY",
            "HUP, ERR",
            "RETRY, RETRY",
            "RETRY, RETRY",
            "RETRY, RETRY",
            "HUP, ERR",
            "OK, ERR, ERR",
        ],
    ),
    (
        "all was read, and a beacon came",
        || {
            let mut scene = read(1);
            scene.send_beacon(950);
            (scene, 1)
        },
        [
            "INACTIVE 950, INACTIVE 950",
            "OK 64 bytes, INACTIVE 950, INACTIVE 950",
            "INACTIVE 1050, INACTIVE 1050",
            "RETRY, RETRY",
            // Still true: the packet begins later.
            "INACTIVE 950, INACTIVE 950",
            "OK 1 at 64, RETRY",
            "HUP, ERR",
            // Ours: no gate. A rotation changes nothing of an earlier answer.
            "INACTIVE 950, INACTIVE 950",
            "INACTIVE 950, INACTIVE 950",
            "INACTIVE 950, INACTIVE 950",
            "HUP, ERR",
            "OK, ERR, ERR",
        ],
    ),
    (
        "a packet is unread",
        || (Scene::watched(1), 1),
        [
            "OK 0 at 0, RETRY",
            "ERR, OK 0 at 0, RETRY",
            "OK 0 at 0, INACTIVE 1050",
            "OK 0 at 0, RETRY",
            "OK 0 at 0, RETRY",
            "OK 0 at 0, OK 1 at 64",
            "OK 0 at 0, HUP",
            // Ours: no gate, and a rotated chunk is read to its end.
            "OK 0 at 0, RETRY",
            "OK 0 at 0, RETRY",
            "RETRY, RETRY",
            "OK 0 at 0, HUP",
            "OK, ERR, ERR",
        ],
    ),
    (
        "the bytes of a packet wait",
        || {
            let mut scene = read(1);
            scene.send_bytes(1);
            (scene, 1)
        },
        [
            "RETRY, RETRY",
            "OK 64 bytes, RETRY, RETRY",
            "RETRY, RETRY",
            "OK 1 at 64, RETRY",
            NO,
            NO,
            "HUP, ERR",
            "RETRY, RETRY",
            NO,
            "RETRY, RETRY",
            "HUP, ERR",
            "OK, ERR, ERR",
        ],
    ),
    (
        "the description of a packet waits",
        || {
            let mut scene = read(1);
            scene.send_index(1);
            (scene, 1)
        },
        [
            "RETRY, RETRY",
            "OK 64 bytes, RETRY, RETRY",
            "RETRY, RETRY",
            NO,
            "OK 1 at 64, RETRY",
            NO,
            // The producer says that packet 0 was the last.
            "HUP, ERR",
            "RETRY, RETRY",
            "RETRY, RETRY",
            "RETRY, RETRY",
            "HUP, ERR",
            "OK, ERR, ERR",
        ],
    ),
    (
        "closed, a packet is unread",
        || {
            let mut scene = Scene::watched(1);
            scene.producer.close_stream(&mut scene.stage, DATA, Some(0));
            (scene, 1)
        },
        [
            "OK 0 at 0, HUP",
            "ERR, OK 0 at 0, HUP",
            NO,
            NO,
            NO,
            NO,
            NO,
            NO,
            NO,
            NO,
            "OK 0 at 0, HUP",
            "OK, ERR, ERR",
        ],
    ),
    (
        "dropped",
        || {
            let mut scene = read(1);
            scene.producer.close_stream(&mut scene.stage, DATA, Some(0));
            scene.indexes(1);
            (scene, 1)
        },
        [
            "ERR, ERR",
            "ERR, ERR, ERR",
            NO,
            NO,
            NO,
            NO,
            NO,
            NO,
            NO,
            NO,
            "ERR, ERR",
            "OK, ERR, ERR",
        ],
    ),
    (
        "a rotation is pending, a packet is unread",
        || {
            let mut scene = Scene::watched(1);
            scene.rotate(1, 3);
            (scene, 1)
        },
        // Unlike the original: a pending rotation delays no viewer.
        [
            "OK 0 at 0, RETRY",
            "ERR, OK 0 at 0, RETRY",
            "OK 0 at 0, INACTIVE 1050",
            "OK 0 at 0, RETRY",
            "OK 0 at 0, RETRY",
            "OK 0 at 0, OK 1 at 64",
            "OK 0 at 0, HUP",
            NO,
            NO,
            NO,
            "OK 0 at 0, HUP",
            "OK, ERR, ERR",
        ],
    ),
    (
        "rotated to no chunk, a packet is unread",
        || {
            let mut scene = Scene::watched(1);
            scene.rotate_to_none(1);
            (scene, 1)
        },
        [
            "OK 0 at 0, RETRY",
            "ERR, OK 0 at 0, RETRY",
            "OK 0 at 0, INACTIVE 1050",
            NO,
            NO,
            NO,
            "OK 0 at 0, HUP",
            "OK 0 at 0, RETRY",
            NO,
            "RETRY, RETRY",
            "OK 0 at 0, HUP",
            "OK, ERR, ERR",
        ],
    ),
];

#[test]
fn a_data_stream_in_every_state() {
    let mut wrong = Vec::new();
    for (name, state, row) in DATA_STREAM {
        for ((event_name, event), expected) in EVENTS.iter().zip(row) {
            if expected == NO {
                continue;
            }
            let (mut scene, next) = state();
            let own = event(&mut scene, next);
            let indexes = scene.indexes(2);
            let told = own.map_or(indexes.clone(), |own| format!("{own}, {indexes}"));
            if told != expected {
                wrong.push(format!("{name}: {event_name}: {told}, not {expected}"));
            }
            scene.producer_leaves();
            // A packet may have been announced that no connection is known to bring.
            scene.stage.pass(DRAIN_GRACE);
            scene.end();
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn leave(mut scene: Scene) -> Scene {
    scene.producer_leaves();
    scene
}
