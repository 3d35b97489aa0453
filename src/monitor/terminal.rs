//! The terminal of `top`: key by key, on the alternate screen. Everything is as it was when
//! this is dropped.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::termios::{self, OptionalActions, SpecialCodeIndex, Termios};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::screen::{Line, WIDTH};
use super::words::fit;

/// Tenths of a second in which a key is waited for.
const WAIT_DS: u8 = 2;

/// Alternate screen, no cursor, no wrapping.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";

/// A key that was pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Character(char),
    Up,
    Down,
    Enter,
    Back,
    /// The program is to end: `q`, Ctrl-C, a signal, or no terminal any more.
    Quit,
}

#[derive(Debug)]
pub struct Terminal {
    output: io::Stdout,
    /// Bytes of keys that were pressed while the relay was asked.
    typed: Vec<u8>,
    before: Termios,
    is_stopped: Arc<AtomicBool>,
}

impl Terminal {
    /// An error if standard input or output is no terminal.
    pub fn open() -> io::Result<Self> {
        let input = io::stdin();
        if !termios::isatty(io::stdout()) {
            return Err(io::Error::other(
                "standard output is no terminal; try --once",
            ));
        }
        let before = termios::tcgetattr(&input)
            .map_err(|_| io::Error::other("standard input is no terminal; try --once"))?;
        let mut raw = before.clone();
        raw.make_raw();
        // A read waits for so long, and then gives nothing.
        raw.special_codes[SpecialCodeIndex::VMIN] = 0;
        raw.special_codes[SpecialCodeIndex::VTIME] = WAIT_DS;
        let is_stopped = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT, SIGHUP] {
            signal_hook::flag::register(signal, is_stopped.clone())?;
        }
        termios::tcsetattr(&input, OptionalActions::Flush, &raw)?;
        let terminal = Self {
            output: io::stdout(),
            typed: Vec::new(),
            before,
            is_stopped,
        };
        terminal.write(ENTER)?;
        Ok(terminal)
    }

    /// Columns and lines.
    pub fn size() -> (usize, usize) {
        let size = termios::tcgetwinsize(io::stdout());
        let size = size.map(|it| (usize::from(it.ws_col), usize::from(it.ws_row)));
        size.ok()
            .filter(|(columns, lines)| *columns > 0 && *lines > 0)
            .unwrap_or((WIDTH, 24))
    }

    /// The lines of the terminal that standard output is; none if it is another file.
    pub fn lines() -> Option<usize> {
        termios::isatty(io::stdout()).then(|| Self::size().1)
    }

    /// Shows lines from the top, one of them in reverse.
    pub fn show(&self, lines: &[Line], marked: Option<usize>) -> io::Result<()> {
        let (columns, height) = Self::size();
        let mut out = "\x1b[H".to_owned();
        for (at, line) in lines.iter().take(height).enumerate() {
            if at > 0 {
                out += "\r\n";
            }
            if line.is_wrong {
                out += "\x1b[31m";
            }
            if marked == Some(at) {
                out += "\x1b[7m";
            }
            out += &fit(&line.text, columns);
            out += "\x1b[0m";
        }
        // The line is full: at its end this would take its last character.
        if lines.len() < height {
            out += "\r\n\x1b[J";
        }
        self.write(&out)
    }

    /// The next key; none if there is none for a moment.
    pub fn key(&mut self) -> io::Result<Option<Key>> {
        if self.is_stopped.load(Ordering::Relaxed) {
            return Ok(Some(Key::Quit));
        }
        if self.typed.is_empty() {
            let mut bytes = [0; 64];
            // Not through a buffer, in which a key would wait unseen.
            let count = match rustix::io::read(io::stdin(), &mut bytes) {
                Ok(count) => count,
                Err(rustix::io::Errno::INTR) => 0,
                Err(error) => return Err(error.into()),
            };
            self.typed.extend_from_slice(&bytes[..count]);
        }
        let (key, size) = first_key(&self.typed);
        self.typed.drain(..size);
        Ok(key)
    }

    fn write(&self, text: &str) -> io::Result<()> {
        let mut output = self.output.lock();
        output.write_all(text.as_bytes())?;
        output.flush()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.write(LEAVE);
        let _ = termios::tcsetattr(io::stdin(), OptionalActions::Flush, &self.before);
    }
}

/// The first key in what a terminal has sent, and the number of its bytes.
fn first_key(bytes: &[u8]) -> (Option<Key>, usize) {
    const ESCAPE: u8 = 0x1b;
    match bytes {
        [] => (None, 0),
        [ESCAPE, b'[' | b'O', rest @ ..] => {
            // Numbers and signs, and the letter that ends it.
            let end = rest.iter().position(|it| (0x40..=0x7e).contains(it));
            let size = end.map_or(rest.len(), |at| at + 1);
            let key = match rest[..size] {
                [b'A'] => Some(Key::Up),
                [b'B'] => Some(Key::Down),
                [b'D'] => Some(Key::Back),
                _ => None,
            };
            (key, 2 + size)
        }
        [byte, ..] => (key_of(*byte), 1),
    }
}

fn key_of(byte: u8) -> Option<Key> {
    Some(match byte {
        b'k' => Key::Up,
        b'j' => Key::Down,
        b'\r' | b'\n' => Key::Enter,
        // Escape and backspace.
        0x1b | 0x7f => Key::Back,
        // Ctrl-C and Ctrl-D are bytes here.
        3 | 4 | b'q' => Key::Quit,
        _ if byte.is_ascii_graphic() => Key::Character(char::from(byte)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(mut bytes: &[u8]) -> Vec<Option<Key>> {
        let mut keys = Vec::new();
        while !bytes.is_empty() {
            let (key, size) = first_key(bytes);
            keys.push(key);
            bytes = &bytes[size..];
        }
        keys
    }

    #[test]
    fn keys_are_known_by_what_terminals_send() {
        for (bytes, key) in [
            (&b"\x1b[A"[..], Some(Key::Up)),
            (b"\x1bOB", Some(Key::Down)),
            (b"j", Some(Key::Down)),
            (b"\x1b", Some(Key::Back)),
            (b"\x1b[D", Some(Key::Back)),
            (b"\x03", Some(Key::Quit)),
            (b"l", Some(Key::Character('l'))),
            (b"\x1b[5~", None),
            (b"\x1b[1;5", None),
        ] {
            assert_eq!(keys(bytes), [key], "{bytes:?}");
        }
        assert_eq!(first_key(b""), (None, 0));
    }

    /// As they come while the relay takes long to answer.
    #[test]
    fn keys_that_come_at_once_are_taken_one_by_one() {
        let expected = [Key::Down, Key::Up, Key::Enter, Key::Back, Key::Quit];
        assert_eq!(keys(b"j\x1b[A\r\x1bq"), expected.map(Some));
    }
}
