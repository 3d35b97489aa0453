//! Parser of TSDL, the metadata language of CTF 1.8.
//!
//! It parses only the declarations that a [`Description`] needs; the rest must have
//! balanced brackets, and is skipped.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::Chars;

use baton_components::wire::TraceFormat;

use super::description::{Clock, Description};
use super::layout::{Field, Layout};

pub fn parse(text: &str) -> Result<Description, String> {
    let mut words = Words {
        text: text.chars().peekable(),
    };
    let file = Block::read(&mut words, 0)?;
    let block = |name: &str| {
        let mut found = file.statements.iter();
        found.find_map(|statement| match &statement[..] {
            [Node::Word(word), Node::Block(block)] if word == name => Some(block),
            _ => None,
        })
    };
    let trace = block("trace").ok_or("it has no block `trace`")?;
    let clock = block("clock");
    let env = block("env");
    let text = |name: &str| env?.value(name).map(str::to_owned);
    Ok(Description {
        format: TraceFormat::Ctf1,
        clock: clock.map_or(Ok(Clock::default()), read_clock)?,
        layout: Types::of(&file, trace).layout(&file, trace),
        uuid: trace.value("uuid").map(str::to_owned),
        host: text("hostname"),
        session: text("trace_name"),
    })
}

fn read_clock(block: &Block) -> Result<Clock, String> {
    let default = Clock::default();
    let bad = |name: &str| format!("its clock has a bad {name}");
    let number = |name: &str, default: u64| {
        let value = block.value(name).map(str::parse::<u64>);
        value.unwrap_or(Ok(default)).map_err(|_| bad(name))
    };
    let offset_s = block.value("offset_s").map(str::parse::<i64>);
    let frequency = number("freq", default.frequency)?;
    if frequency == 0 {
        return Err(bad("freq"));
    }
    Ok(Clock {
        frequency,
        offset_s: offset_s.unwrap_or(Ok(0)).map_err(|_| bad("offset_s"))?,
        offset_cycles: number("offset", 0)?,
    })
}

/// Declared types by their names.
struct Types<'a> {
    integers: BTreeMap<String, &'a Block>,
    structures: BTreeMap<&'a str, &'a Block>,
    big_endian: bool,
}

impl<'a> Types<'a> {
    fn of(file: &'a Block, trace: &Block) -> Self {
        let mut types = Self {
            integers: BTreeMap::new(),
            structures: BTreeMap::new(),
            big_endian: trace.value("byte_order").is_some_and(is_big_endian),
        };
        for statement in &file.statements {
            match &statement[..] {
                [
                    Node::Word(typealias),
                    Node::Word(integer),
                    Node::Block(block),
                    name @ ..,
                ] if typealias == "typealias" && integer == "integer" => {
                    let name = joined(name);
                    let name = name.trim_start_matches(":= ").to_owned();
                    types.integers.insert(name, block);
                }
                [
                    Node::Word(structure),
                    Node::Word(name),
                    Node::Block(block),
                    ..,
                ] if structure == "struct" => {
                    types.structures.insert(name, block);
                }
                _ => {}
            }
        }
        types
    }

    /// The layout of packets, if it is the same for all stream classes.
    fn layout(&self, file: &'a Block, trace: &'a Block) -> Option<Layout> {
        let header = self.fields(self.structure(trace, "packet.header")?)?;
        let mut layouts = file
            .statements
            .iter()
            .filter_map(|statement| match &statement[..] {
                [Node::Word(word), Node::Block(stream)] if word == "stream" => {
                    let context = self.structure(stream, "packet.context");
                    let context = context.and_then(|context| self.fields(context));
                    Some(context.and_then(|context| Layout::of(&header, &context)))
                }
                _ => None,
            });
        let first = layouts.next()??;
        layouts
            .all(|layout| layout.as_ref() == Some(&first))
            .then_some(first)
    }

