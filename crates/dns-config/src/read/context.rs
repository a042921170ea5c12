//! What the readers of the plugins share.

use std::fmt;
use std::path::Path;

use crate::env::Env;
use crate::place::{Place, Problem, Remark, one_line};
use crate::syntax::{Directive, note_path};
use crate::types::Config;

/// A reading under way: what has been found, and where files come from.
pub struct Context<'e> {
    /// Files and variables.
    pub env: &'e dyn Env,
    /// What has been read so far.
    pub config: Config,
    /// What CoreDNS would refuse.
    pub problems: Vec<Problem>,
}

/// What a reader of a directive gives.
pub type Outcome = Result<(), Problem>;

impl Context<'_> {
    /// A directive has no effect.
    pub fn unsupported(&mut self, at: &Place, directive: impl fmt::Display, why: impl fmt::Display) {
        self.config.unsupported.push(remark(at, directive, why));
    }

    /// A directive is honoured in another way.
    pub fn differs(&mut self, at: &Place, directive: impl fmt::Display, why: impl fmt::Display) {
        self.config.differs.push(remark(at, directive, why));
    }

    /// An option that no CoreDNS we know has.
    pub fn unknown_option(&mut self, plugin: &Directive, option: &Directive) {
        let directive = format!("{} {}", plugin.name.text, option.name.text);
        self.unsupported(
            &option.name.at,
            directive,
            "this option is not known: remove it or correct its name",
        );
    }

    /// Reads each option of a plugin; a bad one does not stop the others.
    pub fn options(&mut self, plugin: &Directive, mut read: impl FnMut(&mut Self, &Directive) -> Outcome) {
        for option in &plugin.body {
            match read(self, option) {
                Ok(()) => self.no_body(plugin, option),
                Err(problem) => self.problems.push(problem),
            }
        }
    }

    /// Options have no braces of their own.
    fn no_body(&mut self, plugin: &Directive, option: &Directive) {
        if let Some(inner) = option.body.first() {
            let directive = format!("{} {}", plugin.name.text, option.name.text);
            self.unsupported(
                &inner.name.at,
                directive,
                "this option takes no braces: what is in them has no effect",
            );
        }
    }

    /// A file that the configuration names.
    pub fn note_file(&mut self, path: &Path) {
        note_path(&mut self.config.files, path);
    }
}

fn remark(at: &Place, directive: impl fmt::Display, why: impl fmt::Display) -> Remark {
    Remark { at: at.clone(), directive: one_line(directive), why: one_line(why) }
}
