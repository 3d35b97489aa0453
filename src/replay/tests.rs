//! Replays of relays on ports in memory, with a journal of what came in.

use std::fs;
use std::path::{Path, PathBuf};

use baton_components::connection::Endpoint;
use baton_components::wire::producer::{
    AddStream, Command, CreateSession, SendIndex, SendMetadata, Version,
};
use baton_components::wire::viewer::{Request, SEEK_BEGINNING};
use baton_systems::client;
use baton_systems::memory::{MemoryChance, MemoryClock, MemoryNetwork, MemoryStorage, Peer};
use baton_systems::settings::Settings;
use tempfile::TempDir;

use super::*;
use crate::journal::block::{Header, Reader, Writer};
use crate::journal::book::Journal;
use crate::journal::ports::record;
use crate::journal::record::Record;

/// One that has indexes and needs no chunks.
const MINOR: u32 = 10;

/// Long enough to be referred to.
const PACKET_BYTES: usize = 5_000;

/// A relay with a journal and a producer, and what they leave in a directory.
struct JournaledRelay {
    directory: TempDir,
    network: MemoryNetwork,
    clock: MemoryClock,
    relay: Relay,
    journal: Journal,
}

impl JournaledRelay {
    fn new(payload: Payload) -> Self {
        Self::on(payload, |traces| {
            let storage = FileStorage::open(traces, 100).unwrap();
            StoragePort::new(Box::new(storage))
        })
    }

    fn on(payload: Payload, storage: impl FnOnce(&Path) -> StoragePort) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let header = Header {
            program: "test".to_owned(),
            output: directory
                .path()
                .join("traces")
                .as_os_str()
                .as_encoded_bytes()
                .to_vec(),
            started_unix_s: 0,
            payload,
            lttng_relayd: false,
            settings: Settings::default(),
        };
        let journal = {
            let path = directory.path().join("journal");
            let (file, _) = crate::journal::file::create(&path).unwrap();
            Journal::begin(file, &path, &header).unwrap()
        };
        let (network, clock) = (MemoryNetwork::new(), MemoryClock::new(1_795_331_211));
        let storage = storage(&directory.path().join("traces"));
        let chance = MemoryChance::default();
        let ports = (network.port(), storage, clock.port(), chance.port());
        let (network_port, storage, clock_port, chance) = record(&journal, ports);
        let settings = Settings::default();
        let relay = Relay::new(network_port, storage, clock_port, chance, settings, true);
        Self {
            directory,
            network,
            clock,
            relay,
            journal,
        }
    }

    fn settle(&mut self) {
        loop {
            self.clock.advance(std::time::Duration::from_millis(300));
            self.relay.tick();
            if self.network.is_idle() {
                return;
            }
        }
    }

    fn ask(&mut self, control: &Peer, command: &Command) -> Vec<u8> {
        control.write(&client::command(MINOR, command));
        self.settle();
        control.take_received()
    }

    /// Asks as monitors do, in the middle of things.
    fn scrape(&mut self) {
        for (path, text) in [
            ("/metrics", "baton_packets_total 1\n"),
            ("/status", "\"packets\":1,"),
            ("/status/sessions/1", "\"channel\":\"chan_0\""),
        ] {
            let monitor = self.network.connect(Endpoint::Status, "monitor:1");
            let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
            monitor.write(request.as_bytes());
            self.settle();
            let page = String::from_utf8(monitor.take_received()).unwrap();
            assert!(page.contains(text), "{page}");
        }
    }

    /// A session with two packets, of which the second is torn.
    fn record(mut self) -> Recorded {
        let (control, data, stream) = self.produce();
        data.write(&packet(stream, 0));
        self.settle();
        let torn = packet(stream, 1);
        for part in torn[..PACKET_BYTES - 100].chunks(1_700) {
            data.write(part);
            self.settle();
        }
        self.scrape();
        self.end(&control, &data)
    }

    /// A session with metadata, and a large packet, all of which a viewer reads.
    fn record_viewed(mut self) -> Recorded {
        let (control, data, stream) = self.produce();
        let size = 100_000;
        data.write(&client::packet(stream, 0, &vec![7; size]));
        self.settle();
        let index = SendIndex {
            stream,
            packet_size_bits: 8 * size as u64,
            ..SendIndex::default()
        };
        self.ask(&control, &Command::SendIndex(index));
        let peer = self.network.connect(Endpoint::Live, "viewer:1");
        let mut viewer = client::Viewer::default();
        let mut ask = |request| {
            let mut bytes = Vec::new();
            viewer.say(request, &mut bytes);
            peer.write(&bytes);
            self.settle();
            viewer.hear(&peer.take_received());
            let (_, reply) = viewer.reply().unwrap().expect("a whole reply");
            format!("{reply:?}")
        };
        ask(client::connect(MINOR));
        ask(Request::CreateSession);
        let (session, seek) = (1, SEEK_BEGINNING);
        ask(Request::Attach { session, seek });
        let (metadata, stream) = (1, 2);
        let told = ask(Request::Metadata { stream: metadata });
        assert!(told.contains("Ok"), "{told}");
        let told = ask(Request::NextIndex { stream });
        assert!(told.contains("Ok"), "{told}");
        let (offset, length) = (0, size as u32);
        let packet = Request::Packet {
            stream,
            offset,
            length,
        };
        assert!(ask(packet).len() > size);
        peer.finish();
        self.end(&control, &data)
    }

    /// A session with two streams and metadata, its connections, and the handle of the stream for
    /// packets.
    fn produce(&mut self) -> (Peer, Peer, u64) {
        let control = self.network.connect(Endpoint::Control, "producer:control");
        let data = self.network.connect(Endpoint::Data, "producer:data");
        let version = Version {
            major: 2,
            minor: MINOR,
        };
        self.ask(&control, &Command::Version(version));
        let session = CreateSession {
            name: b"session",
            host: b"host",
            live_timer_us: 200_000,
            ..CreateSession::default()
        };
        self.ask(&control, &Command::CreateSession(session));
        let mut handles = ["metadata", "chan_0"].map(|channel| {
            let stream = AddStream {
                channel: channel.as_bytes(),
                path: b"host/session-20261122-063549/ust",
                ..AddStream::default()
            };
            let reply = self.ask(&control, &Command::AddStream(stream));
            u64::from_be_bytes(*reply.first_chunk().unwrap())
        });
        handles.sort_unstable();
        let metadata = SendMetadata {
            stream: handles[0],
            padding_size: 0,
            bytes: b"metadata",
        };
        self.ask(&control, &Command::SendMetadata(metadata));
        self.ask(&control, &Command::StreamsSent);
        (control, data, handles[1])
    }

    fn end(mut self, control: &Peer, data: &Peer) -> Recorded {
        data.finish();
        self.settle();
        control.finish();
        self.settle();
        self.journal.hang_up();
        self.relay.hang_up_all();
        self.relay.tick();
        assert_eq!(self.relay.remains(), [""; 0]);
        self.journal.end();
        let directory = self.directory;
        drop((self.relay, self.journal));
        Recorded { directory }
    }
}

