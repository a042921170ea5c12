//! Sets and maps, and their elements.

use std::time::Duration;

use super::expr::Verdict;
use crate::attr::{Attrs, Buffer};

/// Data types of nft, as `nft` stores them in a set so that it can print it: 6 bits a component.
pub mod data_type {
    /// `integer`.
    pub const INTEGER: u32 = 4;
    /// `ipv4_addr`.
    pub const IPV4: u32 = 7;
    /// `ipv6_addr`.
    pub const IPV6: u32 = 8;
    /// `inet_proto`.
    pub const PROTOCOL: u32 = 12;
    /// `inet_service`.
    pub const SERVICE: u32 = 13;

    /// The type of a concatenation.
    pub fn concat(parts: &[u32]) -> u32 {
        parts.iter().fold(0, |all, part| all << 6 | part)
    }
}

/// Flags of a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SetFlags(pub u32);

impl SetFlags {
    /// Holds intervals.
    pub const INTERVAL: u32 = 0x4;
    /// Is a map.
    pub const MAP: u32 = 0x8;
    /// Elements may expire.
    pub const TIMEOUT: u32 = 0x10;
    /// Rules add elements (`flags dynamic`).
    pub const DYNAMIC: u32 = 0x20;
    /// Keys are concatenations with intervals (kernel 5.6).
    pub const CONCAT: u32 = 0x80;
}

/// What a map's elements lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SetData {
    /// A plain set.
    None,
    /// A verdict map.
    Verdict,
    /// Data of this type and length in bytes.
    Value {
        /// Its data type.
        kind: u32,
        /// Its length in bytes, components padded to four.
        len: u32,
    },
}

const VERDICT_TYPE: u32 = 0xffff_ff00;
/// A flag of an element: it stands for any key.
const CATCHALL: u32 = 0x2;

/// A set or map to create, or one that was found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SetSpec {
    /// Its name.
    pub name: String,
    /// [`SetFlags`], without MAP, which follows from `data`.
    pub flags: u32,
    /// Data type of the key.
    pub key_type: u32,
    /// Length of the key in bytes, components padded to four.
    pub key_len: u32,
    /// What elements lead to.
    pub data: SetData,
    /// Most elements it may hold; 0 = no limit.
    pub size: u32,
    /// Lengths in bytes of the key's components, for CONCAT sets.
    pub fields: Vec<u32>,
    /// nft's user data: needed where a key component is an `integer`, or nft 1.0.6 cannot print it.
    pub userdata: Vec<u8>,
}

impl SetSpec {
    pub(super) fn encode(&self, buffer: &mut Buffer, table: &str, id: u32) {
        let map = if self.data == SetData::None { 0 } else { SetFlags::MAP };
        buffer.put_str(1, table);
        buffer.put_str(2, &self.name);
        buffer.put_be32(3, self.flags | map);
        buffer.put_be32(4, self.key_type);
        buffer.put_be32(5, self.key_len);
        match self.data {
            SetData::None => {}
            SetData::Verdict => {
                buffer.put_be32(6, VERDICT_TYPE);
                buffer.put_be32(7, 0);
            }
            SetData::Value { kind, len } => {
                buffer.put_be32(6, kind);
                buffer.put_be32(7, len);
            }
        }
        buffer.put_be32(10, id);
        self.encode_description(buffer);
        if !self.userdata.is_empty() {
            buffer.put(13, &self.userdata);
        }
    }

    fn encode_description(&self, buffer: &mut Buffer) {
        if self.size == 0 && self.fields.is_empty() {
            return;
        }
        buffer.nested(9, |b| {
            if self.size != 0 {
                b.put_be32(1, self.size);
            }
            if !self.fields.is_empty() {
                b.nested(2, |b| self.fields.iter().for_each(|len| b.nested(1, |b| b.put_be32(1, *len))));
            }
        });
    }

