//! Which files of a chunk go into which objects.

use crate::chunk::LocalFile;
use crate::keys;

/// An object to be: its name, and its files by their places in the list of the chunk's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    pub name: String,
    pub files: Vec<usize>,
    /// Size of all its files.
    pub bytes: u64,
}

/// The objects of a chunk. Each file has its own, except that the small ones of a chunk with
/// very many files share some.
pub fn plan(files: &[LocalFile]) -> Vec<Planned> {
    let mut objects: Vec<Planned> = Vec::new();
    let is_many = files.len() > FEW;
    let mut packs = 0;
    let mut open: Option<usize> = None;
    for (at, file) in files.iter().enumerate() {
        if is_many && file.bytes < SMALL {
            let has_room = |it: &Planned| it.bytes + file.bytes <= PACK_BYTES;
            if open.is_none_or(|pack| !has_room(&objects[pack])) {
                open = Some(objects.len());
                objects.push(Planned {
                    name: format!("pack-{packs:05}"),
                    files: Vec::new(),
                    bytes: 0,
                });
                packs += 1;
            }
            if let Some(pack) = open.and_then(|open| objects.get_mut(open)) {
                pack.files.push(at);
                pack.bytes += file.bytes;
            }
            continue;
        }
        let suffix = if file.is_data() { ".zst" } else { "" };
        let path = keys::encode_path(&file.path);
        let name = if path.len() > keys::OBJECT_BYTES_MAX {
            // The manifest has the path.
            format!("long-{at:05}{suffix}")
        } else {
            format!("{path}{suffix}")
        };
        objects.push(Planned {
            name,
            files: vec![at],
            bytes: file.bytes,
        });
    }
    objects
}

/// With more files than this, small ones share objects.
const FEW: usize = 100;
const SMALL: u64 = 1 << 20;
const PACK_BYTES: u64 = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use baton_components::path::RelativePath;

    fn file(path: &str, bytes: u64) -> LocalFile {
        LocalFile {
            path: RelativePath::parse(path.as_bytes()).unwrap(),
            bytes,
            modified_ns: 0,
        }
    }

    #[test]
    fn each_of_few_files_is_an_object() {
        let files = ["ust/x/ch_0", "ust/x/index/ch_0.idx", "ust/x/metadata"];
        let plan = plan(&files.map(|path| file(path, 1)));
        let names: Vec<_> = plan.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(
            names,
            ["ust/x/ch_0.zst", "ust/x/index/ch_0.idx", "ust/x/metadata"]
        );
    }

    #[test]
    fn a_name_that_is_too_long_for_a_key_is_a_number() {
        let long = format!("ust/{0}/{0}_0", "ö".repeat(100));
        let plan = plan(&["ust/x/ch_0", &long].map(|path| file(path, 1)));
        let names: Vec<_> = plan.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["ust/x/ch_0.zst", "long-00001.zst"]);
    }

    #[test]
    fn small_ones_of_many_files_share_objects() {
        let mut files: Vec<_> = (0..5000)
            .map(|it| file(&format!("ust/{it}"), 4096))
            .collect();
        files.push(file("ust/large", 2 << 20));
        let plan = plan(&files);
        assert!(plan.len() < 10, "{}", plan.len());
        assert!(plan.iter().all(|it| it.bytes <= PACK_BYTES));
        let mut all: Vec<_> = plan.iter().flat_map(|it| it.files.clone()).collect();
        all.sort_unstable();
        assert_eq!(all, (0..files.len()).collect::<Vec<_>>());
    }
}
