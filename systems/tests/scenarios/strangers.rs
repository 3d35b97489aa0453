//! Strangers on the data port: who cannot guess a handle disturbs nobody, and who knows
//! one spoils no packet and ends no session.

use crate::stage::{self, DIRECTORY, Producer, Stage, Viewer};

use baton_components::wire::viewer::{Request, SEEK_BEGINNING};

/// A session with a trace, its metadata stream and its data stream.
fn recording(stage: &mut Stage) -> (Producer, u64, u64) {
    let producer = Producer::with_session(stage, 15);
    let (metadata, data) = producer.add_trace(stage, "ust");
    (producer, metadata, data)
}

#[test]
fn handles_are_what_chance_gives_with_a_sign_that_some_viewers_need() {
    let mut stage = Stage::new();
    let producer = Producer::with_session(&mut stage, 15);
    stage.chance.load(&[u64::MAX - 4, 6, 1 << 63, 0, 9, 8]);
    let metadata = producer.add_stream(&mut stage, "ust", "metadata");
    assert_eq!(metadata, i64::MAX as u64 - 4);
    // 0 is none, with the highest bit or without.
    assert_eq!(producer.add_stream(&mut stage, "ust", "chan_0"), 9);
    producer.leave(&mut stage);
    stage.assert_empty();
}

#[test]
fn a_handle_that_a_stream_has_is_not_given_to_another() {
    let mut stage = Stage::new();
    let producer = Producer::with_session(&mut stage, 15);
    stage.chance.load(&[7, 70, 7, 7, 8, 70, 80]);
    assert_eq!(producer.add_stream(&mut stage, "ust", "metadata"), 7);
    assert_eq!(producer.add_stream(&mut stage, "ust", "chan_0"), 8);
    assert_eq!(stage.stream(8).unwrap().viewer_id, 80);
    producer.leave(&mut stage);
    stage.assert_empty();
}

#[test]
fn viewers_are_not_told_the_handles_of_streams() {
    let mut stage = Stage::new();
    let producer = Producer::with_session(&mut stage, 15);
    stage.chance.load(&[501, 601, 502, 602]);
    assert_eq!(producer.add_trace(&mut stage, "ust"), (501, 502));
    let viewer = Viewer::connect(&mut stage, 15);
    let (session, seek) = (1, SEEK_BEGINNING);
    let reply = viewer.ask(&mut stage, Request::Attach { session, seek });
    let has = |id: u64| reply.windows(8).any(|bytes| bytes == id.to_be_bytes());
    assert!(has(601) && has(602), "{reply:?}");
    assert!(!has(501) && !has(502), "{reply:?}");
    let asked = |stream| Request::NextIndex { stream };
    let status = |reply: Vec<u8>| u32::from_be_bytes(*reply[56..].first_chunk().unwrap());
    assert_eq!(status(viewer.ask(&mut stage, asked(602))), RETRY);
    assert_eq!(status(viewer.ask(&mut stage, asked(502))), ERROR);
    viewer.leave(&mut stage);
    producer.leave(&mut stage);
    stage.assert_empty();
}

/// Statuses of NEXT_INDEX.
const RETRY: u32 = 2;
const ERROR: u32 = 4;
