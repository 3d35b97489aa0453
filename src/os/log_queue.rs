//! Lines for standard error, for which the relay does not wait: a bounded queue, and a
//! thread that empties it.
//!
//! Standard error may be a full disk, a pipe that nobody reads or whose reader is gone, a
//! terminal that was closed. Lines that find no room in the queue, or that cannot be
//! written, are dropped and counted; how many they were is said where the log goes on.
//! Only the thread touches the descriptor, and it holds no lock while it writes.

use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

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
    /// Lines that came after these and found no room. While there are any, those that
    /// follow find none either: what is dropped is dropped in one place.
    dropped: u64,
    /// Lines were taken, and are not written yet.
    writing: bool,
    /// The thread waits to be woken by the next line.
    is_asleep: bool,
    /// There is a thread.
    started: bool,
}

/// The queue of this process.
static QUEUE: LogQueue = LogQueue::new();

/// Some two thousand lines: a burst beside a slow terminal.
const WAITING_BYTES_MAX: usize = 256 * 1024;
/// A buffer that grew larger in a burst is given back.
const BUFFER_KEPT_BYTES: usize = 16 * 1024;
/// Lines of that time are written together: to wake the thread costs the relay more than to
/// queue a line.
const GATHERING: Duration = Duration::from_millis(10);
/// Stack of the thread, whose calls are few levels deep.
const STACK_BYTES: usize = 64 * 1024;
/// How long the end of a process waits for its last lines to be written.
const FLUSH_PATIENCE: Duration = Duration::from_secs(1);
/// How soon a descriptor that would block, and is shared with whoever made it so, is tried
/// again.
const RETRY: Duration = Duration::from_millis(10);

/// Starts the thread. Not before a fork: a child would not have it.
pub fn start() {
    if std::mem::replace(&mut QUEUE.state().started, true) {
        return;
    }
    let started = thread::Builder::new()
        .name("log".to_owned())
        .stack_size(STACK_BYTES)
        .spawn(|| QUEUE.empty_into(StandardError));
    if let Err(error) = started {
        // The relay does its work without a log.
        let line = format!("no thread for the log, nothing is logged: {error}\n");
        let _ = StandardError.write_all(line.as_bytes());
    }
}

/// A line of people's, without its end. Where there is no thread it is written at once.
pub fn say(line: fmt::Arguments<'_>) {
    let line = format!("{line}\n");
    if QUEUE.state().started {
        QUEUE.push(line.as_bytes());
    } else {
        // A reader that does not read need not be told.
        let _ = StandardError.write_all(line.as_bytes());
    }
}

/// Waits until all lines are written, but not for ever.
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

/// Where the lines of `tracing` go, each in one write.
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
                started: false,
            }),
            changed: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a line, if there is room. It stays one line, whatever is in it.
    fn push(&self, line: &[u8]) {
        let mut state = self.state();
        if state.dropped > 0 || state.waiting.len() + line.len() > WAITING_BYTES_MAX {
            state.dropped += 1;
            return;
        }
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        for byte in text {
            match byte {
                // Begins a change of colour.
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
        let busy =
            |state: &mut State| state.started && (state.writing || !state.waiting.is_empty());
        let _ = self
            .changed
            .wait_timeout_while(self.state(), patience, busy);
    }

    /// Writes what comes, for ever.
    fn empty_into(&self, sink: impl Write) {
        let mut sink = Sink {
            inner: sink,
            lost: 0,
            torn: false,
        };
        let mut lines = Vec::new();
        loop {
            let dropped = self.take(&mut lines);
            sink.write(&lines, dropped);
            thread::sleep(GATHERING);
        }
    }

    /// Waits for lines, and takes them all; gives how many were dropped after them.
    fn take(&self, lines: &mut Vec<u8>) -> u64 {
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
                state.is_asleep = state.waiting.is_empty();
                state.is_asleep
            })
            .unwrap_or_else(PoisonError::into_inner);
        state.writing = true;
        std::mem::swap(&mut state.waiting, lines);
        std::mem::take(&mut state.dropped)
    }
}

/// The sink of the lines, and the lines that it did not take.
struct Sink<W> {
    inner: W,
    /// Lines that were lost since the last that was written.
    lost: u64,
    /// The last line that was written is not whole.
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

    /// Says how many lines were lost, if any were; whether the log goes on.
    fn tell_loss(&mut self) -> bool {
        if self.lost == 0 {
            return true;
        }
        let mut line = String::new();
        if self.torn {
            line.push('\n');
        }
        // A clock that cannot be shown is no reason to say nothing.
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

    /// Writes as much as can be written; gives how much.
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

/// The descriptor itself: the one of the standard library has a lock, which a write that
/// does not end would keep.
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

    /// What the sink does with each write: nothing (as many bytes as it takes), or fails.
    struct Script {
        answers: Receiver<io::Result<usize>>,
        written: Sender<Vec<u8>>,
    }

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
            queue.state().started = true;
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

        /// From here on everything is written. Gives what was, and what is then.
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
    fn nobody_waits_for_a_log_that_nobody_reads() {
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
