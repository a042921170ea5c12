//! Names as text: the form of master files (RFC 1035 section 5.1), with `\.` and `\DDD`.

use std::fmt;
use std::str::FromStr;

use crate::name::{MAX_LABEL, MAX_NAME, Name, NameRef};
use crate::name_buf::NameBuf;

/// Why a text is not a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Two dots without a label between them, a dot at the beginning, or nothing at all.
    #[error("the name has an empty label")]
    EmptyLabel,
    /// More than 63 octets.
    #[error("a label of the name is longer than {MAX_LABEL} octets")]
    LongLabel,
    /// More than 255 octets in wire form.
    #[error("the name is longer than {MAX_NAME} octets")]
    LongName,
    /// A backslash at the end, or before a number that is not three digits of at most 255.
    #[error("the name has a backslash that escapes nothing: write \\. or \\DDD")]
    Escape,
}

impl FromStr for Name {
    type Err = NameError;

    /// Reads a name; the dot at the end is optional; `.` is the root.
    fn from_str(text: &str) -> Result<Self, NameError> {
        if text == "." {
            return Ok(Self::root());
        }
        let mut name = NameBuf::new();
        let mut rest = text.as_bytes();
        let mut label = Vec::new();
        loop {
            label.clear();
            let more = read_label(&mut rest, &mut label)?;
            push(&mut name, &label)?;
            if !more || rest.is_empty() {
                return name.name_under(NameRef::ROOT).ok_or(NameError::LongName);
            }
        }
    }
}

fn push(name: &mut NameBuf, label: &[u8]) -> Result<(), NameError> {
    match label.len() {
        0 => Err(NameError::EmptyLabel),
        1..=MAX_LABEL => name.push(label).map(|_| ()).ok_or(NameError::LongName),
        _ => Err(NameError::LongLabel),
    }
}

/// Takes the octets up to a dot. True: there was a dot.
fn read_label(rest: &mut &[u8], label: &mut Vec<u8>) -> Result<bool, NameError> {
    while let Some((&octet, after)) = rest.split_first() {
        *rest = after;
        match octet {
            b'.' => return Ok(true),
            b'\\' => label.push(escaped(rest)?),
            octet => label.push(octet),
        }
    }
    Ok(false)
}

fn escaped(rest: &mut &[u8]) -> Result<u8, NameError> {
    let (&first, after) = rest.split_first().ok_or(NameError::Escape)?;
    if !first.is_ascii_digit() {
        *rest = after;
        return Ok(first);
    }
    let (digits, after) = rest.split_at_checked(3).ok_or(NameError::Escape)?;
    *rest = after;
    let digits =
        std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|octet| octet.is_ascii_digit()));
    digits.and_then(|text| text.parse().ok()).ok_or(NameError::Escape)
}

impl fmt::Display for NameRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.write_str(".");
        }
        for label in self.labels() {
            label.iter().try_for_each(|&octet| write_octet(f, octet))?;
            f.write_str(".")?;
        }
        Ok(())
    }
}

fn write_octet(f: &mut fmt::Formatter<'_>, octet: u8) -> fmt::Result {
    match octet {
        b'.' | b'\\' | b'"' | b'(' | b')' | b';' | b'@' | b'$' => write!(f, "\\{}", char::from(octet)),
        b'!'..=b'~' => write!(f, "{}", char::from(octet)),
        octet => write!(f, "\\{octet:03}"),
    }
}

impl fmt::Debug for NameRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.as_ref(), f)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
