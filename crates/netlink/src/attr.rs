//! Netlink messages and attributes as bytes.
//!
//! Layout (RFC 3549): a message is a 16-byte header and a payload, an attribute a 4-byte header and a payload,
//! both padded to 4 bytes. Header fields are in host byte order; payloads are what the subsystem says.

/// Marks an attribute that holds attributes.
pub const NESTED: u16 = 0x8000;
/// Size of a message header.
pub const HEADER: usize = 16;
const TYPE_MASK: u16 = 0x3fff;

/// Rounds up to a multiple of four.
pub fn align(length: usize) -> usize {
    (length + 3) & !3
}

/// Where an open attribute or message began; needed to close it.
#[derive(Debug)]
#[must_use]
pub struct Mark(usize);

/// A growing buffer of messages.
#[derive(Debug, Default)]
pub struct Buffer {
    bytes: Vec<u8>,
}

impl Buffer {
    /// The bytes so far.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Number of bytes so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Forgets everything, keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Opens a message; [`Buffer::end_message`] fills in its length.
    pub fn begin_message(&mut self, kind: u16, flags: u16, sequence: u32) -> Mark {
        let mark = Mark(self.bytes.len());
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&flags.to_ne_bytes());
        self.bytes.extend_from_slice(&sequence.to_ne_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        mark
    }

    /// Closes a message.
    pub fn end_message(&mut self, mark: Mark) {
        let length = (self.bytes.len() - mark.0) as u32;
        self.bytes[mark.0..mark.0 + 4].copy_from_slice(&length.to_ne_bytes());
    }

    /// Sets flags in the header of a message that was already written.
    pub fn add_flags(&mut self, message_start: usize, flags: u16) {
        let at = message_start + 6;
        let old = u16::from_ne_bytes([self.bytes[at], self.bytes[at + 1]]);
        self.bytes[at..at + 2].copy_from_slice(&(old | flags).to_ne_bytes());
    }

    /// Raw bytes, unpadded: subsystem headers.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Opens an attribute that holds attributes.
    pub fn begin_nested(&mut self, kind: u16) -> Mark {
        let mark = Mark(self.bytes.len());
        self.bytes.extend_from_slice(&[0; 2]);
        self.bytes.extend_from_slice(&(kind | NESTED).to_ne_bytes());
        mark
    }

    /// Closes an attribute that holds attributes.
    pub fn end_nested(&mut self, mark: Mark) {
        let length = (self.bytes.len() - mark.0) as u16;
        self.bytes[mark.0..mark.0 + 2].copy_from_slice(&length.to_ne_bytes());
    }

    /// Writes a nested attribute by a closure.
    pub fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) {
        let mark = self.begin_nested(kind);
        fill(self);
        self.end_nested(mark);
    }

    /// Bytes written since an attribute was opened, its header included.
    pub fn written_since(&self, mark: &Mark) -> usize {
        self.bytes.len() - mark.0
    }

    /// An attribute with these bytes.
    pub fn put(&mut self, kind: u16, payload: &[u8]) {
        let length = (4 + payload.len()) as u16;
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(payload);
        self.bytes.resize(align(self.bytes.len()), 0);
    }

    /// A NUL-terminated text.
    pub fn put_str(&mut self, kind: u16, text: &str) {
        let length = (5 + text.len()) as u16;
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
        self.bytes.resize(align(self.bytes.len()), 0);
    }

    /// A big-endian u32, as nf_tables wants numbers.
    pub fn put_be32(&mut self, kind: u16, value: u32) {
        self.put(kind, &value.to_be_bytes());
    }

    /// A u16 in host byte order, as most subsystems but netfilter's want numbers.
    pub fn put_u16(&mut self, kind: u16, value: u16) {
        self.put(kind, &value.to_ne_bytes());
    }

    /// A u32 in host byte order.
    pub fn put_u32(&mut self, kind: u16, value: u32) {
        self.put(kind, &value.to_ne_bytes());
    }

    /// A big-endian u64.
    pub fn put_be64(&mut self, kind: u16, value: u64) {
        self.put(kind, &value.to_be_bytes());
    }
}

/// One attribute of a message.
#[derive(Clone, Copy, Debug)]
pub struct Attr<'a> {
    /// Its type, without the nested and byte-order bits.
    pub kind: u16,
    /// Its payload, without padding.
    pub payload: &'a [u8],
}

