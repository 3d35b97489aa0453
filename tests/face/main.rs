//! The daemon as others see it: processes, signals, sockets, files.
//!
//! All by the name `lttng-relayd`, found on PATH, as scripts and test suites start it.

// The real tools of LTTng, as the end-to-end cases drive them. Not all that those need
// is needed here.
#[allow(dead_code, reason = "made for the cases of end_to_end")]
#[path = "../end_to_end/application.rs"]
mod application;
#[allow(dead_code, reason = "made for the cases of end_to_end")]
#[path = "../end_to_end/events.rs"]
mod events;
#[allow(dead_code, reason = "made for the cases of end_to_end")]
#[path = "../end_to_end/live_client.rs"]
mod live_client;
#[allow(dead_code, reason = "made for the cases of end_to_end")]
#[path = "../end_to_end/lttng.rs"]
mod lttng;
#[allow(dead_code, reason = "made for the cases of end_to_end")]
#[path = "../end_to_end/process.rs"]
mod process;
#[allow(dead_code, reason = "made for the cases of end_to_end")]
#[path = "../end_to_end/sandbox.rs"]
mod sandbox;
#[path = "../skip/mod.rs"]
mod skip;
#[allow(dead_code, reason = "made for the cases of end_to_end")]
#[path = "../end_to_end/viewer.rs"]
mod viewer;

mod admission;
mod daemons;
mod descriptors;
mod health;
mod log;
mod output;
mod peer;
mod relay;
mod systemd;
mod tracing;
mod users;
