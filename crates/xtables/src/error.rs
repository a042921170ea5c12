//! What can go wrong with a tool, in one line each.

use std::io;

use crate::exec::LIMIT;
use crate::lock::WAIT_SECONDS;

/// A tool could not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// The program is not installed.
    #[error("{program} is not installed (looked for on PATH and in the system's usual directories)")]
    Missing {
        /// Its name.
        program: String,
    },
    /// The program could not be started, or its pipes failed.
    #[error("cannot run {program}: {source}")]
    Exec {
        /// Its name.
        program: String,
        /// The system's answer.
        source: io::Error,
    },
    /// The nf_tables variant has no words for some rule of a table, and prints nothing of it. Texts are taken all the same.
    #[error("{program}: {message}: it has rules that the iptables tools cannot show")]
    Incompatible {
        /// Its name.
        program: String,
        /// What it said, in one line.
        message: String,
    },
    /// The program said no.
    #[error("{program}: {message}")]
    Failed {
        /// Its name.
        program: String,
        /// What it said, in one line.
        message: String,
    },
}

/// A text was not taken by `iptables-restore`. Nothing of the table whose line failed is in force; tables that the
/// text committed before it are.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// Another program held the xtables lock all the time we waited.
    #[error("the xtables lock was held for {WAIT_SECONDS} s by {}", holder.as_deref().unwrap_or("another program"))]
    Locked {
        /// Who, if it could be found: `iptables-restore (pid 6114)`.
        holder: Option<String>,
    },
    /// A line was refused. The nf_tables variant tells the line of `COMMIT` where a jump's chain is missing.
    #[error("line {number} was refused: {message}")]
    Line {
        /// Its number in the text, from 1.
        number: usize,
        /// What the tool said, in one line.
        message: String,
    },
    /// The text was refused, and no line was named.
    #[error("the rules were refused: {message}")]
    Refused {
        /// What the tool said, in one line.
        message: String,
    },
    /// The tool itself failed.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// The tool did not end and was stopped.
    #[error("the tool did not end within {} s and was stopped", LIMIT.as_secs())]
    TimedOut,
}
