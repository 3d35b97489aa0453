//! Entry points for the fuzz targets (`fuzz/`): the readers of journals and traces, and the
//! relay's side of TLS.

/// Journals.
pub mod journal {
    use std::path::Path;

    use baton_systems::ports::{ChancePort, ClockPort, NetworkPort, StoragePort};
    use baton_systems::settings::Settings;

    use crate::journal::block::{Header, Payload, Reader, Writer};
    use crate::journal::book::Journal;
    use crate::journal::record::Record;
    use crate::journal::{file, ports};

    /// Reads a file up to its end or its first damage.
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
        let (file, _) = file::create(path).expect("law: a file can be made");
        let journal = Journal::begin(file, path, &header()).expect("law: a file can be written");
        ports::record(&journal, ports)
    }

    /// Checks that a decoded record, encoded and decoded again, is the same.
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
            settings: Settings::default(),
        }
    }
}

/// Traces.
pub mod trace {
    use std::path::Path;

    use crate::repair::{self, Failure, Listener, Outcome, Plan, Repair};
    use crate::trace::description::Description;
    use crate::trace::recording::Recording;

    /// Reads metadata without a file.
    pub fn read_metadata(text: &[u8]) {
        if let Ok(description) = Description::parse(text.to_vec()) {
            let time = description.clock.time_ns(u64::MAX);
            description.clock.cycles(time);
        }
    }

    /// Reads all packets of a trace, and returns their number; none if it cannot be read.
    pub fn read(directory: &Path) -> Option<u64> {
        let recording = Recording::find(directory).ok()?;
        for trace in &recording.traces {
            for stream in &trace.streams {
                let mut packets = stream.packets();
                while let Some(packet) = packets.next_packet().ok()? {
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

    /// Formats messages, and discards them.
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

/// TLS listeners.
pub mod tls {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    use std::sync::{Arc, OnceLock};

    use baton_systems::ports::Received;
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
    use rustls::{ClientConfig, RootCertStore, ServerConfig};

    use crate::os::tls::authority::{Authority, Holder};
    use crate::os::tls::credentials::{self, Minimum};
    use crate::os::tls::sealed::Sealed;
    use crate::os::tls::session::{READ_AT_ONCE, Session};

    /// A connection with TLS, both sides of it.
    pub struct Line {
        near: Sealed,
        near_socket: mio::net::TcpStream,
        far: Session,
        far_socket: UnixStream,
        buffer: Vec<u8>,
    }

    impl Line {
        /// A connection of which nothing was said.
        pub fn new() -> Self {
            let (server, client) = configs();
            let name = ServerName::try_from("localhost").expect("law: it is a name");
            let (near_socket, far_socket) = UnixStream::pair().expect("law: there are sockets");
            for socket in [&near_socket, &far_socket] {
                let set = socket.set_nonblocking(true);
                set.expect("law: a socket need not block");
            }
            // One that uses no port, and is read and written as one of TCP is.
            let near_socket = TcpStream::from(OwnedFd::from(near_socket));
            let near = Session::server(server).expect("law: the configuration is whole");
            Self {
                near: Sealed::new(near),
                near_socket: mio::net::TcpStream::from_std(near_socket),
                far: Session::client(client, name).expect("law: the configuration is whole"),
                far_socket,
                buffer: vec![0; READ_AT_ONCE],
            }
        }

        /// The peer's sealed bytes, for these plain ones and for the handshake.
        pub fn seal(&mut self, plain: &[u8]) -> Vec<u8> {
            let (mut sealed, mut taken) = (Vec::new(), 0);
            loop {
                // Before the handshake only some bytes are kept for later.
                let more = self.far.seal(&plain[taken..], &mut sealed);
                taken += more;
                if more == 0 {
                    return sealed;
                }
            }
        }

        /// Both sides shake hands.
        pub fn shake_hands(&mut self) {
            while self.far.is_handshaking() || self.near.session.is_handshaking() {
                let hello = self.seal(&[]);
                self.put(&hello);
                self.take(1)
                    .expect("law: honest peers understand each other");
                let mut answer = vec![0; READ_AT_ONCE];
                let count = self.far_socket.read(&mut answer).unwrap_or(0);
                let opened = self.far.open(&answer[..count], &mut [], &mut 0);
                opened.expect("law: honest peers understand each other");
            }
        }

        /// The relay's socket gets these bytes, as far as it has room.
        pub fn put(&mut self, sealed: &[u8]) {
            let _ = self.far_socket.write(sealed);
        }

        /// The plain bytes that the relay receives, at most so many; or why the connection broke.
        pub fn take(&mut self, budget: usize) -> Result<Vec<u8>, String> {
            let (mut plain, mut end) = (vec![0; budget], 0);
            let Self {
                near,
                near_socket,
                buffer,
                ..
            } = self;
            let received = near.receive_into(near_socket, false, buffer, &mut plain, &mut end);
            plain.truncate(end);
            match received {
                Received::Broken(reason) => Err(reason),
                Received::Drained | Received::More | Received::Ended => Ok(plain),
            }
        }
    }

    impl Default for Line {
        fn default() -> Self {
            Self::new()
        }
    }

    /// Of all connections.
    fn configs() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
        static CONFIGS: OnceLock<(Arc<ServerConfig>, Arc<ClientConfig>)> = OnceLock::new();
        CONFIGS.get_or_init(make_configs).clone()
    }

    fn make_configs() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
        let (authority, ca) = Authority::new().expect("law: a CA can be made");
        let names = ["localhost".to_owned()];
        let relay = authority.issue(&names, Holder::Relay, 1);
        let relay = relay.expect("law: a certificate can be made");
        let certificate = |pem: &str| {
            CertificateDer::from_pem_slice(pem.as_bytes()).expect("law: what is written is read")
        };
        let key = PrivateKeyDer::from_pem_slice(relay.key.as_bytes());
        let key = key.expect("law: what is written is read");
        let versions = Minimum::Tls12.versions();
        let server = ServerConfig::builder_with_provider(credentials::provider())
            .with_protocol_versions(versions)
            .expect("law: these versions exist")
            .with_no_client_auth()
            .with_single_cert(vec![certificate(&relay.certificate)], key)
            .expect("law: the key is the certificate's");
        let mut roots = RootCertStore::empty();
        let added = roots.add(certificate(&ca.certificate));
        added.expect("law: a CA is one");
        let client = ClientConfig::builder_with_provider(credentials::provider())
            .with_protocol_versions(versions)
            .expect("law: these versions exist")
            .with_root_certificates(roots)
            .with_no_client_auth();
        (Arc::new(server), Arc::new(client))
    }
}
