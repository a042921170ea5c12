//! `{$NAME}` and `{%NAME%}`: environment variables in words.

use crate::env::Env;

/// The word with the values of its variables, in one pass: a value is not looked at again. A variable that is not set is
/// empty, as in CoreDNS.
pub fn fill(word: &str, env: &dyn Env) -> String {
    fill_form(&fill_form(word, "{$", "}", env), "{%", "%}", env)
}

fn fill_form(word: &str, open: &str, close: &str, env: &dyn Env) -> String {
    let mut out = String::new();
    let mut rest = word;
    while let Some((before, name, after)) = reference(rest, open, close) {
        out.push_str(before);
        out.push_str(&env.var(name).unwrap_or_default());
        rest = after;
    }
    out + rest
}

/// What is before, in and after the first reference.
fn reference<'a>(text: &'a str, open: &str, close: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let (before, rest) = text.split_once(open)?;
    let (name, after) = rest.split_once(close)?;
    (!name.is_empty()).then_some((before, name, after))
}
