//! Which names a `rewrite` rule is about, and what they become.

use dns_config::{Pattern, compile_regex};
use regex::bytes::{Captures, Regex};

/// A pattern, ready.
#[derive(Debug)]
pub(crate) enum Matcher {
    Exact(String),
    Prefix(String),
    Suffix(String),
    Substring(String),
    Regex(Regex),
}

impl Matcher {
    pub(crate) fn new(pattern: &Pattern) -> Result<Self, regex::Error> {
        Ok(match pattern {
            Pattern::Exact(text) => Self::Exact(text.clone()),
            Pattern::Prefix(text) => Self::Prefix(text.clone()),
            Pattern::Suffix(text) => Self::Suffix(text.clone()),
            Pattern::Substring(text) => Self::Substring(text.clone()),
            Pattern::Regex(text) => Self::Regex(compile_regex(text)?),
        })
    }

    /// Whether a name, in lower case with its last dot, is meant.
    pub(crate) fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exact(text) => name == text,
            Self::Prefix(text) => name.starts_with(text.as_str()),
            Self::Suffix(text) => name.ends_with(text.as_str()),
            Self::Substring(text) => name.contains(text.as_str()),
            Self::Regex(regex) => regex.is_match(name.as_bytes()),
        }
    }

    /// The name with what matched replaced by `to`; `None`: it is not meant.
    pub(crate) fn replace(&self, name: &str, to: &str) -> Option<String> {
        match self {
            Self::Exact(text) => (name == text).then(|| to.to_owned()),
            Self::Prefix(text) => name.strip_prefix(text.as_str()).map(|rest| format!("{to}{rest}")),
            Self::Suffix(text) => name.strip_suffix(text.as_str()).map(|rest| format!("{rest}{to}")),
            Self::Substring(text) => name.contains(text.as_str()).then(|| name.replace(text.as_str(), to)),
            Self::Regex(regex) => changed(regex, name, to).map(with_last_dot),
        }
    }
}

/// Templates may leave the last dot out.
fn with_last_dot(mut name: String) -> String {
    if !name.ends_with('.') {
        name.push('.');
    }
    name
}

/// What a template becomes where an expression matches; `None`: it does not.
pub(crate) fn changed(regex: &Regex, name: &str, to: &str) -> Option<String> {
    regex.captures(name.as_bytes()).map(|found| filled(to, &found))
}

/// A template with `{0}` to `{100}` filled from the groups of a match.
fn filled(template: &str, found: &Captures<'_>) -> String {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        let group =
            after.split_once('}').and_then(|(number, tail)| Some((number.parse::<usize>().ok()?, tail)));
        match group {
            Some((number, tail)) => {
                let group = found.get(number).map_or(&b""[..], |group| group.as_bytes());
                text.push_str(&String::from_utf8_lossy(group));
                rest = tail;
            }
            None => {
                text.push('{');
                rest = after;
            }
        }
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_what_the_rule_says() {
        let regex = |text: &str| Pattern::Regex(text.to_owned());
        for (pattern, to, name, wanted) in [
            (Pattern::Exact("a.b.".into()), "c.d.", "a.b.", Some("c.d.")),
            (Pattern::Exact("a.b.".into()), "c.d.", "x.a.b.", None),
            (Pattern::Prefix("old".into()), "new", "old-1.b.", Some("new-1.b.")),
            (Pattern::Suffix(".a.".into()), ".b.", "x.a.", Some("x.b.")),
            (Pattern::Suffix(".a.".into()), ".b.", "a.", None),
            (Pattern::Substring("x".into()), "y", "axbx.c.", Some("ayby.c.")),
            (regex("(.*)\\.(us|eu)\\.z\\."), "{2}.{1}.svc.", "a.us.z.", Some("us.a.svc.")),
            (regex("a"), "{9}{x}{0}", "a.", Some("{x}a.")),
            (regex(r"(.*)\.z"), "{1}.svc", "web.z.", Some("web.svc.")),
            (regex(r"^(\w+)-(\d+)\.z\.$"), "{2}.{1}.", "web-17.z.", Some("17.web.")),
            (regex(r"^(\w+)-(\d+)\.z\.$"), "{2}.{1}.", "web-x.z.", None),
            (regex(r"(?i)^WEB\.(.*)$"), "{1}", "web.z.", Some("z.")),
            (regex("(?i)^K\\.z\\.$"), "y.", "k.z.", Some("y.")),
            (regex(r"^[[:alpha:]]+\b\.z\.$"), "y.", "web.z.", Some("y.")),
        ] {
            let matcher = Matcher::new(&pattern).unwrap();
            assert_eq!(matcher.replace(name, to).as_deref(), wanted, "{pattern:?} on {name}");
            assert_eq!(matcher.matches(name), wanted.is_some());
        }
    }
}
