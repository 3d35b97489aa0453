//! The instrumented application: a small C program, since user-space tracing
//! of `LTTng` is a C library. Its source is in `app/`.

use crate::process::Process;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

/// How long an application may take: far more than any case asks for.
const PATIENCE: Duration = Duration::from_mins(1);

/// The options of an application.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    pub threads: u32,
    pub events_per_thread: u64,
    pub sleep_us: u32,
    pub payload_length: u64,
}

impl Default for Workload {
    /// About half a second, and some dozens of packets.
    fn default() -> Self {
        Self {
            threads: 2,
            events_per_thread: 2_500,
            sleep_us: 100,
            payload_length: 40,
        }
    }
}

/// All events of an application, which a reader must find.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    pub pid: u32,
    pub workload: Workload,
}

/// A running application.
#[derive(Debug)]
pub struct Application {
    process: Process,
    workload: Workload,
}

impl Application {
    /// `command` is the application without arguments, in the environment of its producer.
    pub fn spawn(command: &mut Command, directory: &Path, workload: Workload) -> Self {
        command
            // Registered with the session daemon before `main`, and never too
            // fast for the consumer: so a reader must find every event.
            .env("LTTNG_UST_REGISTER_TIMEOUT", "-1")
            .env("LTTNG_UST_ALLOW_BLOCKING", "1")
            .arg(workload.events_per_thread.to_string())
            .arg(workload.threads.to_string())
            .arg(workload.sleep_us.to_string())
            .arg(workload.payload_length.to_string());
        Self {
            process: Process::spawn(command, directory, "app"),
            workload,
        }
    }

    pub fn run(&self) -> Run {
        Run {
            pid: self.process.pid(),
            workload: self.workload,
        }
    }

    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    /// Waits until it has emitted everything.
    pub fn finish(mut self) -> Run {
        self.process.wait_for_success(PATIENCE);
        self.run()
    }
}

/// Installs the application as `destination`. It is compiled once a test run.
pub fn install(destination: &Path) {
    static COMPILED: OnceLock<PathBuf> = OnceLock::new();
    copy(COMPILED.get_or_init(compile), destination);
}

/// Copies a program, for everybody to run.
pub fn copy(program: &Path, destination: &Path) {
    // A program of its own writes the copy: had this process the file open for
    // writing while another thread forks, starting it would fail as "busy".
    let copied = Command::new("install")
        .args(["-m", "0755"])
        .args([program, destination])
        .status();
    assert!(
        copied.is_ok_and(|status| status.success()),
        "{} cannot be copied to {}",
        program.display(),
        destination.display()
    );
}

fn compile() -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/end_to_end/app");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("end_to_end_app");
    let compiler = Command::new("cc")
        .args(["-O1", "-Wall", "-I"])
        .arg(&source)
        .arg(source.join("app.c"))
        .arg("-o")
        .arg(&program)
        .args(["-llttng-ust", "-ldl", "-pthread"])
        .output()
        .expect("the C compiler");
    assert!(
        compiler.status.success(),
        "the application does not compile; is the package liblttng-ust-dev installed?\n{}",
        String::from_utf8_lossy(&compiler.stderr)
    );
    program
}
