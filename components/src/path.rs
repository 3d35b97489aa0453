//! [`RelativePath`]: a path that cannot leave the directory it is relative to.
//!
//! Names come from peers as bytes. They become paths in this module only, so path traversal
//! (`..`, an absolute path, a `/` in a name, a NUL) is refused in one place.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::iter::successors;

use triomphe::ThinArc;

use crate::shown::Shown;

/// The reason why bytes from a peer are refused as a path or a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// No name, where one is needed.
    #[error("it is empty")]
    Empty,
    /// An absolute path.
    #[error("it begins with '/'")]
    Absolute,
    /// A component `..`, which could leave the directory.
    #[error("it has a component '..'")]
    Parent,
    /// A name that is no file name: it is special, or has a `/` or a NUL.
    #[error("a name cannot be '.', '..' or hold '/' or a NUL")]
    NotAName,
    /// A name of a session or a host that begins with a dot: readers would skip its traces.
    #[error("it begins with '.'")]
    Hidden,
    /// A name that begins with [`OWN_PREFIX`].
    #[error("names that begin with '.baton-' are reserved for the relay")]
    Own,
    /// A name of a chunk that has a dot.
    #[error("it has a '.'")]
    Dot,
    /// A name of a chunk that is `archives`, the directory of the session's archives.
    #[error("archives of the session are there")]
    Archives,
}

/// Names joined by single `/`, none of them `.` or `..`. The empty path is the
/// directory itself. Any bytes but NUL: names on disk are bytes.
///
/// Clones share their bytes, and so do parents, and paths relative to a directory: several
/// records have a file's path, and each directory of a deep path has a part of it.
#[derive(Clone)]
pub struct RelativePath {
    bytes: ThinArc<(), u8>,
    /// Offsets of the path in these bytes.
    begin: u32,
    end: u32,
}

impl RelativePath {
    /// The directory that paths are relative to.
    pub fn root() -> Self {
        Self::of(&[])
    }

    fn of(bytes: &[u8]) -> Self {
        Self {
            bytes: ThinArc::from_header_and_slice((), bytes),
            begin: 0,
            end: offset(bytes.len()),
        }
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
        Ok(Self::of(&path))
    }

    /// A path of the relay's own, which no peer can name: hidden, at or below `.baton-NAME`.
    /// `rest`: what follows the prefix.
    pub fn own(rest: &str) -> Self {
        Self::of(format!("{OWN_PREFIX}{rest}").as_bytes())
    }

    /// The marks of `baton keep` that keep this directory: in it, and in those above.
    pub fn pins(&self) -> impl Iterator<Item = Self> {
        let directories = successors(Some(self.clone()), Self::parent);
        directories.map(|directory| directory.join(&Self::own(KEEP)))
    }

    /// This path with one more name.
    pub fn child(&self, name: impl AsRef<[u8]>) -> Result<Self, PathError> {
        check_name(name.as_ref())?;
        let mut path = self.as_bytes().to_vec();
        append(&mut path, name.as_ref());
        Ok(Self::of(&path))
    }

    /// This path and all of `other` below it.
    #[must_use]
    pub fn join(&self, other: &Self) -> Self {
        if other.is_root() {
            return self.clone();
        }
        let mut path = self.as_bytes().to_vec();
        append(&mut path, other.as_bytes());
        Self::of(&path)
    }

