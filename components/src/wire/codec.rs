//! Reading and writing the pieces all layouts are made of: big-endian
//! integers, names with their NUL, fixed-size fields.
//!
//! [`Reader`] walks over a slice and never past its end; each read names its field, so that
//! an error says where in a message it happened. The `put_` functions append to a buffer.
//! The layouts of messages are in the sibling modules.

use byteorder::{BigEndian, ByteOrder};
use thiserror::Error;

/// Bytes that are not the message they should be. Always the peer's fault.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WireError {
    /// The bytes end before the field does.
    #[error("`{field}` needs {needed} bytes, {left} are left")]
    Short {
        /// The field being read.
        field: &'static str,
        /// Bytes the field takes.
        needed: u64,
        /// Bytes that were left.
        left: u64,
    },
    /// A length, announced or actual, is outside its limits.
    #[error("length of `{field}` is {length}, expected {min} to {max}")]
    Length {
        /// The field of that length.
        field: &'static str,
        /// The length that came, in bytes.
        length: u64,
        /// Smallest length allowed, in bytes.
        min: u64,
        /// Greatest length allowed, in bytes.
        max: u64,
    },
    /// A string lacks its NUL.
    #[error("`{field}` does not end with a NUL")]
    Unterminated {
        /// The string.
        field: &'static str,
    },
    /// A number is none of those the field may hold.
    #[error("`{field}` is {value}, expected {expected}")]
    Value {
        /// The field being read.
        field: &'static str,
        /// The value that came.
        value: u64,
        /// The allowed values.
        expected: &'static str,
    },
    /// A message whose size must match exactly has another one.
    #[error("`{field}` has {size} bytes, expected {expected}")]
    Size {
        /// The message.
        field: &'static str,
        /// Its size, in bytes.
        size: u64,
        /// The sizes it may have.
        expected: &'static str,
    },
}