/// A packet with its header, as a data connection brings it.
fn packet(stream: u64, sequence: u64) -> Vec<u8> {
    let payload: Vec<u8> = (0..PACKET_BYTES)
        .map(|at| at as u8 ^ sequence as u8)
        .collect();
    client::packet(stream, sequence, &payload)
}

struct Recorded {
    directory: TempDir,
}

impl Recorded {
    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn plan(&self) -> Plan {
        Plan {
            journal: self.path("journal"),
            verify: true,
            audit: true,
            ..Plan::default()
        }
    }

    /// Another journal, with some of the records changed and every checksum right.
    fn forge(&self, change: impl Fn(&mut Record)) {
        let bytes = fs::read(self.path("journal")).unwrap();
        let mut reader = Reader::new(&bytes[..]).unwrap();
        let mut forged = Vec::new();
        let header = reader.header().clone();
        let mut writer = Writer::new(&mut forged, &header).unwrap();
        while let Some(block) = reader.next().unwrap() {
            let mut records = Vec::new();
            let mut rest = &block.records[..];
            while let Some((mut record, after)) = Record::decode(rest) {
                change(&mut record);
                record.encode(&mut records);
                rest = after;
            }
            writer.write(block.first_tick, &records).unwrap();
        }
        fs::write(self.path("journal"), forged).unwrap();
    }
}