    /// The path without its last name; none for the root.
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        let bytes = self.as_bytes();
        let length = bytes.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        Some(Self {
            end: self.begin + offset(length),
            ..self.clone()
        })
    }

    /// The first name of a path that has several.
    pub fn top_above(&self) -> Option<Self> {
        let length = self.as_bytes().iter().position(|byte| *byte == b'/')?;
        Some(Self {
            end: self.begin + offset(length),
            ..self.clone()
        })
    }

    /// A name after all paths below this one, in their order, and before the next other.
    #[must_use]
    pub fn after_all_below(&self) -> Self {
        Self::of(&[self.as_bytes(), &[b'/' + 1]].concat())
    }

    /// Whether the path is that directory, or leads through it.
    pub fn is_at_or_below(&self, directory: &Self) -> bool {
        self.below(directory).is_some()
    }

    /// The path relative to a directory that it is, or leads through.
    pub fn below(&self, directory: &Self) -> Option<Self> {
        let rest = self.as_bytes().strip_prefix(directory.as_bytes())?;
        let rest = match rest.strip_prefix(b"/") {
            Some(below) => below,
            None if directory.is_root() || rest.is_empty() => rest,
            None => return None,
        };
        Some(Self {
            begin: self.end - offset(rest.len()),
            ..self.clone()
        })
    }

    /// Its last name; nothing for the root.
    pub fn name(&self) -> &[u8] {
        let bytes = self.as_bytes();
        let before = bytes.iter().rposition(|byte| *byte == b'/');
        &bytes[before.map_or(0, |at| at + 1)..]
    }

    /// Its names as paths of their own, first to last, which share its bytes.
    pub fn names(&self) -> impl Iterator<Item = Self> {
        let mut begin = self.begin;
        self.components().map(move |name| {
            let end = begin + offset(name.len());
            let name = Self {
                begin,
                end,
                ..self.clone()
            };
            begin = end + 1;
            name
        })
    }

    /// The names of the path, first to last.
    pub fn components(&self) -> impl Iterator<Item = &[u8]> {
        self.as_bytes()
            .split(|byte| *byte == b'/')
            .filter(|name| !name.is_empty())
    }

    /// The path as a file system has it: names that are too long are [`shortened`], and
    /// of a path that is longer than `bytes_max`, or has more names than `names_max`, the last
    /// names become one, `~` and the hash of the whole path.
    #[must_use]
    pub fn fitted(&self, bytes_max: usize, names_max: usize) -> Self {
        let mut path = Vec::new();
        let is_deep = self.components().nth(names_max).is_some();
        let kept = if is_deep { names_max - 1 } else { names_max };
        for name in self.components().take(kept) {
            append(&mut path, &shortened(name, NAME_BYTES_MAX));
        }
        if is_deep {
            append(&mut path, hashed(self.as_bytes()).as_bytes());
        }
        if path.len() > bytes_max {
            let hash = hashed(self.as_bytes());
            let room = bytes_max - 1 - hash.len();
            let end = path[..=room].iter().rposition(|byte| *byte == b'/');
            path.truncate(end.unwrap_or(0));
            append(&mut path, hash.as_bytes());
        }
        Self::of(&path)
    }

    /// Whether it is the empty path, the directory itself.
    pub fn is_root(&self) -> bool {
        self.as_bytes().is_empty()
    }

    /// The path as the system calls take it, without a NUL at the end.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes.slice[self.begin as usize..self.end as usize]
    }
}

impl Default for RelativePath {
    fn default() -> Self {
        Self::root()
    }
}

impl PartialEq for RelativePath {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for RelativePath {}

impl PartialOrd for RelativePath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for RelativePath {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for RelativePath {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

fn offset(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("law: a path is no longer than a message")
}

fn append(path: &mut Vec<u8>, name: &[u8]) {
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
}

impl fmt::Display for RelativePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        Shown(self.as_bytes()).fmt(formatter)
    }
}

impl fmt::Debug for RelativePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&Shown(self.as_bytes()), formatter)
    }
}

/// Prefix of the relay's own files in the output directory: the sign of a relay that
/// records, and the bytes that a repair cuts off. Readers ignore hidden files, and peers
/// cannot use the prefix.
pub const OWN_PREFIX: &str = ".baton-";
/// The mark of `baton keep`, after [`OWN_PREFIX`]: nothing at or below its directory is removed.
pub const KEEP: &str = "keep";
/// Maximum length of a name in file systems, in bytes.
pub const NAME_BYTES_MAX: usize = 255;

