//! One file's text -> its documents, each as JSON text.
//!
//! YAML is split at marker lines before it is parsed, so that a syntax error loses one document only.
//! JSON may be several values one after the other; what follows a syntax error there is lost.

use serde_json::value::RawValue;

use super::ManifestsError;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// YAML, or JSON inside YAML.
    Yaml,
    /// JSON.
    Json,
}

/// Takes a document's number (from 1) and its JSON, or what is wrong with its syntax.
pub(super) type Visit<'a> = dyn FnMut(usize, Result<&str, String>) -> Result<(), ManifestsError> + 'a;

/// Hands every document of a text to `visit`. Empty documents are passed over.
pub(super) fn each(text: &str, format: Format, visit: &mut Visit<'_>) -> Result<(), ManifestsError> {
    let text = text.trim_start_matches('\u{feff}');
    match format {
        Format::Json => each_json(text, visit),
        Format::Yaml => each_yaml(text, visit),
    }
}

fn each_json(text: &str, visit: &mut Visit<'_>) -> Result<(), ManifestsError> {
    let values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    for (i, value) in values.enumerate() {
        match value {
            Ok(raw) => visit(i + 1, Ok(raw.get()))?,
            Err(error) => {
                return visit(i + 1, Err(format!("bad JSON: {error}")));
            }
        }
    }
    Ok(())
}

fn each_yaml(text: &str, visit: &mut Visit<'_>) -> Result<(), ManifestsError> {
    let written = split(text).into_iter().filter(|part| !part.is_blank());
    for (i, part) in written.enumerate() {
        if let Some(raw) = part.as_json() {
            visit(i + 1, Ok(raw))?;
            continue;
        }
        match part.to_json() {
            Ok(None) => {}
            Ok(Some(json)) => visit(i + 1, Ok(&json))?,
            Err(message) => visit(i + 1, Err(message))?,
        }
    }
    Ok(())
}

/// The text of one YAML document, and the line (from 1) that it starts on.
#[derive(Debug, PartialEq, Eq)]
struct Part<'a> {
    text: &'a str,
    line: usize,
}

impl<'a> Part<'a> {
    /// Nothing but blank lines, comments and `%` directives.
    fn is_blank(&self) -> bool {
        self.text
            .lines()
            .all(|line| line.trim().is_empty() || line.trim_start().starts_with('#') || line.starts_with('%'))
    }

    /// The document as it is, if it is JSON already: far cheaper than reading it as YAML.
    fn as_json(&self) -> Option<&'a str> {
        let text = self.text.trim();
        if !text.starts_with('{') {
            return None;
        }
        serde_json::from_str::<&RawValue>(text).ok().map(RawValue::get)
    }

    /// The document as JSON; `None` when there is nothing in it.
    fn to_json(&self) -> Result<Option<String>, String> {
        let value: serde_json::Value = serde_saphyr::from_str_with_options(self.text, options())
            .map_err(|error| self.message(&error))?;
        if value.is_null() {
            return Ok(None);
        }
        serde_json::to_string(&value).map(Some).map_err(|error| error.to_string())
    }

    fn message(&self, error: &serde_saphyr::Error) -> String {
        let plain = serde_saphyr::DefaultMessageFormatter;
        let mut options = serde_saphyr::RenderOptions::new(&plain);
        options.line_offset = self.line as u64 - 1;
        options.snippets = serde_saphyr::SnippetMode::Off;
        let text = error.render_with_options(options);
        let text = text.lines().next().unwrap_or_default();
        match error.location() {
            Some(_) => format!("bad YAML: {text}"),
            None => format!("bad YAML in the document that starts at line {}: {text}", self.line),
        }
    }
}

/// Room for a list of hundreds of thousands of objects. The limits on aliases stay: those are what keeps a
/// small file from growing without bound.
fn options() -> serde_saphyr::Options {
    let mut alias_limits = serde_saphyr::options::AliasLimits::default();
    alias_limits.max_total_replayed_events = 100_000;
    serde_saphyr::options! {
        alias_limits: alias_limits,
        budget: serde_saphyr::budget! {
            max_events: usize::MAX,
            max_nodes: usize::MAX,
            max_total_scalar_bytes: usize::MAX,
            max_total_comment_bytes: usize::MAX,
            max_depth: 100,
        },
        with_snippet: false,
    }
}

