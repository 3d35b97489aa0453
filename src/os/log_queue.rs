//! Non-blocking log: a bounded queue of lines for standard error, a file or syslog, and a thread
//! that writes them.
//!
//! It may be a full disk, a pipe that no process reads or whose reader is gone,
//! or a closed terminal. Lines are dropped and counted if the queue is full or if they
//! cannot be written; when the log goes on, a line has their number. Only the thread uses
//! the descriptor, and it holds no lock while it writes.

use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

use super::log_places::{LogFile, Syslog, Target};

/// Lines that wait to be written.
#[derive(Debug)]
pub struct LogQueue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// Whole lines.
    waiting: Vec<u8>,
    /// Number of lines that were dropped after these, since the queue was full. While it is
    /// not 0, later lines are dropped too, so that dropped lines are contiguous.
    dropped: u64,
    /// The thread has taken lines that are not written yet.
    writing: bool,
    /// The thread sleeps until the next line.
    is_asleep: bool,
    thread: Thread,
    /// The file is to be opened anew, since its name may be of another one now.
    reopens: bool,
}

/// The thread, by where it writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Thread {
    NotStarted,
    ToStandardError,
    ToElsewhere,
}

/// Where the lines go.
#[derive(Debug)]
pub enum Place {
    StandardError,
    File(LogFile),
    Syslog(Syslog),
}

/// The queue of this process.
static QUEUE: LogQueue = LogQueue::new();

/// Some two thousand lines: a burst beside a slow terminal.
const WAITING_BYTES_MAX: usize = 256 * 1024;
/// A buffer that grew larger in a burst is freed.
const BUFFER_KEPT_BYTES: usize = 16 * 1024;
/// Lines of this time are written together, since waking the thread costs the relay more
/// than queueing a line.
const GATHERING: Duration = Duration::from_millis(10);
/// Stack of the thread; its call depth is small.
const STACK_BYTES: usize = 64 * 1024;
/// Maximum time that the process waits at exit for its last lines to be written.
const FLUSH_PATIENCE: Duration = Duration::from_secs(1);
/// Retry period for a descriptor that another process has made non-blocking.
const RETRY: Duration = Duration::from_millis(10);

/// Starts the thread. Call this after a fork, since a child would not have the thread.
pub fn start(place: Place) {
    let thread = match place {
        Place::StandardError => Thread::ToStandardError,
        Place::File(_) | Place::Syslog(_) => Thread::ToElsewhere,
    };
    {
        let mut state = QUEUE.state();
        if state.thread != Thread::NotStarted {
            return;
        }
        state.thread = thread;
    }
    let started = thread::Builder::new()
        .name("log".to_owned())
        .stack_size(STACK_BYTES)
        .spawn(|| match place {
            Place::StandardError => QUEUE.empty_into(StandardError),
            Place::File(file) => QUEUE.empty_into(file),
            Place::Syslog(syslog) => QUEUE.empty_into(syslog),
        });
    if let Err(error) = started {
        // The relay works without a log, too.
        let line = format!("cannot start the thread of the log, nothing is logged: {error}\n");
        let _ = StandardError.write_all(line.as_bytes());
    }
}

/// Logs a line, without its newline. Without the thread it is written at once.
pub fn say(line: fmt::Arguments<'_>) {
    let line = format!("{line}\n");
    if QUEUE.state().thread == Thread::NotStarted {
        // A failure to write cannot be reported anywhere.
        let _ = StandardError.write_all(line.as_bytes());
    } else {
        QUEUE.push(line.as_bytes());
    }
}

/// Logs a line for whoever started the program: it is on standard error too if the log is
/// elsewhere.
pub fn say_to_starter(line: fmt::Arguments<'_>) {
    say(line);
    if QUEUE.state().thread == Thread::ToElsewhere {
        let _ = StandardError.write_all(format!("{line}\n").as_bytes());
    }
}

/// Opens the file anew, if the lines go to one: the one that has its name now (log rotation).
pub fn reopen() {
    QUEUE.state().reopens = true;
    QUEUE.changed.notify_all();
}

/// Waits until all lines are written, with a time limit.
pub fn flush() {
    QUEUE.flush(FLUSH_PATIENCE);
}

/// Flushes when it is dropped: at the end of a program, in a panic too.
#[derive(Debug)]
pub struct FlushAtEnd;

impl Drop for FlushAtEnd {
    fn drop(&mut self) {
        flush();
    }
}

