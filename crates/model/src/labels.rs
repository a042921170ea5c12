//! The labels of an object: one small text, shared between objects that have the same.

use std::fmt;
use std::sync::Arc;

/// Labels, sorted by key. One allocation for all of them, or none where there are no labels: there are as many as objects,
/// and few are ever asked for. Copies are cheap, and comparing them compares bytes.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Labels(Option<Arc<str>>);

/// Ends a key, and a value. Kubernetes has no such character in either; [`Labels::new`] leaves out what has.
const END: char = '\0';

impl Labels {
    /// Makes labels from pairs of key and value, in any order. Of equal keys the last counts. A pair that has a NUL
    /// character is left out: no selector could name it.
    pub fn new<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self::text(pairs).map_or_else(Self::default, |text| Self(Some(text.into())))
    }

    /// As [`Labels::new`], sharing equal ones through `names`.
    pub fn shared<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
        names: &mut crate::Interner,
    ) -> Self {
        Self(Self::text(pairs).map(|text| names.get(&text)))
    }

    fn text<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Option<String> {
        let good = |(key, value): &(&str, &str)| !key.contains(END) && !value.contains(END);
        let sorted: std::collections::BTreeMap<&str, &str> = pairs.into_iter().filter(good).collect();
        let text: String = sorted.iter().flat_map(|(key, value)| [*key, "\0", *value, "\0"]).collect();
        (!text.is_empty()).then_some(text)
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.iter().find(|(found, _)| *found == key).map(|(_, value)| value)
    }

    /// Every key with its value, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut parts = self.0.as_deref().unwrap_or_default().split_terminator(END);
        std::iter::from_fn(move || Some((parts.next()?, parts.next()?)))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_sorted_and_found() {
        let pairs: [(&[(&str, &str)], &str); 6] = [
            (&[], "{}"),
            (&[("a", "")], r#"{"a": ""}"#),
            (&[("b", "2"), ("a", "1")], r#"{"a": "1", "b": "2"}"#),
            (&[("a", "1"), ("a", "2")], r#"{"a": "2"}"#),
            (&[("", ""), ("x/y", "z")], r#"{"": "", "x/y": "z"}"#),
            (&[("a\0b", "1"), ("c", "\0"), ("d", "4")], r#"{"d": "4"}"#),
        ];
        for (pairs, want) in pairs {
            let labels = Labels::new(pairs.iter().copied());
            assert_eq!(format!("{labels:?}"), want);
            assert_eq!(labels.is_empty(), want == "{}");
            assert_eq!(Labels::new(labels.iter()), labels);
        }
        let labels = Labels::new([("tier", "web"), ("empty", "")]);
        assert_eq!(
            [labels.get("tier"), labels.get("empty"), labels.get("web")],
            [Some("web"), Some(""), None]
        );
    }

    #[test]
    fn equal_ones_are_shared() {
        let mut names = crate::Interner::default();
        let [first, second] = [0, 1].map(|_| Labels::shared([("a", "1")], &mut names));
        assert!(Arc::ptr_eq(first.0.as_ref().unwrap(), second.0.as_ref().unwrap()));
        assert!(Labels::shared([], &mut names).is_empty());
    }
}
