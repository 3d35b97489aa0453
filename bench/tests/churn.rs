//! `baton bench churn`, run as people run it: what it counts must be right, whatever the
//! times are.

use std::process::Command;

use serde_json::Value;

/// Records of a family, by kind.
const FAMILY: [(&str, u64); 10] = [
    ("connection", 3),
    ("viewer session", 1),
    ("viewer stream", 5),
    ("index", 4),
    ("stream", 5),
    ("trace", 1),
    ("session", 1),
    ("chunk", 1),
    ("trace file", 5),
    ("file", 9),
];

/// Runs it with the audit; gives what it prints.
fn churn(words: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_baton-bench"))
        .args(["churn", "--audit"])
        .args(words.split(' '))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert_eq!(errors, "");
    String::from_utf8(output.stdout).unwrap()
}

/// One object for each population.
fn objects(words: &str) -> Vec<Value> {
    let printed = churn(&format!("{words} --format json"));
    let lines = printed.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The numbers of an object, by kind.
fn by_kind(object: &Value) -> Vec<u64> {
    FAMILY
        .map(|(kind, _)| object[kind].as_u64().unwrap())
        .into()
}

/// Counts of the records of so many families, by kind.
fn families(count: u64) -> Vec<u64> {
    FAMILY.map(|(_, each)| count * each).into()
}

#[test]
fn created_records_are_released_and_reclaimed_in_every_shape_and_kind() {
    let objects = objects("--live 350,3.5e3 --rounds 2");
    assert_eq!(objects.len(), 2);
    // A round replaces all families of the first, and 64 of the second.
    for (object, living, replaced) in [(&objects[0], 10, 10), (&objects[1], 100, 64)] {
        let shapes = object["entities"].as_array().unwrap();
        let names: Vec<_> = shapes.iter().map(|shape| &shape["shape"]).collect();
        assert_eq!(names, ["arenas", "locked", "bevy"]);
        for shape in shapes {
            assert_eq!(shape["records"], living * 35, "{shape}");
            for operation in ["created", "released", "reclaimed"] {
                let counted = by_kind(&shape[operation]);
                assert_eq!(
                    counted,
                    families(living + 2 * replaced),
                    "{operation}: {shape}"
                );
            }
        }
    }
}

#[test]
fn records_of_messages_are_reclaimed_and_the_arenas_are_empty_at_the_end() {
    let objects = objects("--live 3500 --rounds 2");
    let systems = &objects[0]["systems"];
    assert_eq!(systems["records"], 100 * 35);
    let created = by_kind(&systems["created"]);
    assert_eq!(by_kind(&systems["reclaimed"]), created);
    assert_eq!(by_kind(&systems["left"]), families(0));
    // Each family had four packets before those that wait.
    let mut expected = families(100 + 2 * 64);
    expected[3] *= 2;
    assert_eq!(created, expected);
    // Every batch but those that go at once frees in five ticks.
    assert!(systems["reclamation_pass"]["count"].as_u64().unwrap() >= 2 * 4 * 3);
}

#[test]
fn the_same_seed_gives_the_same_work_to_each_shape_and_another_seed_does_not() {
    let work = |seed: u64| {
        let objects = objects(&format!("--live 700 --rounds 2 --seed {seed}"));
        let shapes = objects[0]["entities"].as_array().unwrap().clone();
        let orders: Vec<u64> = shapes
            .iter()
            .map(|shape| shape["order"].as_u64().unwrap())
            .collect();
        assert_eq!(orders, [orders[0]; 3]);
        let counts = by_kind(&objects[0]["systems"]["created"]);
        (orders[0], counts)
    };
    let first = work(4);
    assert_eq!(first, work(4));
    let other = work(5);
    assert_ne!(first.0, other.0);
    assert_eq!(first.1, other.1);
}

#[test]
fn tables_are_markdown_and_bars_are_bars() {
    let table = churn("--live 350 --rounds 1");
    assert!(table.starts_with("### 350 records alive\n"), "{table}");
    assert!(table.contains("| **any record**"), "{table}");
    assert!(
        table.contains("all of them released and reclaimed; 0 left"),
        "{table}"
    );
    let widths = table.lines().filter(|line| line.starts_with("| stream"));
    let mut widths: Vec<_> = widths.map(|line| line.matches('|').count()).collect();
    widths.sort_unstable();
    assert_eq!(widths, [6, 7], "a row in each table of kinds: {table}");
    let bars = churn("--live 350 --rounds 1 --format bars");
    let longest = bars.lines().map(|line| line.matches('█').count()).max();
    assert!(longest >= Some(40), "{bars}");
}
