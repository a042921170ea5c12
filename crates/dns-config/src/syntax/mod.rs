//! The syntax of a Corefile: words, blocks, snippets, imports, environment variables. No meaning.

mod glob;
mod import;
mod lexer;
mod parser;
mod tree;
mod variables;

pub use import::MAX_IMPORTS;
pub use parser::{MAX_DEPTH, parse};
pub(crate) use tree::note as note_path;
pub use tree::{Corefile, Directive, MAX_TOKENS, ServerBlock, Token};