/// The writer for `tracing`, which writes each line in one call.
#[derive(Debug)]
pub struct Lines;

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        QUEUE.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl LogQueue {
    const fn new() -> Self {
        Self {
            state: Mutex::new(State {
                waiting: Vec::new(),
                dropped: 0,
                writing: false,
                is_asleep: false,
                thread: Thread::NotStarted,
                reopens: false,
            }),
            changed: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a line, if there is room. Newlines in it are escaped.
    fn push(&self, line: &[u8]) {
        let mut state = self.state();
        if state.dropped > 0 || state.waiting.len() + line.len() > WAITING_BYTES_MAX {
            state.dropped += 1;
            return;
        }
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        for byte in text {
            match byte {
                // The escape character, which begins a change of colour.
                b'\x1b' | b' '..=b'~' | b'\x80'.. => state.waiting.push(*byte),
                _ => state.waiting.extend(byte.escape_ascii()),
            }
        }
        state.waiting.push(b'\n');
        let wakes = std::mem::take(&mut state.is_asleep);
        drop(state);
        if wakes {
            self.changed.notify_all();
        }
    }

    fn flush(&self, patience: Duration) {
        let busy = |state: &mut State| {
            state.thread != Thread::NotStarted && (state.writing || !state.waiting.is_empty())
        };
        let _ = self
            .changed
            .wait_timeout_while(self.state(), patience, busy);
    }

    /// Writes lines as they come, for ever.
    fn empty_into(&self, sink: impl Target) {
        let mut sink = Sink {
            inner: sink,
            lost: 0,
            torn: false,
        };
        let mut lines = Vec::new();
        loop {
            let Taken { dropped, reopens } = self.take(&mut lines);
            sink.write(&lines, dropped);
            if reopens && let Err(line) = sink.inner.reopen() {
                sink.write(line.as_bytes(), 0);
            }
            thread::sleep(GATHERING);
        }
    }

    /// Waits for lines, and takes them all.
    fn take(&self, lines: &mut Vec<u8>) -> Taken {
        lines.clear();
        if lines.capacity() > BUFFER_KEPT_BYTES {
            *lines = Vec::new();
        }
        let mut state = self.state();
        state.writing = false;
        self.changed.notify_all();
        let mut state = self
            .changed
            .wait_while(state, |state| {
                state.is_asleep = state.waiting.is_empty() && !state.reopens;
                state.is_asleep
            })
            .unwrap_or_else(PoisonError::into_inner);
        state.writing = true;
        std::mem::swap(&mut state.waiting, lines);
        Taken {
            dropped: std::mem::take(&mut state.dropped),
            reopens: std::mem::take(&mut state.reopens),
        }
    }
}

/// Work of the thread beside writing.
struct Taken {
    /// Number of lines that were dropped after those that it has taken.
    dropped: u64,
    /// The file is to be opened anew after these lines.
    reopens: bool,
}

/// The sink of the lines, with the count of lines that could not be written.
struct Sink<W> {
    inner: W,
    /// Number of lines lost since the last one that was written.
    lost: u64,
    /// The last line was written only in part.
    torn: bool,
}

impl<W: Write> Sink<W> {
    fn write(&mut self, lines: &[u8], dropped: u64) {
        let rest = if self.tell_loss() {
            let written = self.write_some(lines);
            &lines[written..]
        } else {
            lines
        };
        self.lost += rest.split_inclusive(|byte| *byte == b'\n').count() as u64;
        self.lost += dropped;
        if dropped > 0 && rest.is_empty() {
            self.tell_loss();
        }
    }

    /// Writes how many lines were lost, if any were. Returns whether the log goes on.
    fn tell_loss(&mut self) -> bool {
        if self.lost == 0 {
            return true;
        }
        let mut line = String::new();
        if self.torn {
            line.push('\n');
        }
        // The line is written even if its time cannot be formatted.
        let _ = SystemTime.format_time(&mut Writer::new(&mut line));
        let noun = if self.lost == 1 { "line" } else { "lines" };
        let lost = self.lost;
        let _ = writeln!(line, "  WARN {lost} {noun} of the log could not be written");
        let told = self.write_some(line.as_bytes()) == line.len();
        if told {
            self.lost = 0;
        }
        told
    }

    /// Writes as much as possible. Returns the number of bytes.
    fn write_some(&mut self, bytes: &[u8]) -> usize {
        let mut written = 0;
        while written < bytes.len() {
            match self.inner.write(&bytes[written..]) {
                Ok(0) | Err(_) => break,
                Ok(count) => written += count,
            }
        }
        if written > 0 {
            self.torn = bytes[written - 1] != b'\n';
        }
        written
    }
}

impl Target for StandardError {}

/// The raw descriptor: `std::io::Stderr` has a lock, which a blocked write would hold.
struct StandardError;

impl Write for StandardError {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match rustix::io::write(rustix::stdio::stderr(), bytes) {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => thread::sleep(RETRY),
                outcome => return Ok(outcome?),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::{self, Receiver, Sender};

    use super::*;

    /// The result of each write: the number of bytes that the sink accepts, or an error.
    struct Script {
        answers: Receiver<io::Result<usize>>,
        written: Sender<Vec<u8>>,
    }

    impl Target for Script {}

    impl Write for Script {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let answer = self.answers.recv().unwrap_or(Ok(usize::MAX));
            let count = answer?.min(bytes.len());
            self.written.send(bytes[..count].to_vec()).unwrap();
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Test {
        queue: Arc<LogQueue>,
        answers: Option<Sender<io::Result<usize>>>,
        written: Receiver<Vec<u8>>,
    }

    impl Test {
        fn new() -> Self {
            let (answers, script) = mpsc::channel();
            let (sink, written) = mpsc::channel();
            let queue = Arc::new(LogQueue::new());
            queue.state().thread = Thread::ToStandardError;
            let (answers, own) = (Some(answers), queue.clone());
            let script = Script {
                answers: script,
                written: sink,
            };
            thread::spawn(move || own.empty_into(script));
            Self {
                queue,
                answers,
                written,
            }
        }

        fn push(&self, line: &str) {
            self.queue.push(line.as_bytes());
        }

        fn answer(&self, answer: io::Result<usize>) {
            self.answers.as_ref().unwrap().send(answer).unwrap();
        }

        /// From here on everything is written. Returns the text before, and after.
        fn read(&mut self) -> String {
            self.answers = None;
            self.queue.flush(Duration::from_secs(10));
            String::from_utf8(self.written.try_iter().flatten().collect()).unwrap()
        }

        fn take_over(&self) {
            while !self.queue.state().waiting.is_empty() {
                thread::yield_now();
            }
        }
    }

    fn failure() -> io::Result<usize> {
        Err(io::ErrorKind::StorageFull.into())
    }

    /// Without the times.
    fn untimed(text: &str) -> Vec<&str> {
        let line = |line| str::split_once(line, "Z  ").map_or(line, |(_, rest)| rest);
        text.lines().map(line).collect()
    }

    #[test]
    fn a_log_that_is_not_read_blocks_no_caller() {
        let mut test = Test::new();
        let line = format!("{}\n", "x".repeat(999));
        test.push(&line);
        test.take_over();
        for _ in 0..1_000 {
            test.push(&line);
        }
        // Room is for 262 of them; one is being written.
        test.queue.flush(Duration::from_millis(1));
        let written = test.read();
        let lines = untimed(&written);
        assert_eq!(lines.len(), 1 + 262 + 1);
        assert_eq!(
            lines.last(),
            Some(&"WARN 738 lines of the log could not be written")
        );
        test.push("after\n");
        assert_eq!(test.read(), "after\n");
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted_and_said_once() {
        let mut test = Test::new();
        for (line, answer) in [
            ("written\n", Ok(100)),
            ("torn\n", Ok(2)),
            ("lost\n", failure()),
        ] {
            let torn = matches!(answer, Ok(2));
            test.answer(answer);
            if torn {
                test.answer(failure());
            }
            test.push(line);
            test.queue.flush(Duration::from_secs(10));
        }
        test.push("again\n");
        test.push("and again\n");
        let written = test.read();
        let expected = [
            "written",
            "to",
            "WARN 2 lines of the log could not be written",
            "again",
            "and again",
        ];
        assert_eq!(untimed(&written), expected);
    }

    #[test]
    fn a_line_stays_one_line() {
        let mut test = Test::new();
        test.push("a session a\nb\r\0 is \x1b[31mred\x1b[0m, größer\n");
        let expected = "a session a\\nb\\r\\x00 is \x1b[31mred\x1b[0m, größer\n";
        assert_eq!(test.read(), expected);
    }
}
