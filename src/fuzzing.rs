//! What reads the files of others, for the fuzz targets (`fuzz/`): they know nothing else
//! of this crate.

/// Journals.
pub mod journal {
    use std::path::Path;

    use baton_systems::ports::{ChancePort, ClockPort, NetworkPort, StoragePort};

    use crate::journal::block::{Header, Payload, Reader, Writer};
    use crate::journal::book::Journal;
    use crate::journal::record::Record;
    use crate::journal::{place, ports};

    /// Reads a file as far as it goes.
    pub fn read(bytes: &[u8]) {
        let Ok(mut reader) = Reader::new(bytes) else {
            return;
        };
        let mut end = 0;
        while let Ok(Some(block)) = reader.next() {
            assert!(block.offset >= end, "blocks follow each other");
            end = block.offset + block.records.len() as u64;
            assert!(end <= bytes.len() as u64, "a block is within the file");
            check_records(&block.records);
        }
    }

    /// Writes a journal with these records, and reads it.
    pub fn read_records(records: &[u8]) {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes, &header()).expect("law: a vector has room");
        writer.write(7, records).expect("law: a vector has room");
        let mut reader = Reader::new(&bytes[..]).expect("law: what is written is read");
        assert_eq!(reader.header(), &header());
        let block = reader.next().expect("law: what is written is read");
        let block = block.expect("law: what is written is read");
        assert_eq!((block.first_tick, &block.records[..]), (7, records));
        check_records(records);
    }

    /// The ports of a relay, with a journal at a path.
    pub fn record(
        path: &Path,
        ports: (NetworkPort, StoragePort, ClockPort, ChancePort),
    ) -> (NetworkPort, StoragePort, ClockPort, ChancePort) {
        let (file, _) = place::create(path).expect("law: a file can be made");
        let journal = Journal::begin(file, path, &header()).expect("law: a file can be written");
        ports::record(&journal, ports)
    }

    /// A record that was read is the same when it is written and read again.
    fn check_records(mut bytes: &[u8]) {
        while let Some((record, rest)) = Record::decode(bytes) {
            assert!(rest.len() < bytes.len(), "a record has bytes");
            let mut again = Vec::new();
            record.encode(&mut again);
            assert_eq!(Record::decode(&again), Some((record, &[][..])));
            bytes = rest;
        }
    }

    fn header() -> Header {
        Header {
            program: "0.0.0".to_owned(),
            output: b"/tmp/traces".to_vec(),
            started_unix_s: 1_795_331_211,
            payload: Payload::Copy,
            lttng_relayd: false,
            grouped_by_session: false,
            clear_allowed: true,
            serves_all: false,
            hold_back: None,
        }
    }
}

/// Traces.
pub mod trace {
    use std::path::Path;

    use crate::repair::{self, Failure, Listener, Outcome, Plan, Repair};
    use crate::trace::metadata::Description;
    use crate::trace::recording::Recording;

    /// Reads metadata without a file.
    pub fn read_metadata(text: &[u8]) {
        if let Ok(description) = Description::parse(text.to_vec()) {
            let time = description.clock.time_ns(u64::MAX);
            description.clock.cycles(time);
        }
    }

    /// Reads all packets of a trace, and gives how many there are; none if it cannot be
    /// read.
    pub fn read(directory: &Path) -> Option<u64> {
        let recording = Recording::find(directory).ok()?;
        for trace in &recording.traces {
            for stream in &trace.streams {
                let mut packets = stream.packets();
                while let Some(packet) = packets.next().ok()? {
                    trace.clock.time_ns(packet.description.timestamp_begin);
                }
            }
        }
        Some(recording.packets())
    }

    /// Repairs a trace.
    pub fn repair(directory: &Path) -> Outcome {
        let plan = Plan {
            directory: directory.to_owned(),
            dry_run: false,
            discard: false,
        };
        repair::repair(&plan, &mut Shown)
    }

    /// Messages are put into words, and go nowhere.
    struct Shown;

    impl Listener for Shown {
        fn done(&mut self, repair: &Repair) {
            let _ = repair.to_string();
        }

        fn failed(&mut self, failure: &Failure) {
            let _ = failure.to_string();
        }
    }
}
