//! Regular expressions: Go's syntax and meaning.

use regex::bytes::{Regex, RegexBuilder};

use crate::place::Problem;
use crate::syntax::Token;

/// Most octets of a compiled expression.
const MAX_COMPILED: usize = 1 << 20;

/// Compiles a regular expression of a Corefile. It works on octets, and `\w`, `\d`, `\s`, `\b` and `(?i)` know ASCII only, as in Go.
///
/// # Errors
/// It does not compile, or becomes larger than 1 MiB.
pub fn compile_regex(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).unicode(false).size_limit(MAX_COMPILED).dfa_size_limit(MAX_COMPILED).build()
}

/// The pattern, if it compiles and has the groups that `to` uses: `{1}` to `{100}`.
pub fn checked(pattern: &Token, to: Option<&Token>) -> Result<String, Problem> {
    let regex = compile_regex(&pattern.text)
        .map_err(|_| pattern.problem(format!("{} is not a regular expression", pattern.text)))?;
    let groups = regex.captures_len();
    let uses = |to: &Token| (groups..=100).find(|group| to.text.contains(&format!("{{{group}}}")));
    match to.and_then(|to| uses(to).map(|group| (to, group))) {
        None => Ok(pattern.text.clone()),
        Some((to, group)) => {
            Err(to.problem(format!("{{{group}}} is used, but {} has no such group", pattern.text)))
        }
    }
}
