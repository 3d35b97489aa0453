//! Bar charts in a terminal: time of whole lives, for each shape.

use std::fmt::Write as _;

use super::family::{Kind, kinds};
use super::measures::Measures;
use super::table::figure;

/// Cells of the longest bar.
const WIDTH: usize = 48;

/// A bar for each shape, for each kind and for any record; all to one scale.
pub fn bars(measures: &Measures) -> String {
    let mut groups = vec![("any record", Kind::ALL.to_vec())];
    groups.extend(kinds().map(|kind| (kind.name(), vec![kind])));
    let lives = |kinds: &[Kind]| -> Vec<(&str, f64)> {
        let shapes = measures.entities.iter();
        shapes
            .map(|shape| (shape.shape, shape.life_ns(kinds)))
            .collect()
    };
    let longest = groups
        .iter()
        .flat_map(|(_, kinds)| lives(kinds))
        .fold(0.0, |longest: f64, (_, ns)| longest.max(ns));
    let mut out = format!("{} records alive: a whole life, in ns\n\n", measures.live);
    for (name, kinds) in &groups {
        for (at, (shape, ns)) in lives(kinds).into_iter().enumerate() {
            let name = if at == 0 { name } else { "" };
            let bar = bar(ns / longest);
            let ns = figure(ns);
            let _ = writeln!(out, "{name:<15} {shape:<7} {ns:>6} {bar}");
        }
    }
    out.push('\n');
    out
}

/// A bar of a part of [`WIDTH`], in eighths of a cell.
fn bar(part: f64) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (part.clamp(0.0, 1.0) * (WIDTH * 8) as f64).round() as usize;
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_in_proportion() {
        assert_eq!(bar(1.0).chars().count(), WIDTH);
        assert_eq!(bar(0.5).chars().count(), WIDTH / 2);
        assert_eq!(bar(1.0 / 384.0), "▏");
        assert_eq!(bar(0.0), "");
        assert_eq!(bar(f64::NAN), "");
    }
}