    /// The structure of `NAME := struct …` in a block.
    fn structure(&self, block: &'a Block, name: &str) -> Option<&'a Block> {
        let mut statements = block.statements.iter();
        statements.find_map(|statement| match &statement[..] {
            [Node::Word(word), Node::Word(_), Node::Word(_), rest @ ..] if word == name => {
                match rest {
                    [Node::Block(fields), ..] => Some(fields),
                    [Node::Word(name), ..] => self.structures.get(&name[..]).copied(),
                    _ => None,
                }
            }
            _ => None,
        })
    }

    fn fields(&self, structure: &Block) -> Option<Vec<Field>> {
        let fields = structure.statements.iter();
        fields.map(|statement| self.field(statement)).collect()
    }

    /// `TYPE NAME` or `TYPE NAME [COUNT]`, of integers.
    fn field(&self, statement: &[Node]) -> Option<Field> {
        let (statement, count) = match statement {
            [
                field @ ..,
                Node::Word(open),
                Node::Word(count),
                Node::Word(_),
            ] if open == "[" => (field, count.parse().ok()?),
            _ => (statement, 1),
        };
        let [kind @ .., Node::Word(name)] = statement else {
            return None;
        };
        let integer = match kind {
            [Node::Word(word), Node::Block(block)] if word == "integer" => block,
            _ => self.integers.get(&joined(kind)).copied()?,
        };
        let size_bits = integer.value("size")?.parse().ok()?;
        let usual = if size_bits % 8 == 0 { 8 } else { 1 };
        let align_bits = integer.value("align").map(str::parse);
        Some(Field {
            name: name.clone(),
            size_bits,
            align_bits: align_bits.unwrap_or(Ok(usual)).ok()?,
            count,
            big_endian: integer
                .value("byte_order")
                .map_or(self.big_endian, is_big_endian),
        })
    }
}

fn is_big_endian(order: &str) -> bool {
    matches!(order, "be" | "network")
}

/// Statements, each of which ends with `;`.
#[derive(Debug, Default)]
struct Block {
    statements: Vec<Vec<Node>>,
}

#[derive(Debug)]
enum Node {
    /// A token: a name, a number, a string without its quotes, an operator.
    Word(String),
    Block(Block),
}

impl Block {
    /// Reads up to the end of the block, or of the text.
    fn read(words: &mut Words<'_>, depth: u32) -> Result<Self, String> {
        if depth > DEPTH_MAX {
            return Err("its blocks are nested too deeply".into());
        }
        let mut block = Self::default();
        let mut statement = Vec::new();
        loop {
            match words.next().as_deref() {
                Some("{") => statement.push(Node::Block(Self::read(words, depth + 1)?)),
                Some(";") => block.statements.push(std::mem::take(&mut statement)),
                Some("}") if depth > 0 => break,
                None if depth == 0 => break,
                Some("}") => return Err("it has a `}` too many".into()),
                None => return Err("it ends in the middle of a block".into()),
                Some(word) => statement.push(Node::Word(word.to_owned())),
            }
        }
        // Enumerators end with commas.
        if !statement.is_empty() {
            block.statements.push(statement);
        }
        Ok(block)
    }

    /// The value of `NAME = VALUE;`.
    fn value(&self, name: &str) -> Option<&str> {
        let mut statements = self.statements.iter();
        statements.find_map(|statement| match &statement[..] {
            [Node::Word(word), Node::Word(equals), Node::Word(value)]
                if word == name && equals == "=" =>
            {
                Some(value.as_str())
            }
            _ => None,
        })
    }
}

fn joined(words: &[Node]) -> String {
    let words = words.iter().map(|node| match node {
        Node::Word(word) => word.as_str(),
        Node::Block(_) => "{}",
    });
    words.collect::<Vec<_>>().join(" ")
}

/// The lexer: tokens of a text, without comments.
struct Words<'a> {
    text: Peekable<Chars<'a>>,
}

impl Iterator for Words<'_> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        loop {
            let first = self.text.next()?;
            match (first, self.text.peek()) {
                ('/', Some('/')) => while self.text.next().is_some_and(|it| it != '\n') {},
                ('/', Some('*')) => self.skip_comment(),
                ('"', _) => return Some(self.quoted()),
                (':', Some('=')) => {
                    self.text.next();
                    return Some(":=".into());
                }
                _ if first.is_whitespace() => {}
                _ if is_name(first) => {
                    let mut word = String::from(first);
                    while let Some(more) = self.text.next_if(|it| is_name(*it)) {
                        word.push(more);
                    }
                    return Some(word);
                }
                _ => return Some(first.into()),
            }
        }
    }
}

