//! Label selectors, as `labels` and `namespace_labels` have them.

use std::fmt;

/// A label selector: all requirements must hold. Its text form is Kubernetes' (`app=web,tier in (a,b),!old`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// All of them must hold. Never empty when it comes from a Corefile.
    pub requirements: Vec<Requirement>,
}

/// One part of a [`Selector`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The label's key.
    pub key: String,
    /// What is asked of its value.
    pub operator: SelectorOperator,
}

/// What is asked of a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SelectorOperator {
    /// It has one of these values (`=`, `==`, `in`).
    In(Vec<String>),
    /// It is missing or has another value (`!=`, `notin`).
    NotIn(Vec<String>),
    /// It is there.
    Exists,
    /// It is not there (`!key`).
    DoesNotExist,
}

impl Selector {
    /// Whether an object with these labels is meant; `value_of` gives the value of a key.
    pub fn matches<'a>(&self, value_of: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.requirements.iter().all(|requirement| requirement.operator.holds(value_of(&requirement.key)))
    }
}

impl SelectorOperator {
    fn holds(&self, value: Option<&str>) -> bool {
        match self {
            Self::In(values) => value.is_some_and(|value| values.iter().any(|one| one == value)),
            Self::NotIn(values) => !value.is_some_and(|value| values.iter().any(|one| one == value)),
            Self::Exists => value.is_some(),
            Self::DoesNotExist => value.is_none(),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{requirement}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        match &self.operator {
            SelectorOperator::In(values) if values.len() == 1 => write!(f, "{key}={}", values.concat()),
            SelectorOperator::In(values) => write!(f, "{key} in ({})", values.join(",")),
            SelectorOperator::NotIn(values) if values.len() == 1 => write!(f, "{key}!={}", values.concat()),
            SelectorOperator::NotIn(values) => write!(f, "{key} notin ({})", values.join(",")),
            SelectorOperator::Exists => write!(f, "{key}"),
            SelectorOperator::DoesNotExist => write!(f, "!{key}"),
        }
    }
}
