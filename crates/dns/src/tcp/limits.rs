//! How long a TCP client may take, and how much it may have open.

use std::time::{Duration, Instant};

/// What TCP clients may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpLimits {
    /// Connections at a time; a new one takes the place of the one that has been idle for longest.
    /// At least 1. One source address may have a quarter of them.
    pub connections: usize,
    /// From the connection to the whole first query.
    pub first_query: Duration,
    /// Between queries, and for the rest of a query that has begun (RFC 7766 6.2.3).
    pub idle: Duration,
    /// For a client to take replies that wait for it.
    pub write: Duration,
    /// Queries of one connection that may wait for an upstream; more are read when replies have come.
    pub unanswered: usize,
    /// Octets of replies that may wait for a client before no more is read from it. One reply may exceed
    /// it.
    pub waiting: usize,
}

impl TcpLimits {
    /// Connections at a time of one source address: a quarter of all, at least 1.
    pub(crate) fn of_one_source(&self) -> usize {
        (self.connections / 4).max(1)
    }
}

impl Default for TcpLimits {
    /// 1,024 connections; 3 s, then 10 s, as CoreDNS; 64 queries in flight; 64 KiB of waiting replies.
    fn default() -> Self {
        Self {
            connections: 1_024,
            first_query: Duration::from_secs(3),
            idle: Duration::from_secs(10),
            write: Duration::from_secs(10),
            unanswered: 64,
            waiting: 64 << 10,
        }
    }
}

/// What a connection does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Read more queries.
    pub(crate) read: bool,
    /// Write replies.
    pub(crate) write: bool,
    /// Nothing is left to do: close.
    pub(crate) done: bool,
    /// Close without more words at this time.
    pub(crate) until: Instant,
}

/// One connection's state, without its socket.
#[derive(Debug)]
pub(crate) struct Progress {
    limits: TcpLimits,
    /// Queries that have no reply yet.
    unanswered: usize,
    /// Octets of replies that are not yet written.
    waiting: usize,
    /// All connections together owe too much: one reply at a time.
    tight: bool,
    /// The client sends no more (half-close), or the server drains.
    ended: bool,
    /// When reading must have got a whole query.
    read_until: Instant,
    /// When the waiting replies must have got further.
    write_until: Instant,
}

impl Progress {
    pub(crate) fn new(limits: TcpLimits, now: Instant) -> Self {
        let read_until = now + limits.first_query;
        let (unanswered, waiting, write_until) = (0, 0, read_until);
        Self { limits, unanswered, waiting, tight: false, ended: false, read_until, write_until }
    }

    /// A whole query came.
    pub(crate) fn asked(&mut self, now: Instant) {
        self.unanswered += 1;
        self.read_until = now + self.limits.idle;
    }

    /// A query will get no reply.
    pub(crate) fn dropped(&mut self) {
        self.unanswered = self.unanswered.saturating_sub(1);
    }

    /// A reply of so many octets waits to be written.
    pub(crate) fn answered(&mut self, octets: usize, now: Instant) {
        self.unanswered = self.unanswered.saturating_sub(1);
        if self.waiting == 0 {
            self.write_until = now + self.limits.write;
        }
        self.waiting += octets;
        self.read_until = self.read_until.max(now + self.limits.idle);
    }

    /// The client took so many octets.
    pub(crate) fn written(&mut self, octets: usize, now: Instant) {
        self.waiting = self.waiting.saturating_sub(octets);
        self.write_until = now + self.limits.write;
        self.read_until = self.read_until.max(now + self.limits.idle);
    }

    /// No more queries will be read; replies that are due are still sent.
    pub(crate) fn end(&mut self) {
        self.ended = true;
    }

    /// Neither a query nor a reply is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.unanswered == 0 && self.waiting == 0
    }

    /// Octets of replies that are not yet written.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Whether all connections together owe so much that this one may have one reply only at a time.
    pub(crate) fn set_tight(&mut self, tight: bool) {
        self.tight = tight;
    }

    /// Whether another query may be taken now.
    pub(crate) fn has_room(&self) -> bool {
        let waiting = if self.tight { 1 } else { self.limits.waiting };
        self.unanswered < self.limits.unanswered && self.waiting < waiting
    }

    pub(crate) fn wanted(&self) -> Wanted {
        let (write, idle) = (self.waiting > 0, self.is_idle());
        let read = !self.ended && self.has_room();
        let until = match (write, read) {
            (true, _) => self.write_until,
            (false, _) => self.read_until,
        };
        Wanted { read, write, done: self.ended && idle, until }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: TcpLimits = TcpLimits {
        connections: 4,
        first_query: Duration::from_secs(3),
        idle: Duration::from_secs(10),
        write: Duration::from_secs(5),
        unanswered: 2,
        waiting: 100,
    };

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn a_silent_client_has_the_first_time_then_the_idle_time() {
        let start = Instant::now();
        let mut progress = Progress::new(LIMITS, start);
        assert_eq!(progress.wanted().until, after(start, 3));
        progress.asked(after(start, 1));
        assert_eq!(progress.wanted().until, after(start, 11));
        progress.answered(50, after(start, 2));
        assert_eq!(
            progress.wanted(),
            Wanted { read: true, write: true, done: false, until: after(start, 7) }
        );
        progress.written(50, after(start, 3));
        assert_eq!(
            progress.wanted(),
            Wanted { read: true, write: false, done: false, until: after(start, 13) }
        );
    }

    #[test]
    fn nothing_is_read_while_too_much_is_due() {
        let start = Instant::now();
        let mut progress = Progress::new(LIMITS, start);
        progress.asked(start);
        assert!(progress.wanted().read);
        progress.asked(start);
        assert!(!progress.wanted().read, "two unanswered");
        progress.answered(120, start);
        assert!(!progress.wanted().read, "120 octets wait");
        progress.written(30, start);
        assert!(progress.wanted().read);
        progress.dropped();
        assert!(progress.wanted().write && !progress.is_idle());
    }

    #[test]
    fn when_all_owe_much_there_is_one_reply_at_a_time() {
        let start = Instant::now();
        let mut progress = Progress::new(LIMITS, start);
        progress.set_tight(true);
        assert!(progress.has_room(), "nobody is shut out");
        progress.asked(start);
        progress.answered(1, start);
        assert!(!progress.has_room() && progress.wanted().write);
        progress.set_tight(false);
        assert!(progress.has_room());
    }

    #[test]
    fn after_the_end_what_is_due_is_still_sent() {
        let start = Instant::now();
        let mut progress = Progress::new(LIMITS, start);
        progress.asked(start);
        progress.end();
        assert_eq!((progress.wanted().read, progress.wanted().done), (false, false));
        progress.answered(10, start);
        assert!(!progress.wanted().done);
        progress.written(10, start);
        assert!(progress.wanted().done);
    }

    #[test]
    fn a_slow_reader_is_given_time_for_progress_only() {
        let start = Instant::now();
        let mut progress = Progress::new(LIMITS, start);
        progress.asked(start);
        progress.answered(80, start);
        progress.answered(80, after(start, 4));
        assert_eq!(progress.wanted().until, after(start, 5), "more replies buy no time");
        progress.written(1, after(start, 4));
        assert_eq!(progress.wanted().until, after(start, 9));
    }
}
