//! The layout of packet headers and packet contexts, from the metadata, for finding packets
//! without an index.

use baton_components::wire::ctf_index::IndexRecord;
use baton_components::wire::producer::NONE;

/// Offsets of the fields of a packet's description in the packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    fields: Vec<Placed>,
    /// Bytes up to the end of the last field.
    size: usize,
}

/// A field as declared by the metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    pub name: String,
    pub size_bits: u64,
    pub align_bits: u64,
    /// Number of elements: more than one in an array.
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
    /// Finds a field's role by its name in CTF 1.8, which LTTng also uses in CTF 2.
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

    /// Fields required to find a packet.
    const OF_ANY: [Self; 2] = [Self::Magic, Self::PacketSize];

    /// Fields required to describe a packet.
    const OF_LTTNG: [Self; 4] = [Self::Class, Self::Begin, Self::End, Self::ContentSize];
}

impl Layout {
    /// The layout of packets whose header and context have these fields. None if a field
    /// required to find packets is missing, or not aligned to bytes.
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

    /// Whether packets have a full description, as those of LTTng's tracers. For other
    /// tracers all fields of a description but offset and sizes are 0.
    pub fn is_lttng(&self) -> bool {
        self.has_all(&Role::OF_LTTNG)
    }

    /// Whether packets have numbers, as since LTTng 2.8.
    pub fn has_numbers(&self) -> bool {
        self.has_all(&[Role::Instance, Role::Sequence])
    }

    /// Bytes at the begin of a packet that [`Layout::describe`] needs.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The description of the packet that begins with `bytes`; none if they are not the
    /// begin of a packet.
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

    /// Whether `bytes`, however few, may be the begin of a packet.
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
/// Whether a file that begins so may begin with a packet, of either byte order.
pub fn may_begin_packet(bytes: &[u8]) -> bool {
    let magic = (MAGIC as u32).to_be_bytes();
    let bytes = &bytes[..bytes.len().min(magic.len())];
    magic.starts_with(bytes) || magic.iter().rev().zip(bytes).all(|(it, byte)| it == byte)
}

const MAGIC: u64 = 0xC1FC_1FC1;
/// Maximum size of header and context; LTTng's tracers have some 80 bytes.
const SIZE_MAX: usize = 4096;
