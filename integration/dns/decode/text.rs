//! Names and records as the table writes them.

use std::fmt::Write;

/// A name of its labels, with the dot at its end.
pub(super) fn name<'a>(labels: impl Iterator<Item = &'a [u8]>) -> String {
    let mut text = String::new();
    for label in labels.filter(|label| !label.is_empty()) {
        label.iter().for_each(|octet| push(&mut text, *octet));
        text.push('.');
    }
    if text.is_empty() { ".".to_owned() } else { text }
}

fn push(text: &mut String, octet: u8) {
    match octet {
        b'.' | b'\\' | b'"' | b'(' | b')' | b';' | b'@' | b'$' => text.extend(['\\', char::from(octet)]),
        0x21..0x7f => text.push(char::from(octet)),
        _ => drop(write!(text, "\\{octet:03}")),
    }
}

/// A character string in quotes.
pub(super) fn quoted(octets: &[u8]) -> String {
    format!("\"{}\"", String::from_utf8_lossy(octets))
}

/// Anything, as RFC 3597 has it.
pub(super) fn generic(octets: &[u8]) -> String {
    let digits: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    format!("\\# {} {digits}", octets.len())
}
