//! Structured reading of a fuzzer's bytes. At the end, all values are zero or empty.

/// The rest of an input.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    /// One of the elements of a slice that is not empty.
    pub fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::from(self.byte()) % all.len()]
    }

    /// Bytes after a length in two bytes, or all that are left.
    pub fn bytes(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte()) << 8 | usize::from(self.byte());
        let (bytes, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        bytes
    }

    /// A number in one byte: mostly a small one, as ids are; some at the limits of types;
    /// any other after 0xFF, in eight bytes.
    pub fn number(&mut self) -> u64 {
        match self.byte() {
            0xFF => (0..8).fold(0, |number, _| number << 8 | u64::from(self.byte())),
            edge @ 0xF0.. => EDGES[usize::from(edge - 0xF0)],
            small => small.into(),
        }
    }

    /// One number of 32 bits, from [`Input::number`].
    pub fn word(&mut self) -> u32 {
        self.number() as u32
    }

    /// Absent or a number.
    pub fn optional(&mut self) -> Option<u64> {
        (self.byte() & 1 == 1).then(|| self.number())
    }

    /// A name: a known one if the byte is 0x80 or more, else that number of bytes.
    pub fn name(&mut self) -> &'a [u8] {
        let first = usize::from(self.byte());
        if let Some(known) = first.checked_sub(0x80) {
            return NAMES[known % NAMES.len()];
        }
        let (name, rest) = self.0.split_at(first.min(self.0.len()));
        self.0 = rest;
        name
    }
}

/// Numbers for the bytes from 0xF0 to 0xFE.
const EDGES: [u64; 15] = [
    u64::MAX,
    u64::MAX - 1,
    1 << 63,
    (1 << 63) - 1,
    1 << 32,
    (1 << 32) - 1,
    1 << 31,
    1 << 20,
    65_536,
    4096,
    1000,
    800,
    512,
    256,
    1_795_331_211,
];

/// Names that peers use, or had better not.
pub(crate) const NAMES: [&[u8]; 17] = [
    b"demo",
    b"vm",
    b"ust/uid/0/64-bit",
    b"ch_0",
    b"metadata",
    b"",
    b"..",
    b"../x",
    b"/tmp/x",
    b"a/./b",
    b"archives",
    b".tmp_new_chunk",
    b"20261122T064435+0000-1",
    b"index",
    b"demo-20261122-064435",
    b"a\0b",
    b"vm/demo-20261122-064435/ust",
];
