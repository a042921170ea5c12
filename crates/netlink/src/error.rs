//! What can go wrong between us and the kernel.

use std::io;

/// A failed netlink exchange.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// The socket itself failed: open, send or receive.
    #[error("netlink: cannot {what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// The kernel refused a message.
    #[error("the kernel refused message {index}: {}{}", describe(*errno), hint(extended))]
    Refused {
        /// The error number, positive.
        errno: i32,
        /// Which message of the request, from 0; the whole request where it is past the last one.
        index: usize,
        /// The kernel's own words, if it had any (extended acknowledgement).
        extended: String,
    },
    /// The kernel's answer does not read as what was asked for.
    #[error("netlink: unexpected answer: {0}")]
    Malformed(&'static str),
    /// A dump was disturbed by changes again and again.
    #[error("netlink: the dump was interrupted by changes {0} times")]
    Interrupted(u32),
}

impl NetlinkError {
    /// The kernel's error number, where it refused something.
    pub fn errno(&self) -> Option<i32> {
        match self {
            NetlinkError::Refused { errno, .. } => Some(*errno),
            NetlinkError::Io { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }
}

fn describe(errno: i32) -> String {
    io::Error::from_raw_os_error(errno).to_string()
}

fn hint(extended: &str) -> String {
    if extended.is_empty() { String::new() } else { format!(": {extended}") }
}
