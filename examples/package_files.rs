//! Writes what a package needs beside the programs: man pages and completions.
//!
//! `cargo run --example package_files -- DIRECTORY`, before `cargo deb`. An example and
//! no part of `baton`, so that the daemon does not carry what only its package needs.

use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args_os().nth(1).map(PathBuf::from);
    let directory = directory.ok_or("which directory?")?;
    fs::create_dir_all(&directory)?;
    for (command, section) in [
        (baton::cli::command(), "1"),
        (baton::cli::lttng_relayd(), "8"),
    ] {
        let name = command.get_name().to_owned();
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            clap_complete::generate_to(shell, &mut command.clone(), &name, &directory)?;
        }
        // There is no page of `help`.
        let mut command = command.disable_help_subcommand(true);
        command.build();
        write_page(&command, &name, section, &directory)?;
    }
    Ok(())
}

/// Writes the page of a command, and one for each of its subcommands, which it names.
fn write_page(command: &Command, name: &str, section: &str, to: &Path) -> io::Result<()> {
    let mut page = Vec::new();
    let man = Man::new(command.clone()).title(name).section(section);
    man.render(&mut page)?;
    fs::write(to.join(format!("{name}.{section}")), page)?;
    for subcommand in command.get_subcommands() {
        let name = format!("{name}-{}", subcommand.get_name());
        write_page(subcommand, &name, section, to)?;
    }
    Ok(())
}
