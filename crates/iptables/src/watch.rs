//! Whether somebody else has changed the tables, without reading them.

use std::time::{Duration, Instant};

use model::IpFamily;
use netlink::{Socket, nft, xt};
use xtables::Variant;

use crate::names::Table;

/// The look of the legacy variant does not see a rule that is replaced by one of the same size; that at a table which
/// cannot be read sees only chains.
const LIMIT: Duration = Duration::from_secs(30);

/// Remembers how the tables looked when we last knew what is in them.
#[derive(Debug)]
pub struct Watch {
    socket: Option<Socket>,
    seen: Look,
    since: Instant,
    /// What a closer look has found to be as it should.
    passed: Look,
}

/// What a cheap look shows.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Look {
    /// Nothing was known yet, or nothing can be known.
    Nothing,
    /// The nf_tables ruleset's generation.
    Generation(u32),
    /// Entries and bytes of each legacy table.
    Sizes(Vec<Option<xt::TableInfo>>),
}

impl Watch {
    /// Watches the tables of one variant.
    pub fn new(variant: Variant) -> Self {
        let socket = match variant {
            Variant::Nft => Socket::open(nft::NETLINK_NETFILTER).ok(),
            Variant::Legacy => None,
        };
        Self { socket, seen: Look::Nothing, since: Instant::now(), passed: Look::Nothing }
    }

    /// Whether somebody else may have changed something since [`Watch::know`].
    pub fn is_touched(&mut self, variant: Variant) -> bool {
        let late = variant == Variant::Legacy && self.is_old();
        let now = self.look(variant);
        late || now == Look::Nothing || now != self.seen
    }

    /// Whether the tables were not read for a time.
    pub fn is_old(&self) -> bool {
        self.since.elapsed() >= LIMIT
    }

    /// Looks closer if there is something new since it was last done. Whether something is wrong then.
    pub fn is_wrong(&mut self, variant: Variant, look_closer: impl FnOnce() -> bool) -> bool {
        let now = self.look(variant);
        let wrong = (now == Look::Nothing || now != self.passed) && look_closer();
        if !wrong {
            self.passed = now;
        }
        wrong
    }

    /// Called before the tables are read.
    pub fn know(&mut self, variant: Variant) {
        self.seen = self.look(variant);
        self.since = Instant::now();
    }

    /// Called after a plan of ours that moved the generation by `commits` (`None`: unknown, since something was
    /// refused), and that was begun in the state that [`Watch::is_touched`] tells of. If anything does not fit, somebody
    /// else was there too, and what is known stays old.
    pub fn wrote(&mut self, variant: Variant, touched_before: bool, commits: Option<u32>) {
        let now = self.look(variant);
        let fits = match (&self.seen, &now, commits) {
            (Look::Generation(before), Look::Generation(now), Some(n)) => before.wrapping_add(n) == *now,
            _ => true,
        };
        if fits && !touched_before {
            self.seen = now;
        }
    }

    fn look(&mut self, variant: Variant) -> Look {
        let look = match (variant, self.socket.as_mut()) {
            (Variant::Legacy, _) => sizes(),
            (Variant::Nft, Some(socket)) => nft::generation(socket).ok().map(Look::Generation),
            (Variant::Nft, None) => None,
        };
        look.unwrap_or(Look::Nothing)
    }
}

fn sizes() -> Option<Look> {
    let tables = IpFamily::ALL.into_iter().flat_map(|family| Table::ALL.map(|table| (family, table)));
    let infos = tables.map(|(family, table)| xt::info(family == IpFamily::V6, table.as_str()));
    infos.collect::<Result<Vec<_>, _>>().ok().map(Look::Sizes)
}
