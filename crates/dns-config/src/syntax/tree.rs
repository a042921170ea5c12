//! What the parser gives: directives with their arguments and blocks.

use std::path::{Path, PathBuf};

use crate::place::Place;

/// Most words of a Corefile with all its imports; a Corefile of 1000 stub domains has about 10,000.
pub const MAX_TOKENS: usize = 200_000;

/// A Corefile with its imports, read but not yet understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Corefile {
    /// The server blocks in order. Snippets are already in their places.
    pub blocks: Vec<ServerBlock>,
    pub(crate) files: Vec<PathBuf>,
    pub(crate) directories: Vec<PathBuf>,
}

impl Corefile {
    /// The files that were read, without repetition: the Corefile itself and what it imports.
    /// Hosts files and resolv.conf are in [`Config::files`](crate::Config::files) too.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The directories in which patterns of `import` are looked for: a new file there may belong to the Corefile.
    #[must_use]
    pub fn directories(&self) -> &[PathBuf] {
        &self.directories
    }

    pub(crate) fn note_file(&mut self, path: &Path) {
        note(&mut self.files, path);
    }

    pub(crate) fn note_directory(&mut self, path: &Path) {
        note(&mut self.directories, path);
    }
}

/// Adds a path that is not there yet.
pub(crate) fn note(paths: &mut Vec<PathBuf>, path: &Path) {
    if !paths.iter().any(|one| one == path) {
        paths.push(path.to_owned());
    }
}

/// `KEY... { ... }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerBlock {
    /// `[SCHEME://]ZONE[:PORT]`, at least one.
    pub keys: Vec<Token>,
    /// The plugins.
    pub directives: Vec<Directive>,
}

/// `NAME ARG... { ... }`: a plugin, or an option of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directive {
    /// The first word.
    pub name: Token,
    /// The words behind it on the line.
    pub args: Vec<Token>,
    /// What is between its braces; empty without.
    pub body: Vec<Directive>,
}

/// A word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Without quotes, and with environment variables filled in.
    pub text: String,
    /// Where it begins.
    pub at: Place,
    /// Whether it is the first of its line.
    pub(crate) first: bool,
    /// Whether it was quoted: then it is no brace.
    pub(crate) quoted: bool,
}

impl Token {
    /// Whether this is the unquoted word `text`.
    pub(crate) fn is(&self, text: &str) -> bool {
        !self.quoted && self.text == text
    }
}
