//! `rewrite`.

use crate::place::Problem;
use crate::read::context::{Context, Outcome};
use crate::read::regexes::checked;
use crate::read::rewrite_answer;
use crate::syntax::{Directive, Token};
use crate::types::{AnswerRewrite, Block, NameRewrite, Pattern, Rewrite, RewriteRule, Then, TtlRewrite};

/// Largest TTL (RFC 2181 section 8).
const MAX_TTL: u32 = i32::MAX as u32;

/// `rewrite [continue|stop] FIELD ...`, or the same with the words in braces.
pub fn read(context: &mut Context<'_>, block: &mut Block, directive: &Directive) -> Outcome {
    let words = words(directive);
    let (then, words) = match words.split_first() {
        Some((first, rest)) if first.text == "continue" => (Then::Continue, rest),
        Some((first, rest)) if first.text == "stop" => (Then::Stop, rest),
        _ => (Then::Stop, words.as_slice()),
    };
    let Some((field, args)) = words.split_first() else {
        return Err(directive.problem("write what is rewritten, for example: rewrite name FROM TO"));
    };
    if let Some(rule) = rule(context, field, args)? {
        block.rewrite.push(Rewrite { at: directive.name.at.clone(), then, rule });
    }
    Ok(())
}

/// All words, those in braces too: CoreDNS strings them together.
fn words(directive: &Directive) -> Vec<Token> {
    let inner = directive.body.iter().flat_map(|line| std::iter::once(&line.name).chain(&line.args));
    directive.args.iter().chain(inner).cloned().collect()
}

fn rule(context: &mut Context<'_>, field: &Token, args: &[Token]) -> Result<Option<RewriteRule>, Problem> {
    match field.text.to_ascii_lowercase().as_str() {
        "name" => name(field, args).map(|name| Some(RewriteRule::Name(name))),
        "type" => type_rule(field, args).map(Some),
        "ttl" => ttl(field, args).map(|ttl| Some(RewriteRule::Ttl(ttl))),
        name @ ("class" | "edns0" | "cname" | "rcode") => {
            let why = "not honoured: only name, type and ttl are rewritten; leave the zone to a CoreDNS, and forward to that";
            context.unsupported(&field.at, format!("rewrite {name}"), why);
            Ok(None)
        }
        other => Err(field.problem(format!("rewrite: {other} is not name, type or ttl"))),
    }
}

fn name(field: &Token, args: &[Token]) -> Result<NameRewrite, Problem> {
    let (kind, from, to, answer) = match args {
        [from, to] => (None, from, to, &[][..]),
        [kind, from, to, answer @ ..] => (Some(kind), from, to, answer),
        _ => return Err(field.problem("rewrite: write name [exact|prefix|suffix|substring|regex] FROM TO")),
    };
    let pattern = pattern(kind, from, Some(to))?;
    let mut answers = rewrite_answer::read(answer)?;
    rewrite_answer::refuse_both(&answers, answer)?;
    let to = match &pattern {
        Pattern::Exact(_) => {
            answers.retain(|answer| *answer != AnswerRewrite::Auto);
            answers.insert(0, AnswerRewrite::Auto);
            to.domain()?;
            with_dot(to)
        }
        Pattern::Suffix(_) => with_dot(to),
        _ => to.text.to_ascii_lowercase(),
    };
    Ok(NameRewrite { pattern, to, answer: answers })
}

fn pattern(kind: Option<&Token>, from: &Token, to: Option<&Token>) -> Result<Pattern, Problem> {
    let lower = || from.text.to_ascii_lowercase();
    match kind.map(|kind| (kind, kind.text.to_ascii_lowercase())) {
        None => from.domain().map(|_| Pattern::Exact(with_dot(from))),
        Some((kind, text)) => {
            match text.as_str() {
                "exact" => from.domain().map(|_| Pattern::Exact(with_dot(from))),
                "prefix" => Ok(Pattern::Prefix(lower())),
                "suffix" => Ok(Pattern::Suffix(with_dot(from))),
                "substring" => Ok(Pattern::Substring(lower())),
                "regex" => checked(from, to).map(Pattern::Regex),
                other => Err(kind
                    .problem(format!("rewrite: {other} is not exact, prefix, suffix, substring or regex"))),
            }
        }
    }
}

fn with_dot(token: &Token) -> String {
    let lower = token.text.to_ascii_lowercase();
    if lower.ends_with('.') { lower } else { lower + "." }
}

fn type_rule(field: &Token, args: &[Token]) -> Result<RewriteRule, Problem> {
    match args {
        [from, to] => Ok(RewriteRule::Type { from: from.rtype()?, to: to.rtype()? }),
        _ => Err(field.problem("rewrite: write type FROM TO")),
    }
}

fn ttl(field: &Token, args: &[Token]) -> Result<TtlRewrite, Problem> {
    let (kind, from, ttl) = match args {
        [from, ttl] => (None, from, ttl),
        [kind, from, ttl] => (Some(kind), from, ttl),
        _ => return Err(field.problem("rewrite: write ttl [exact|...|regex] NAME SECONDS|MIN-MAX")),
    };
    let pattern = pattern(kind, from, None)?;
    let range = range(&ttl.text).filter(|(min, max)| min <= max);
    let (min, max) =
        range.ok_or_else(|| ttl.problem(format!("rewrite: {} is not SECONDS or MIN-MAX", ttl.text)))?;
    Ok(TtlRewrite { pattern, min, max })
}

/// `30`, `30-300`, `-300`, `30-`.
fn range(text: &str) -> Option<(u32, u32)> {
    let seconds = |text: &str| text.parse().ok().filter(|seconds| *seconds <= MAX_TTL);
    match text.split_once('-') {
        None => seconds(text).map(|seconds| (seconds, seconds)),
        Some(("", "")) => None,
        Some(("", max)) => Some((0, seconds(max)?)),
        Some((min, "")) => Some((seconds(min)?, MAX_TTL)),
        Some((min, max)) => Some((seconds(min)?, seconds(max)?)),
    }
}
