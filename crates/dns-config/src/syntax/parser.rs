//! Puts words together: server blocks, snippets, directives.

use std::path::Path;
use std::sync::Arc;

use crate::env::Env;
use crate::place::{Place, Problem};
use crate::syntax::import::Source;
use crate::syntax::lexer::tokens;
use crate::syntax::tree::{Corefile, Directive, MAX_TOKENS, ServerBlock, Token};
use crate::syntax::variables::fill;

/// Deepest nesting of braces.
pub const MAX_DEPTH: usize = 16;

/// Parses a Corefile. `file` is its name: it is in messages, and imports are looked for beside it.
///
/// # Errors
/// The first place where the syntax is wrong, or an import that cannot be read.
pub fn parse(text: &str, file: &str, env: &dyn Env) -> Result<Corefile, Problem> {
    let tokens = tokens(text, &Arc::from(file))?;
    if tokens.len() > MAX_TOKENS {
        return Err(Problem::new(&Place::new(file, 0), format!("the Corefile has over {MAX_TOKENS} words")));
    }
    let mut corefile = Corefile::default();
    corefile.note_file(Path::new(file));
    let mut parser = Parser { source: Source::new(tokens, env), corefile };
    while let Some(token) = parser.source.next() {
        parser.top(token)?;
    }
    Ok(parser.corefile)
}

struct Parser<'e> {
    source: Source<'e>,
    corefile: Corefile,
}

impl Parser<'_> {
    /// What begins with `token` outside of all braces.
    fn top(&mut self, token: Token) -> Result<(), Problem> {
        if token.is("import") {
            return self.source.import(&token, &mut self.corefile);
        }
        if is_snippet(&token) && self.source.peek().is_some_and(|next| next.is("{")) {
            return self.snippet(&token);
        }
        let at = token.at.clone();
        let keys = self.keys(token)?;
        let braces = self.source.peek().filter(|next| next.is("{")).map(|open| open.at.clone());
        if keys.is_empty() {
            return Err(Problem::new(&at, "a server block needs a zone before its {"));
        }
        if braces.is_some() {
            self.source.next();
        }
        let directives = self.directives(braces.as_ref(), 1)?;
        self.corefile.blocks.push(ServerBlock { keys, directives });
        Ok(())
    }

    /// The keys of a server block: all words up to the brace. A comma lets them go on in the next line.
    fn keys(&mut self, first: Token) -> Result<Vec<Token>, Problem> {
        let mut keys = Vec::new();
        let mut next = Some(first);
        while let Some(mut key) = next.take() {
            if key.is("{") || key.is("}") {
                return Err(Problem::new(
                    &key.at,
                    format!("unexpected {}: a server block begins with a zone", key.text),
                ));
            }
            if key.text.len() > 1 && key.text.ends_with('{') && !key.quoted {
                return Err(Problem::new(&key.at, format!("write a space before the brace of {}", key.text)));
            }
            let text = fill(&key.text, self.source.env);
            let goes_on = text.ends_with(',');
            key.text = text.trim_end_matches(',').to_owned();
            if !key.text.is_empty() {
                keys.push(key);
            }
            next = if goes_on { self.key_after_comma() } else { self.source.next_on_line() };
        }
        Ok(keys)
    }

    fn key_after_comma(&mut self) -> Option<Token> {
        self.source.peek().is_some_and(|next| !next.is("{")).then(|| self.source.next()).flatten()
    }

    /// The words between the braces of `(name) { ... }`, kept for imports.
    fn snippet(&mut self, name: &Token) -> Result<(), Problem> {
        self.source.next();
        let mut words = Vec::new();
        let mut depth = 1;
        while let Some(token) = self.source.next() {
            depth = if token.is("{") { depth + 1 } else { depth - usize::from(token.is("}")) };
            if depth == 0 {
                return self.source.define(name, words);
            }
            words.push(token);
        }
        Err(Problem::new(&name.at, format!("the brace of {} is never closed", name.text)))
    }

    /// Directives up to the closing brace; without an opening one, up to the end of the file.
    fn directives(&mut self, open: Option<&Place>, depth: usize) -> Result<Vec<Directive>, Problem> {
        let mut directives = Vec::new();
        while let Some(token) = self.source.next() {
            match (token.is("}"), open) {
                (true, Some(_)) => return Ok(directives),
                (true, None) => return Err(Problem::new(&token.at, "unexpected }: no brace is open")),
                (false, _) if token.is("import") => self.source.import(&token, &mut self.corefile)?,
                (false, _) if token.is("{") => {
                    return Err(Problem::new(&token.at, "write { at the end of the line of its directive"));
                }
                (false, _) => directives.push(self.directive(token, depth)?),
            }
        }
        match open {
            None => Ok(directives),
            Some(open) => Err(Problem::new(open, "the brace that is opened here is never closed")),
        }
    }

    fn directive(&mut self, mut name: Token, depth: usize) -> Result<Directive, Problem> {
        name.text = fill(&name.text, self.source.env);
        let mut args = Vec::new();
        while let Some(mut arg) = self.source.next_on_line() {
            arg.text = fill(&arg.text, self.source.env);
            args.push(arg);
        }
        if args.last().is_some_and(|last| last.is("{}")) {
            args.pop();
            return Ok(Directive { name, args, body: Vec::new() });
        }
        let body = self.body(depth)?;
        Ok(Directive { name, args, body })
    }

    fn body(&mut self, depth: usize) -> Result<Vec<Directive>, Problem> {
        let opens = |token: &&Token| token.is("{") && !token.first;
        let Some(open) = self.source.peek().filter(opens).map(|open| open.at.clone()) else {
            return Ok(Vec::new());
        };
        if depth >= MAX_DEPTH {
            return Err(Problem::new(&open, format!("more than {MAX_DEPTH} braces within each other")));
        }
        self.source.next();
        let body = self.directives(Some(&open), depth + 1)?;
        match self.source.peek() {
            Some(next) if !next.first && !next.is("}") => Err(Problem::new(
                &next.at,
                format!("write {} on a line of its own: it follows a }}", next.text),
            )),
            _ => Ok(body),
        }
    }
}

fn is_snippet(token: &Token) -> bool {
    !token.quoted && token.text.len() > 2 && token.text.starts_with('(') && token.text.ends_with(')')
}
