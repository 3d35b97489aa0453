//! Contradictions among caps: those that cannot be kept together, or not on this disk.

use std::path::Path;

use baton_components::shown::Size;
use baton_systems::settings::Settings;

use crate::options::value::Value;
use crate::os::usage;

/// Contradictions among the caps, for the disk on which `output` is or will be.
pub fn on_disk_of(output: &Path, settings: &Settings) -> Vec<String> {
    let there = output.ancestors().find(|above| above.exists());
    let (disk_bytes, _) = there.map_or((0, 0), usage::disk);
    contradictions(settings, disk_bytes)
}

/// `disk_bytes`: 0 if it is not known.
fn contradictions(given: &Settings, disk_bytes: u64) -> Vec<String> {
    let settings = given.on(disk_bytes);
    let (caps, min_free) = (settings.caps(), settings.min_free.bytes());
    let (size, session) = (given.max_size.show(), given.max_session_size.show());
    let reserve = given.min_free.show();
    let disk = Size(disk_bytes);
    let is_known = disk_bytes > 0;
    let mut found = Vec::new();
    if caps.session_size > caps.size && caps.size.is_some() {
        found.push(format!(
            "--max-session-size {session} is above --max-size {size}: no session reaches it"
        ));
    }
    if is_known && min_free >= disk_bytes {
        found.push(format!(
            "--min-free {reserve} is not less than the disk, which has {disk}: nothing is recorded"
        ));
    } else if is_known
        && caps
            .size
            .is_some_and(|size| size.saturating_add(min_free) > disk_bytes)
    {
        found.push(format!(
            "--max-size {size} and --min-free {reserve} together are more than the disk, which \
             has {disk}: packets are dropped before the oldest are removed"
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use baton_systems::settings::{Amount, MinFree};

    use super::*;

    fn found(size: Amount, session: Amount, min_free: Amount) -> Vec<String> {
        let settings = Settings {
            max_size: size,
            max_session_size: session,
            min_free: MinFree::Amount(min_free),
            ..Settings::default()
        };
        contradictions(&settings, DISK)
    }

    const DISK: u64 = 200 << 20;

    fn mib(count: u64) -> Amount {
        Amount::Bytes(count << 20)
    }

    #[test]
    fn caps_that_cannot_be_kept_are_named() {
        let none = Amount::Unlimited;
        let sound = [
            (none, none, none),
            (mib(150), mib(150), mib(50)),
            (none, mib(500), mib(10)),
            (Amount::Percent(95), none, Amount::Percent(5)),
        ];
        for (size, session, min_free) in sound {
            assert_eq!(found(size, session, min_free), [""; 0]);
        }
        let one = found(mib(100), mib(101), none);
        assert!(one[0].contains("no session reaches it"), "{one:?}");
        let one = found(none, none, mib(200));
        assert!(one[0].contains("nothing is recorded"), "{one:?}");
        let one = found(mib(150), none, mib(51));
        assert!(
            one[0].contains("together are more than the disk"),
            "{one:?}"
        );
        let both = found(Amount::Percent(100), mib(300), Amount::Percent(1));
        assert_eq!(both.len(), 2, "{both:?}");
    }
}
