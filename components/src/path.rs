//! [`RelativePath`]: a path that cannot leave the directory it is relative to.
//!
//! Names come from peers as bytes. They become paths here and nowhere else, so
//! that what is forbidden (`..`, an absolute path, a `/` in a name, a NUL) is
//! decided in one place.

use std::fmt;
use std::sync::Arc;

/// Why bytes from a peer are not a path or a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    #[error("it is empty")]
    Empty,
    #[error("it begins with '/'")]
    Absolute,
    #[error("it has a component '..'")]
    Parent,
    #[error("a name cannot be '.', '..' or hold '/' or a NUL")]
    NotAName,
    #[error("it begins with '.'")]
    Hidden,
    #[error("it has a '.'")]
    Dot,
}

/// Names joined by single `/`, none of them `.` or `..`. The empty path is the
/// directory itself. Any bytes but NUL: names on disk are bytes.
///
/// Copies share their bytes: a file's path is known in several places.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelativePath(Arc<[u8]>);

impl RelativePath {
    /// The directory that paths are relative to.
    pub fn root() -> Self {
        Self::default()
    }

    /// Reads a path: repeated and trailing `/` and components `.` vanish.
    pub fn parse(bytes: &[u8]) -> Result<Self, PathError> {
        if bytes.first() == Some(&b'/') {
            return Err(PathError::Absolute);
        }
        let mut path = Vec::new();
        for component in bytes.split(|byte| *byte == b'/') {
            match component {
                b"" | b"." => {}
                b".." => return Err(PathError::Parent),
                name => {
                    check_name(name)?;
                    append(&mut path, name);
                }
            }
        }
        Ok(Self(path.into()))
    }

    /// This path and one more name.
    pub fn child(&self, name: impl AsRef<[u8]>) -> Result<Self, PathError> {
        check_name(name.as_ref())?;
        let mut path = self.0.to_vec();
        append(&mut path, name.as_ref());
        Ok(Self(path.into()))
    }

    /// This path and all of `other` below it.
    #[must_use]
    pub fn join(&self, other: &Self) -> Self {
        if other.is_root() {
            return self.clone();
        }
        let mut path = self.0.to_vec();
        append(&mut path, &other.0);
        Self(path.into())
    }

    /// The path without its last name; nothing for the root.
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        let end = self.0.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        Some(Self(self.0[..end].into()))
    }

    /// Whether the path is that directory, or leads through it.
    pub fn is_at_or_below(&self, directory: &Self) -> bool {
        let rest = self.0.strip_prefix(&*directory.0);
        rest.is_some_and(|rest| directory.is_root() || rest.is_empty() || rest.starts_with(b"/"))
    }

    /// The names of the path, first to last.
    pub fn components(&self) -> impl Iterator<Item = &[u8]> {
        self.0
            .split(|byte| *byte == b'/')
            .filter(|name| !name.is_empty())
    }

    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

fn append(path: &mut Vec<u8>, name: &[u8]) {
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
}

impl fmt::Display for RelativePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for RelativePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

/// Whether `name` can be the name of a file: one component, not special.
pub fn check_name(name: &[u8]) -> Result<(), PathError> {
    match name {
        b"" => Err(PathError::Empty),
        b"." | b".." => Err(PathError::NotAName),
        name if name.iter().any(|byte| matches!(byte, b'/' | 0)) => Err(PathError::NotAName),
        _ => Ok(()),
    }
}

/// Whether `name` can name a session or a host: a file name that is not hidden
/// (producer protocol, CREATE_SESSION).
pub fn check_visible_name(name: &[u8]) -> Result<(), PathError> {
    if name.first() == Some(&b'.') {
        return Err(PathError::Hidden);
    }
    check_name(name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> Result<String, PathError> {
        RelativePath::parse(text.as_bytes()).map(|path| path.to_string())
    }

    #[test]
    fn folds_what_does_not_matter() {
        assert_eq!(parsed("ust/uid/0/64-bit"), Ok("ust/uid/0/64-bit".into()));
        assert_eq!(parsed("a//b/./c/"), Ok("a/b/c".into()));
        assert_eq!(parsed(""), Ok(String::new()));
        assert_eq!(parsed("my..name/.hidden"), Ok("my..name/.hidden".into()));
    }

    #[test]
    fn refuses_what_leads_out() {
        assert_eq!(parsed("/etc"), Err(PathError::Absolute));
        assert_eq!(parsed(".."), Err(PathError::Parent));
        assert_eq!(parsed("a/../../b"), Err(PathError::Parent));
        assert_eq!(parsed("a/b/.."), Err(PathError::Parent));
        assert_eq!(RelativePath::root().child("a/b"), Err(PathError::NotAName));
        assert_eq!(RelativePath::root().child(".."), Err(PathError::NotAName));
        assert_eq!(check_visible_name(b".hidden"), Err(PathError::Hidden));
    }

    #[test]
    fn joins_and_splits() {
        let path = RelativePath::parse(b"host/session").unwrap();
        let below = path.join(&RelativePath::parse(b"ust/uid").unwrap());
        assert_eq!(below.to_string(), "host/session/ust/uid");
        assert_eq!(below.parent().unwrap().to_string(), "host/session/ust");
        assert_eq!(RelativePath::root().join(&path), path);
        assert_eq!(path.join(&RelativePath::root()), path);
        assert_eq!(RelativePath::root().parent(), None);
    }

    proptest! {
        #[test]
        fn no_bytes_lead_out(bytes in proptest::collection::vec(
            prop_oneof![Just(b'.'), Just(b'/'), any::<u8>()], 0..40)) {
            if let Ok(path) = RelativePath::parse(&bytes) {
                prop_assert!(!path.as_bytes().starts_with(b"/"));
                prop_assert!(path.components().all(|name| check_name(name).is_ok()));
                prop_assert_eq!(RelativePath::parse(path.as_bytes()), Ok(path.clone()));
            }
        }
    }
}
