//! Monitoring for people: `baton status`, `top`, `doctor`, and the page in a browser.
//! Relays are real processes; their producers are of our own, so that they lose what a case
//! wants.

#[allow(dead_code, reason = "made for the cases of end_to_end")]
#[path = "../end_to_end/ports.rs"]
mod ports;
#[allow(dead_code, reason = "made for the cases of end_to_end")]
#[path = "../end_to_end/process.rs"]
mod process;
#[path = "../skip/mod.rs"]
mod skip;
#[path = "../terminal/mod.rs"]
mod terminal;

mod browser;
mod crowd;
mod doctor;
mod page;
mod producer;
mod relay;
mod text;
mod tls;
