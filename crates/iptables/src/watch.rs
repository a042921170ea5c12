//! Whether somebody else has changed what is ours, without comparing everything.
//!
//! The legacy variant has a digest of each chain of ours (`legacy`), the nf_tables variant the ruleset's generation
//! (`generation`).

mod generation;
mod legacy;

use xtables::{Tools, Variant};

use crate::names::Place;
use generation::Generation;
use legacy::Legacy;

/// A chain that a plan of ours wrote to.
#[derive(Clone, Debug)]
pub struct Written {
    /// The chain.
    pub place: Place,
    /// What the kernel counts of it now: its rules and its end; of a built-in chain the rules that lead to chains of ours. 0: it is
    /// gone. `None`: not known.
    pub entries: Option<usize>,
}

/// Remembers how the tables looked when we last knew what is in them.
#[derive(Debug)]
pub enum Watch {
    /// Of the legacy variant.
    Legacy(Box<Legacy>),
    /// Of the nf_tables variant.
    Nft(Box<Generation>),
}

impl Watch {
    /// Watches the tables of one variant.
    pub fn new(tools: &Tools) -> Self {
        match tools.variant() {
            Variant::Legacy => Watch::Legacy(Box::new(Legacy::new(tools))),
            Variant::Nft => Watch::Nft(Box::new(Generation::open())),
        }
    }

    /// Whether somebody else may have changed something since [`Watch::know`]. A look that costs much is put off, if it
    /// comes too often.
    pub fn is_touched(&mut self) -> bool {
        match self {
            Watch::Legacy(legacy) => legacy.is_touched(false),
            Watch::Nft(generation) => generation.is_touched(),
        }
    }

    /// The same right before a plan is written, which costs more than any look.
    pub fn is_touched_now(&mut self) -> bool {
        match self {
            Watch::Legacy(legacy) => legacy.is_touched(true),
            Watch::Nft(generation) => generation.is_touched(),
        }
    }

    /// Called before the tables are read.
    pub fn know(&mut self) {
        match self {
            Watch::Legacy(legacy) => legacy.know(),
            Watch::Nft(generation) => generation.know(),
        }
    }

    /// Whether the tables were not read for so long that it is to be done for its own sake: of what cannot be read, others
    /// may have changed more than a closer look tells.
    pub fn is_old(&self) -> bool {
        match self {
            Watch::Legacy(_) => false,
            Watch::Nft(generation) => generation.is_old(),
        }
    }

    /// Looks closer if there is something new since it was last done. Whether something is wrong then.
    pub fn is_wrong(&mut self, look_closer: impl FnOnce() -> bool) -> bool {
        match self {
            Watch::Legacy(_) => look_closer(),
            Watch::Nft(generation) => generation.is_wrong(look_closer),
        }
    }

    /// Called right before the tools write.
    pub fn writes(&mut self) {
        match self {
            Watch::Legacy(_) => {}
            Watch::Nft(generation) => generation.writes(),
        }
    }

    /// Who it was, where that is known.
    pub fn by(&self) -> Option<String> {
        match self {
            Watch::Legacy(_) => None,
            Watch::Nft(generation) => generation.by(),
        }
    }

    /// Called after a plan of ours that wrote to these chains, in so many `commits` (`None`: unknown, since something was
    /// refused), and that was begun in the state that [`Watch::is_touched_now`] told of. If anything does not fit, somebody
    /// else was there too, and what is known stays old.
    pub fn wrote(&mut self, touched_before: bool, commits: Option<u32>, written: &[Written]) {
        match self {
            Watch::Legacy(legacy) => legacy.wrote(touched_before, written),
            Watch::Nft(generation) => generation.wrote(commits),
        }
    }
}
