//! Label selectors, as the Kubernetes API and Corefiles write them: `tier=web,env in (a, b),!old`.

use std::str::FromStr;

use model::Labels;

/// Which labels an object must have: all requirements hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    requirements: Vec<Requirement>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Requirement {
    Exists(String),
    Missing(String),
    In(String, Vec<String>),
    /// Also true where the key is missing, as in the API.
    NotIn(String, Vec<String>),
}

/// A text that is no selector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no label selector: write for example a=b, a!=b, a in (b,c), a notin (b), a or !a, with commas between"
)]
pub struct SelectorError(String);

impl Selector {
    /// A selector of exact values.
    pub fn exact<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let requirement =
            |(key, value): (&str, &str)| Requirement::In(key.to_owned(), vec![value.to_owned()]);
        Self { requirements: pairs.into_iter().map(requirement).collect() }
    }

    /// Whether labels are selected.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.requirements.iter().all(|requirement| requirement.holds(labels))
    }
}

impl Requirement {
    fn holds(&self, labels: &Labels) -> bool {
        let one_of =
            |key: &str, values: &[String]| labels.get(key).map(|value| values.iter().any(|v| v == value));
        match self {
            Self::Exists(key) => labels.get(key).is_some(),
            Self::Missing(key) => labels.get(key).is_none(),
            Self::In(key, values) => one_of(key, values).unwrap_or(false),
            Self::NotIn(key, values) => !one_of(key, values).unwrap_or(false),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        if let Some(key) = text.strip_prefix('!') {
            return Some(Self::Missing(word(key)?));
        }
        if let Some((head, list)) = text.split_once('(') {
            return Self::parse_set(head, list.strip_suffix(')')?);
        }
        if let Some((key, value)) = text.split_once("!=") {
            return Some(Self::NotIn(word(key)?, vec![value_of(value)?]));
        }
        match text.split_once('=') {
            Some((key, value)) => {
                Some(Self::In(word(key)?, vec![value_of(value.strip_prefix('=').unwrap_or(value))?]))
            }
            None => Some(Self::Exists(word(text)?)),
        }
    }

    fn parse_set(head: &str, list: &str) -> Option<Self> {
        let (key, operator) = head.trim().rsplit_once(char::is_whitespace)?;
        let values = list.split(',').map(value_of).collect::<Option<Vec<_>>>()?;
        match operator {
            "in" => Some(Self::In(word(key)?, values)),
            "notin" => Some(Self::NotIn(word(key)?, values)),
            _ => None,
        }
    }
}

/// A key: not empty.
fn word(text: &str) -> Option<String> {
    value_of(text).filter(|word| !word.is_empty())
}

fn value_of(text: &str) -> Option<String> {
    let text = text.trim();
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    text.chars().all(good).then(|| text.to_owned())
}

impl FromStr for Selector {
    type Err = SelectorError;

    /// Reads a selector; the empty one selects everything.
    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let mut inside = false;
        let parts = text.split(|c| {
            inside = (inside || c == '(') && c != ')';
            c == ',' && !inside
        });
        let parts = parts.map(str::trim).filter(|part| !part.is_empty() || !text.trim().is_empty());
        let requirements = parts.map(Requirement::parse).collect::<Option<_>>();
        requirements.map(|requirements| Self { requirements }).ok_or_else(|| SelectorError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_select() {
        let labels = Labels::new([("tier", "web"), ("app.kubernetes.io/name", "x")]);
        let table = [
            ("", true),
            ("tier=web", true),
            ("tier == web", true),
            ("tier=db", false),
            ("tier!=db", true),
            ("tier!=web", false),
            ("none!=web", true),
            ("tier in (db, web)", true),
            ("tier in (db),tier", false),
            ("tier notin (db,web)", false),
            ("none notin (db)", true),
            ("tier", true),
            ("!tier", false),
            ("!none, app.kubernetes.io/name=x", true),
            ("none", false),
        ];
        for (text, want) in table {
            assert_eq!(text.parse::<Selector>().unwrap().matches(&labels), want, "{text}");
        }
        for bad in ["tier in", "tier in (a", "=a", "a b", "!", "a,,b", "tier like (a)", "a=b=c"] {
            assert!(bad.parse::<Selector>().is_err(), "{bad}");
        }
    }
}
