//! The states of a metadata stream.

use super::{Begun, leave};
use crate::viewer_words::{ATTACH, METADATA, Scene};

/// The next indexes of the data stream and of the metadata stream, and then three
/// GET_METADATA.
const METADATA_STREAM: [(&str, Begun, [&str; 3]); 15] = [
    (
        "nothing was received",
        attached,
        // Ours: NEW_METADATA only when there is some.
        ["RETRY", "HUP", "NO_NEW, NO_NEW, NO_NEW"],
    ),
    (
        "some is unread",
        unread,
        [
            "RETRY NEW_METADATA",
            "HUP NEW_METADATA",
            "OK meta, NO_NEW, NO_NEW",
        ],
    ),
    (
        "all was read",
        || Scene::watched(0),
        ["RETRY", "HUP", "NO_NEW, NO_NEW, NO_NEW"],
    ),
    (
        "all was read, and more came",
        || {
            let mut scene = Scene::watched(0);
            scene.send_metadata(b" more");
            scene
        },
        [
            "RETRY NEW_METADATA",
            "HUP NEW_METADATA",
            "OK  more, NO_NEW, NO_NEW",
        ],
    ),
    (
        "all was read, closed",
        || close_metadata(Scene::watched(0)),
        ["RETRY", "HUP", "NO_NEW, ERR, ERR"],
    ),
    (
        "some is unread, closed",
        || close_metadata(unread()),
        [
            "RETRY NEW_METADATA",
            "HUP NEW_METADATA",
            "OK meta, NO_NEW, ERR",
        ],
    ),
    (
        "nothing was received, closed",
        || close_metadata(attached()),
        // Ours: a viewer that wants metadata first is told that there is none.
        ["RETRY", "HUP", "NO_NEW, ERR, ERR"],
    ),
    (
        "all was read, cleared and stopped",
        || stop_and_clear(Scene::watched(0)),
        ["RETRY", "HUP", "NO_NEW, NO_NEW, NO_NEW"],
    ),
    (
        "some is unread, cleared and stopped",
        || stop_and_clear(unread()),
        // Ours: NEW_METADATA only when it can be had.
        ["RETRY", "HUP", "NO_NEW, NO_NEW, NO_NEW"],
    ),
    (
        "all was read, cleared and gone",
        || leave(stop_and_clear(Scene::watched(0))),
        ["HUP", "HUP", "NO_NEW, ERR, ERR"],
    ),
    (
        "some is unread, cleared and gone",
        || leave(stop_and_clear(unread())),
        ["HUP", "HUP", "NO_NEW, ERR, ERR"],
    ),
    (
        "some is unread, stopped and gone",
        || {
            let mut scene = unread();
            scene.rotate_to_none(0);
            leave(scene)
        },
        [
            "HUP NEW_METADATA",
            "HUP NEW_METADATA",
            "OK meta, NO_NEW, ERR",
        ],
    ),
    (
        "all was read, and a chunk follows with as much",
        || {
            let mut scene = Scene::watched(0);
            scene.clear(1, 0);
            scene.send_metadata(b"meta");
            scene
        },
        ["RETRY", "HUP", "NO_NEW, NO_NEW, NO_NEW"],
    ),
    (
        "all was read, and a chunk follows with more",
        || {
            let mut scene = Scene::watched(0);
            scene.rotate(1, 0);
            scene.send_metadata(b"meta more");
            scene
        },
        [
            "RETRY NEW_METADATA",
            "HUP NEW_METADATA",
            "OK  more, NO_NEW, NO_NEW",
        ],
    ),
    (
        "some is unread, and a chunk follows with more",
        || {
            let mut scene = unread();
            scene.rotate(1, 0);
            scene.send_metadata(b"meta more");
            scene
        },
        // Ours: chunk by chunk, since packets of the first one may be unread. Clients
        // ask until they hear NO_NEW.
        [
            "RETRY NEW_METADATA",
            "HUP NEW_METADATA",
            "OK meta, OK  more, NO_NEW",
        ],
    ),
];

fn attached() -> Scene {
    let mut scene = Scene::with_trace();
    scene.hear(ATTACH);
    scene
}

fn unread() -> Scene {
    let mut scene = attached();
    scene.send_metadata(b"meta");
    scene
}

fn close_metadata(mut scene: Scene) -> Scene {
    scene
        .producer
        .close_stream(&mut scene.stage, METADATA, None);
    scene
}

fn stop_and_clear(mut scene: Scene) -> Scene {
    scene.stop_and_clear(0, 0);
    scene
}

#[test]
fn a_metadata_stream_in_every_state() {
    let mut wrong = Vec::new();
    for (name, state, expected) in METADATA_STREAM {
        let mut scene = state();
        let told = [
            scene.indexes(1),
            scene.viewer.index(&mut scene.stage, METADATA),
            scene.metadata(3),
        ];
        if told != expected {
            wrong.push(format!("{name}: {told:?}, not {expected:?}"));
        }
        scene.end();
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
