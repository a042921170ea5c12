//! What is wrong with a configuration, in the reader's words.

use std::fmt;

/// One wrong setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigProblem {
    /// Where: the path of the field in the file (`conntrack.min`), or the flag (`--conntrack-min`).
    pub field: String,
    /// What was found there; may be empty.
    pub value: String,
    /// What is wrong with it, and what to write instead.
    pub message: String,
}

impl ConfigProblem {
    pub(crate) fn new(
        field: impl Into<String>,
        value: impl fmt::Display,
        message: impl Into<String>,
    ) -> Self {
        Self { field: field.into(), value: value.to_string(), message: message.into() }
    }
}

impl fmt::Display for ConfigProblem {
    /// `field: value: what is wrong, what to write instead`, on one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, value, message } = self;
        let text = match value.as_str() {
            "" => format!("{field}: {message}"),
            value => format!("{field}: {value}: {message}"),
        };
        f.write_str(&text.replace(['\n', '\r'], " "))
    }
}

/// All that is wrong with a configuration; never empty when it is an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<ConfigProblem>);

impl Problems {
    pub(crate) fn add(
        &mut self,
        field: impl Into<String>,
        value: impl fmt::Display,
        message: impl Into<String>,
    ) {
        self.0.push(ConfigProblem::new(field, value, message));
    }

    /// This, if there is no problem.
    pub(crate) fn unless_any<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl fmt::Display for Problems {
    /// Joined by "; ". With `{:#}` one on a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = if f.alternate() { "\n" } else { "; " };
        for (i, problem) in self.0.iter().enumerate() {
            let before = if i == 0 { "" } else { separator };
            write!(f, "{before}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
