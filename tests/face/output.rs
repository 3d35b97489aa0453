//! The output directory as others see it, and the journal beside it.

use crate::process::Process;
use crate::relay::{self, Relay, names};
use crate::sandbox;
use std::fs;
use std::process::Command;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(5);

#[test]
fn nothing_is_in_it_before_something_is_recorded() {
    let relay = Relay::daemon(&["-d"]);
    assert_eq!(names(&relay.output()), [""; 0]);
    relay.terminate();
    assert_eq!(names(&relay.output()), [""; 0]);
}

#[test]
fn the_second_of_two_relays_says_that_it_is_not_alone() {
    let first = Relay::daemon(&["-d"]);
    let directory = sandbox::home();
    let mut command = relay::command(directory.path());
    command.arg("-b").arg("-o").arg(first.output());
    let mut parent = Process::spawn(&mut command, directory.path(), "parent");
    parent.wait_for_success(PATIENCE);
    let second = Relay::running_in(directory);
    let output = first.output();
    let warning = format!("another relay writes to {} too", output.display());
    assert!(parent.errors().contains(&warning), "{}", parent.errors());
    assert_eq!(names(&output), [""; 0]);
    first.terminate();
    second.terminate();
}

#[test]
fn a_journal_that_cannot_be_made_is_said_before_anything_else() {
    let directory = sandbox::home();
    let run = |journal: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_baton"));
        relay::surround(&mut command, directory.path());
        command.args(relay::ANY_PORTS);
        command.arg("--output").arg(directory.path().join("traces"));
        command.arg("--journal").arg(directory.path().join(journal));
        Process::spawn(&mut command, directory.path(), "baton")
    };
    for journal in ["nowhere/journal", "."] {
        let mut relay = run(journal);
        assert_eq!(relay.wait(PATIENCE).code(), Some(1));
        let errors = relay.errors();
        assert!(errors.contains("cannot write the journal"), "{errors}");
        assert!(!errors.contains("producers connect to"), "{errors}");
    }
    let path = directory.path().join("journal");
    fs::write(&path, "of a relay that crashed").expect("an earlier journal");
    let relay = run("journal");
    crate::process::eventually("a relay that listens", PATIENCE, || {
        relay.errors().contains("producers connect to")
    });
    drop(relay);
    let earlier = fs::read_to_string(directory.path().join("journal.1"));
    assert_eq!(
        earlier.expect("the earlier journal"),
        "of a relay that crashed"
    );
    assert!(fs::metadata(path).expect("a journal").len() > 0);
}
