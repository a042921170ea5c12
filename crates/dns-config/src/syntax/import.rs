//! `import`: the words of files and snippets, put where the import stands.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::env::Env;
use crate::place::Problem;
use crate::syntax::glob;
use crate::syntax::lexer::tokens;
use crate::syntax::tree::{Corefile, MAX_TOKENS, Token};

/// Most imports of files and snippets while a Corefile is read: a circle ends here.
pub const MAX_IMPORTS: usize = 1000;

/// The words still to be parsed, with the next one last.
pub struct Source<'e> {
    /// Where files and variables come from.
    pub env: &'e dyn Env,
    rest: Vec<Token>,
    snippets: HashMap<String, Vec<Token>>,
    imports: usize,
    taken: usize,
}

impl<'e> Source<'e> {
    /// The words of the Corefile itself.
    pub fn new(tokens: Vec<Token>, env: &'e dyn Env) -> Self {
        let rest = tokens.into_iter().rev().collect();
        Self { env, rest, snippets: HashMap::new(), imports: 0, taken: 0 }
    }

    /// The next word, left where it is.
    pub fn peek(&self) -> Option<&Token> {
        self.rest.last()
    }

    /// The next word.
    pub fn next(&mut self) -> Option<Token> {
        self.rest.pop()
    }

    /// The next word, if it is on the same line as the one before and no brace.
    pub fn next_on_line(&mut self) -> Option<Token> {
        let on_line = |token: &Token| !token.first && !token.is("{") && !token.is("}");
        self.peek().is_some_and(on_line).then(|| self.next()).flatten()
    }

    /// Keeps the words of a snippet for later imports.
    pub fn define(&mut self, name: &Token, words: Vec<Token>) -> Result<(), Problem> {
        let key = name.text.trim_start_matches('(').trim_end_matches(')').to_owned();
        match self.snippets.insert(key, words) {
            None => Ok(()),
            Some(_) => Err(Problem::new(&name.at, format!("the snippet {} is defined twice", name.text))),
        }
    }

    /// Puts what `import PATTERN` names in front of the rest. The word `import` has been taken.
    pub fn import(&mut self, import: &Token, corefile: &mut Corefile) -> Result<(), Problem> {
        let pattern = self.next_on_line().filter(|pattern| !pattern.text.is_empty());
        let pattern =
            pattern.ok_or_else(|| Problem::new(&import.at, "import needs a file, a pattern or a snippet"))?;
        if let Some(more) = self.next_on_line() {
            return Err(Problem::new(&more.at, "import takes one argument: write one import for each file"));
        }
        self.imports += 1;
        if self.imports > MAX_IMPORTS {
            let message = format!("more than {MAX_IMPORTS} imports: probably one imports itself");
            return Err(Problem::new(&import.at, message));
        }
        let words = match self.snippets.get(&pattern.text) {
            Some(words) => words.clone(),
            None => self.words_of_files(&pattern, corefile)?,
        };
        self.put(words, import)
    }

    fn put(&mut self, mut words: Vec<Token>, import: &Token) -> Result<(), Problem> {
        self.taken += words.len();
        if self.taken > MAX_TOKENS {
            return Err(Problem::new(
                &import.at,
                format!("with its imports the Corefile has over {MAX_TOKENS} words"),
            ));
        }
        if let Some(first) = words.first_mut() {
            first.first = true;
        }
        self.rest.extend(words.into_iter().rev());
        Ok(())
    }

    fn words_of_files(&self, pattern: &Token, corefile: &mut Corefile) -> Result<Vec<Token>, Problem> {
        let path = beside(&pattern.at.file, &super::variables::fill(&pattern.text, self.env));
        let (paths, directories) = glob::expand(&path, self.env);
        directories.iter().for_each(|directory| corefile.note_directory(directory));
        let mut words = Vec::new();
        for one in paths {
            match self.env.file(&one) {
                Ok(text) => {
                    corefile.note_file(&one);
                    words.extend(tokens(&text, &Arc::from(one.to_string_lossy()))?);
                }
                // A pattern may fit directories (those of a mounted ConfigMap), or a file that has just gone.
                Err(error) if glob::is_pattern(&path) && is_no_file(error.kind()) => {}
                Err(error) => {
                    return Err(Problem::new(&pattern.at, format!("import {}: {error}", one.display())));
                }
            }
        }
        Ok(words)
    }
}

fn is_no_file(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::IsADirectory | ErrorKind::NotFound)
}

/// A path as it is meant in `file`: relative to its directory.
fn beside(file: &str, path: &str) -> PathBuf {
    Path::new(file).parent().unwrap_or(Path::new("")).join(path)
}
