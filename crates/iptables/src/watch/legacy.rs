//! The legacy variant: a digest of each chain of ours.
//!
//! The kernel has neither a generation nor news of legacy tables. Every tool opens the lock file before it changes one, which
//! inotify tells; who takes no lock most often changes a table's size. Then the tables are read, counters and other people's
//! rules left out, and compared chain by chain with how they were after our last write.

use std::time::{Duration, Instant};

use dataplane::Pace;
use model::IpFamily;
use netlink::NetlinkError;
use netlink::xt::{self, ChainDigest, TableInfo, name_digest};
use xtables::{LockWatch, Tools};

use super::Written;
use crate::names::{PREFIX, Table};

/// A change by who takes no lock, that leaves the table's size as it was, is found so late.
const LIMIT: Duration = Duration::from_secs(30);
/// Reading the tables because of others costs at most one part in so many of the time.
const SHARE: u32 = 50;
/// What may be saved for several looks at once.
const SAVED: Duration = Duration::from_secs(1);
/// The tables that have chains of ours.
const TABLES: [(IpFamily, Table); 4] = [
    (IpFamily::V4, Table::Filter),
    (IpFamily::V4, Table::Nat),
    (IpFamily::V6, Table::Filter),
    (IpFamily::V6, Table::Nat),
];

type Sizes = [Option<TableInfo>; TABLES.len()];
/// Sorted by name.
type Chains = Vec<ChainDigest>;

/// What is known of the tables.
#[derive(Debug)]
pub struct Legacy {
    tools: Tools,
    /// Opened when the tables are read for the first time.
    lock: Option<LockWatch>,
    /// The lock was opened since the tables were read.
    opened: bool,
    /// `None`: nothing is known, or somebody has changed something of ours.
    seen: Option<Seen>,
    read: Instant,
    pace: Pace,
}

#[derive(Debug)]
struct Seen {
    sizes: Sizes,
    chains: [Chains; TABLES.len()],
}

impl Seen {
    /// Sizes are read first: what is changed in between shows by them.
    fn now() -> Result<Self, NetlinkError> {
        let sizes = sizes()?;
        let mut chains = <[Chains; TABLES.len()]>::default();
        for (chains, (family, table)) in chains.iter_mut().zip(TABLES) {
            *chains = read(family, table)?;
        }
        Ok(Self { sizes, chains })
    }
}

impl Legacy {
    /// Nothing is known yet.
    pub fn new(tools: &Tools) -> Self {
        let (tools, read, pace) = (tools.clone(), Instant::now(), Pace::new(SHARE, SAVED));
        Self { tools, lock: None, opened: false, seen: None, read, pace }
    }

    /// `at_any_cost`: also if the tables were read too often already.
    pub(super) fn is_touched(&mut self, at_any_cost: bool) -> bool {
        self.opened |= self.lock.as_mut().is_none_or(LockWatch::was_opened);
        let Some(seen) = &mut self.seen else { return true };
        let same_size = sizes().is_ok_and(|sizes| sizes == seen.sizes);
        let started = Instant::now();
        let news = self.opened || !same_size || self.read.elapsed() >= LIMIT;
        if !news || !(at_any_cost || self.pace.allows(started)) {
            return false;
        }
        (self.opened, self.read) = (false, started);
        let now = Seen::now().ok().filter(|now| now.chains == seen.chains);
        self.pace.spent(Instant::now(), started.elapsed());
        self.seen = now;
        self.seen.is_none()
    }

    pub(super) fn know(&mut self) {
        let lock = self.lock.get_or_insert_with(|| self.tools.watch_lock());
        lock.was_opened();
        (self.opened, self.read) = (false, Instant::now());
        self.seen = Seen::now().ok();
    }

    pub(super) fn wrote(&mut self, touched_before: bool, written: &[Written]) {
        self.lock.as_mut().map(LockWatch::was_opened);
        self.opened = false;
        let seen = self.seen.take().filter(|_| !touched_before);
        self.seen = seen.and_then(|seen| after(seen, written).ok().flatten());
    }
}

