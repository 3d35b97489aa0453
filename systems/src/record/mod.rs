//! The recorder: what is on disk, and what of it is complete.

pub mod chunks;
pub mod closing;
pub mod commit;
pub mod places;
pub mod trace_files;
pub mod waiting_metadata;
