//! The output directory as others see it, and the journal beside it.

use crate::process::Process;
use crate::relay::{self, Relay, names};
use crate::sandbox;
use std::fs::{self, File};
use std::io;
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

#[test]
fn what_cannot_be_printed_is_an_error() {
    let directory = sandbox::home();
    let trace = "/* CTF 1.8 */ trace { };";
    fs::write(directory.path().join("metadata"), trace).expect("a trace");
    let (baton, original) = (
        env!("CARGO_BIN_EXE_baton"),
        env!("CARGO_BIN_EXE_lttng-relayd"),
    );
    for (program, words) in [
        (baton, "--check"),
        (baton, "--help"),
        (baton, "replay --help"),
        (baton, "--version"),
        (baton, "repair ."),
        (original, "--check"),
        (original, "--help"),
        (original, "-V"),
    ] {
        let run = |output: std::process::Stdio| {
            let mut command = Command::new(program);
            relay::surround(&mut command, directory.path());
            command.args(words.split(' ')).stdout(output);
            command.current_dir(directory.path());
            command.output().expect("a program to run")
        };
        let full = File::options().write(true).open("/dev/full");
        let came = run(full.expect("a disk that is full").into());
        let errors = String::from_utf8_lossy(&came.stderr);
        assert_eq!(came.status.code(), Some(1), "{words}: {errors}");
        let reason = "cannot write to standard output: No space left on device";
        assert!(errors.contains(reason), "{words}: {errors}");
        // A reader that has gone has seen enough.
        let (reader, writer) = io::pipe().expect("a pipe");
        drop(reader);
        let came = run(writer.into());
        assert!(came.status.success(), "{words}: {came:?}");
    }
}
