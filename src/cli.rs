//! The command line, as it was typed. What it means is in [`crate::config`].

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

/// A relay daemon for LTTng traces: records them to disk and serves them live.
#[derive(Debug, Parser)]
#[command(version, about, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    relay: RelayOptions,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the relay in the foreground (also without this word)
    Relay(RelayOptions),

    /// Make traces readable that a relay left behind when it was killed
    Repair {
        /// A trace, or a directory with traces at any depth
        directory: PathBuf,
    },
}

#[derive(Args, Debug)]
pub struct RelayOptions {
    /// Where producers connect for control [default: tcp://0.0.0.0:5342]
    #[arg(short = 'C', long, value_name = "URL")]
    pub control_port: Option<String>,

    /// Where producers connect for data [default: tcp://0.0.0.0:5343]
    #[arg(short = 'D', long, value_name = "URL")]
    pub data_port: Option<String>,

    /// Where viewers connect [default: tcp://localhost:5344]
    #[arg(short = 'L', long, value_name = "URL")]
    pub live_port: Option<String>,

    /// Where traces are written [default: $LTTNG_HOME/lttng-traces, else ~/lttng-traces]
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,

    /// Sort traces by host: HOST/SESSION-TIME [default]
    #[arg(short = 'p', long, conflicts_with = "group_output_by_session")]
    pub group_output_by_host: bool,

    /// Sort traces by session: SESSION/HOST-TIME
    #[arg(short = 's', long)]
    pub group_output_by_session: bool,

    /// Refuse producers that want to delete what they recorded (clear)
    #[arg(short = 'x', long)]
    pub disallow_clear: bool,

    /// Which sessions viewers may read
    #[arg(long, value_name = "WHICH", default_value = "live")]
    pub serve: Serve,

    /// Say more: -v what each connection does, -vv everything
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,

    /// Recount every reference at the end of each tick, and stop at the first that is wrong
    #[arg(long)]
    pub audit: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Serve {
    /// Live sessions, while their producer is there
    Live,
    /// Also sessions that are not live, and the last ones that are over
    All,
}

/// What is to be done.
#[derive(Debug)]
pub enum Action {
    Relay(RelayOptions),
    Repair(PathBuf),
}

impl Cli {
    pub fn action(self) -> Action {
        match self.command {
            None => Action::Relay(self.relay),
            Some(Command::Relay(options)) => Action::Relay(options),
            Some(Command::Repair { directory }) => Action::Repair(directory),
        }
    }
}
