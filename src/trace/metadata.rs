//! The metadata of a trace: parses the part that reading packets needs, and finds the end
//! of the last whole declaration.
//!
//! It is text (CTF 1.8, TSDL) or a sequence of JSON records (CTF 2). Producers before 2.14
//! send the text in metadata packets.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::description::Description;
use super::{TraceError, json, tsdl};

impl Description {
    pub fn read(path: &Path) -> Result<Self, TraceError> {
        let fault = |reason: &str| TraceError::new(path, reason);
        let file = File::open(path).map_err(TraceError::io(path))?;
        let survey = Survey::of(&file).map_err(TraceError::io(path))?;
        if !survey.is_whole() && !survey.text.is_empty() {
            return Err(fault("its end is torn; baton repair cuts it off"));
        }
        Self::parse(survey.text).map_err(|reason| fault(&reason))
    }

    /// Parses the text of metadata.
    pub fn parse(text: Vec<u8>) -> Result<Self, String> {
        let text = String::from_utf8(text).map_err(|_| NO_METADATA)?;
        if text.starts_with(char::from(JSON_RECORD)) {
            json::parse(&text)
        } else {
            tsdl::parse(&text)
        }
        .map_err(|reason| format!("{NO_METADATA}: {reason}"))
    }
}

/// The whole part of metadata, with its text.
#[derive(Debug, Default)]
pub struct Survey {
    /// Size of the file.
    pub size: u64,
    /// Bytes at the beginning that are whole.
    pub whole: u64,
    /// A last metadata packet to append, made from the rest.
    pub mended: Vec<u8>,
    /// The text of the whole part; empty if no declaration is whole.
    pub text: Vec<u8>,
}

impl Survey {
    /// Reads metadata up to the first byte that is not metadata, so a large file that is
    /// not metadata is not read in full.
    pub fn of(file: &File) -> io::Result<Self> {
        let size = file.metadata()?.len();
        let mut magic = [0; 4];
        let begin = read_at_most(file, 0, &mut magic)?;
        match Packetized::of(&magic[..begin]) {
            Some(packets) => packets.survey(file, size),
            None => Self::of_text(file, size),
        }
    }

    pub fn is_whole(&self) -> bool {
        self.whole == self.size && self.mended.is_empty()
    }

    fn of_text(file: &File, size: u64) -> io::Result<Self> {
        let mut text = Vec::new();
        let mut block = vec![0; TEXT_BLOCK];
        loop {
            let count = read_at_most(file, text.len() as u64, &mut block)?;
            let ends = block[..count].iter().position(|byte| *byte == 0);
            add(&mut text, &block[..ends.unwrap_or(count)])?;
            if count == 0 || ends.is_some() {
                break;
            }
        }
        text.truncate(whole_declarations(&text));
        Ok(Self {
            size,
            whole: text.len() as u64,
            mended: Vec::new(),
            text,
        })
    }
}

/// Metadata in packets, with the byte order given by these functions.
struct Packetized {
    read: fn([u8; 4]) -> u32,
    write: fn(u32) -> [u8; 4],
}

impl Packetized {
    fn of(bytes: &[u8]) -> Option<Self> {
        let magic = *bytes.first_chunk::<4>()?;
        let orders = [
            Self {
                read: u32::from_le_bytes,
                write: u32::to_le_bytes,
            },
            Self {
                read: u32::from_be_bytes,
                write: u32::to_be_bytes,
            },
        ];
        orders
            .into_iter()
            .find(|order| (order.read)(magic) == PACKET_MAGIC)
    }

    fn survey(&self, file: &File, size: u64) -> io::Result<Survey> {
        let mut text = Vec::new();
        // Begin of each packet, in the file and in the text.
        let mut begins = Vec::new();
        let mut end = 0;
        while let Some((packet, content)) = self.packet_at(file, end)? {
            begins.push((end, text.len()));
            add(&mut text, &content)?;
            end += packet;
        }
        let declared = whole_declarations(&text);
        if declared == text.len() && end <= size {
            return Ok(Survey {
                size,
                whole: end,
                mended: Vec::new(),
                text,
            });
        }
        // The last packet with text: it ends in the middle of a declaration, or its padding
        // is missing.
        text.truncate(declared);
        let last = begins.iter().rev().find(|(_, begin)| *begin < declared);
        let Some(&(whole, begin)) = last else {
            return Ok(Survey {
                size,
                ..Survey::default()
            });
        };
        let mended = self.mend(file, whole, &text[begin..])?;
        Ok(Survey {
            size,
            whole,
            mended,
            text,
        })
    }

