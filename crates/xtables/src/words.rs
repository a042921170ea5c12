//! The words of a rule, quoted as `iptables-save` prints them and as `iptables-restore` reads them.

use std::borrow::Cow;

/// Splits a line of `iptables-save` into its words, without quotes. Inside double quotes a backslash takes the next
/// character as it is; outside it is a character like any other. A quote that is not closed ends with the line.
pub fn split(line: &str) -> Vec<Cow<'_, str>> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let (word, after) = next(rest);
        words.push(word);
        rest = after.trim_start();
    }
    words
}

/// The first word of a text that begins with one, and what follows it.
fn next(text: &str) -> (Cow<'_, str>, &str) {
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    if !text[..end].contains('"') {
        return (Cow::Borrowed(&text[..end]), &text[end..]);
    }
    let (mut word, mut quoted, mut characters) = (String::new(), false, text.char_indices());
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => quoted = !quoted,
            '\\' if quoted => word.extend(characters.next().map(|(_, escaped)| escaped)),
            other if !quoted && other.is_whitespace() => return (Cow::Owned(word), &text[at..]),
            other => word.push(other),
        }
    }
    (Cow::Owned(word), "")
}

/// A free text (a comment, a log prefix) as `iptables-save` prints it: bare if it has only letters, digits, `_` and
/// `-`, otherwise in double quotes with `"`, `\` and `'` escaped (`xtables_save_string`, libxtables).
pub fn quote(text: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !text.is_empty() && text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        if matches!(character, '"' | '\\' | '\'') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted.push('"');
    Cow::Owned(quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_their_words() {
        let cases: &[(&str, &[&str])] = &[
            ("", &[]),
            ("  ", &[]),
            ("-A X -j RETURN", &["-A", "X", "-j", "RETURN"]),
            (r#"--comment "a b" -j Y"#, &["--comment", "a b", "-j", "Y"]),
            (r#"--comment """#, &["--comment", ""]),
            (r#"--comment "say \"hi\" c:\\d it\'s""#, &["--comment", r#"say "hi" c:\d it's"#]),
            (r"a\b c", &[r"a\b", "c"]),
            (r#"--log-prefix "open"#, &["--log-prefix", "open"]),
            (r#"x"y z"w"#, &["xy zw"]),
        ];
        for (line, expected) in cases {
            assert_eq!(&split(line), expected, "{line}");
        }
    }

    #[test]
    fn texts_and_their_quotes() {
        let cases = [
            ("plain-word_1", "plain-word_1"),
            ("", r#""""#),
            ("a b", r#""a b""#),
            ("ns/name:port", r#""ns/name:port""#),
            (r#"say "hi" c:\d it's"#, r#""say \"hi\" c:\\d it\'s""#),
            ("grüße", r#""grüße""#),
        ];
        for (text, expected) in cases {
            assert_eq!(quote(text), expected, "{text}");
            assert_eq!(split(&quote(text)), [text], "{text}");
        }
    }
}
