//! The nf_tables variant: the ruleset's generation, and beside a busy program what the kernel tells of its commits.

use std::time::{Duration, Instant};

use netlink::Socket;
use netlink::nft::{self, Family, ObjectKind, ObjectNews, Sentry, Writing};

use crate::names::{Hook, PREFIX, Table};

/// At a table that cannot be read, a closer look sees only chains.
const LIMIT: Duration = Duration::from_secs(30);

/// What is known of the ruleset.
#[derive(Debug)]
pub struct Generation {
    socket: Option<Socket>,
    sentry: Sentry,
    since: Instant,
    /// The generation before a plan of ours; `None` where it cannot be known.
    before: Option<u32>,
    /// The generation at which a closer look has found all as it should be.
    passed: Option<u32>,
}

impl Generation {
    /// Nothing is known yet.
    pub fn open() -> Self {
        let socket = Socket::open(nft::NETLINK_NETFILTER).ok();
        Self { socket, sentry: Sentry::default(), since: Instant::now(), before: None, passed: None }
    }

    pub(super) fn is_touched(&mut self) -> bool {
        let Some(socket) = &mut self.socket else { return true };
        self.sentry.is_touched(socket, &is_ours)
    }

    pub(super) fn by(&self) -> Option<String> {
        self.sentry.culprit().map(ToString::to_string)
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
        self.since = Instant::now();
        let known = self.socket.as_mut().map(|socket| self.sentry.know(socket));
        if let Some(Err(error)) = known {
            tracing::debug!(%error, "the ruleset's generation cannot be read");
        }
    }

    /// The tools are about to write.
    pub(super) fn writes(&mut self) {
        self.sentry.before(Writing::ByProgram, &is_ours);
        self.before = self.now();
    }

    /// Each commit moves the generation by one. Where their number is not known, all are taken for ours.
    pub(super) fn wrote(&mut self, commits: Option<u32>) {
        let now = self.now();
        let Some(socket) = &mut self.socket else { return };
        let all = self.before.zip(now).map(|(before, now)| now.wrapping_sub(before));
        self.sentry.after(socket, commits.or(all));
    }

    fn now(&mut self) -> Option<u32> {
        nft::generation(self.socket.as_mut()?).ok()
    }
}

/// Whether others have touched ours with it: a chain of ours, a rule in there, or a rule that leads there. Kernels since 6.3
/// do not tell where a deleted rule has led, so each that is deleted in a built-in chain may have been ours.
fn is_ours(news: &ObjectNews<'_>) -> bool {
    let family = [Family::Ip, Family::Ip6].iter().any(|family| *family as u8 == news.family);
    if !family || !Table::ALL.iter().any(|table| table.as_str() == news.table) {
        return false;
    }
    let built_in = || Hook::ALL.iter().any(|hook| hook.as_str() == news.name);
    match news.kind {
        // Gone, or out of force.
        ObjectKind::Table => true,
        ObjectKind::Chain => news.name.starts_with(PREFIX) || news.is_gone && built_in(),
        ObjectKind::Rule => {
            let leads = || news.target().is_some_and(|target| target.starts_with(PREFIX));
            news.name.starts_with(PREFIX) || leads() || news.is_gone && built_in()
        }
        ObjectKind::Set | ObjectKind::Elements | ObjectKind::Other => false,
    }
}
