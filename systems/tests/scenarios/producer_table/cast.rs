//! The cast of a row: the producer of the message, and the peers before it.

use baton_systems::settings::Grouping;

use super::*;

/// The connected peers.
pub struct Cast {
    pub producer: Producer,
    pub others: Vec<Producer>,
}

impl Cast {
    /// Does what happened before a row's message.
    pub fn take(&mut self, stage: &mut Stage, step: Prior) {
        let producer = &self.producer;
        match step {
            DisallowClear => stage.change(|it| it.clear_allowed = false),
            GroupBySession => stage.change(|it| it.grouping = Grouping::Session),
            Version => version(stage, producer, producer.minor),
            VersionOf(minor) => version(stage, producer, minor),
            Session => create(stage, producer, stage::session("session")),
            StoredSession => create(stage, producer, stored("session")),
            SnapshotSession => create(stage, producer, snapshot("session")),
            Refused => {
                let refused = Command::CreateSession(stage::session(".hidden"));
                assert!(producer.ask(stage, &refused).starts_with(&[0; 8]));
            }
            Prior::RefusedStream => {
                let reply = producer.ask(stage, &stage::add_stream("trace", "chan_0"));
                assert_eq!(reply[8..], UNKNOWN_ERR.to_be_bytes());
            }
            Prior::NamedChunk(chunk, name) => {
                let named = producer::CreateTraceChunk {
                    chunk,
                    creation_time_s: stage::CREATED_S,
                    override_name: Some(name.as_bytes()),
                };
                producer.expect_ok(stage, &Command::CreateTraceChunk(named));
            }
            Chunk(number) if producer.minor >= 11 => {
                producer.expect_ok(stage, &stage::create_chunk(number));
            }
            Chunk(_) => {}
            CloseChunk(number, command) => {
                producer.close_chunk(stage, number, command);
            }
            Streams => assert_eq!(producer.add_trace(stage, "trace"), (1, 2)),
            AddStream => {
                producer.add_stream(stage, "trace", "late");
            }
            Packet(number) => producer.send_whole_packet(stage, 2, number),
            Bytes(number) => {
                producer.send_packet(stage, 2, number, &stage::payload(2, number));
            }
            Prior::Index(number) => producer.send_index(stage, 2, number),
            Half(number) => {
                let mut bytes = stage::packet_bytes(2, number);
                bytes.truncate(bytes.len() - stage::PACKET_BYTES / 2);
                producer.data.write(&bytes);
                stage.settle();
            }
            Rotate(stream, chunk, position) => {
                producer.expect_ok(stage, &stage::rotate(chunk, &[(stream, position)]));
            }
            CloseStream(stream, last) => {
                producer.expect_ok(stage, &close_stream(stream, last));
            }
            Begin => producer.expect_ok(stage, &begin(1)),
            Prior::Ask(stream) => {
                producer.ask(stage, &ask(stream, 0));
            }
            Quiescent(stream) => producer.expect_ok(stage, &quiescent(stream)),
            Foreign => self.others.push(foreign(stage, producer.minor)),
            Prior::ForeignChunk => {
                let foreign = foreign_session(stage, producer.minor);
                foreign.expect_ok(stage, &stage::create_chunk(0));
                self.others.push(foreign);
            }
            Sibling => {
                let sibling = Producer::with_session(stage, producer.minor);
                self.others.push(sibling);
            }
            Fail(operation) => stage.storage.fail(operation, 1, "it was wished"),
        }
    }

    /// Sends the row's message, and gives what comes back.
    pub fn send(&self, stage: &mut Stage, sent: &Sent) -> Vec<u8> {
        let producer = &self.producer;
        let bytes = match sent {
            Sent::Command(command) => client::command(producer.minor, command),
            Sent::In(minor, command) => client::command(*minor, command),
            Sent::Cut(command, missing) => {
                let mut bytes = payload(producer.minor, command);
                bytes.truncate(bytes.len() - missing);
                numbered(command.kind().number(), &bytes)
            }
            Sent::Longer(command) => {
                let mut bytes = payload(producer.minor, command);
                bytes.extend_from_slice(b"more");
                numbered(command.kind().number(), &bytes)
            }
            Sent::Patched(command, offset, patch) => {
                let mut bytes = payload(producer.minor, command);
                bytes[*offset..offset + patch.len()].copy_from_slice(patch);
                numbered(command.kind().number(), &bytes)
            }
            Sent::Payload(number, payload) => numbered(*number, payload),
            Sent::Raw(bytes) => bytes.clone(),
            Sent::RawEnd(bytes) => {
                producer.control.write(bytes);
                producer.control.finish();
                Vec::new()
            }
            Sent::Reset => {
                producer.control.reset("reset by peer");
                Vec::new()
            }
            Sent::Packet(header, payload) => {
                producer.data.write(&client::headed(header, payload));
                Vec::new()
            }
            Sent::Rest(bytes) => {
                producer.data.write(bytes);
                Vec::new()
            }
            Sent::DataEnd(bytes) => {
                producer.data.write(bytes);
                producer.data.finish();
                Vec::new()
            }
        };
        producer.send(stage, &bytes)
    }
}

fn version(stage: &mut Stage, producer: &Producer, minor: u32) {
    let version = producer::Version { major: 2, minor };
    let reply = producer.ask(stage, &Command::Version(version));
    assert_eq!(reply, OUR_VERSION);
}

fn create(stage: &mut Stage, producer: &Producer, session: producer::CreateSession) {
    let reply = producer.ask(stage, &Command::CreateSession(session));
    assert_eq!(reply[8..12], OK.to_be_bytes(), "{reply:?}");
}

/// A session that is another one at its session daemon.
fn foreign_session(stage: &mut Stage, minor: u32) -> Producer {
    let mut session = stage::session("foreign");
    session.origin = session.origin.map(|origin| producer::Origin {
        session: 1,
        ..origin
    });
    Producer::create(stage, minor, session)
}

/// A foreign session, with streams 3 and 4.
fn foreign(stage: &mut Stage, minor: u32) -> Producer {
    let foreign = foreign_session(stage, minor);
    if minor >= 11 {
        foreign.expect_ok(stage, &stage::create_chunk(0));
    }
    assert_eq!(foreign.add_trace(stage, "foreign"), (3, 4));
    foreign
}
