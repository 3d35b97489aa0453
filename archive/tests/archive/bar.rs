//! The bar on a terminal.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use crate::program::{archive_command, command};
use crate::proxy::{Fault, Proxy};
use crate::server::Server;
use crate::skip;
use crate::terminal::Terminal;
use crate::tree::{Output, assert_same};

/// The command for a shell.
fn line(command: &Command) -> String {
    let text = |it: &std::ffi::OsStr| it.to_str().expect("text").to_owned();
    let variables = command.get_envs();
    let variables =
        variables.filter_map(|(name, value)| Some(format!("{}={}", text(name), text(value?))));
    let program = [command.get_program()].into_iter();
    let words = program.chain(command.get_args()).map(text);
    let words = variables.chain(words).map(|word| format!("'{word}'"));
    format!("env -i {}", words.collect::<Vec<_>>().join(" "))
}

/// A proxy that holds the second file of packets until the bar was seen.
fn hold(server: &Server) -> (Proxy, Arc<AtomicBool>) {
    let is_held = Arc::new(AtomicBool::new(true));
    let (held, files) = (Arc::clone(&is_held), AtomicU32::new(0));
    let proxy = Proxy::start(server.store().address(), move |seen| {
        let is_data = Path::new(seen.path()).extension() == Some("zst".as_ref());
        if is_data && files.fetch_add(1, Ordering::SeqCst) > 0 {
            while held.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(5));
            }
        }
        Fault::None
    });
    (proxy, is_held)
}

/// Runs a command on a terminal, which shows a bar, and `end` at last. False without a terminal.
fn shows_a_bar(mut command: Command, is_held: &AtomicBool, end: &str) -> bool {
    command.env("TERM", "xterm");
    let Some(terminal) = Terminal::start(&line(&command)) else {
        skip::say("since tmux is missing");
        return false;
    };
    // So much, of how much, and how fast.
    let screen = terminal.wait_for("iB/s ");
    assert!(screen.contains('█') && !screen.contains(end), "{screen}");
    is_held.store(false, Ordering::SeqCst);
    let screen = terminal.wait_for("ended");
    assert!(screen.contains(end) && !screen.contains("iB/s"), "{screen}");
    true
}

#[test]
fn a_bar_shows_how_far_it_is_and_goes_at_the_end() {
    let Some(server) = Server::start() else {
        return;
    };
    let (output, back) = (Output::of(&["2.13-live-uid"]), Output::empty());
    let (proxy, is_held) = hold(&server);
    let words = archive_command(&server.store().through(proxy.port), output.path());
    if !shows_a_bar(words, &is_held, "1 chunk archived") {
        return;
    }
    let (proxy, is_held) = hold(&server);
    let store = server.store().through(proxy.port);
    let mut words = command(&store, ["fetch", &store.url]);
    words.arg(back.path());
    shows_a_bar(words, &is_held, "1 chunk, ");
    assert_same(&back.files(), &output.files());
}
