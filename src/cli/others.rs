//! The subcommands that are programs of their own, with their own help: the relay does not
//! carry what only they need.

use std::ffi::OsString;

use clap::{Arg, ArgMatches, Command, value_parser};

/// A subcommand, and the program that it runs.
#[derive(Debug, PartialEq, Eq)]
pub struct Other {
    name: &'static str,
    about: &'static str,
    pub program: &'static str,
    /// The program has several subcommands, of which this is one.
    is_verb: bool,
    /// Advice where the program is missing.
    pub advice: &'static str,
}

const OTHERS: [Other; 6] = [
    archive(
        "archive",
        "Upload finished chunks of traces to object storage",
    ),
    archive("ls", "List archived sessions and chunks"),
    archive("fetch", "Download archived chunks"),
    archive("prune", "Remove what is old from an archive"),
    archive("serve", "Serve archived sessions to live viewers"),
    Other {
        name: "bench",
        about: "Run the benchmarks",
        program: "baton-bench",
        is_verb: false,
        advice: "build it with: cargo build --release -p baton-bench",
    },
];

const fn archive(name: &'static str, about: &'static str) -> Other {
    Other {
        name,
        about,
        program: "baton-archive",
        is_verb: true,
        advice: "build it with: cargo build --release -p baton-archive",
    }
}

impl Other {
    /// The arguments of the program.
    pub fn words(&self, matches: &ArgMatches) -> Vec<OsString> {
        let verb = self.is_verb.then(|| OsString::from(self.name));
        let words = matches.get_many(WORDS).unwrap_or_default();
        verb.into_iter().chain(words.cloned()).collect()
    }

    fn command(&self) -> Command {
        let verb = self.is_verb.then(|| format!(" {}", self.name));
        let program = format!("{}{}", self.program, verb.unwrap_or_default());
        Command::new(self.name)
            .about(format!("{} ({})", self.about, self.program))
            .disable_help_flag(true)
            .arg(
                Arg::new(WORDS)
                    .num_args(..)
                    .trailing_var_arg(true)
                    .allow_hyphen_values(true)
                    .value_parser(value_parser!(OsString))
                    .help(format!(
                        "Arguments of {program}; see: baton {} --help",
                        self.name
                    )),
            )
    }
}

const WORDS: &str = "words";

pub fn commands() -> impl Iterator<Item = Command> {
    OTHERS.iter().map(Other::command)
}

pub fn named(name: &str) -> Option<&'static Other> {
    OTHERS.iter().find(|other| other.name == name)
}
