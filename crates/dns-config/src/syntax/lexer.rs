//! Splits text into words, as Caddy's lexer does (CoreDNS uses it).

use std::iter::Peekable;
use std::str::Chars;
use std::sync::Arc;

use crate::place::{Place, Problem};
use crate::syntax::tree::Token;

/// The words of a text.
///
/// Words are separated by white space. `#` begins a comment, even inside a word. A word that begins with `"` ends with the
/// next one and may have line breaks; in it `\"` is a quote and any other backslash is itself.
///
/// # Errors
/// A quote is never closed. (CoreDNS takes the rest of the file for the word.)
pub fn tokens(text: &str, file: &Arc<str>) -> Result<Vec<Token>, Problem> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lexer = Lexer { chars: text.chars().peekable(), file, line: 1, first: true };
    let mut tokens = Vec::new();
    while let Some(token) = lexer.next()? {
        tokens.push(token);
    }
    Ok(tokens)
}

struct Lexer<'a> {
    chars: Peekable<Chars<'a>>,
    file: &'a Arc<str>,
    line: u32,
    first: bool,
}

impl Lexer<'_> {
    fn next(&mut self) -> Result<Option<Token>, Problem> {
        self.skip();
        let at = Place::new(Arc::clone(self.file), self.line);
        let first = std::mem::replace(&mut self.first, false);
        match self.chars.peek() {
            None => Ok(None),
            Some('"') => {
                let text = self.quoted(&at)?;
                Ok(Some(Token { text, at, first, quoted: true }))
            }
            Some(_) => Ok(Some(Token { text: self.word(), at, first, quoted: false })),
        }
    }

    /// White space and comments.
    fn skip(&mut self) {
        while let Some(&c) = self.chars.peek() {
            match c {
                '#' => self.comment(),
                c if c.is_whitespace() => {
                    self.chars.next();
                    self.count(c);
                }
                _ => return,
            }
        }
    }

    fn comment(&mut self) {
        while self.chars.next_if(|c| *c != '\n').is_some() {}
    }

    fn count(&mut self, c: char) {
        if c == '\n' {
            self.line = self.line.saturating_add(1);
            self.first = true;
        }
    }

    fn word(&mut self) -> String {
        let mut word = String::new();
        while let Some(c) = self.chars.next_if(|c| !c.is_whitespace() && *c != '#') {
            word.push(c);
        }
        word
    }

    fn quoted(&mut self, at: &Place) -> Result<String, Problem> {
        let mut word = String::new();
        self.chars.next();
        while let Some(c) = self.chars.next() {
            match c {
                '"' => {
                    self.first = false;
                    return Ok(word);
                }
                '\\' if self.chars.next_if_eq(&'"').is_some() => word.push('"'),
                '\r' => {}
                c => {
                    self.count(c);
                    word.push(c);
                }
            }
        }
        Err(Problem::new(at, "the quote that begins here is never closed"))
    }
}