/// Splits at `---` and `...` in the first column.
fn split(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let (mut start, mut start_line, mut at) = (0, 1, 0);
    for (i, line) in text.split_inclusive('\n').enumerate() {
        if let Some(marker) = marker(line) {
            parts.push(Part { text: &text[start..at], line: start_line });
            (start, start_line) = (at + marker, i + 1);
        }
        at += line.len();
    }
    parts.push(Part { text: &text[start..], line: start_line });
    parts
}

/// The length of the marker that a line starts with. What follows `---` belongs to the document.
fn marker(line: &str) -> Option<usize> {
    let rest = line.strip_prefix("---").or_else(|| line.strip_prefix("..."))?;
    (rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n'])).then_some(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, format: Format) -> Vec<(usize, Result<String, String>)> {
        let mut found = Vec::new();
        each(text, format, &mut |number, document| {
            found.push((number, document.map(str::to_owned)));
            Ok(())
        })
        .unwrap();
        found
    }

    fn ok(number: usize, json: &str) -> (usize, Result<String, String>) {
        (number, Ok(json.to_owned()))
    }

    #[test]
    fn yaml_documents() {
        for (text, expected) in [
            ("a: 1\n", vec![ok(1, r#"{"a":1}"#)]),
            ("---\na: 1\n---\nb: 2\n", vec![ok(1, r#"{"a":1}"#), ok(2, r#"{"b":2}"#)]),
            ("--- {a: 1}\n...\n--- # second\nb: 2", vec![ok(1, r#"{"a":1}"#), ok(2, r#"{"b":2}"#)]),
            ("---\r\na: 1\r\n---\r\nb: 2\r\n", vec![ok(1, r#"{"a":1}"#), ok(2, r#"{"b":2}"#)]),
            ("\u{feff}a: 1", vec![ok(1, r#"{"a":1}"#)]),
            ("# only words\n---\n\n---\n", vec![]),
            ("%YAML 1.2\n---\na: 1\n", vec![ok(1, r#"{"a":1}"#)]),
            ("a: |\n  x\n  --- y\n  ---\n", vec![ok(1, r#"{"a":"x\n--- y\n---\n"}"#)]),
            ("{\"a\": {\"b\": 1}}\n", vec![ok(1, r#"{"a": {"b": 1}}"#)]),
            ("---a: 1\n", vec![ok(1, r#"{"---a":1}"#)]),
            ("~\n", vec![]),
        ] {
            assert_eq!(read(text, Format::Yaml), expected, "{text:?}");
        }
    }

    #[test]
    fn a_yaml_error_loses_one_document_and_names_the_line_in_the_file() {
        let found = read("a: 1\n---\nb: 2\nc: [\n---\nd: 4\n", Format::Yaml);
        assert_eq!(found[0], ok(1, r#"{"a":1}"#));
        let message = found[1].1.clone().unwrap_err();
        assert!(message.starts_with("bad YAML: ") && message.contains("line 4"), "{message}");
        assert!(!message.contains('\n'), "{message}");
        assert_eq!(found[2], ok(3, r#"{"d":4}"#));
    }

    #[test]
    fn an_alias_bomb_is_an_error() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for i in 1..12 {
            let one = format!("*a{}", i - 1);
            text.push_str(&format!("a{i}: &a{i} [{}]\n", [one.as_str(); 10].join(", ")));
        }
        assert!(read(&text, Format::Yaml)[0].1.is_err());
    }

    #[test]
    fn json_documents() {
        assert_eq!(read("{\"a\":1} {\"b\":2}\n", Format::Json), [ok(1, "{\"a\":1}"), ok(2, "{\"b\":2}")]);
        assert_eq!(read(" \n", Format::Json), []);
        let found = read("{\"a\":1}\n{\"b\":\n}\n{\"c\":3}", Format::Json);
        assert_eq!(found.len(), 2);
        assert!(found[1].1.clone().unwrap_err().contains("at line 3 column 1"));
    }
}
