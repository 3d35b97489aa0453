//! `baton archive`, `ls` and `fetch` against a real server of the S3 API, with traces that a real
//! `lttng-relayd` wrote.
//!
//! The server is the gateway of JuiceFS, which each case starts for itself (`server.rs`); or
//! another one, for all cases (`tests/archive`). Between the program and the server there may be a
//! proxy, which does what networks and servers do (`proxy.rs`).

#[path = "../../../tests/skip/mod.rs"]
mod skip;
#[path = "../../../tests/terminal/mod.rs"]
mod terminal;

mod program;
mod proxy;
mod server;
mod tree;

mod bar;
mod faults;
mod hostile;
mod kills;
mod old;
mod planted;
mod refusals;
mod roles;
mod round_trip;
mod served;
