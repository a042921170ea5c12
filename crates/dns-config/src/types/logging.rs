//! `errors` and `log`.

use std::time::Duration;

use dns_wire::Name;

/// `errors { ... }`: failures are logged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Errors {
    /// `consolidate`: the first whose pattern matches collects the message.
    pub consolidate: Vec<Consolidate>,
}

/// `consolidate DURATION REGEXP [LEVEL] [show_first]`: equal messages are counted and told once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consolidate {
    /// So long messages are collected.
    pub period: Duration,
    /// A regular expression (it compiles).
    pub pattern: String,
    /// Default: error.
    pub level: LogLevel,
    /// `show_first`: the first message is told at once.
    pub show_first: bool,
}

/// The level of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// `debug`.
    Debug,
    /// `info`.
    Info,
    /// `warning`.
    Warning,
    /// `error`.
    #[default]
    Error,
}

/// `log [NAMES...] [FORMAT] { ... }`: queries are logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Names below these. Default: the root.
    pub names: Vec<Name>,
    /// How a line looks.
    pub format: LogFormat,
    /// `class`: which replies. Default: all.
    pub classes: LogClasses,
}

/// How a line of the query log looks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// `{common}`.
    #[default]
    Common,
    /// `{combined}`: with the opcode.
    Combined,
    /// A text with `{name}`, `{type}`, `{rcode}` and so on; `{common}` and `{combined}` are still in it.
    Custom(String),
}

/// Which replies are logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogClasses {
    /// `success`: with records.
    pub success: bool,
    /// `denial`: NXDOMAIN and NODATA.
    pub denial: bool,
    /// `error`: SERVFAIL, REFUSED and the like.
    pub error: bool,
}

impl LogClasses {
    /// `all`.
    pub const ALL: Self = Self { success: true, denial: true, error: true };
}
