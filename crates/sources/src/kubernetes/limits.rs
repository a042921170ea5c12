//! The limits of time and of memory, in one place; tests set shorter ones.

use std::time::Duration;

/// How long, and how large, things may be. The defaults are what a node in service uses.
#[derive(Clone, Debug)]
pub struct Limits {
    /// A connection, TCP and TLS, must be there within this time (10 s).
    pub connect: Duration,
    /// HTTP/2: a ping is sent after this much silence, watches or not (5 s) ...
    pub ping_every: Duration,
    /// ... and must be answered within this time (10 s). Together: the longest life of a dead connection.
    pub ping_answer: Duration,
    /// The head of an answer must be there within this time (30 s).
    pub answer: Duration,
    /// What is not required may be listed this much later than what is, before nothing waits for it any more; more as long
    /// as its list gets on (5 s).
    pub grace: Duration,
    /// A list, or the first events of a watch, may pause for this long (30 s).
    pub list_silence: Duration,
    /// A watch may be silent for this long (85 s): bookmarks come about every minute. It is what finds a frozen server
    /// behind an HTTP/1.1 connection, whose kernel still acknowledges.
    pub watch_silence: Duration,
    /// The first pause after a failure (0.5 s); it doubles.
    pub retry_first: Duration,
    /// The longest pause between two tries (30 s).
    pub retry_last: Duration,
    /// What the server ends by itself, after a random time from this to twice this (300 s).
    pub watch_length: Duration,
    /// How soon what is absent or forbidden, and can be done without, is asked for again: this to twice this (300 s).
    pub ask_again: Duration,
    /// A fault that lasts is said again this often (300 s).
    pub say_again: Duration,
    /// An object above this is skipped, without being held (16 MiB).
    pub object: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            connect: seconds(10),
            ping_every: seconds(5),
            ping_answer: seconds(10),
            answer: seconds(30),
            grace: seconds(5),
            list_silence: seconds(30),
            watch_silence: seconds(85),
            retry_first: Duration::from_millis(500),
            retry_last: seconds(30),
            watch_length: seconds(300),
            ask_again: seconds(300),
            say_again: seconds(300),
            object: 16 << 20,
        }
    }
}