impl<'a> Attr<'a> {
    /// The attributes inside.
    pub fn nested(&self) -> Attrs<'a> {
        Attrs(self.payload)
    }

    /// A big-endian number of 1, 2, 4 or 8 bytes.
    pub fn be(&self) -> Option<u64> {
        match self.payload.len() {
            1 | 2 | 4 | 8 => Some(self.payload.iter().fold(0, |n, b| n << 8 | u64::from(*b))),
            _ => None,
        }
    }

    /// A big-endian number, as u32.
    pub fn be32(&self) -> Option<u32> {
        self.be()?.try_into().ok()
    }

    /// A number of 1, 2, 4 or 8 bytes in host byte order.
    pub fn host(&self) -> Option<u64> {
        match *self.payload {
            [a] => Some(a.into()),
            [a, b] => Some(u16::from_ne_bytes([a, b]).into()),
            [a, b, c, d] => Some(u32::from_ne_bytes([a, b, c, d]).into()),
            _ => self.payload.try_into().ok().map(u64::from_ne_bytes),
        }
    }

    /// A text, up to its NUL.
    pub fn text(&self) -> Option<&'a str> {
        let end = self.payload.iter().position(|b| *b == 0).unwrap_or(self.payload.len());
        std::str::from_utf8(&self.payload[..end]).ok()
    }
}

/// Reads attributes one after the other; stops at the first that does not fit.
#[derive(Clone, Copy, Debug)]
pub struct Attrs<'a>(pub &'a [u8]);

impl<'a> Attrs<'a> {
    /// The first attribute of a type.
    pub fn find(self, kind: u16) -> Option<Attr<'a>> {
        Iterator::find(&mut { self }, |attr| attr.kind == kind)
    }

    /// The first attribute of a type, as a big-endian number.
    pub fn number(self, kind: u16) -> Option<u32> {
        self.find(kind)?.be32()
    }

    /// The first attribute of a type, as a big-endian number of up to 8 bytes.
    pub fn number64(self, kind: u16) -> Option<u64> {
        self.find(kind)?.be()
    }

    /// The first attribute of a type, as a number in host byte order.
    pub fn host(self, kind: u16) -> Option<u32> {
        self.find(kind)?.host()?.try_into().ok()
    }

    /// The first attribute of a type, as a text.
    pub fn text(self, kind: u16) -> Option<&'a str> {
        self.find(kind)?.text()
    }
}

impl<'a> Iterator for Attrs<'a> {
    type Item = Attr<'a>;

    fn next(&mut self) -> Option<Attr<'a>> {
        let header = self.0.get(..4)?;
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let kind = u16::from_ne_bytes([header[2], header[3]]) & TYPE_MASK;
        let payload = self.0.get(4..length)?;
        self.0 = self.0.get(align(length)..).unwrap_or(&[]);
        Some(Attr { kind, payload })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_survive_a_round_trip() {
        let mut buffer = Buffer::default();
        buffer.put_str(1, "towpath");
        buffer.nested(2, |b| {
            b.put_be32(3, 0x0102_0304);
            b.put(4, &[9]);
        });
        let attrs = Attrs(buffer.bytes());
        assert_eq!(attrs.text(1), Some("towpath"));
        let inner = attrs.find(2).unwrap().nested();
        assert_eq!(inner.number(3), Some(0x0102_0304));
        assert_eq!(inner.find(4).unwrap().payload, [9]);
        assert_eq!(inner.count(), 2);
    }

    #[test]
    fn numbers_in_host_order_survive_a_round_trip() {
        let mut buffer = Buffer::default();
        buffer.put_u16(1, 0x0102);
        buffer.put_u32(2, 0x0102_0304);
        buffer.put(3, &0x0102_0304_0506_0708u64.to_ne_bytes());
        buffer.put(4, &[9]);
        buffer.put(5, &[1, 2, 3]);
        let attrs = Attrs(buffer.bytes());
        assert_eq!([1, 2, 4].map(|kind| attrs.host(kind)), [Some(0x0102), Some(0x0102_0304), Some(9)]);
        assert_eq!(attrs.find(3).unwrap().host(), Some(0x0102_0304_0506_0708));
        assert_eq!((attrs.host(3), attrs.host(5), attrs.host(6)), (None, None, None));
    }

    #[test]
    fn damaged_lengths_end_the_reading() {
        for damaged in [&[3, 0, 1, 0][..], &[200, 0, 1, 0, 7], &[8, 0], &[]] {
            assert_eq!(Attrs(damaged).count(), 0, "{damaged:?}");
        }
    }
}
