//! Words of others on a terminal.

use std::borrow::Cow;
use std::fmt::Write;

/// The text as a terminal may have it: what moves its cursor, changes its colours or its title, or the order of what it shows, is
/// written as an escape (`\u001b`), which JSON has too: a string in JSON says the same afterwards. Lines and tabs stay.
pub fn printable(text: &str) -> Cow<'_, str> {
    let harmless = |b: u8| matches!(b, b' '..=b'~' | b'\n' | b'\t');
    if text.bytes().all(harmless) || !text.chars().any(acts) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if acts(c) {
            // Writing to a text does not fail.
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// The same in one line.
pub fn in_one_line(text: &str) -> String {
    printable(text).replace('\n', "\\n")
}

/// Control characters but the two, those that turn the direction of writing (UAX #9), and those that end lines for some.
fn acts(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        c => c.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_is_escaped() {
        for (text, expected) in [
            ("", ""),
            ("a\tb\nc ~", "a\tb\nc ~"),
            ("Zürich €", "Zürich €"),
            ("\x1b[2J\x1b]0;title\x07", "\\u001b[2J\\u001b]0;title\\u0007"),
            ("a\rb\x7f\u{9b}2J", "a\\u000db\\u007f\\u009b2J"),
            ("a\u{202e}b\u{2066}c\u{2028}", "a\\u202eb\\u2066c\\u2028"),
        ] {
            assert_eq!(printable(text), expected, "{text:?}");
        }
        assert_eq!(in_one_line("a\nb\x1b"), "a\\nb\\u001b");
    }
}
