//! `baton prune`: removes what is old from an archive. The manifest goes first, so what is
//! listed as whole is whole; the head goes last, so a prune that was killed goes on.

use std::time::Duration;

use baton_components::shown::Size;
use jiff::Timestamp;

use crate::keys::{self, Directory};
use crate::list::{self, Filter};
use crate::manifest::Head;
use crate::store::{Patience, Place, Store};
use crate::{Error, say};

/// The options of `baton prune`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub place: Place,
    /// Chunks that ended longer ago are removed.
    pub max_age: Duration,
    pub filter: Filter,
    pub dry_run: bool,
    pub patience: Patience,
}

/// Returns whether all that is old is gone.
pub fn run(plan: &Plan) -> Result<bool, Error> {
    let store = Store::open(&plan.place, plan.patience)?;
    store.check()?;
    let limit = Timestamp::now() - jiff::SignedDuration::try_from(plan.max_age).unwrap_or_default();
    let mut old = Vec::new();
    let is_whole = list::each_head(&store, None, |key, head| {
        if head.end < limit && plan.filter.takes(&head) {
            old.push((key, head));
        }
    })?;
    let (mut failed, mut bytes) = (0_u64, 0);
    let mut chunks = 0_u64;
    for (key, head) in old {
        let path = head.shown();
        let size = Size(head.stored_bytes);
        if !plan.dry_run
            && let Err(error) = remove(&store, &key, &head)
        {
            failed += 1;
            say(format_args!("baton prune: {path} is not removed: {error}"));
            continue;
        }
        chunks += 1;
        bytes += head.stored_bytes;
        let what = if plan.dry_run {
            "would be removed"
        } else {
            "removed"
        };
        baton::print(format_args!("{path}: {what}, {size}\n"))?;
    }
    let noun = if chunks == 1 { "chunk" } else { "chunks" };
    let what = if plan.dry_run { "to remove" } else { "removed" };
    baton::print(format_args!("{chunks} {noun} {what}, {}\n", Size(bytes)))?;
    Ok(is_whole && failed == 0)
}

fn remove(store: &Store, key: &str, head: &Head) -> Result<(), Error> {
    // A head from elsewhere must not name the objects of another.
    let directory = Directory::parse(&head.directory).filter(|directory| {
        let own = keys::head(head.end, &head.host, &head.session, &head.id);
        own == key && directory.is_of(&head.host, &head.session, &head.id)
    });
    let directory = directory.ok_or_else(|| Error::Manifest {
        key: key.to_owned(),
        reason: "it does not belong to this key".to_owned(),
    })?;
    store.remove(&directory.manifest())?;
    let mut keys = Vec::new();
    store.list(&directory.object(""), None, |listed| {
        keys.push(listed.key);
        Ok::<_, Error>(())
    })?;
    for key in keys {
        store.remove(&key)?;
    }
    Ok(store.remove(key)?)
}