/// A place in a slice of received bytes.
///
/// A failed read consumes nothing.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// One byte.
    pub fn u8(&mut self, field: &'static str) -> Result<u8, WireError> {
        let [byte] = self.array(field)?;
        Ok(byte)
    }

    /// A boolean of one byte: any value but 0 is true.
    pub fn flag(&mut self, field: &'static str) -> Result<bool, WireError> {
        Ok(self.u8(field)? != 0)
    }

    /// A 32-bit integer.
    pub fn u32(&mut self, field: &'static str) -> Result<u32, WireError> {
        Ok(BigEndian::read_u32(&self.array::<4>(field)?))
    }

    /// A 64-bit integer.
    pub fn u64(&mut self, field: &'static str) -> Result<u64, WireError> {
        Ok(BigEndian::read_u64(&self.array::<8>(field)?))
    }

    /// A 64-bit integer after the byte that says whether it is set. The
    /// integer's bytes are there in both cases.
    pub fn optional_u64(&mut self, field: &'static str) -> Result<Option<u64>, WireError> {
        let is_set = self.flag(field)?;
        let value = self.u64(field)?;
        Ok(is_set.then_some(value))
    }

    /// A 32-bit integer after the byte that says whether it is set.
    pub fn optional_u32(&mut self, field: &'static str) -> Result<Option<u32>, WireError> {
        let is_set = self.flag(field)?;
        let value = self.u32(field)?;
        Ok(is_set.then_some(value))
    }

    /// `N` bytes, copied.
    pub fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], WireError> {
        match self.bytes.split_first_chunk::<N>() {
            Some((chunk, rest)) => {
                self.bytes = rest;
                Ok(*chunk)
            }
            None => Err(self.short(field, N as u64)),
        }
    }

    /// `length` bytes, borrowed.
    pub fn bytes(&mut self, field: &'static str, length: u64) -> Result<&'a [u8], WireError> {
        let split = usize::try_from(length)
            .ok()
            .and_then(|length| self.bytes.split_at_checked(length));
        match split {
            Some((bytes, rest)) => {
                self.bytes = rest;
                Ok(bytes)
            }
            None => Err(self.short(field, length)),
        }
    }

    /// A string that takes `length` bytes, the last of which must be NUL. It
    /// ends at its *first* NUL; what follows that is ignored, as peers do.
    pub fn name(&mut self, field: &'static str, length: u64) -> Result<&'a [u8], WireError> {
        let mut after = self.clone();
        let bytes = after.bytes(field, length)?;
        if bytes.last() != Some(&0) {
            return Err(WireError::Unterminated { field });
        }
        *self = after;
        until_nul(field, bytes)
    }

    /// A string in a field of `size` bytes that must hold a NUL.
    pub fn fixed_name(&mut self, field: &'static str, size: u64) -> Result<&'a [u8], WireError> {
        let mut after = self.clone();
        let name = until_nul(field, after.bytes(field, size)?)?;
        *self = after;
        Ok(name)
    }

    /// Everything that was not read yet.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.bytes)
    }

    /// Number of bytes that were not read yet.
    pub fn remaining(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn short(&self, field: &'static str, needed: u64) -> WireError {
        WireError::Short {
            field,
            needed,
            left: self.remaining(),
        }
    }
}

/// Refuses a `length` outside of `min..=max`.
pub fn check_length(field: &'static str, length: u64, min: u64, max: u64) -> Result<(), WireError> {
    if (min..=max).contains(&length) {
        return Ok(());
    }
    Err(WireError::Length {
        field,
        length,
        min,
        max,
    })
}

/// Runs a decoder over bytes of which more may be coming: `Ok(None)` when it
/// wants more than there is, else its value and the number of bytes it used.
pub fn partial<'a, T>(
    bytes: &'a [u8],
    decode: impl FnOnce(&mut Reader<'a>) -> Result<T, WireError>,
) -> Result<Option<(T, usize)>, WireError> {
    let mut reader = Reader::new(bytes);
    match decode(&mut reader) {
        Ok(value) => Ok(Some((value, bytes.len() - reader.bytes.len()))),
        Err(WireError::Short { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Appends one byte.
pub fn put_u8(out: &mut Vec<u8>, value: u8) {
    out.push(value);
}

/// Appends a boolean of one byte.
pub fn put_flag(out: &mut Vec<u8>, value: bool) {
    out.push(u8::from(value));
}

/// Appends a 32-bit integer.
pub fn put_u32(out: &mut Vec<u8>, value: u32) {
    let mut bytes = [0; 4];
    BigEndian::write_u32(&mut bytes, value);
    out.extend_from_slice(&bytes);
}

/// Appends a 64-bit integer.
pub fn put_u64(out: &mut Vec<u8>, value: u64) {
    let mut bytes = [0; 8];
    BigEndian::write_u64(&mut bytes, value);
    out.extend_from_slice(&bytes);
}

/// Appends the byte that says whether a value is set, then the value, 0 if it
/// is not set.
pub fn put_optional_u64(out: &mut Vec<u8>, value: Option<u64>) {
    put_flag(out, value.is_some());
    put_u64(out, value.unwrap_or(0));
}

/// Appends the byte that says whether a value is set, then the value, 0 if it
/// is not set.
pub fn put_optional_u32(out: &mut Vec<u8>, value: Option<u32>) {
    put_flag(out, value.is_some());
    put_u32(out, value.unwrap_or(0));
}

/// Appends `count` zero bytes.
pub fn put_zeros(out: &mut Vec<u8>, count: usize) {
    out.resize(out.len().saturating_add(count), 0);
}

/// Appends a string and its NUL.
pub fn put_name(out: &mut Vec<u8>, name: &[u8]) {
    out.extend_from_slice(name);
    out.push(0);
}

/// Length of a string with its NUL, as the fields before it give it.
pub fn length_with_nul(name: &[u8]) -> u32 {
    (name.len() + 1) as u32
}

/// Appends a string in a field of `size` bytes: cut to `size - 1` bytes, and
/// zeros to the end of the field, so that nothing of ours leaks in the rest.
pub fn put_fixed_name(out: &mut Vec<u8>, name: &[u8], size: usize) {
    let name = truncated(name, size.saturating_sub(1));
    out.extend_from_slice(name);
    put_zeros(out, size - name.len());
}

/// The first `length_max` bytes of `bytes`, or all of them.
pub fn truncated(bytes: &[u8], length_max: usize) -> &[u8] {
    bytes.get(..length_max).unwrap_or(bytes)
}

fn until_nul<'a>(field: &'static str, bytes: &'a [u8]) -> Result<&'a [u8], WireError> {
    bytes
        .split(|byte| *byte == 0)
        .next()
        .filter(|name| name.len() < bytes.len())
        .ok_or(WireError::Unterminated { field })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn integers_are_big_endian() {
        let mut out = Vec::new();
        put_u8(&mut out, 7);
        put_u32(&mut out, 0x0102_0304);
        put_u64(&mut out, 0x0506_0708_090a_0b0c);
        assert_eq!(out, [7, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        let mut reader = Reader::new(&out);
        assert_eq!(reader.u8("a"), Ok(7));
        assert_eq!(reader.u32("b"), Ok(0x0102_0304));
        assert_eq!(reader.remaining(), 8);
        assert_eq!(reader.u64("c"), Ok(0x0506_0708_090a_0b0c));
        assert_eq!(reader.remaining(), 0);
    }

    #[test]
    fn optional_values_take_their_bytes_even_when_unset() {
        let mut out = Vec::new();
        put_optional_u64(&mut out, None);
        put_optional_u64(&mut out, Some(0));
        put_optional_u32(&mut out, None);
        put_optional_u32(&mut out, Some(9));
        assert_eq!(out.len(), 28);
        let mut reader = Reader::new(&out);
        assert_eq!(reader.optional_u64("a"), Ok(None));
        assert_eq!(reader.optional_u64("b"), Ok(Some(0)));
        assert_eq!(reader.optional_u32("c"), Ok(None));
        assert_eq!(reader.optional_u32("d"), Ok(Some(9)));

        // Any non-zero byte is true, and the value of an unset one is ignored.
        let mut reader = Reader::new(&[0x80, 0, 0, 0, 1, 0, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(reader.optional_u32("e"), Ok(Some(1)));
        assert_eq!(reader.optional_u32("f"), Ok(None));
    }

    #[test]
    fn a_failed_read_consumes_nothing_and_names_its_field() {
        let mut reader = Reader::new(&[1, 2, 3]);
        let error = reader.u32("stream_id").unwrap_err();
        assert_eq!(error.to_string(), "`stream_id` needs 4 bytes, 3 are left");
        assert!(reader.bytes("b", u64::MAX).is_err());
        assert!(reader.name("n", 2).is_err());
        assert!(reader.fixed_name("n", 3).is_err());
        assert_eq!(reader.rest(), [1, 2, 3]);
        assert_eq!(reader.rest(), []);
    }

    #[test]
    fn names_end_at_their_first_nul_and_at_the_last_byte() {
        let unterminated = Err(WireError::Unterminated { field: "n" });
        assert_eq!(Reader::new(b"ab\0").name("n", 3), Ok(&b"ab"[..]));
        assert_eq!(Reader::new(b"a\0b\0").name("n", 4), Ok(&b"a"[..]));
        assert_eq!(Reader::new(b"\0").name("n", 1), Ok(&b""[..]));
        assert_eq!(Reader::new(b"a\0b").name("n", 3), unterminated);
        assert_eq!(Reader::new(b"a").name("n", 0), unterminated);
        assert_eq!(Reader::new(b"a\0b").fixed_name("n", 3), Ok(&b"a"[..]));
        assert_eq!(Reader::new(b"abc").fixed_name("n", 3), unterminated);
        assert_eq!(Reader::new(b"").fixed_name("n", 0), unterminated);
    }

    #[test]
    fn fixed_names_are_cut_and_zero_filled() {
        let mut out = Vec::new();
        put_fixed_name(&mut out, b"ab", 4);
        put_fixed_name(&mut out, b"abcd", 4);
        put_fixed_name(&mut out, b"x", 0);
        assert_eq!(out, b"ab\0\0abc\0");
    }

    #[test]
    fn partial_asks_for_more_only_when_bytes_are_missing() {
        let decode = |reader: &mut Reader<'_>| {
            let length = reader.u8("length")?;
            check_length("length", u64::from(length), 1, 2)?;
            reader.bytes("bytes", u64::from(length)).map(<[u8]>::to_vec)
        };
        assert_eq!(partial(&[], decode), Ok(None));
        assert_eq!(partial(&[2, 8], decode), Ok(None));
        assert_eq!(partial(&[2, 8, 9, 7], decode), Ok(Some((vec![8, 9], 3))));
        assert!(partial(&[3], decode).is_err());
    }

    proptest! {
        #[test]
        fn fixed_names_come_back(name in prop::collection::vec(1..=255_u8, 0..20)) {
            let mut out = Vec::new();
            put_fixed_name(&mut out, &name, 12);
            prop_assert_eq!(out.len(), 12);
            let mut reader = Reader::new(&out);
            prop_assert_eq!(reader.fixed_name("n", 12), Ok(truncated(&name, 11)));
        }
    }
}
