//! The relay under load: its start, its addresses and directory, and its end.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};

use super::usage::Process;

/// A running relay.
#[derive(Clone, Debug)]
pub struct Target {
    pub control: SocketAddr,
    pub data: SocketAddr,
    pub live: SocketAddr,
    pub process: Process,
    /// The directory that it writes to.
    pub traces: PathBuf,
}

/// A relay that was started for a run; it ends with it.
#[derive(Debug)]
pub struct Spawned {
    process: Child,
    target: Target,
    /// It was killed, since it took longer than this.
    overdue: Option<Duration>,
}

impl Spawned {
    /// Starts `program` (Baton or the original: both take these options) on free
    /// ports, with a limit of descriptors of its own if one is given.
    pub fn start(program: &str, output: &Path, descriptors: Option<u64>) -> io::Result<Self> {
        let [control, data, live] = free_addresses()?;
        let log = fs::File::create(output.join("log"))?;
        let traces = output.join("traces");
        let mut command = Command::new(program);
        command
            .args(["-C", &format!("tcp://{control}")])
            .args(["-D", &format!("tcp://{data}")])
            .args(["-L", &format!("tcp://{live}")])
            .arg("-o")
            .arg(&traces)
            .env("LTTNG_HOME", output)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let process = with_descriptors(descriptors, || command.spawn())
            .map_err(|error| io::Error::new(error.kind(), format!("{program}: {error}")))?;
        let target = Target {
            control,
            data,
            live,
            process: Process::new(process.id()),
            traces,
        };
        let spawned = Self {
            process,
            target,
            overdue: None,
        };
        for address in [control, data, live] {
            await_listener(address)?;
        }
        Ok(spawned)
    }

    /// Loads the relay. Ends it if it takes too long, or if the benchmark is to stop: the
    /// threads that wait for it see their connections close.
    pub fn load<T>(
        &mut self,
        patience: Duration,
        stopped: &AtomicBool,
        load: impl FnOnce(&Target) -> T,
    ) -> T {
        let (done, end) = mpsc::channel::<()>();
        let relay = Pid::from_child(&self.process);
        let (outcome, is_overdue) = std::thread::scope(|scope| {
            let watchdog = scope.spawn(move || {
                let begun = Instant::now();
                while end.recv_timeout(LOOK_AGAIN) == Err(mpsc::RecvTimeoutError::Timeout) {
                    let is_overdue = begun.elapsed() > patience;
                    if is_overdue || stopped.load(Ordering::Relaxed) {
                        let _ = kill_process(relay, Signal::KILL);
                        return is_overdue;
                    }
                }
                false
            });
            let outcome = load(&self.target);
            drop(done);
            (outcome, watchdog.join().unwrap_or(false))
        });
        self.overdue = is_overdue.then_some(patience);
        outcome
    }

    /// The exit status of the relay, if it has ended.
    pub fn ended(&mut self) -> Option<String> {
        if let Some(patience) = self.overdue {
            return Some(format!("it was not done in {} s", patience.as_secs_f64()));
        }
        let status = self.process.try_wait().ok()??;
        Some(format!("the relay has ended with {status}"))
    }
}

impl Drop for Spawned {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Starts a process with this limit of descriptors, which it inherits.
fn with_descriptors<T>(limit: Option<u64>, start: impl FnOnce() -> T) -> T {
    let own = getrlimit(Resource::Nofile);
    let set = |current| {
        let lowered = Rlimit { current, ..own };
        // Only one above the hard limit is refused, and the present one is not above it.
        let _ = setrlimit(Resource::Nofile, lowered);
    };
    if limit.is_some() {
        set(limit);
    }
    let started = start();
    set(own.current);
    started
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

const START_MAX: Duration = Duration::from_secs(5);
/// Period of the checks whether the relay should end.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    /// Something that runs, whether it is a relay or not.
    fn spawned(words: &[&str]) -> Spawned {
        let process = Command::new(words[0]).args(&words[1..]).spawn().unwrap();
        let nowhere: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let target = Target {
            control: nowhere,
            data: nowhere,
            live: nowhere,
            process: Process::new(process.id()),
            traces: PathBuf::new(),
        };
        Spawned {
            process,
            target,
            overdue: None,
        }
    }

    /// Until the relay is killed, and no longer.
    fn await_end(target: &Target) {
        while !target.process.is_dead() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_relay_that_is_never_done_is_ended() {
        let mut relay = spawned(&["sleep", "1000"]);
        let patience = Duration::from_millis(20);
        relay.load(patience, &AtomicBool::new(false), await_end);
        assert_eq!(relay.ended().unwrap(), "it was not done in 0.02 s");
    }

    #[test]
    fn a_relay_ends_when_all_is_stopped() {
        let mut relay = spawned(&["sleep", "1000"]);
        let patience = Duration::from_hours(1);
        relay.load(patience, &AtomicBool::new(true), await_end);
        let told = relay.ended().unwrap();
        assert_eq!(told, "the relay has ended with signal: 9 (SIGKILL)");
    }

    #[test]
    fn a_relay_that_is_done_goes_on() {
        let mut relay = spawned(&["sleep", "1000"]);
        let patience = Duration::from_hours(1);
        let seven = relay.load(patience, &AtomicBool::new(false), |_| 7);
        assert_eq!((seven, relay.ended()), (7, None));
    }

    #[test]
    fn a_relay_that_ends_by_itself_is_told() {
        let mut relay = spawned(&["sh", "-c", "exit 3"]);
        relay.process.wait().unwrap();
        let told = relay.ended().unwrap();
        assert_eq!(told, "the relay has ended with exit status: 3");
    }
}
