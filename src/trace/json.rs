//! Metadata of CTF 2: a sequence of JSON records.

use baton_components::wire::TraceFormat;
use serde_json::Value;

use super::description::{Clock, Description};
use super::layout::{Field, Layout};

pub fn parse(text: &str) -> Result<Description, String> {
    let mut records = Vec::new();
    // Each record begins with this character.
    for record in text.split('\u{1E}').skip(1) {
        let record: Value = serde_json::from_str(record).map_err(|error| error.to_string())?;
        records.push(record);
    }
    let of_type = |kind: &'static str| {
        let records = records.iter();
        records.filter(move |record| record["type"] == kind)
    };
    let trace = of_type("trace-class")
        .next()
        .ok_or("it has no trace class")?;
    let clock = of_type("clock-class").next();
    let text = |name: &str| trace["environment"][name].as_str().map(str::to_owned);
    Ok(Description {
        format: TraceFormat::Ctf2,
        clock: clock.map_or(Ok(Clock::default()), read_clock)?,
        layout: layout(trace, of_type("data-stream-class")),
        uuid: trace["uid"].as_str().map(str::to_owned),
        host: text("hostname"),
        session: text("trace_name"),
    })
}

fn read_clock(record: &Value) -> Result<Clock, String> {
    let offset = &record["offset-from-origin"];
    match record["frequency"].as_u64() {
        None | Some(0) => Err("its clock has a bad frequency".into()),
        Some(frequency) => Ok(Clock {
            frequency,
            offset_s: offset["seconds"].as_i64().unwrap_or(0),
            offset_cycles: offset["cycles"].as_u64().unwrap_or(0),
        }),
    }
}

/// The layout of packets, if it is the same for all stream classes.
fn layout<'a>(trace: &Value, streams: impl Iterator<Item = &'a Value>) -> Option<Layout> {
    let header = fields(&trace["packet-header-field-class"])?;
    let mut layouts = streams.map(|stream| {
        let context = fields(&stream["packet-context-field-class"])?;
        Layout::of(&header, &context)
    });
    let first = layouts.next()??;
    layouts
        .all(|layout| layout.as_ref() == Some(&first))
        .then_some(first)
}

/// The fields of a structure, if all of them have fixed sizes.
fn fields(structure: &Value) -> Option<Vec<Field>> {
    let members = structure["member-classes"].as_array()?;
    let fields = members.iter().map(|member| {
        let class = &member["field-class"];
        let length = class["length"].as_u64();
        let (size_bits, count, usual) = match class["type"].as_str()? {
            "fixed-length-unsigned-integer" => (length?, 1, 1),
            "static-length-blob" => (8, length?, 8),
            _ => return None,
        };
        Some(Field {
            name: member["name"].as_str()?.to_owned(),
            size_bits,
            align_bits: class["alignment"].as_u64().unwrap_or(usual),
            count,
            big_endian: class["byte-order"] == "big-endian",
        })
    });
    fields.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn garbage_is_refused() {
        for text in [
            "\u{1e}",
            "\u{1e}{}",
            "\u{1e}[1",
            "\u{1e}{\"type\":\"trace-class\"}\n\u{1e}{\"type\":\"clock-class\",\"frequency\":0}\n",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse("\u{1e}{\"type\":\"trace-class\"}\n").is_ok());
    }
}
