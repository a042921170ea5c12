//! `answer ...` of `rewrite name`.

use crate::place::Problem;
use crate::read::regexes::checked;
use crate::syntax::Token;
use crate::types::AnswerRewrite;

/// `answer (auto|name FROM TO|value FROM TO)`, repeated; after the first the word `answer` may be left out.
pub fn read(words: &[Token]) -> Result<Vec<AnswerRewrite>, Problem> {
    let mut answers = Vec::new();
    let mut words = words.iter().peekable();
    while let Some(word) = words.next() {
        let kind = match word.text.as_str() {
            "answer" => {
                words.next().ok_or_else(|| word.problem("rewrite: answer needs auto, name or value"))?
            }
            other if answers.is_empty() => {
                return Err(word.problem(format!("rewrite: unexpected argument {other}: write answer auto")));
            }
            _ => word,
        };
        answers.push(one(kind, &mut words)?);
    }
    Ok(answers)
}

fn one<'a>(kind: &'a Token, words: &mut impl Iterator<Item = &'a Token>) -> Result<AnswerRewrite, Problem> {
    let mut pair = |kind: &Token| match (words.next(), words.next()) {
        (Some(from), Some(to)) => Ok((checked(from, Some(to))?, to.text.to_ascii_lowercase())),
        _ => Err(kind.problem(format!("rewrite: answer {} needs FROM and TO", kind.text))),
    };
    match kind.text.as_str() {
        "auto" => Ok(AnswerRewrite::Auto),
        "name" => pair(kind).map(|(from, to)| AnswerRewrite::Name { from, to }),
        "value" => pair(kind).map(|(from, to)| AnswerRewrite::Value { from, to }),
        other => Err(kind.problem(format!("rewrite: answer {other} is not auto, name or value"))),
    }
}

/// `auto` and `name` in one rule contradict each other. `words` are those of the answer rules.
pub fn refuse_both(answers: &[AnswerRewrite], words: &[Token]) -> Result<(), Problem> {
    let auto = answers.contains(&AnswerRewrite::Auto);
    let name = answers.iter().any(|answer| matches!(answer, AnswerRewrite::Name { .. }));
    match words.first() {
        Some(first) if auto && name => {
            Err(first.problem("rewrite: answer auto and answer name exclude each other"))
        }
        _ => Ok(()),
    }
}