/// A name, or if it is too long, its begin with a hash of the whole name: different names
/// stay different, and the same name always gives the same result.
pub fn shortened(name: &[u8], room: usize) -> Cow<'_, [u8]> {
    if name.len() <= room {
        return name.into();
    }
    let hash = hashed(name);
    let mut end = room - hash.len();
    // Not in the middle of a character.
    while end > 0 && name[end] & 0xc0 == 0x80 {
        end -= 1;
    }
    [&name[..end], hash.as_bytes()].concat().into()
}

/// Replacement of the rest of a name: the 64-bit FNV-1a hash. It must be stable between
/// versions of this program.
fn hashed(name: &[u8]) -> String {
    let hash = name.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("~{hash:016x}")
}

/// Checks that `name` can be the name of a file: one component, not special.
pub fn check_name(name: &[u8]) -> Result<(), PathError> {
    match name {
        b"" => Err(PathError::Empty),
        b"." | b".." => Err(PathError::NotAName),
        name if name.iter().any(|byte| matches!(byte, b'/' | 0)) => Err(PathError::NotAName),
        name if name.starts_with(OWN_PREFIX.as_bytes()) => Err(PathError::Own),
        _ => Ok(()),
    }
}

/// Checks that `name` can be the name of a session or a host: a file name that is not
/// hidden (producer protocol, CREATE_SESSION).
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
        assert_eq!(parsed("host/.baton-recording-0/a"), Err(PathError::Own));
        assert_eq!(parsed("host/.baton"), Ok("host/.baton".into()));
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

    #[test]
    fn the_part_below_a_directory_is_a_path() {
        let path = |text: &str| RelativePath::parse(text.as_bytes()).unwrap();
        for (whole, directory, below) in [
            ("a/b/c", "", Some("a/b/c")),
            ("a/b/c", "a", Some("b/c")),
            ("a/b/c", "a/b/c", Some("")),
            ("", "", Some("")),
            ("a/bc", "a/b", None),
            ("a", "a/b", None),
        ] {
            let found = path(whole).below(&path(directory));
            assert_eq!(found, below.map(path), "{whole} below {directory}");
        }
        let twice = path("a/b/c").below(&path("a")).unwrap().below(&path("b"));
        assert_eq!(twice, Some(path("c")));
    }

    #[test]
    fn a_name_that_is_too_long_keeps_its_begin() {
        assert_eq!(&*shortened(b"foobar", 6), b"foobar");
        let long = [&[b'n'; 236][..], "ü".as_bytes(), &[b'n'; 20]].concat();
        // The hash of "foobar" is known.
        assert_eq!(hashed(b"foobar"), "~85944171f73967e8");
        let short = shortened(&long, 254);
        assert_eq!(short.len(), 253);
        assert_eq!(short[..236], long[..236]);
        assert_eq!(short[236..], *hashed(&long).as_bytes());
        assert_eq!(shortened(&long, 255).len(), 255);
    }

    proptest! {
        #[test]
        fn what_is_fitted_fits(
            names in prop::collection::vec((1..600_usize, any::<bool>()), 1..20),
            bytes_max in 600..3_000_usize,
            names_max in 2..25_usize,
        ) {
            let names: Vec<_> = names
                .iter()
                .map(|(length, umlaut)| if *umlaut { "ü" } else { "n" }.repeat(*length))
                .collect();
            let path = RelativePath::parse(names.join("/").as_bytes()).unwrap();
            let fitted = path.fitted(bytes_max, names_max);
            prop_assert!(fitted.as_bytes().len() <= bytes_max);
            prop_assert!(fitted.components().count() <= names_max);
            prop_assert!(std::str::from_utf8(fitted.as_bytes()).is_ok());
            prop_assert!(fitted.components().all(|name| name.len() <= NAME_BYTES_MAX));
            prop_assert_eq!(&fitted.fitted(bytes_max, names_max), &fitted);
            let other = path.join(&RelativePath::parse(b"n").unwrap());
            prop_assert_ne!(other.fitted(bytes_max, names_max), fitted);
        }

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
