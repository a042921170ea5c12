//! `rewrite`.

use crate::place::Place;

/// One `rewrite [continue|stop] FIELD ...`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrite {
    /// Where it stands.
    pub at: Place,
    /// What follows when the rule has matched. Default: stop.
    pub then: Then,
    /// The rule.
    pub rule: RewriteRule,
}

/// What follows a rule that has matched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Then {
    /// `stop`: no further rule.
    #[default]
    Stop,
    /// `continue`: the next rules too, on what this one has made.
    Continue,
}

/// What is rewritten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RewriteRule {
    /// `name`: the name of the question, and names of the answer.
    Name(NameRewrite),
    /// `type FROM TO`: the type of the question.
    Type {
        /// The type that is asked for.
        from: u16,
        /// The type that is looked up.
        to: u16,
    },
    /// `ttl`: the TTLs of the answer.
    Ttl(TtlRewrite),
}

/// `name [exact|prefix|suffix|substring|regex] FROM TO [answer ...]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameRewrite {
    /// Which names.
    pub pattern: Pattern,
    /// What the matched part becomes (the whole name for `exact` and `regex`), in lower case.
    /// With `regex`, `{0}` to `{100}` are the groups.
    pub to: String,
    /// What is rewritten in the answer, in order. `exact` always begins with [`AnswerRewrite::Auto`].
    pub answer: Vec<AnswerRewrite>,
}

/// Which names a rule is about. They are compared as text, in lower case, with the dot at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// The whole name, with the dot at the end.
    Exact(String),
    /// How the name begins. Letters, not labels, are compared.
    Prefix(String),
    /// How the name ends, with the dot at the end. Letters, not labels, are compared: `.a.example.` and `a.example.` differ.
    Suffix(String),
    /// What the name contains, in each place.
    Substring(String),
    /// A regular expression (it compiles), anywhere in the name unless it has `^` and `$`.
    Regex(String),
}

/// What is rewritten in an answer whose question was rewritten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnswerRewrite {
    /// `answer auto`: what the question became is turned back into what was asked; for `suffix`, that suffix in all names.
    Auto,
    /// `answer name FROM TO`: owner names.
    Name {
        /// A regular expression (it compiles).
        from: String,
        /// With `{0}` to `{100}` for its groups.
        to: String,
    },
    /// `answer value FROM TO`: names in the records' data (CNAME, SRV, PTR, ...).
    Value {
        /// A regular expression (it compiles).
        from: String,
        /// With `{0}` to `{100}` for its groups.
        to: String,
    },
}

/// `ttl [exact|...|regex] FROM SECONDS|MIN-MAX`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TtlRewrite {
    /// Which names.
    pub pattern: Pattern,
    /// Seconds: a smaller TTL becomes this.
    pub min: u32,
    /// Seconds: a larger TTL becomes this. Not below `min`.
    pub max: u32,
}
