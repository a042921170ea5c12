//! How full the kernel's table of connections is. When it is full, packets of new connections are dropped, whoever they are
//! for, and nothing in any ruleset says so.

use std::fs;

use serde::{Deserialize, Serialize};

/// Where the kernel says it: of this network namespace, and for all of them.
const COUNT: &str = "/proc/sys/net/netfilter/nf_conntrack_count";
const MAX: &str = "/proc/sys/net/netfilter/nf_conntrack_max";
/// From so many hundredths on it is said.
const ALMOST: u64 = 90;

/// The kernel's table of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct ConnectionTable {
    /// Connections that it remembers, of whatever program.
    pub(crate) count: u64,
    /// The most that it takes (`nf_conntrack_max`).
    pub(crate) max: u64,
}

impl ConnectionTable {
    /// Reads it; `None` while the kernel has none.
    pub(crate) fn read() -> Option<Self> {
        let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse().ok();
        Some(Self { count: number(COUNT)?, max: number(MAX)? })
    }

    /// Whether new connections are dropped, or soon will be.
    pub(crate) fn is_almost_full(&self) -> bool {
        self.max > 0 && self.count.saturating_mul(100) >= self.max.saturating_mul(ALMOST)
    }

    /// In words.
    pub(crate) fn words(&self) -> String {
        let Self { count, max } = self;
        let drops =
            "; when it is full, new connections are dropped: raise conntrack.maxPerCore or conntrack.min";
        format!("{count} of {max} in the kernel's table{}", if self.is_almost_full() { drops } else { "" })
    }

    /// The trouble, if there is one.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.is_almost_full().then(|| format!("connections: {}", self.words()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_is_almost_full_is_said() {
        for (count, max, expected) in [
            (0, 262_144, false),
            (235_929, 262_144, false),
            (235_930, 262_144, true),
            (262_144, 262_144, true),
            (300_000, 262_144, true),
            // 0 is no limit.
            (5, 0, false),
            (u64::MAX, u64::MAX, true),
        ] {
            let table = ConnectionTable { count, max };
            assert_eq!(table.trouble().is_some(), expected, "{count} of {max}");
            assert_eq!(table.words().contains("dropped"), expected, "{count} of {max}");
        }
    }
}
