//! Reports of results, for people and for programs.

use std::fmt::{self, Write as _};

use serde_json::{Value, json};

use super::bars::bars;
use super::entities::{LOOKED_UP, Operation};
use super::family::{Counts, Kind, kinds};
use super::measures::{EntityMeasures, Measures, SystemMeasures};
use super::systems::Act;
use super::table::{Table, figure, per_second};

/// Output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Tables, in Markdown.
    Table,
    /// One object for each population, each on a line.
    Json,
    /// Bars in the terminal: whole lives, shape beside shape.
    Bars,
}

impl Format {
    pub const NAMES: [&str; 3] = ["table", "json", "bars"];

    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "table" => Some(Self::Table),
            "json" => Some(Self::Json),
            "bars" => Some(Self::Bars),
            _ => None,
        }
    }

    pub fn print(self, measures: &Measures) -> String {
        match self {
            Self::Table => {
                let mut text = String::new();
                tables(&mut text, measures).expect("law: a string takes all that is written");
                text
            }
            Self::Json => format!("{}\n", object(measures)),
            Self::Bars => bars(measures),
        }
    }
}

fn tables(out: &mut String, measures: &Measures) -> fmt::Result {
    let ours = measures.entities.first();
    let records = ours.map_or(0, |ours| ours.records);
    writeln!(out, "### {records} records alive\n")?;
    writeln!(
        out,
        "Seed {}, {} rounds, medians. Entities only: nanoseconds of CPU time for one (and how \
         many in a second).\n",
        measures.seed, measures.rounds
    )?;
    if let Some(ours) = ours {
        writeln!(out, "{}", operations(ours))?;
    }
    writeln!(
        out,
        "The whole life of a record (created, linked, released, reclaimed) in the three \
         shapes, in nanoseconds:\n"
    )?;
    writeln!(out, "{}", lives(&measures.entities))?;
    let systems = &measures.systems;
    writeln!(
        out,
        "Whole systems, {} records alive: nanoseconds of the systems for a record that comes, \
         else for one that is let go, else for a request; and of the reclamation pass for a \
         record that is freed.\n",
        systems.records
    )?;
    writeln!(out, "{}", acts(systems))?;
    writeln!(out, "{}", pass(systems))?;
    let mut steps: Vec<_> = systems.counted_steps().collect();
    steps.sort_unstable_by_key(|(_, took)| std::cmp::Reverse(*took));
    let shares = steps
        .iter()
        .map(|(step, _)| format!("{step} {}", percent(systems.share(step))));
    let shares: Vec<String> = shares.collect();
    writeln!(out, "Of the time of all ticks: {}.\n", shares.join(", "))?;
    let total = systems.created.total();
    let same = systems.created == systems.reclaimed;
    let outcome = if same { "all" } else { "NOT all" };
    writeln!(
        out,
        "Created by messages: {total} records, {outcome} of them released and reclaimed; {} \
         left.\n",
        systems.left.total()
    )
}

fn operations(ours: &EntityMeasures) -> Table {
    let operations = [
        Operation::Create,
        Operation::Link,
        Operation::Release,
        Operation::Reclaim,
    ];
    let mut table = Table::new(&["arenas", "create", "link", "release", "reclaim"]);
    for kind in kinds() {
        let cells = operations.map(|operation| {
            let ns = ours.ns(kind, operation);
            ns.map_or_else(|| "–".to_owned(), with_rate)
        });
        table.row([kind.name().to_owned()].into_iter().chain(cells));
    }
    table
}

fn lives(shapes: &[EntityMeasures]) -> Table {
    let mut header = vec![""];
    header.extend(shapes.iter().map(|shape| shape.shape));
    header.extend(["locked/arenas", "bevy/arenas"]);
    let mut table = Table::new(&header);
    let mut row = |name: String, values: Vec<Option<f64>>| {
        let ours = values.first().copied().flatten();
        let ratios = values.iter().skip(1).map(|value| {
            let ratio = value.zip(ours).map(|(value, ours)| value / ours);
            ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.1}"))
        });
        let figures = values
            .iter()
            .map(|value| value.map_or_else(|| "–".to_owned(), figure));
        table.row([name].into_iter().chain(figures).chain(ratios));
    };
    for kind in kinds() {
        let values = shapes.iter().map(|shape| Some(shape.life_ns(&[kind])));
        row(kind.name().to_owned(), values.collect());
    }
    let all = shapes.iter().map(|shape| Some(shape.life_ns(&Kind::ALL)));
    row("**any record**".to_owned(), all.collect());
    for kind in LOOKED_UP {
        let values = shapes.iter().map(|shape| shape.ns(kind, Operation::LookUp));
        row(format!("look up a {}", kind.name()), values.collect());
    }
    let bytes = shapes.iter().map(EntityMeasures::bytes_per_record);
    row("bytes a record".to_owned(), bytes.collect());
    table
}

