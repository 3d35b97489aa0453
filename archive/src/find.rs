//! Finds the chunks below a directory: those with traces, of Baton or another relay.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use baton::trace::slices::METADATA;
use baton_components::path::RelativePath;

use crate::Error;
use crate::chunk::{Chunk, DOMAINS};
use crate::mark::MARK;

/// The entries below a directory.
#[derive(Debug, Default)]
pub struct Found {
    /// In the order of their paths.
    pub chunks: Vec<Chunk>,
    /// Directories that could not be read.
    pub failures: Vec<Error>,
}

/// Walks a directory, without following symbolic links. Hidden directories are those of a
/// rotation that is not over.
pub fn find(output: &Path) -> Result<Found, Error> {
    let fault = Error::file("cannot read", output);
    let absolute = output.canonicalize().map_err(&fault)?;
    let mut found = Found::default();
    walk(&absolute, &RelativePath::root(), DEPTH_MAX, &mut found);
    match found.failures.iter().position(|it| is_of(it, &absolute)) {
        Some(at) => Err(found.failures.swap_remove(at)),
        None => Ok(found),
    }
}

fn is_of(error: &Error, directory: &Path) -> bool {
    matches!(error, Error::File { path, .. } if path == directory)
}

fn walk(directory: &Path, path: &RelativePath, depth: u32, found: &mut Found) {
    let names = match directories(directory) {
        Ok(names) => names,
        // It was removed or renamed meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_root() => return,
        Err(error) => {
            let fault = Error::file("cannot read", directory);
            return found.failures.push(fault(error));
        }
    };
    let is_domain = |name: &str| names.iter().any(|it| it == name) && has_traces(directory, name);
    let domains = DOMAINS.map(is_domain);
    if domains.contains(&true)
        && let Some(path) = named(directory, path)
    {
        let root = directory.to_owned();
        found.chunks.push(Chunk { root, path });
    }
    for name in names {
        let is_domain = DOMAINS
            .iter()
            .zip(domains)
            .any(|(it, is)| is && name == *it);
        if !is_domain
            && depth > 0
            && let Ok(path) = path.child(name.as_bytes())
        {
            walk(&directory.join(&name), &path, depth - 1, found);
        }
    }
}

/// Names of the directories in a directory, sorted; not the hidden ones.
fn directories(directory: &Path) -> io::Result<Vec<std::ffi::OsString>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let is_hidden = entry.file_name().as_bytes().starts_with(b".");
        if !is_hidden && entry.file_type()?.is_dir() {
            names.push(entry.file_name());
        }
    }
    names.sort();
    Ok(names)
}

/// Whether it is a domain's directory, and not a host or a session of that name. One in a chunk
/// that is being removed may have lost what tells.
fn has_traces(directory: &Path, domain: &str) -> bool {
    if directory.join(MARK).exists() {
        return true;
    }
    let directory = directory.join(domain);
    let below = ["uid", "pid", METADATA];
    below.iter().any(|name| directory.join(name).exists())
}

/// The path of a chunk; its name if it is what was given itself.
fn named(directory: &Path, path: &RelativePath) -> Option<RelativePath> {
    if !path.is_root() {
        return Some(path.clone());
    }
    let name = directory.file_name()?;
    RelativePath::root().child(name.as_bytes()).ok()
}

/// Limit of nested directories: a session's path may have a few.
const DEPTH_MAX: u32 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_found_at_any_depth_and_hosts_may_be_called_like_domains() {
        let output = tempfile::tempdir().unwrap();
        let rotated = "h/s/archives/20261122T070017+0000-20261122T070018+0000-0";
        for path in [
            "h/s/ust/uid/0/64-bit/index",
            &format!("{rotated}/ust/pid/app-1-20261122-070017/index"),
            "h/s/.tmp_old_chunk/ust/uid/0/64-bit",
            "kernel/one/ust/uid/0/64-bit",
            "x/y/empty",
        ] {
            fs::create_dir_all(output.path().join(path)).unwrap();
        }
        fs::create_dir_all(output.path().join("ust/two/kernel")).unwrap();
        fs::write(output.path().join("ust/two/kernel/metadata"), "x").unwrap();
        std::os::unix::fs::symlink(output.path().join("h"), output.path().join("link")).unwrap();
        let found = find(output.path()).unwrap();
        let paths: Vec<_> = found.chunks.iter().map(|it| it.path.as_bytes()).collect();
        let expected = ["h/s", rotated, "kernel/one", "ust/two"].map(str::as_bytes);
        assert_eq!(paths, expected);
        let found = find(&output.path().join("h/s")).unwrap();
        assert_eq!(found.chunks[0].path.as_bytes(), b"s");
        assert!(find(&output.path().join("missing")).is_err());
    }
}