    /// Size and content of the packet at an offset, if the content is complete.
    fn packet_at(&self, file: &File, at: u64) -> io::Result<Option<(u64, Vec<u8>)>> {
        let mut header = [0; PACKET_HEADER];
        if read_at_most(file, at, &mut header)? < PACKET_HEADER {
            return Ok(None);
        }
        let number = |field: usize| {
            let bytes = header[field..].first_chunk::<4>();
            bytes.map_or(0, |bytes| (self.read)(*bytes))
        };
        let [packet, content] =
            [PACKET_SIZE_BITS, CONTENT_SIZE_BITS].map(|field| number(field) as usize / 8);
        if number(0) != PACKET_MAGIC
            || content < PACKET_HEADER
            || packet < content
            || packet as u64 > METADATA_SIZE_MAX
        {
            return Ok(None);
        }
        let mut bytes = vec![0; content - PACKET_HEADER];
        let is_there = read_at_most(file, at + PACKET_HEADER as u64, &mut bytes)? == bytes.len();
        Ok(is_there.then_some((packet as u64, bytes)))
    }

    /// The packet at an offset with another content.
    fn mend(&self, file: &File, at: u64, content: &[u8]) -> io::Result<Vec<u8>> {
        let mut packet = vec![0; PACKET_HEADER];
        file.read_exact_at(&mut packet, at)?;
        let size = packet[PACKET_SIZE_BITS..].first_chunk::<4>();
        let size = size.map_or(0, |bits| (self.read)(*bits) as usize / 8);
        packet.extend_from_slice(content);
        let bits = (self.write)(packet.len() as u32 * 8);
        packet[CONTENT_SIZE_BITS..][..4].copy_from_slice(&bits);
        packet.resize(size, 0);
        Ok(packet)
    }
}