impl Words<'_> {
    fn skip_comment(&mut self) {
        let mut before = ' ';
        self.text.next();
        for it in self.text.by_ref() {
            if (before, it) == ('*', '/') {
                break;
            }
            before = it;
        }
    }

    fn quoted(&mut self) -> String {
        let mut text = String::new();
        while let Some(it) = self.text.next() {
            match it {
                '"' => break,
                '\\' => text.extend(self.text.next()),
                _ => text.push(it),
            }
        }
        text
    }
}

fn is_name(it: char) -> bool {
    it.is_alphanumeric() || matches!(it, '_' | '.' | '-')
}

/// Maximum nesting depth; LTTng needs five.
const DEPTH_MAX: u32 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    /// Abridged metadata of LTTng 2.13.
    const OLD: &str = r#"/* CTF 1.8 */
typealias integer { size = 8; align = 8; signed = false; } := uint8_t;
typealias integer { size = 32; align = 8; signed = false; } := uint32_t;
typealias integer { size = 64; align = 8; signed = false; } := uint64_t;
typealias integer { size = 32; align = 32; signed = false; } := unsigned long;
trace {
	major = 1; minor = 8; byte_order = be;
	packet.header := struct { uint32_t magic; uint8_t uuid[16]; uint32_t stream_id; };
};
env { hostname = "vm"; trace_name = "a \"b\"; {"; };
clock { name = "m"; freq = 1000; /* } */ offset_s = -2; offset = 7; };
struct packet_context {
	uint64_t timestamp_begin; uint64_t timestamp_end;
	uint64_t content_size; uint64_t packet_size; uint64_t packet_seq_num;
	unsigned long events_discarded; uint32_t cpu_id;
};
struct other { enum : uint8_t { a = 0 ... 3, b = 4 } id; variant <id> { string x; } v; } align(8);
stream { id = 0; event.header := struct other; packet.context := struct packet_context; };
"#;

    #[test]
    fn metadata_of_lttng_is_parsed() {
        let description = parse(OLD).unwrap();
        assert_eq!(description.host.as_deref(), Some("vm"));
        assert_eq!(description.session.as_deref(), Some("a \"b\"; {"));
        let clock = Clock {
            frequency: 1000,
            offset_s: -2,
            offset_cycles: 7,
        };
        assert_eq!(description.clock, clock);
        let layout = description.layout.unwrap();
        assert_eq!(layout.size(), 24 + 5 * 8 + 4);
        let mut packet = vec![0xc1, 0xfc, 0x1f, 0xc1];
        packet.extend([0; 19]);
        packet.push(5);
        for number in [1_u64, 2, 3, 4, 6] {
            packet.extend(number.to_be_bytes());
        }
        packet.extend(8_u32.to_be_bytes());
        let described = layout.describe(&packet, 9).unwrap();
        let found = [
            described.class,
            described.timestamp_begin,
            described.timestamp_end,
            described.content_size_bits,
            described.packet_size_bits,
            described.packet_sequence,
            described.events_discarded,
            described.instance,
            described.offset_bytes,
        ];
        assert_eq!(found, [5, 1, 2, 3, 4, 6, 8, u64::MAX, 9]);
        assert_eq!(layout.describe(&packet[..60], 0), None);
        packet[0] = 0;
        assert_eq!(layout.describe(&packet, 0), None);
    }

    #[test]
    fn streams_that_differ_have_no_layout() {
        let more =
            "struct c2 { uint64_t timestamp_begin; }; stream { packet.context := struct c2; };";
        assert_eq!(parse(&format!("{OLD}{more}")).unwrap().layout, None);
    }

    #[test]
    fn garbage_is_refused() {
        for text in [
            "",
            "hello",
            "trace {",
            "trace { }; }",
            "clock { freq = 0; }; trace { };",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse(&"{".repeat(100_000)).is_err());
        assert!(parse("trace { }; clock { freq = 0; };").is_err());
    }
}
