//! The relay under load: where it listens, and what it uses.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running relay.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    pub control: SocketAddr,
    pub data: SocketAddr,
    pub live: SocketAddr,
    pub pid: u32,
}

/// CPU time and memory of a process so far.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    pub cpu: Duration,
    pub peak_bytes: u64,
}

impl Target {
    pub fn usage(&self) -> io::Result<Usage> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        // The name may hold anything, even blanks: fields count from its bracket on.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let ticks: u64 = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse::<u64>().ok())
            .sum();
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        Ok(Usage {
            cpu: Duration::from_millis(ticks * MILLISECONDS_PER_TICK),
            peak_bytes: peak.unwrap_or(0) * 1024,
        })
    }
}

/// A relay that was started for a run; it ends with it.
#[derive(Debug)]
pub struct Spawned {
    process: Child,
    pub target: Target,
}

impl Spawned {
    /// Starts `program` (Baton or the original: both take these options) on free
    /// ports.
    pub fn start(program: &str, output: &Path) -> io::Result<Self> {
        let [control, data, live] = free_addresses()?;
        let log = fs::File::create(output.join("log"))?;
        let process = Command::new(program)
            .args(["-C", &format!("tcp://{control}")])
            .args(["-D", &format!("tcp://{data}")])
            .args(["-L", &format!("tcp://{live}")])
            .arg("-o")
            .arg(output.join("traces"))
            .env("LTTNG_HOME", output)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("{program}: {error}")))?;
        let target = Target {
            control,
            data,
            live,
            pid: process.id(),
        };
        let spawned = Self { process, target };
        for address in [control, data, live] {
            await_listener(address)?;
        }
        Ok(spawned)
    }
}

impl Drop for Spawned {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_addresses() -> io::Result<[SocketAddr; 3]> {
    let listen = || TcpListener::bind("127.0.0.1:0");
    let listeners = [listen()?, listen()?, listen()?];
    let [control, data, live] = listeners.map(|listener| listener.local_addr());
    Ok([control?, data?, live?])
}

fn await_listener(address: SocketAddr) -> io::Result<()> {
    let begun = Instant::now();
    loop {
        match TcpStream::connect(address) {
            Ok(_) => return Ok(()),
            Err(error) if begun.elapsed() > START_MAX => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// Linux counts CPU time of processes in hundredths of a second.
const MILLISECONDS_PER_TICK: u64 = 10;
const START_MAX: Duration = Duration::from_secs(5);