fn replayed(plan: &Plan) -> Result<String, Error> {
    let mut out = Vec::new();
    run(plan, &mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

#[test]
fn a_replay_writes_the_same_files() {
    for payload in [Payload::Copy, Payload::Reference] {
        let recorded = JournaledRelay::new(payload).record();
        let files = |name: &str| {
            let trace = recorded.path(name).join("host/session-20261122-063549/ust");
            ["metadata", "chan_0"].map(|name| fs::read(trace.join(name)).unwrap())
        };
        let plan = Plan {
            output: Some(recorded.path("again")),
            ..recorded.plan()
        };
        let said = replayed(&plan).unwrap();
        assert!(said.contains("the whole journal"), "{said}");
        assert!(said.contains("audit: clean"), "{said}");
        assert_eq!(files("again"), files("traces"));
        assert_eq!(files("again")[1].len(), PACKET_BYTES);
        // To memory as well; and not over what is there.
        assert_eq!(replayed(&recorded.plan()).unwrap(), said);
        let error = replayed(&plan).unwrap_err().to_string();
        assert!(error.ends_with("is not empty: choose another directory for the replay"));
    }
}

#[test]
fn reads_that_had_to_be_fetched_are_replayed_in_the_ticks_of_their_answers() {
    let cold = MemoryStorage::new();
    cold.chill(|| true);
    let mut said = Vec::new();
    for storage in [MemoryStorage::new(), cold.clone()] {
        let relay = JournaledRelay::on(Payload::Copy, |_| storage.port());
        let recorded = relay.record_viewed();
        let plan = Plan {
            print: true,
            ..recorded.plan()
        };
        said.push(replayed(&plan).unwrap());
    }
    assert_eq!(cold.cold_reads(), 0);
    let fetches = |said: &str| said.matches("are to be fetched").count();
    assert_eq!((fetches(&said[0]), fetches(&said[1]) > 2), (0, true));
}

#[test]
fn packets_by_reference_have_to_be_there() {
    let recorded = JournaledRelay::new(Payload::Reference).record();
    let trace = "traces/host/session-20261122-063549/ust/chan_0";
    let file = recorded.path(trace);
    let content = fs::read(&file).unwrap();
    let refusal = || replayed(&recorded.plan()).unwrap_err().to_string();
    let name = file.display();

    fs::write(&file, &content[..100]).unwrap();
    let short = refusal();
    assert!(
        short.contains(&format!("{name} ends before byte ")),
        "{short}"
    );
    fs::write(&file, vec![0; content.len()]).unwrap();
    let other = refusal();
    assert!(
        other.contains(&format!(
            "{name} does not have the bytes that the relay wrote"
        )),
        "{other}"
    );
    fs::remove_file(&file).unwrap();
    let gone = refusal();
    assert!(gone.contains(&format!("{name}: No such file")), "{gone}");
    assert!(gone.starts_with("tick "), "{gone}");
    // Wherever they are.
    fs::rename(recorded.path("traces"), recorded.path("moved")).unwrap();
    fs::write(recorded.path(&trace.replace("traces", "moved")), &content).unwrap();
    let plan = Plan {
        traces: Some(recorded.path("moved")),
        ..recorded.plan()
    };
    replayed(&plan).unwrap();
}

#[test]
fn another_reply_is_told_with_its_tick_and_connection() {
    let recorded = JournaledRelay::new(Payload::Copy).record();
    recorded.forge(|record| {
        if let Record::Send { digest, .. } = record {
            *digest ^= 1;
        }
    });
    let error = replayed(&recorded.plan()).unwrap_err().to_string();
    assert!(
        error.starts_with("differs in tick 2: recorded was `8 bytes are queued for connection "),
        "{error}"
    );
    let unverified = Plan {
        verify: false,
        ..recorded.plan()
    };
    replayed(&unverified).unwrap();
}

#[test]
fn other_keys_and_other_calls_are_told() {
    let recorded = JournaledRelay::new(Payload::Copy).record();
    recorded.forge(|record| {
        if let Record::CreateFile { file, .. } = record {
            file.0 += 1;
        }
    });
    let error = replayed(&recorded.plan()).unwrap_err().to_string();
    assert!(
        error.contains("ust/metadata is made, file 2v1`, now `"),
        "{error}"
    );
    assert!(error.contains("ust/metadata is made, file 1v1`"), "{error}");

    let recorded = JournaledRelay::new(Payload::Copy).record();
    recorded.forge(|record| {
        if let Record::Resize { .. } = record {
            *record = Record::StopAccepting;
        }
    });
    let error = replayed(&recorded.plan()).unwrap_err().to_string();
    assert!(
        error.contains("recorded was `nobody is accepted any more`, now `file "),
        "{error}"
    );
}

#[test]
fn a_world_is_shown_as_it_was_then() {
    let recorded = JournaledRelay::new(Payload::Copy).record();
    let shown = |until, format| {
        replayed(&Plan {
            until: Some(until),
            show: Some(format),
            ..recorded.plan()
        })
        .unwrap()
    };
    let text = shown(8, Format::Text);
    for line in [
        "the world after tick 8\n",
        "\n  connection 1v1: control from producer:control [1 holder: its owner]\n",
        "\n  session 1v1: session@host, number 1, ",
        "\n    trace 1v1: host/session-20261122-063549/ust [2 holders: stream 1v1, stream 2v1]\n",
        "\n      stream 2v1: chan_0, number ",
        "\n          file 2v1: host/session-20261122-063549/ust/chan_0 [1 holder: trace file 2v1]\n",
        "8 ticks replayed: up to the tick that was asked for\n",
    ] {
        assert!(text.contains(line), "{line:?} is not in\n{text}");
    }
    let json: serde_json::Value = serde_json::from_str(&shown(8, Format::Json)).unwrap();
    assert_eq!(json["tick"], 8);
    assert_eq!(json["records"][0]["kind"], "connection");
    let session = json["records"].as_array().unwrap();
    let session = session.iter().find(|it| it["kind"] == "session").unwrap();
    assert_eq!(session["key"], "1v1");
    let nothing = shown(u64::MAX, Format::Text);
    assert!(nothing.contains("\n  nothing\n"), "{nothing}");
}

#[test]
fn a_life_is_told_from_its_beginning_to_its_end() {
    let recorded = JournaledRelay::new(Payload::Copy).record();
    let plan = Plan {
        watch: Some("stream:2v1".parse().unwrap()),
        ..recorded.plan()
    };
    let said = replayed(&plan).unwrap();
    let events: Vec<_> = said
        .lines()
        .filter_map(|line| line.split_once(": stream 2v1 "))
        .collect();
    let whats: Vec<_> = events.iter().map(|(_, what)| *what).collect();
    assert!(whats[0].starts_with("is made: chan_0, number "), "{said}");
    for what in [
        "is owned",
        "holds trace 1v1",
        "is disowned",
        "lets go of trace 1v1",
    ] {
        assert!(whats.contains(&what), "{what} is not in\n{said}");
    }
    assert_eq!(whats.last(), Some(&"is freed"));
    let ticks: Vec<u64> = events
        .iter()
        .map(|(tick, _)| tick.strip_prefix("tick ").unwrap().parse().unwrap())
        .collect();
    assert!(ticks.is_sorted());
    let late = Plan {
        from: ticks[ticks.len() - 1],
        ..plan
    };
    let late = replayed(&late).unwrap();
    assert!(
        !late.contains("is made") && late.contains("is freed"),
        "{late}"
    );
}

#[test]
fn a_record_that_was_never_there_is_an_error() {
    let recorded = JournaledRelay::new(Payload::Copy).record();
    let plan = Plan {
        watch: Some("session:77v1".parse().unwrap()),
        ..recorded.plan()
    };
    let error = replayed(&plan).unwrap_err().to_string();
    assert!(error.starts_with("there is no session 77v1"), "{error}");
    assert!(error.contains("--show"), "{error}");
}

#[test]
fn ticks_are_printed_with_what_came_in_and_what_went_out() {
    let recorded = JournaledRelay::new(Payload::Copy).record();
    let plan = Plan {
        print: true,
        from: 2,
        until: Some(3),
        ..recorded.plan()
    };
    // Where the code logs for the first time, while another test does too, it may miss the
    // subscriber of the replay.
    replayed(&plan).unwrap();
    let said = replayed(&plan).unwrap();
    let head = "tick 2 at 2026-11-22T07:06:51Z, 0.600000 s\n";
    assert!(said.starts_with(head), "{said}");
    // The log of the relay, with each command and reply.
    assert!(said.contains("\n  .. TRACE VERSION 2."), "{said}");
    assert!(said.contains("\ntick 3 at "), "{said}");
    assert!(!said.contains("\ntick 4 at "), "{said}");
    assert!(said.contains("\n  -> "), "{said}");
    assert!(said.contains(" bytes come from connection 1v1\n"), "{said}");
    assert!(
        said.contains("\n  <- 8 bytes are queued for connection 1v1 ("),
        "{said}"
    );
}
