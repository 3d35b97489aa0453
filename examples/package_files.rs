//! Writes what a package needs beside the programs: man pages and completions.
//!
//! `cargo run --example package_files -- DIRECTORY`, before `cargo deb`. An example and
//! no part of `baton`, so that the daemon does not carry what only its package needs.

use std::error::Error;
use std::fs;
use std::path::PathBuf;

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
        let mut page = Vec::new();
        Man::new(command.clone())
            .section(section)
            .render(&mut page)?;
        fs::write(directory.join(format!("{name}.{section}")), page)?;
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            clap_complete::generate_to(shell, &mut command.clone(), &name, &directory)?;
        }
    }
    Ok(())
}
