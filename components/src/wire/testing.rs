//! Test helpers of this module tree.

use proptest::prelude::*;

/// Bytes of a string of hexadecimal digits and blanks.
pub fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u32> = digits.chars().filter_map(|c| c.to_digit(16)).collect();
    assert_eq!(digits.len() % 2, 0, "half a byte in {digits:?}");
    digits
        .as_chunks::<2>()
        .0
        .iter()
        .map(|[high, low]| (high * 16 + low) as u8)
        .collect()
}

/// Any name of at most `length_max` bytes; no NUL.
pub fn any_name(length_max: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(1..=255_u8, 0..=length_max)
}