/// How the tables are after a write to these chains; `None`: others have changed too.
fn after(mut seen: Seen, all: &[Written]) -> Result<Option<Seen>, NetlinkError> {
    seen.sizes = sizes()?;
    for (before, (family, table)) in seen.chains.iter_mut().zip(TABLES) {
        let here = all.iter().filter(|one| (one.place.family, one.place.table()) == (family, table));
        let named = here.map(|one| (name_digest(&one.place.chain.to_string()), one.entries));
        let mut written: Vec<(u64, Option<usize>)> = named.collect();
        if written.is_empty() {
            continue;
        }
        written.sort_unstable();
        let now = read(family, table)?;
        if !same_but(before, &now, &written) || !are_as_written(&now, &written) {
            return Ok(None);
        }
        *before = now;
    }
    Ok(Some(seen))
}

/// Whether all chains are as before, but for those that were written.
fn same_but(before: &[ChainDigest], now: &[ChainDigest], written: &[(u64, Option<usize>)]) -> bool {
    let other = |chain: &&ChainDigest| written.binary_search_by_key(&chain.name, |(name, _)| *name).is_err();
    before.iter().filter(other).eq(now.iter().filter(other))
}

/// Whether those that were written have as many entries as they should: who waits for the lock while we have it changes the very
/// chain in the next moment.
fn are_as_written(now: &[ChainDigest], written: &[(u64, Option<usize>)]) -> bool {
    written.iter().all(|(name, wanted)| {
        let found = now.binary_search_by_key(name, |chain| chain.name).map_or(0, |at| now[at].count as usize);
        wanted.is_none_or(|wanted| wanted == found)
    })
}

fn sizes() -> Result<Sizes, NetlinkError> {
    let mut sizes = Sizes::default();
    for (size, (family, table)) in sizes.iter_mut().zip(TABLES) {
        *size = xt::info(family == IpFamily::V6, table.as_str())?;
    }
    Ok(sizes)
}

fn read(family: IpFamily, table: Table) -> Result<Chains, NetlinkError> {
    xt::digests(family == IpFamily::V6, table.as_str(), PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_chains_that_were_written_may_differ() {
        let chain = |name, rules| ChainDigest { name, rules, count: 1 };
        let before = [chain(1, 10), chain(3, 30), chain(5, 50)];
        for (now, written, want) in [
            (vec![chain(1, 10), chain(3, 30), chain(5, 50)], vec![], true),
            (vec![chain(1, 10), chain(3, 31), chain(5, 50)], vec![3], true),
            (vec![chain(1, 10), chain(3, 31), chain(5, 50)], vec![5], false),
            (vec![chain(1, 10), chain(5, 50)], vec![3], true),
            (vec![chain(1, 10), chain(5, 50)], vec![1, 5], false),
            (vec![chain(1, 10), chain(2, 20), chain(3, 30), chain(5, 50)], vec![2], true),
            (vec![chain(1, 10), chain(2, 20), chain(3, 30), chain(5, 50)], vec![1, 3, 5], false),
        ] {
            let written: Vec<_> = written.into_iter().map(|name| (name, None)).collect();
            assert_eq!(same_but(&before, &now, &written), want, "{now:?} {written:?}");
        }
    }

    #[test]
    fn what_was_written_must_have_as_many_entries() {
        let now = [(1, 3), (4, 1)].map(|(name, count)| ChainDigest { name, rules: 0, count });
        for (written, want) in [
            (vec![(1, Some(3)), (4, Some(1))], true),
            (vec![(1, Some(3)), (4, None)], true),
            (vec![(1, Some(4))], false),
            (vec![(2, Some(0)), (4, Some(1))], true),
            (vec![(2, Some(1))], false),
            (vec![(4, Some(0))], false),
        ] {
            assert_eq!(are_as_written(&now, &written), want, "{written:?}");
        }
    }
}