    /// Reads a set as the kernel lists it, with the table it belongs to.
    pub(super) fn decode(attrs: Attrs<'_>) -> Option<(String, Self)> {
        let flags = attrs.number(3).unwrap_or(0);
        let data = match attrs.number(6) {
            _ if flags & SetFlags::MAP == 0 => SetData::None,
            Some(VERDICT_TYPE) => SetData::Verdict,
            kind => SetData::Value { kind: kind?, len: attrs.number(7)? },
        };
        let description = attrs.find(9).map_or(Attrs(&[]), |a| a.nested());
        let fields = description.find(2).map_or(Attrs(&[]), |a| a.nested());
        let spec = Self {
            name: attrs.text(2)?.to_owned(),
            flags: flags & !SetFlags::MAP,
            key_type: attrs.number(4).unwrap_or(0),
            key_len: attrs.number(5)?,
            data,
            size: description.number(1).unwrap_or(0),
            fields: fields.filter_map(|f| f.nested().number(1)).collect(),
            userdata: attrs.find(13).map(|a| a.payload.to_vec()).unwrap_or_default(),
        };
        Some((attrs.text(1)?.to_owned(), spec))
    }
}

/// What one element leads to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ElementData {
    /// Nothing: it is in a set.
    None,
    /// A verdict.
    Verdict(Verdict),
    /// Bytes.
    Value(Vec<u8>),
}

/// One element of a set or map.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Element {
    /// The key, components padded to four bytes. Empty: any key that the set does not have (`*`, kernel 5.13).
    pub key: Vec<u8>,
    /// The last key of an interval, for CONCAT sets.
    pub key_end: Option<Vec<u8>>,
    /// What it leads to.
    pub data: ElementData,
}

impl Element {
    #[cfg(test)]
    pub(super) fn encode(&self, buffer: &mut Buffer) {
        self.encode_for(buffer, None);
    }

    /// With `time`, the kernel takes it away after that.
    pub(super) fn encode_for(&self, buffer: &mut Buffer, time: Option<Duration>) {
        buffer.nested(1, |b| {
            if self.key.is_empty() {
                b.put_be32(3, CATCHALL);
            } else {
                b.nested(1, |b| b.put(1, &self.key));
            }
            if let Some(time) = time {
                b.put_be64(4, u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
            }
            if let Some(end) = &self.key_end {
                b.nested(10, |b| b.put(1, end));
            }
            match &self.data {
                ElementData::None => {}
                ElementData::Verdict(verdict) => b.nested(2, |b| verdict.encode(b)),
                ElementData::Value(value) => b.nested(2, |b| b.put(1, value)),
            }
        });
    }

    pub(super) fn decode(attrs: Attrs<'_>) -> Option<Self> {
        let bytes = |kind| Some(attrs.find(kind)?.nested().find(1)?.payload.to_vec());
        let data = match attrs.find(2).map(|a| a.nested()) {
            None => ElementData::None,
            Some(data) => match data.find(1) {
                Some(value) => ElementData::Value(value.payload.to_vec()),
                None => ElementData::Verdict(Verdict::decode(data)?),
            },
        };
        let any = || (attrs.number(3)? & CATCHALL != 0).then(Vec::new);
        Some(Self { key: bytes(1).or_else(any)?, key_end: bytes(10), data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_read_back_as_written_also_the_one_for_any_key() {
        let [keyed, any] = [vec![1, 2, 3, 4], Vec::new()];
        for (key, data) in [
            (keyed.clone(), ElementData::None),
            (keyed.clone(), ElementData::Verdict(Verdict::Other(-1))),
            (keyed, ElementData::Value(vec![5; 8])),
            (any, ElementData::Verdict(Verdict::Drop)),
        ] {
            let element = Element { key, key_end: None, data };
            let mut buffer = Buffer::default();
            element.encode(&mut buffer);
            let list = Attrs(buffer.bytes()).next().map(|one| one.nested());
            assert_eq!(list.and_then(Element::decode), Some(element));
        }
    }

    #[test]
    fn an_element_without_a_key_that_stands_for_nothing_is_none() {
        let mut buffer = Buffer::default();
        buffer.put_be32(3, 1);
        assert_eq!(Element::decode(Attrs(buffer.bytes())), None);
    }
}
