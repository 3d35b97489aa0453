//! Options of a relay without a disk (`--output memory:SIZE`).

use baton_systems::settings::{Amount, MinFree, SyncWhen};

use crate::journal::block::Payload;
use crate::options::Options;

/// An option that needs a disk.
#[derive(Debug, thiserror::Error)]
pub enum InMemoryError {
    #[error("--durable-replies needs a disk, and --output memory:SIZE has none: leave one out")]
    DurableReplies,
    #[error(
        "--max-size is a cap on a disk, and --output memory:SIZE is a cap itself: leave --max-size out"
    )]
    Cap,
    #[error(
        "--journal-payload reference needs the trace files, and --output memory:SIZE leaves none: \
         choose --journal-payload copy"
    )]
    Journal,
}

/// Sets what is different without a disk: the memory is the cap, and there is no reserve and
/// nothing to sync.
pub fn settle(options: &mut Options, bytes: u64) -> Result<(), InMemoryError> {
    if options.journal.is_some() && options.journal_payload == Payload::Reference {
        return Err(InMemoryError::Journal);
    }
    let settings = &mut options.settings;
    if settings.durable_replies {
        return Err(InMemoryError::DurableReplies);
    }
    if settings.max_size != Amount::Unlimited {
        return Err(InMemoryError::Cap);
    }
    settings.max_size = Amount::Bytes(bytes);
    settings.min_free = MinFree::default();
    settings.sync = SyncWhen::Never;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_the_cap_and_nothing_is_synced_or_kept_free() {
        let mut options = Options::default();
        options.settings.sync = SyncWhen::Chunk;
        options.settings.min_free = MinFree::Auto;
        settle(&mut options, 32 << 20).unwrap();
        let settings = &options.settings;
        assert_eq!(settings.max_size, Amount::Bytes(32 << 20));
        assert_eq!((settings.min_free, settings.sync), Default::default());
        // Some options cannot be kept together with it.
        let refused = |change: fn(&mut Options)| {
            let mut options = Options::default();
            change(&mut options);
            settle(&mut options, 32 << 20).unwrap_err().to_string()
        };
        let said = refused(|it| it.settings.max_size = Amount::Bytes(1 << 30));
        assert!(said.contains("--max-size"), "{said}");
        let said = refused(|it| it.settings.durable_replies = true);
        assert!(said.contains("--durable-replies"), "{said}");
        let said = refused(|it| {
            it.journal = Some("journal".into());
            it.journal_payload = Payload::Reference;
        });
        assert!(said.contains("--journal-payload copy"), "{said}");
    }
}
