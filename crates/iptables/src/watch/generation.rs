//! The nf_tables variant: the ruleset's generation.

use std::time::{Duration, Instant};

use netlink::{Socket, nft};

/// At a table that cannot be read, a closer look sees only chains.
const LIMIT: Duration = Duration::from_secs(30);

/// What is known of the generation; `None` where nothing is known, or can be.
#[derive(Debug)]
pub struct Generation {
    socket: Option<Socket>,
    seen: Option<u32>,
    since: Instant,
    /// What a closer look has found to be as it should.
    passed: Option<u32>,
}

impl Generation {
    /// Nothing is known yet.
    pub fn open() -> Self {
        let socket = Socket::open(nft::NETLINK_NETFILTER).ok();
        Self { socket, seen: None, since: Instant::now(), passed: None }
    }

    pub(super) fn is_touched(&mut self) -> bool {
        let now = self.now();
        now.is_none() || now != self.seen
    }

    pub(super) fn is_old(&self) -> bool {
        self.since.elapsed() >= LIMIT
    }

    pub(super) fn is_wrong(&mut self, look_closer: impl FnOnce() -> bool) -> bool {
        let now = self.now();
        let wrong = (now.is_none() || now != self.passed) && look_closer();
        if !wrong {
            self.passed = now;
        }
        wrong
    }

    pub(super) fn know(&mut self) {
        self.seen = self.now();
        self.since = Instant::now();
    }

    /// Each commit moves the generation by one.
    pub(super) fn wrote(&mut self, touched_before: bool, commits: Option<u32>) {
        let now = self.now();
        let fits = match (self.seen, now, commits) {
            (Some(before), Some(now), Some(commits)) => before.wrapping_add(commits) == now,
            _ => true,
        };
        if fits && !touched_before {
            self.seen = now;
        }
    }

    fn now(&mut self) -> Option<u32> {
        nft::generation(self.socket.as_mut()?).ok()
    }
}
