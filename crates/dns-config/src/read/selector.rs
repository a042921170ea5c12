//! Label selectors as text: what `metav1.ParseToLabelSelector` reads.

use crate::place::Problem;
use crate::syntax::Directive;
use crate::types::{Requirement, Selector, SelectorOperator};

/// The selector that the arguments of an option are.
pub fn read(option: &Directive) -> Result<Selector, Problem> {
    let words: Vec<&str> = option.some_args()?.iter().map(|arg| arg.text.as_str()).collect();
    let text = words.join(" ");
    let wrong = || {
        option
            .problem(format!("{text} is not a label selector: write for example app=web,tier in (a,b),!old"))
    };
    let requirements: Option<Vec<Requirement>> =
        split(&text).ok_or_else(wrong)?.into_iter().map(requirement).collect();
    requirements.filter(|all| !all.is_empty()).map(|requirements| Selector { requirements }).ok_or_else(wrong)
}

/// The parts between commas that are not in parentheses.
fn split(text: &str) -> Option<Vec<&str>> {
    let mut parts = Vec::new();
    let (mut start, mut open) = (0, false);
    for (at, c) in text.char_indices() {
        match c {
            '(' if open => return None,
            ')' if !open => return None,
            '(' => open = true,
            ')' => open = false,
            ',' if !open => {
                parts.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim());
    (!open).then_some(parts)
}

fn requirement(text: &str) -> Option<Requirement> {
    if let Some(key) = text.strip_prefix('!') {
        return build(key.trim(), SelectorOperator::DoesNotExist);
    }
    if let Some(at) = text.find(['=', '!']) {
        let (key, rest) = text.split_at(at);
        let (unequal, value) = match rest.strip_prefix("!=") {
            Some(value) => (true, value),
            None => (false, rest.strip_prefix("==").or_else(|| rest.strip_prefix('='))?),
        };
        let values = vec![value_of(value)?];
        let operator = if unequal { SelectorOperator::NotIn(values) } else { SelectorOperator::In(values) };
        return build(key.trim(), operator);
    }
    match text.split_once(char::is_whitespace) {
        None => build(text, SelectorOperator::Exists),
        Some((key, set)) => build(key, set_of(set.trim())?),
    }
}

fn set_of(text: &str) -> Option<SelectorOperator> {
    let (word, list) = text.split_once('(')?;
    let values: Option<Vec<String>> = list.strip_suffix(')')?.split(',').map(value_of).collect();
    match word.trim() {
        "in" => values.map(SelectorOperator::In),
        "notin" => values.map(SelectorOperator::NotIn),
        _ => None,
    }
}

fn build(key: &str, operator: SelectorOperator) -> Option<Requirement> {
    let (prefix, name) = key.rsplit_once('/').unwrap_or(("x", key));
    let good = is_label(name)
        && !name.is_empty()
        && !prefix.is_empty()
        && prefix.len() <= 253
        && prefix.chars().all(of_label);
    good.then(|| Requirement { key: key.to_owned(), operator })
}

fn value_of(text: &str) -> Option<String> {
    let text = text.trim();
    is_label(text).then(|| text.to_owned())
}

/// At most 63 letters, digits, `-`, `_` and `.`; none of the latter at an end.
fn is_label(text: &str) -> bool {
    let ends = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && text.chars().all(of_label)
        && ends(text.chars().next())
        && ends(text.chars().next_back())
}

fn of_label(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}
