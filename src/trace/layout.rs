//! What the packets of a trace begin with: a header and a context, as the metadata
//! describes them. From it packets are found without an index.

use baton_components::wire::ctf_index::IndexRecord;
use baton_components::wire::producer::NONE;

/// Where the fields of a packet's description stand in the packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    fields: Vec<Placed>,
    /// Bytes up to the last of them.
    size: usize,
}

/// A field as metadata declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    pub name: String,
    pub size_bits: u64,
    pub align_bits: u64,
    /// How many there are: more than one in an array.
    pub count: u64,
    pub big_endian: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Placed {
    role: Role,
    offset: usize,
    size: usize,
    big_endian: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Magic,
    Class,
    Instance,
    Begin,
    End,
    ContentSize,
    PacketSize,
    Sequence,
    Discarded,
}

impl Role {
    /// By the names that CTF 1.8 gives them; LTTng keeps them in CTF 2.
    const NAMES: [(&str, Self); 9] = [
        ("magic", Self::Magic),
        ("stream_id", Self::Class),
        ("stream_instance_id", Self::Instance),
        ("timestamp_begin", Self::Begin),
        ("timestamp_end", Self::End),
        ("content_size", Self::ContentSize),
        ("packet_size", Self::PacketSize),
        ("packet_seq_num", Self::Sequence),
        ("events_discarded", Self::Discarded),
    ];

    /// Without these a packet cannot be found.
    const OF_ANY: [Self; 2] = [Self::Magic, Self::PacketSize];

    /// Without these a packet cannot be described.
    const OF_LTTNG: [Self; 4] = [Self::Class, Self::Begin, Self::End, Self::ContentSize];
}

impl Layout {
    /// The layout of packets whose header and context have these fields. None if it
    /// lacks what finding them needs, or has it in places that are no whole bytes.
    pub fn of(header: &[Field], context: &[Field]) -> Option<Self> {
        let mut fields = Vec::new();
        let mut at_bits = 0_u64;
        for field in header.iter().chain(context) {
            at_bits = at_bits.checked_next_multiple_of(field.align_bits.max(1))?;
            let known = Role::NAMES.iter().find(|(name, _)| *name == field.name);
            if let Some((_, role)) = known {
                let is_number = matches!(field.size_bits, 8 | 16 | 32 | 64) && field.count == 1;
                if !is_number || !at_bits.is_multiple_of(8) {
                    return None;
                }
                fields.push(Placed {
                    role: *role,
                    offset: usize::try_from(at_bits / 8).ok()?,
                    size: (field.size_bits / 8) as usize,
                    big_endian: field.big_endian,
                });
            }
            at_bits = field
                .size_bits
                .checked_mul(field.count)
                .and_then(|size| at_bits.checked_add(size))?;
        }
        let size = fields.iter().map(|field| field.offset + field.size).max()?;
        let layout = Self { fields, size };
        (layout.has_all(&Role::OF_ANY) && size <= SIZE_MAX).then_some(layout)
    }

    /// Whether packets are described in full, as tracers of LTTng do it. What another says
    /// of a packet is 0 but for its place and size.
    pub fn is_lttng(&self) -> bool {
        self.has_all(&Role::OF_LTTNG)
    }

    /// Whether packets are numbered, as since LTTng 2.8.
    pub fn has_numbers(&self) -> bool {
        self.has_all(&[Role::Instance, Role::Sequence])
    }

    /// Bytes of a packet that [`Layout::describe`] needs.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The description of a packet that begins with `bytes`; none if they begin none.
    pub fn describe(&self, bytes: &[u8], offset_bytes: u64) -> Option<IndexRecord> {
        let number = |role| self.number(role, bytes);
        if bytes.len() < self.size || number(Role::Magic)? != MAGIC {
            return None;
        }
        Some(IndexRecord {
            offset_bytes,
            packet_size_bits: number(Role::PacketSize)?,
            content_size_bits: number(Role::ContentSize).unwrap_or(0),
            timestamp_begin: number(Role::Begin).unwrap_or(0),
            timestamp_end: number(Role::End).unwrap_or(0),
            events_discarded: number(Role::Discarded).unwrap_or(0),
            class: number(Role::Class).unwrap_or(0),
            instance: number(Role::Instance).unwrap_or(NONE),
            packet_sequence: number(Role::Sequence).unwrap_or(NONE),
        })
    }

    /// Whether a packet may begin with these bytes, however few.
    pub fn may_begin(&self, bytes: &[u8]) -> bool {
        let mut fields = self.fields.iter();
        fields.any(|field| {
            let mut magic = MAGIC.to_be_bytes()[8 - field.size..].to_vec();
            if !field.big_endian {
                magic.reverse();
            }
            let there = bytes.iter().skip(field.offset);
            field.role == Role::Magic && there.zip(&magic).all(|(byte, it)| byte == it)
        })
    }

    fn has_all(&self, roles: &[Role]) -> bool {
        let has = |role| self.fields.iter().any(|field| field.role == role);
        roles.iter().all(|role| has(*role))
    }

    fn number(&self, role: Role, bytes: &[u8]) -> Option<u64> {
        let field = self.fields.iter().find(|field| field.role == role)?;
        let bytes = bytes.get(field.offset..)?.get(..field.size)?;
        let add = |number, byte: &u8| number << 8 | u64::from(*byte);
        Some(if field.big_endian {
            bytes.iter().fold(0, add)
        } else {
            bytes.iter().rev().fold(0, add)
        })
    }
}

/// First four bytes of a packet.
const MAGIC: u64 = 0xC1FC_1FC1;
/// Tracers of LTTng need some 80 bytes.
const SIZE_MAX: usize = 4096;
