//! Locks on numbers: byte-range locks (`F_OFD_SETLK`) on a directory's descriptor.
//!
//! The kernel allows byte-range locks beyond the end of a file, and on directories. It
//! releases them with the descriptor, so with the process however it ends, and they are
//! visible across process namespaces (containers). A directory's descriptor can have shared
//! locks only: many processes may hold a number, and any process can test whether it is
//! held. One descriptor is enough for any number of locks; a lock on each of thousands of
//! directories would need thousands.

use std::os::fd::{AsFd, AsRawFd};
use std::{fmt, io};

/// A number that can be locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Number(i64);

impl Number {
    /// The number of a directory: its inode number, unique in a file system while the
    /// directory exists.
    pub fn of_inode(inode: u64) -> Self {
        Self::from(inode)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.0)
    }
}

/// Offsets of files have 63 bits.
impl From<u64> for Number {
    fn from(number: u64) -> Self {
        Self((number & (u64::MAX >> 1)).cast_signed())
    }
}

/// Locks a number until it is unlocked, or the descriptor is closed.
pub fn hold(directory: impl AsFd, number: Number) -> io::Result<()> {
    ask(&directory, libc::F_OFD_SETLK, libc::F_RDLCK, number.0, 1).map(drop)
}

pub fn let_go(directory: impl AsFd, number: Number) -> io::Result<()> {
    ask(&directory, libc::F_OFD_SETLK, libc::F_UNLCK, number.0, 1).map(drop)
}

/// Whether it is held through another descriptor.
pub fn is_held(directory: impl AsFd, number: Number) -> io::Result<bool> {
    ask(&directory, libc::F_OFD_GETLK, libc::F_WRLCK, number.0, 1)
}

/// Whether any number is held through another descriptor.
pub fn is_any_held(directory: impl AsFd) -> io::Result<bool> {
    let to_the_end = 0;
    ask(&directory, libc::F_OFD_GETLK, libc::F_WRLCK, 0, to_the_end)
}

/// Whether the kernel reports a conflicting lock.
fn ask(
    directory: &impl AsFd,
    command: libc::c_int,
    kind: libc::c_int,
    first: i64,
    length: i64,
) -> io::Result<bool> {
    let mut lock = libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: first,
        l_len: length,
        l_pid: 0,
    };
    // SAFETY: the descriptor is open while it is borrowed, and these commands read and
    // write one `flock`, which outlives the call.
    let outcome = unsafe { libc::fcntl(directory.as_fd().as_raw_fd(), command, &raw mut lock) };
    if outcome == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(lock.l_type != libc::F_UNLCK as libc::c_short)
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn a_number_is_held_until_its_last_handle_lets_go() {
        let directory = tempfile::tempdir().unwrap();
        let [one, other, third] = [(); 3].map(|()| File::open(directory.path()).unwrap());
        let numbers = [0, 5, 6, u64::MAX].map(Number::from);
        assert!(!is_any_held(&third).unwrap());
        for number in numbers {
            hold(&one, number).unwrap();
            hold(&other, number).unwrap();
        }
        assert!(is_any_held(&third).unwrap());
        assert!(!is_held(&third, Number::from(7)).unwrap());
        let_go(&one, numbers[1]).unwrap();
        drop(other);
        assert!(!is_held(&third, numbers[1]).unwrap());
        for number in [numbers[0], numbers[2], numbers[3]] {
            assert!(is_held(&third, number).unwrap(), "{number:?}");
            assert!(!is_held(&one, number).unwrap(), "{number:?}: its own");
        }
        drop(one);
        assert!(!is_any_held(&third).unwrap());
    }
}
