//! The states of an attached session.

use baton_components::wire::producer::Command;

use super::{Begun, leave};
use crate::stage::{create_chunk, rotate};
use crate::viewer_words::{ATTACH, DATA, DETACH, GET_METADATA, METADATA, NEW_STREAMS, Scene};

/// The replies to two GET_NEW_STREAMS and a DETACH.
const ATTACHED_SESSION: [(&str, Begun, &str); 9] = [
    ("not attached", Scene::with_trace, "ERR, ERR, ERR"),
    (
        "nothing is published",
        nothing_published,
        "OK [], OK [], OK",
    ),
    (
        "streams were not announced",
        published,
        "OK [1, 2], OK [], OK",
    ),
    (
        "a rotation is in progress",
        || {
            let mut scene = published();
            scene.command(&create_chunk(1));
            scene
        },
        // Ours: no gate.
        "OK [1, 2], OK [], OK",
    ),
    (
        "rotated, and the chunk not closed",
        || {
            let mut scene = published();
            scene.command(&create_chunk(1));
            scene.command(&rotate(Some(1), &[(METADATA, 0), (DATA, 0)]));
            scene
        },
        "OK [1, 2], OK [], OK",
    ),
    (
        "gone, streams were not announced",
        || leave(published()),
        "OK [1, 2], OK [], OK",
    ),
    (
        "gone, a stream has not ended",
        || leave(Scene::watched(1)),
        // Ours: the viewer would forget what it has not read.
        "OK [], OK [], OK",
    ),
    (
        "gone, all streams have ended",
        || {
            let mut scene = leave(Scene::watched(0));
            assert_eq!(scene.indexes(1), "HUP");
            scene
        },
        "HUP, HUP, OK",
    ),
    (
        "gone, nothing was published",
        || leave(nothing_published()),
        "HUP, HUP, OK",
    ),
];

fn nothing_published() -> Scene {
    let mut scene = Scene::new();
    scene.hear(ATTACH);
    for channel in ["metadata", "chan_0"] {
        scene.producer.add_stream(&mut scene.stage, "ust", channel);
    }
    scene
}

fn published() -> Scene {
    let mut scene = nothing_published();
    scene.command(&Command::StreamsSent);
    scene
}

#[test]
fn an_attached_session_in_every_state() {
    let mut wrong = Vec::new();
    for (name, state, expected) in ATTACHED_SESSION {
        let mut scene = state();
        let told = scene.hear_all(&[NEW_STREAMS, NEW_STREAMS, DETACH]);
        if told != expected {
            wrong.push(format!("{name}: {told}, not {expected}"));
        }
        assert_eq!(scene.hear(GET_METADATA), "ERR", "{name}: detached");
        scene.end();
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