/// Reads until the buffer is full or the file ends. Returns the number of bytes.
fn read_at_most(file: &File, at: u64, into: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    while count < into.len() {
        match file.read_at(&mut into[count..], at + count as u64) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}

/// Appends to a text, up to the maximum size of metadata.
fn add(text: &mut Vec<u8>, bytes: &[u8]) -> io::Result<()> {
    if (text.len() + bytes.len()) as u64 > METADATA_SIZE_MAX {
        let reason = "it is too large for metadata";
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    text.extend_from_slice(bytes);
    Ok(())
}

/// Bytes of the whole declarations at the beginning: statements of TSDL, or records of a
/// JSON text sequence. LTTng writes no newline after the last record.
// Long because: it is one state machine.
fn whole_declarations(text: &[u8]) -> usize {
    let is_json = text.first() == Some(&JSON_RECORD);
    let (mut end, mut declarations) = (0, 0);
    let mut depth = 0_u64;
    let mut inside = Inside::Code;
    let mut comment = 0;
    let mut before = 0;
    for (at, &byte) in text.iter().enumerate() {
        let mut mark = byte;
        // Blanks and comments after a declaration belong to it.
        let mut follows = false;
        match (inside, byte) {
            (Inside::Escape, _) | (Inside::Code, b'"') => inside = Inside::Quotes,
            (Inside::Quotes, b'\\') => inside = Inside::Escape,
            (Inside::Quotes, b'"') => inside = Inside::Code,
            (Inside::Line, b'\n') => {
                inside = Inside::Code;
                follows = end == comment;
            }
            (Inside::Comment, b'/') if before == b'*' => {
                inside = Inside::Code;
                follows = end == comment;
                mark = 0;
            }
            (Inside::Quotes | Inside::Line | Inside::Comment, _) => {}
            (Inside::Code, b'/' | b'*') if !is_json && before == b'/' => {
                comment = at - 1;
                let is_line = byte == b'/';
                inside = if is_line {
                    Inside::Line
                } else {
                    Inside::Comment
                };
                mark = 0;
            }
            (Inside::Code, b'{' | b'[') => depth += 1,
            (Inside::Code, b'}' | b']') => {
                let Some(less) = depth.checked_sub(1) else {
                    break;
                };
                depth = less;
                if is_json && depth == 0 {
                    end = at + 1;
                    declarations += 1;
                }
            }
            (Inside::Code, b';') if depth == 0 && !is_json => {
                end = at + 1;
                declarations += 1;
            }
            (Inside::Code, _) => follows = at == end && byte.is_ascii_whitespace(),
        }
        if follows {
            end = at + 1;
        }
        before = mark;
    }
    if inside == Inside::Line && end == comment {
        end = text.len();
    }
    if declarations == 0 { 0 } else { end }
}

/// State of the scanner for the end of declarations.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Code,
    Quotes,
    /// After a backslash in quotes.
    Escape,
    /// A comment up to the end of the line.
    Line,
    Comment,
}

/// Whether the first bytes of a file are those of metadata, or a prefix of them.
pub fn begins_metadata(bytes: &[u8]) -> bool {
    Packetized::of(bytes).is_some()
        || bytes.first() == Some(&JSON_RECORD)
        || bytes.starts_with(TSDL_BEGIN)
}

const NO_METADATA: &str = "it is no metadata of CTF 1.8 or CTF 2";
/// Maximum size of metadata; real ones have some kilobytes for each kind of event.
const METADATA_SIZE_MAX: u64 = 128 << 20;

/// First four bytes of a packet of CTF 1.8 metadata.
const PACKET_MAGIC: u32 = 0x75D1_1D57;
/// Size of the header: magic, UUID, checksum, content size, packet size, three schemes, two
/// versions.
const PACKET_HEADER: usize = 37;
/// Offsets of the content size and the packet size (both in bits) in the header.
const CONTENT_SIZE_BITS: usize = 24;
const PACKET_SIZE_BITS: usize = 28;
/// First byte of each record of a JSON text sequence (CTF 2 metadata).
const JSON_RECORD: u8 = 0x1E;
/// First bytes of metadata text of CTF 1.8.
const TSDL_BEGIN: &[u8] = b"/* CTF 1.";
const TEXT_BLOCK: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn survey(bytes: &[u8]) -> Survey {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        Survey::of(&file).unwrap()
    }

    /// The rest of a repaired file.
    fn mended(bytes: &[u8]) -> Vec<u8> {
        let survey = survey(bytes);
        [&bytes[..survey.whole as usize], &survey.mended].concat()
    }

    fn packet(number: fn(u32) -> [u8; 4], text: &str) -> Vec<u8> {
        let mut packet = vec![0; 100];
        packet[..4].copy_from_slice(&number(PACKET_MAGIC));
        let content = ((PACKET_HEADER + text.len()) * 8) as u32;
        packet[CONTENT_SIZE_BITS..][..4].copy_from_slice(&number(content));
        packet[PACKET_SIZE_BITS..][..4].copy_from_slice(&number(800));
        packet[PACKET_HEADER..][..text.len()].copy_from_slice(text.as_bytes());
        packet
    }

    #[test]
    fn packets_are_read_in_both_byte_orders() {
        for number in [u32::to_le_bytes, u32::to_be_bytes] {
            let bytes = [packet(number, "trace { uu"), packet(number, "id = x; };")].concat();
            let whole = survey(&bytes);
            assert!(whole.is_whole());
            let description = Description::parse(whole.text).unwrap();
            assert_eq!(description.uuid.as_deref(), Some("x"));
        }
    }

    #[test]
    fn torn_packets_are_mended_to_what_they_declare() {
        for number in [u32::to_le_bytes, u32::to_be_bytes] {
            let packets = [
                packet(number, "trace { }; en"),
                packet(number, "v { }; // }"),
                packet(number, "\nclock { "),
            ];
            let two = packets[..2].concat();
            // Missing padding does not matter.
            for cut in [1, 3, 52] {
                assert_eq!(mended(&two[..200 - cut]), two, "{cut}");
            }
            let first = packet(number, "trace { }; ");
            for cut in [53, 99, 100] {
                assert_eq!(mended(&two[..200 - cut]), first, "{cut}");
            }
            // The first packet is never cut off, unless it has no text.
            assert_eq!(mended(&two[..97]), first);
            assert_eq!(survey(&two[..40]).text, b"");
            // The third has no whole declaration, only the end of a line.
            let all = packets.concat();
            let expected = [&two[..], &packet(number, "\n")].concat();
            assert_eq!(mended(&all), expected);
            assert!(survey(&expected).is_whole());
        }
    }

    #[test]
    fn text_is_cut_after_its_last_declaration() {
        for (text, whole) in [
            ("/* CTF 1.8 */ trace { a = 1; };", 31),
            ("trace { };\n\n", 12),
            ("trace { };\n env { x = \"};\"; ", 12),
            ("trace { }; /* } ; */ struct a { }; clock { /* ", 35),
            ("trace { }; // ;\n", 16),
            ("trace { }; // ;", 15),
            ("/*/ ; */ trace { };", 19),
            ("trace { }; };", 11),
            ("trace { }; /* /*/ struct a { };", 31),
            ("/* CTF 1.8 */ trace {", 0),
            ("", 0),
            ("\u{1e}{\"a\":\n\"}\"}\n\u{1e}{\"b\":[\n", 12),
            ("\u{1e}{\"a\":\n{}}", 10),
            ("\u{1e}{}\n\u{1e}{\"b\":1}", 12),
            ("\u{1e}{}\n\u{1e}", 4),
            ("\u{1e}{\"a\":\"\\\"}\"", 0),
            ("trace { };\0\0trace { };", 10),
        ] {
            let survey = survey(text.as_bytes());
            assert_eq!(survey.whole, whole, "{text:?}");
            assert_eq!(survey.text, &text.as_bytes()[..whole as usize]);
            assert_eq!(survey.size, text.len() as u64);
        }
    }

    #[test]
    fn a_large_hole_is_not_read() {
        for begin in [
            packet(u32::to_le_bytes, "trace { };"),
            b"trace { };".to_vec(),
        ] {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&begin).unwrap();
            file.set_len(8 << 30).unwrap();
            let survey = Survey::of(&file).unwrap();
            assert_eq!((survey.whole, survey.size), (begin.len() as u64, 8 << 30));
            assert_eq!(survey.text, b"trace { };");
        }
    }

    #[test]
    fn garbage_is_refused() {
        for bytes in [&b"\xff\xfe"[..], b"", b"hello", b"\x1e{}"] {
            let error = Description::parse(bytes.to_vec()).unwrap_err();
            assert!(error.starts_with(NO_METADATA), "{error}");
        }
    }
}
