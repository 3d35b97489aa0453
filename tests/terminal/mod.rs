//! A terminal of 80 columns and 24 lines, by tmux.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Until a screen shows what a case waits for.
const PATIENCE: Duration = Duration::from_mins(1);

pub struct Terminal {
    /// Its server's, which is its own.
    place: TempDir,
}

impl Terminal {
    /// A shell runs a command there, and says `ended` at its end. None without tmux.
    pub fn start(command: &str) -> Option<Self> {
        let place = tempfile::tempdir().expect("a directory");
        let terminal = Self { place };
        let command = format!("{command}; echo ended; sleep 60");
        let started = terminal.run(&["new-session", "-d", "-x", "80", "-y", "24", &command]);
        started.map(|_| terminal)
    }

    fn run(&self, words: &[&str]) -> Option<String> {
        let socket = self.place.path().join("tmux");
        let mut command = Command::new("tmux");
        command
            .arg("-S")
            .arg(socket)
            .args(["-f", "/dev/null"])
            .args(words);
        command
            .env_remove("TMUX")
            .env("LC_ALL", "C.UTF-8")
            .env("TERM", "xterm");
        let output = command.output().ok()?;
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Some(String::from_utf8(output.stdout).expect("text"))
    }

    pub fn screen(&self) -> String {
        self.run(&["capture-pane", "-p"]).expect("a screen")
    }

    /// Waits for a screen with these words.
    #[track_caller]
    pub fn wait_for(&self, words: &str) -> String {
        let begun = Instant::now();
        loop {
            let screen = self.screen();
            if screen.contains(words) {
                return screen;
            }
            assert!(begun.elapsed() < PATIENCE, "no {words} in:\n{screen}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    #[allow(dead_code)] // Not all programs read keys.
    pub fn press(&self, key: &str) {
        self.run(&["send-keys", key]);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.run(&["kill-server"]);
    }
}
