//! Writes the man pages of `baton archive` and its companions, for the package.
//!
//! `cargo run -p baton-archive --example man_pages -- DIRECTORY`, after the pages of `baton`, of
//! which these replace some.

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use clap_mangen::Man;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args_os().nth(1).map(PathBuf::from);
    let directory = directory.ok_or("which directory?")?;
    fs::create_dir_all(&directory)?;
    let mut command = baton_archive::cli::command().disable_help_subcommand(true);
    command.build();
    for verb in command.get_subcommands() {
        let name = format!("baton-{}", verb.get_name());
        let mut page = Vec::new();
        let man = Man::new(verb.clone()).title(&name).section("1");
        man.render(&mut page)?;
        fs::write(directory.join(format!("{name}.1")), page)?;
    }
    Ok(())
}
