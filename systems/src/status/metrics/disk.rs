//! Metrics of the disk: its use by recordings, removals, and syncs.

use baton_components::totals::{Excess, Removed, Stock, Syncs};

use super::{counter, gauge};
use crate::status::page::{Family, Page};

/// A figure of what was removed.
type OfRemoved = fn(&Removed) -> u64;

/// Disk space and its caps.
pub fn write_stock(page: &mut Page, stock: &Stock) {
    for (name, help, value) in [
        (
            "baton_storage_bytes",
            "Disk space of what is counted for the caps, removed files that still take it included; 0 without a cap.",
            stock.used_bytes,
        ),
        (
            "baton_storage_limit_bytes",
            "The cap of all sessions together; 0: none.",
            stock.limit_bytes.unwrap_or(0),
        ),
        (
            "baton_removed_open_bytes",
            "Disk space of removed files that are still read or not gone yet.",
            stock.leaving_bytes,
        ),
    ] {
        page.single(gauge(name, help), value);
    }
    let families: [(Family, OfRemoved); 4] = [
        (
            counter(
                "baton_removed_chunks_total",
                "Closed chunks that were removed, by the cap.",
            ),
            |removed| removed.chunks,
        ),
        (
            counter(
                "baton_removed_files_total",
                "Trace files of streams that go on that were removed, by the cap.",
            ),
            |removed| removed.files,
        ),
        (
            counter(
                "baton_removed_bytes_total",
                "Disk space of what was removed, by the cap.",
            ),
            |removed| removed.bytes,
        ),
        (
            counter(
                "baton_removed_packets_total",
                "Packets that were recorded and removed since the relay started, by the cap.",
            ),
            |removed| removed.packets,
        ),
    ];
    for (family, value) in families {
        page.family(family);
        for excess in Excess::ALL {
            let removed = &stock.removed[excess as usize];
            page.sample(family.name, &[("cap", &excess.name())], value(removed));
        }
    }
    let failed = counter("baton_removals_failed_total", "Removals that failed.");
    page.single(failed, stock.failed);
}

/// Syncs to the disk.
pub fn write_syncs(page: &mut Page, syncs: &Syncs) {
    let spent = syncs.spent.as_secs_f64();
    let done = counter(
        "baton_syncs_total",
        "Syncs of recordings, each of many files.",
    );
    page.single(done, syncs.done);
    let failed = counter(
        "baton_syncs_failed_total",
        "Syncs that failed: after the first, a loss of power may take what was recorded.",
    );
    page.single(failed, syncs.failed);
    let seconds = counter(
        "baton_sync_seconds_total",
        "Time that syncs took, from the request to the answer.",
    );
    page.single(seconds, spent);
    let pending = gauge(
        "baton_syncs_pending",
        "Syncs that the disk has not answered.",
    );
    page.single(pending, syncs.pending);
    let dirty = gauge(
        "baton_unsynced_files",
        "Files that have changed since they were synced, with --sync SECONDS.",
    );
    page.single(dirty, syncs.dirty_files);
}