fn acts(systems: &SystemMeasures) -> Table {
    let mut table = Table::new(&["a family says", "come", "go", "systems", "reclaim"]);
    let count = |count: u64| match count {
        0 => String::new(),
        count => count.to_string(),
    };
    for act in Act::ALL {
        let (made, freed) = (act.made().total(), act.freed().total());
        let work = with_rate(systems.systems_ns(act) / act.counted() as f64);
        let reclaim = match freed {
            0 => String::new(),
            freed => with_rate(systems.reclaim_ns(act) / freed as f64),
        };
        table.row([
            act.name().to_owned(),
            count(made),
            count(freed),
            work,
            reclaim,
        ]);
    }
    let life = || Act::COMING.into_iter().chain(Act::GOING);
    let sum = |count: fn(Act) -> Counts| life().map(|act| count(act).total()).sum();
    table.row([
        "**a family's whole life**".to_owned(),
        count(sum(Act::made)),
        count(sum(Act::freed)),
        with_rate(life().map(|act| systems.systems_ns(act)).sum()),
        with_rate(life().map(|act| systems.reclaim_ns(act)).sum()),
    ]);
    table
}

fn pass(systems: &SystemMeasures) -> Table {
    let mut table = Table::new(&["reclamation pass", ""]);
    let mut row = |name: &str, value: String| table.row([name.to_owned(), value]);
    row(
        "passes that freed something",
        systems.freeing_passes().to_string(),
    );
    row(
        "records freed in one, median",
        figure(systems.freed_in_pass(50.0)),
    );
    row(
        "records freed in one, most",
        figure(systems.freed_in_pass(100.0)),
    );
    row("time, median", microseconds(systems.pass_ns(50.0)));
    row(
        "time, 99 % take no more",
        microseconds(systems.pass_ns(99.0)),
    );
    row("time, longest", microseconds(systems.pass_ns(100.0)));
    row(
        "a record that is freed",
        format!("{} ns", figure(systems.freed_ns())),
    );
    row(
        "a pass with nothing to free",
        format!("{} ns", figure(systems.idle_pass_ns())),
    );
    row("share of all ticks", percent(systems.share("reclaim")));
    table
}

fn with_rate(ns: f64) -> String {
    format!("{} ({})", figure(ns), per_second(ns))
}

fn microseconds(ns: f64) -> String {
    format!("{} µs", figure(ns / 1e3))
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn object(measures: &Measures) -> Value {
    json!({
        "live": measures.live,
        "rounds": measures.rounds,
        "seed": measures.seed,
        "entities": measures.entities.iter().map(shape_object).collect::<Vec<_>>(),
        "systems": systems_object(&measures.systems),
    })
}

fn shape_object(shape: &EntityMeasures) -> Value {
    let kinds = kinds().map(|kind| {
        let operations = Operation::ALL.into_iter().filter_map(|operation| {
            let ns = shape.ns(kind, operation)?;
            Some((operation.name().to_owned(), json!(ns)))
        });
        let figures = json!({
            "ns": Value::Object(operations.collect()),
            "life_ns": shape.life_ns(&[kind]),
        });
        (kind.name().to_owned(), figures)
    });
    json!({
        "shape": shape.shape,
        "records": shape.records,
        "order": shape.order,
        "bytes_per_record": shape.bytes_per_record(),
        "life_ns": shape.life_ns(&Kind::ALL),
        "created": by_kind(shape.done(Operation::Create)),
        "released": by_kind(shape.done(Operation::Release)),
        "reclaimed": by_kind(shape.done(Operation::Reclaim)),
        "kinds": Value::Object(kinds.collect()),
    })
}

fn systems_object(systems: &SystemMeasures) -> Value {
    let said = Act::ALL.map(|act| {
        json!({
            "said": act.name(),
            "made": by_kind(&act.made()),
            "freed": by_kind(&act.freed()),
            "systems_ns": systems.systems_ns(act),
            "reclaim_ns": systems.reclaim_ns(act),
        })
    });
    let steps = systems
        .counted_steps()
        .map(|(step, _)| (step.to_owned(), json!(systems.share(step))));
    json!({
        "records": systems.records,
        "created": by_kind(&systems.created),
        "reclaimed": by_kind(&systems.reclaimed),
        "left": by_kind(&systems.left),
        "said": said,
        "step_shares": Value::Object(steps.collect()),
        "reclamation_pass": {
            "count": systems.freeing_passes(),
            "p50_ns": systems.pass_ns(50.0),
            "p99_ns": systems.pass_ns(99.0),
            "max_ns": systems.pass_ns(100.0),
            "freed_p50": systems.freed_in_pass(50.0),
            "freed_max": systems.freed_in_pass(100.0),
            "freed_record_ns": systems.freed_ns(),
            "idle_ns": systems.idle_pass_ns(),
            "share": systems.share("reclaim"),
        },
    })
}

fn by_kind(counts: &Counts) -> Value {
    let kinds = Kind::ALL.map(|kind| (kind.name().to_owned(), json!(counts[kind])));
    Value::Object(kinds.into_iter().collect())
}
