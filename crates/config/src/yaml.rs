//! A writer of plain YAML: block style, sorted keys, quotes only where needed, as sigs.k8s.io/yaml has it.

use std::collections::BTreeMap;

use serde_json::Value;

/// A mapping as a YAML document.
pub(crate) fn write(value: &Value) -> String {
    let mut text = String::new();
    block(value, 0, &mut text);
    text
}

/// The lines of a mapping or a list, each indented.
fn block(value: &Value, indent: usize, text: &mut String) {
    let space = " ".repeat(indent);
    match value {
        Value::Object(fields) => {
            // Sorted, whether or not some crate switches serde_json to insertion order.
            for (key, value) in fields.iter().collect::<BTreeMap<_, _>>() {
                text.push_str(&format!("{space}{}:", string(key)));
                after_key(value, indent, text);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| list_item(item, indent, text)),
        scalar => text.push_str(&format!("{space}{}\n", inline(scalar))),
    }
}

/// A list stands under its key without indentation, a mapping with two spaces.
fn after_key(value: &Value, indent: usize, text: &mut String) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            text.push('\n');
            block(value, indent + 2, text);
        }
        Value::Array(items) if !items.is_empty() => {
            text.push('\n');
            block(value, indent, text);
        }
        value => text.push_str(&format!(" {}\n", inline(value))),
    }
}

/// `- ` takes the place of the first two spaces.
fn list_item(item: &Value, indent: usize, text: &mut String) {
    let mut lines = String::new();
    block(item, indent + 2, &mut lines);
    text.push_str(&" ".repeat(indent));
    text.push_str("- ");
    text.push_str(lines.get(indent + 2..).unwrap_or_default());
}

fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => string(text),
        Value::Object(_) => "{}".into(),
        Value::Array(_) => "[]".into(),
        other => other.to_string(),
    }
}

/// Plain if it reads back as the same string; in double quotes if it would be another type (`"0"`) or has
/// unprintable characters, else in single quotes.
fn string(text: &str) -> String {
    if text.chars().any(char::is_control) || text.is_empty() || is_other_type(text) {
        return Value::from(text).to_string();
    }
    if is_plain(text) { text.into() } else { format!("'{}'", text.replace('\'', "''")) }
}

/// What YAML 1.1 or 1.2 reads as null, a boolean, a number or a timestamp.
fn is_other_type(text: &str) -> bool {
    const WORDS: &[&str] =
        &["null", "~", "true", "false", "yes", "no", "on", "off", "y", "n", ".nan", "<<", "="];
    let lower = text.to_ascii_lowercase();
    let number = lower.trim_start_matches(['+', '-']);
    let digits = number.trim_start_matches('.').starts_with(|c: char| c.is_ascii_digit());
    let numeric = |c: char| c.is_ascii_hexdigit() || "_:.xo+-tz ".contains(c);
    let is_address = text.parse::<std::net::IpAddr>().is_ok() || text.parse::<std::net::SocketAddr>().is_ok();
    WORDS.contains(&lower.as_str())
        || number == ".inf"
        || digits && number.chars().all(numeric) && !is_address
}

fn is_plain(text: &str) -> bool {
    let bad_start = |c: char| "-?:,[]{}#&*!|>'\"%@` ".contains(c);
    !text.starts_with(bad_start)
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_only_where_needed() {
        for (text, written) in [
            ("", "\"\""),
            ("0", "\"0\""),
            ("64Ki", "64Ki"),
            ("1e3", "\"1e3\""),
            ("yes", "\"yes\""),
            ("0.0.0.0", "0.0.0.0"),
            ("0.0.0.0:10256", "0.0.0.0:10256"),
            ("[::]:10256", "'[::]:10256'"),
            ("::", "'::'"),
            ("fd00::1", "fd00::1"),
            ("10.244.0.0/16", "10.244.0.0/16"),
            ("15m0s", "15m0s"),
            ("10:20", "\"10:20\""),
            ("2026-01-01", "\"2026-01-01\""),
            ("it's", "it's"),
            ("'quoted", "'''quoted'"),
            ("a: b", "'a: b'"),
            ("line\nline", "\"line\\nline\""),
            ("-", "'-'"),
        ] {
            assert_eq!(string(text), written, "{text:?}");
            let back: Value = serde_saphyr::from_str(&string(text)).unwrap();
            assert_eq!(back, Value::from(text));
        }
    }

    #[test]
    fn blocks() {
        let value = serde_json::json!({"b": {"y": 1, "x": null}, "a": ["p", "q"], "c": [{"k": 1, "l": {"m": 2}}], "d": {}});
        let text = "a:\n- p\n- q\nb:\n  x: null\n  \"y\": 1\nc:\n- k: 1\n  l:\n    m: 2\nd: {}\n";
        assert_eq!(write(&value), text);
    }
}
