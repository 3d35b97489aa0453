//! Where traces go: to a directory, or to memory.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use baton_systems::settings::Amount;

use super::amounts::amount;
use super::value::{OptionError, Value, absolute};
use super::{Face, Spec};

/// The place of traces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    Directory(PathBuf),
    /// Bytes of memory; all is gone when the relay ends.
    Memory(u64),
}

impl Output {
    /// Reads the value `of` an option or a variable. A directory becomes absolute.
    pub fn parse(of: &str, text: &OsStr) -> Result<Self, OptionError> {
        let Some(size) = text.as_bytes().strip_prefix(MEMORY) else {
            return Ok(Self::Directory(absolute(of, text.into())?));
        };
        let size = String::from_utf8_lossy(size);
        match amount(&size) {
            Some(Amount::Bytes(bytes @ MEMORY_MIN_BYTES..)) => Ok(Self::Memory(bytes)),
            _ => Err(OptionError::Memory {
                of: of.to_owned(),
                size: size.into_owned(),
            }),
        }
    }

    /// None: it is memory.
    pub fn directory(&self) -> Option<&Path> {
        match self {
            Self::Directory(path) => Some(path),
            Self::Memory(_) => None,
        }
    }

    /// As it is given on a command line.
    pub fn as_os_string(&self) -> std::ffi::OsString {
        match self {
            Self::Directory(path) => path.into(),
            Self::Memory(_) => self.to_string().into(),
        }
    }
}

impl fmt::Display for Output {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => path.display().fmt(formatter),
            Self::Memory(bytes) => write!(formatter, "memory:{}", Amount::Bytes(*bytes).show()),
        }
    }
}

/// The prefix of a size. A directory of such a name is given as `./memory:…`.
const MEMORY: &[u8] = b"memory:";
/// Below it a trace would keep a few packets.
const MEMORY_MIN_BYTES: u64 = 4 << 20;

/// The place that was asked for; none: the default.
#[derive(Clone, Debug, Default)]
pub struct TracesPlace(pub Option<Output>);

impl Value for TracesPlace {
    /// Under the original's name the path of a directory must be absolute.
    fn read(&mut self, spec: &Spec, value: Option<&OsStr>, face: Face) -> Result<(), OptionError> {
        let text = value.unwrap_or_default();
        let is_memory = text.as_bytes().starts_with(MEMORY);
        if face == Face::LttngRelayd && !is_memory && !Path::new(text).is_absolute() {
            return Err(OptionError::RelativeOutput);
        }
        self.0 = Some(Output::parse(&format!("--{}", spec.long), text)?);
        Ok(())
    }

    fn show(&self) -> String {
        self.0.as_ref().map_or("-".to_owned(), ToString::to_string)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_has_a_size_and_a_path_has_none() {
        let parsed = |text: &str| Output::parse("--output", text.as_ref());
        assert_eq!(parsed("memory:256M").unwrap(), Output::Memory(256 << 20));
        assert_eq!(parsed("memory:1G").unwrap().to_string(), "memory:1G");
        for path in ["/traces", "/memory:256M", "./memory:256M"] {
            let output = parsed(path).unwrap();
            assert!(output.directory().is_some_and(Path::is_absolute), "{path}");
        }
        for wrong in ["memory:", "memory:0", "memory:5%", "memory:1M", "memory:x"] {
            let error = parsed(wrong).unwrap_err().to_string();
            assert!(error.contains("memory:256M"), "{error}");
        }
    }
}
