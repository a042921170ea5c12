//! Finding the end of one JSON value in bytes that come in pieces, without reading what is in it.

/// Follows one value: depth, strings and escapes, nothing else. What is inside is judged by who decodes it.
#[derive(Debug, Default)]
pub(super) struct ValueScan {
    depth: u32,
    inside: Inside,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Inside {
    /// Between tokens; at depth 0 the value has not begun.
    #[default]
    Nothing,
    Text,
    /// The next byte of a string belongs to an escape.
    Escape,
    /// A number or a word at depth 0: ends where something else begins.
    Bare,
}

impl ValueScan {
    /// Takes bytes of the value. `Some(n)`: it ended with the first `n` of them; more may follow otherwise.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            at += 1;
            match (self.inside, byte) {
                (Inside::Escape, _) => self.inside = Inside::Text,
                (Inside::Text, b'\\') => self.inside = Inside::Escape,
                (Inside::Text, b'"') => {
                    self.inside = Inside::Nothing;
                    if self.depth == 0 {
                        return Some(at);
                    }
                }
                (Inside::Text, _) => at += plain_text(&bytes[at..]),
                (Inside::Bare, b',' | b']' | b'}' | b' ' | b'\t' | b'\r' | b'\n') => return Some(at - 1),
                (Inside::Bare, _) => {}
                (Inside::Nothing, b'"') => self.inside = Inside::Text,
                (Inside::Nothing, b'{' | b'[') => self.depth += 1,
                (Inside::Nothing, b'}' | b']') if self.depth <= 1 => return Some(at),
                (Inside::Nothing, b'}' | b']') => self.depth -= 1,
                (Inside::Nothing, b' ' | b'\t' | b'\r' | b'\n') => {}
                (Inside::Nothing, _) if self.depth == 0 => self.inside = Inside::Bare,
                (Inside::Nothing, _) => {}
            }
        }
        None
    }
}

/// How many bytes go on being plain text of a string.
fn plain_text(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| matches!(byte, b'"' | b'\\')).unwrap_or(bytes.len())
}

/// The text at a path of keys, in JSON that may be cut off at its end: what can be told of an object of which only the
/// beginning is there.
pub(super) fn text_at(json: &[u8], path: &[&str]) -> Option<String> {
    let value = path.iter().try_fold(json, |json, key| value_of(json, key))?;
    let value = value.trim_ascii_start();
    let length = ValueScan::default().feed(value)?;
    serde_json::from_slice(&value[..length]).ok()
}

/// What follows a key of the object that `json` begins with.
fn value_of<'a>(json: &'a [u8], key: &str) -> Option<&'a [u8]> {
    let mut rest = json.trim_ascii_start().strip_prefix(b"{")?;
    loop {
        rest = rest.trim_ascii_start();
        let length = ValueScan::default().feed(rest)?;
        let found: String = serde_json::from_slice(&rest[..length]).ok()?;
        rest = rest[length..].trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
        if found == key {
            return Some(rest);
        }
        let length = ValueScan::default().feed(rest)?;
        rest = rest[length..].trim_ascii_start().strip_prefix(b",")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_end_where_they_end() {
        for (json, expected) in [
            (r#"{"a":[1,{"b":"}]"}]},"#, Some(20)),
            (r#"  "a\"\\" ,"#, Some(9)),
            (r#""\u0022""#, Some(8)),
            ("12.5e3,", Some(6)),
            ("null}", Some(4)),
            ("12", None),
            (r#"{"a":"\"#, None),
            ("[]", Some(2)),
            ("]", Some(1)),
        ] {
            assert_eq!(ValueScan::default().feed(json.as_bytes()), expected, "{json}");
            let mut scan = ValueScan::default();
            let by_byte = (0..json.len()).find_map(|i| Some(i + scan.feed(&json.as_bytes()[i..=i])?));
            assert_eq!(by_byte, expected, "{json}, byte by byte");
        }
    }

    #[test]
    fn texts_are_found_in_what_is_there() {
        let json = r#"{"type":"ADDED", "object" : {"kind":"Service","metadata":{"x":{"name":1},"name":"w\u0065b","names"#;
        assert_eq!(text_at(json.as_bytes(), &["object", "metadata", "name"]).as_deref(), Some("web"));
        assert_eq!(text_at(json.as_bytes(), &["type"]).as_deref(), Some("ADDED"));
        assert_eq!(text_at(json.as_bytes(), &["object", "metadata", "namespace"]), None);
        assert_eq!(text_at(json.as_bytes(), &["object", "metadata", "x"]), None);
        assert_eq!(text_at(b"[]", &["type"]), None);
    }
}
