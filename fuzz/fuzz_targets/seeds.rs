//! Writes the seeds of a target into a directory: `seeds TARGET DIRECTORY`.

use std::path::Path;
use std::{env, fs, process};

use baton_fuzz::{TARGETS, seeds};

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [name, directory] = &arguments[..] else {
        eprintln!("usage: seeds TARGET DIRECTORY");
        process::exit(2);
    };
    let Some(target) = TARGETS.iter().find(|target| target.name == name) else {
        eprintln!("there is no fuzz target {name}");
        process::exit(2);
    };
    if let Err(error) = fs::create_dir_all(directory) {
        eprintln!("cannot make {directory}: {error}");
        process::exit(1);
    }
    for (number, seed) in seeds::of(target).into_iter().enumerate() {
        let path = Path::new(directory).join(format!("seed-{number:03}"));
        if let Err(error) = fs::write(&path, seed) {
            eprintln!("cannot write {}: {error}", path.display());
            process::exit(1);
        }
    }
}
