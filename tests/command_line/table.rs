//! A row of the table, and how it is run.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};

/// A command line with its surroundings and its outcome.
#[derive(Debug)]
pub struct Row {
    line: &'static str,
    files: Vec<(&'static str, &'static str)>,
    variables: Vec<(&'static str, &'static str)>,
    descriptors: Option<u32>,
    outcome: Outcome,
    warning: Option<&'static str>,
}

#[derive(Debug)]
enum Outcome {
    /// Status 0: `--check` prints these lines among others.
    Means(&'static [&'static str]),
    /// Status 0, and this text alone.
    Prints(&'static str),
    /// Status 0, and a text that begins like this.
    Begins(&'static str),
    /// Status 1, nothing on standard output, and this one line of errors.
    Fails(&'static str),
    /// As [`Outcome::Fails`], with a status and lines of clap's own.
    Usage(&'static str),
}

fn row(line: &'static str, outcome: Outcome) -> Row {
    Row {
        line,
        files: Vec::new(),
        variables: Vec::new(),
        descriptors: None,
        outcome,
        warning: None,
    }
}

pub fn means(line: &'static str, lines: &'static [&'static str]) -> Row {
    row(line, Outcome::Means(lines))
}

pub fn prints(line: &'static str, text: &'static str) -> Row {
    row(line, Outcome::Prints(text))
}

pub fn begins(line: &'static str, text: &'static str) -> Row {
    row(line, Outcome::Begins(text))
}

pub fn fails(line: &'static str, error: &'static str) -> Row {
    row(line, Outcome::Fails(error))
}

pub fn usage(line: &'static str, error: &'static str) -> Row {
    row(line, Outcome::Usage(error))
}

impl Row {
    /// With the file of the home directory.
    pub fn home_file(self, text: &'static str) -> Self {
        self.file(".lttng/lttng.conf", text)
    }

    pub fn file(mut self, name: &'static str, text: &'static str) -> Self {
        self.files.push((name, text));
        self
    }

    pub fn variable(mut self, name: &'static str, value: &'static str) -> Self {
        self.variables.push((name, value));
        self
    }

    /// With a limit on the descriptors of the process.
    pub fn descriptors(mut self, limit: u32) -> Self {
        self.descriptors = Some(limit);
        self
    }

    /// And this is the first line of standard error.
    pub fn warns(mut self, warning: &'static str) -> Self {
        self.warning = Some(warning);
        self
    }

    /// Runs it; an error tells what came instead.
    pub fn run(&self) -> Result<(), String> {
        let directory = tempfile::tempdir().expect("a directory for a row");
        let here = directory.path();
        for (name, text) in &self.files {
            let path = here.join(name);
            fs::create_dir_all(path.parent().expect("a directory above")).expect("a directory");
            fs::write(path, expanded(text, here)).expect("a file of a row");
        }
        let output = self.command(here).output().expect("a program to run");
        self.check(&output, here).map_err(|expected| {
            format!(
                "{self:?}\n  expected {expected}\n  came {:?}\n  out {:?}\n  err {:?}",
                output.status.code(),
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr),
            )
        })
    }

    fn command(&self, here: &Path) -> Command {
        let mut words = self.line.split_whitespace();
        let name = words.next().expect("the name of a program");
        let program = match name {
            "baton" => env!("CARGO_BIN_EXE_baton"),
            _ => env!("CARGO_BIN_EXE_lttng-relayd"),
        };
        let mut command = match self.descriptors {
            None => Command::new(program),
            Some(limit) => {
                let mut shell = Command::new("sh");
                shell.arg("-c");
                shell.arg(format!("ulimit -n {limit}; exec \"$0\" \"$@\""));
                shell.arg(program);
                shell
            }
        };
        // Errors begin with the name that the program was called by.
        if self.descriptors.is_none() {
            command.arg0(name);
        }
        command.args(words.map(|word| expanded(word, here)));
        if matches!(self.outcome, Outcome::Means(_)) {
            command.arg("--check");
        }
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", here)
            .envs(
                self.variables
                    .iter()
                    .map(|(name, value)| (name, expanded(value, here))),
            )
            .current_dir(here);
        command
    }

    fn check(&self, output: &Output, here: &Path) -> Result<(), String> {
        let out = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        let first = errors.lines().next().unwrap_or_default();
        let status = match self.outcome {
            Outcome::Means(_) | Outcome::Prints(_) | Outcome::Begins(_) => 0,
            Outcome::Fails(_) => 1,
            Outcome::Usage(_) => 2,
        };
        if output.status.code() != Some(status) {
            return Err(format!("status {status}"));
        }
        let text = match self.outcome {
            Outcome::Means(lines) => {
                let is_missing = |line: &&&str| !out.lines().any(|it| it == expanded(line, here));
                return match lines.iter().find(is_missing) {
                    Some(line) => Err(format!("the line {line:?}")),
                    None => self.check_warning(first, here),
                };
            }
            Outcome::Prints(text) => (out == text, text),
            Outcome::Begins(text) => (out.starts_with(text), text),
            Outcome::Fails(text) => {
                let is_alone = out.is_empty() && errors.lines().count() == 1;
                (is_alone && first == expanded(text, here), text)
            }
            Outcome::Usage(text) => (first == text, text),
        };
        if text.0 {
            Ok(())
        } else {
            Err(text.1.to_owned())
        }
    }

    fn check_warning(&self, first: &str, here: &Path) -> Result<(), String> {
        let expected = expanded(self.warning.unwrap_or_default(), here);
        if first == expected {
            Ok(())
        } else {
            Err(format!("the warning {expected:?}"))
        }
    }
}

fn expanded(text: &str, here: &Path) -> String {
    text.replace("{}", &here.to_string_lossy())
}
