//! Chains by identity, and their names. A name and the identity follow from each other.

use std::fmt;
use std::sync::Arc;

use model::{IpFamily, Protocol};

use crate::digest::Digest;

/// What every chain of ours begins with.
pub const PREFIX: &str = "TOWPATH-";

/// The tables that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    /// `filter`: what is refused, discarded and let through.
    Filter,
    /// `nat`: what is translated.
    Nat,
}

impl Table {
    /// Both, in the order in which they are written: what is refused no more comes before what is served now.
    pub const ALL: [Table; 2] = [Table::Filter, Table::Nat];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Table::Filter => "filter",
            Table::Nat => "nat",
        }
    }
}

/// What a chain of one ServicePort is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// Chooses an endpoint for the ClusterIP.
    Internal,
    /// Chooses an endpoint for other frontends, where that is another choice.
    External,
    /// Chooses an endpoint for local pods and the node under policy Local, where that is a third choice.
    Short,
    /// Leads to one endpoint.
    Endpoint,
    /// Frontends other than the ClusterIP.
    Front,
    /// Lets only some sources through to a load balancer's address.
    Firewall,
}

impl Part {
    const ALL: [Part; 6] =
        [Part::Internal, Part::External, Part::Short, Part::Endpoint, Part::Front, Part::Firewall];

    fn as_str(self) -> &'static str {
        match self {
            Part::Internal => "SVC",
            Part::External => "SVE",
            Part::Short => "SVN",
            Part::Endpoint => "SEP",
            Part::Front => "EXT",
            Part::Firewall => "FW",
        }
    }
}

/// One of the two dispatch trees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tree {
    /// In `nat`: frontends that are served.
    Served,
    /// In `filter`: frontends that are refused.
    Idle,
}

impl Tree {
    /// Both.
    pub const ALL: [Tree; 2] = [Tree::Served, Tree::Idle];

    /// Where it is.
    pub fn table(self) -> Table {
        match self {
            Tree::Served => Table::Nat,
            Tree::Idle => Table::Filter,
        }
    }
}

/// Identity of a chain within its family.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ChainId {
    /// A chain of the kernel: only jumps to chains of ours are ours in there.
    BuiltIn(Table, Hook),
    /// `filter`: from INPUT.
    Input,
    /// `filter`: from FORWARD.
    Forward,
    /// `filter`: from OUTPUT.
    Output,
    /// `filter`: lets `healthCheckNodePort`s through.
    Health,
    /// `nat`: from POSTROUTING.
    Postrouting,
    /// The root of a tree.
    Root(Tree),
    /// VIPs whose last hexadecimal digit is this one; with `high`, the last two.
    Vips {
        /// The tree.
        tree: Tree,
        /// The last digit.
        low: u8,
        /// The digit before it.
        high: Option<u8>,
    },
    /// All nodePorts of a tree.
    Ports(Tree),
    /// The nodePorts of one protocol whose first hexadecimal digits are these.
    PortRange {
        /// The tree.
        tree: Tree,
        /// The protocol.
        protocol: Protocol,
        /// How many digits are given: 1 to 3.
        digits: u8,
        /// The digits.
        prefix: u16,
    },
    /// A chain of one ServicePort.
    Of(Part, Digest),
    /// A chain with our prefix that this program never makes.
    Unknown(Table, Arc<str>),
}

/// The built-in chains that have a jump of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "they are their names")]
pub enum Hook {
    Prerouting,
    Input,
    Forward,
    Output,
    Postrouting,
}

impl Hook {
    /// All of them.
    pub const ALL: [Hook; 5] =
        [Hook::Prerouting, Hook::Input, Hook::Forward, Hook::Output, Hook::Postrouting];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Hook::Prerouting => "PREROUTING",
            Hook::Input => "INPUT",
            Hook::Forward => "FORWARD",
            Hook::Output => "OUTPUT",
            Hook::Postrouting => "POSTROUTING",
        }
    }
}

impl ChainId {
    /// The table that it is in.
    pub fn table(&self) -> Table {
        match self {
            ChainId::BuiltIn(table, _) | ChainId::Unknown(table, _) => *table,
            ChainId::Input | ChainId::Forward | ChainId::Output | ChainId::Health => Table::Filter,
            ChainId::Postrouting | ChainId::Of(..) => Table::Nat,
            ChainId::Root(tree)
            | ChainId::Ports(tree)
            | ChainId::Vips { tree, .. }
            | ChainId::PortRange { tree, .. } => tree.table(),
        }
    }

    /// Whether several Services have rules in it.
    pub fn is_shared(&self) -> bool {
        matches!(
            self,
            ChainId::Health
                | ChainId::Root(_)
                | ChainId::Ports(_)
                | ChainId::Vips { .. }
                | ChainId::PortRange { .. }
        )
    }

    /// Whether the order of the rules in a shared chain means something. Elsewhere no packet matches two of them.
    pub fn is_ordered(&self) -> bool {
        matches!(self, ChainId::Root(_))
    }

    /// The chain of that name in a table. A name that cannot be there is [`ChainId::Unknown`].
    pub fn parse(table: Table, name: &str) -> Self {
        let known = name.strip_prefix(PREFIX).and_then(known).filter(|id| id.table() == table);
        known.unwrap_or_else(|| ChainId::Unknown(table, Arc::from(name)))
    }
}

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChainId::BuiltIn(_, hook) => return f.write_str(hook.as_str()),
            ChainId::Unknown(_, name) => return f.write_str(name),
            _ => f.write_str(PREFIX)?,
        }
        match self {
            ChainId::Vips { tree, low, high: None } => write!(f, "{}-{low:x}", vips(*tree)),
            ChainId::Vips { tree, low, high: Some(high) } => write!(f, "{}-{high:x}{low:x}", vips(*tree)),
            ChainId::PortRange { tree, protocol, digits, prefix } => {
                let (stem, width) = (ports(*tree), usize::from(*digits));
                write!(f, "{stem}-{protocol}-{prefix:0width$x}")
            }
            ChainId::Of(part, digest) => write!(f, "{}-{digest}", part.as_str()),
            fixed => f.write_str(fixed.stem()),
        }
    }
}

impl ChainId {
    const FIXED: [ChainId; 9] = [
        ChainId::Input,
        ChainId::Forward,
        ChainId::Output,
        ChainId::Health,
        ChainId::Postrouting,
        ChainId::Root(Tree::Served),
        ChainId::Root(Tree::Idle),
        ChainId::Ports(Tree::Served),
        ChainId::Ports(Tree::Idle),
    ];

    /// The name of a fixed chain, without the prefix.
    fn stem(&self) -> &'static str {
        match self {
            ChainId::Input => "INPUT",
            ChainId::Forward => "FORWARD",
            ChainId::Output => "OUTPUT",
            ChainId::Health => "HEALTH",
            ChainId::Postrouting => "POSTROUTING",
            ChainId::Root(Tree::Served) => "SERVICES",
            ChainId::Root(Tree::Idle) => "IDLE",
            ChainId::Ports(Tree::Served) => "NODEPORTS",
            ChainId::Ports(Tree::Idle) => "IDLE-NODEPORTS",
            _ => "",
        }
    }
}

fn vips(tree: Tree) -> &'static str {
    match tree {
        Tree::Served => "VIP",
        Tree::Idle => "IDLE-VIP",
    }
}

fn ports(tree: Tree) -> &'static str {
    match tree {
        Tree::Served => "NP",
        Tree::Idle => "IDLE-NP",
    }
}

/// The chain of a name whose prefix is taken off.
fn known(rest: &str) -> Option<ChainId> {
    let fixed = ChainId::FIXED.into_iter().find(|id| id.stem() == rest);
    fixed.or_else(|| of_service(rest)).or_else(|| in_tree(rest))
}

fn of_service(rest: &str) -> Option<ChainId> {
    let (part, digest) = rest.split_once('-')?;
    let part = Part::ALL.into_iter().find(|p| p.as_str() == part)?;
    Some(ChainId::Of(part, Digest::parse(digest)?))
}

fn in_tree(rest: &str) -> Option<ChainId> {
    let (stem, digits) = rest.rsplit_once('-')?;
    if !digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) || digits.len() > 3 {
        return None;
    }
    let prefix = u16::from_str_radix(digits, 16).ok()?;
    if let Some(tree) = Tree::ALL.into_iter().find(|tree| vips(*tree) == stem) {
        let (low, high) = (prefix as u8 & 15, prefix as u8 >> 4);
        return (digits.len() < 3).then_some(ChainId::Vips {
            tree,
            low,
            high: (digits.len() == 2).then_some(high),
        });
    }
    let (stem, protocol) = stem.rsplit_once('-')?;
    let tree = Tree::ALL.into_iter().find(|tree| ports(*tree) == stem)?;
    let protocol = Protocol::parse(protocol).filter(|p| p.as_str() == protocol)?;
    Some(ChainId::PortRange { tree, protocol, digits: digits.len() as u8, prefix })
}

/// A chain of one family.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The family.
    pub family: IpFamily,
    /// The chain.
    pub chain: ChainId,
}

impl Place {
    /// A chain of a family.
    pub fn new(family: IpFamily, chain: ChainId) -> Self {
        Self { family, chain }
    }

    /// Its table.
    pub fn table(&self) -> Table {
        self.chain.table()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_chains_follow_from_each_other() {
        let digest = Digest::of("a/b:c/tcp");
        let range =
            |tree, digits, prefix| ChainId::PortRange { tree, protocol: Protocol::Sctp, digits, prefix };
        let vips = |tree, low, high| ChainId::Vips { tree, low, high };
        let some = [
            (vips(Tree::Served, 4, None), "TOWPATH-VIP-4"),
            (vips(Tree::Served, 4, Some(0)), "TOWPATH-VIP-04"),
            (vips(Tree::Idle, 15, Some(10)), "TOWPATH-IDLE-VIP-af"),
            (range(Tree::Served, 1, 7), "TOWPATH-NP-sctp-7"),
            (range(Tree::Served, 2, 0x0a), "TOWPATH-NP-sctp-0a"),
            (range(Tree::Idle, 3, 0x753), "TOWPATH-IDLE-NP-sctp-753"),
            (ChainId::Root(Tree::Idle), "TOWPATH-IDLE"),
            (ChainId::Ports(Tree::Served), "TOWPATH-NODEPORTS"),
        ];
        for (id, name) in some {
            assert_eq!(id.to_string(), name);
            assert_eq!(ChainId::parse(id.table(), name), id);
        }
        let of = Part::ALL.map(|part| ChainId::Of(part, digest));
        for id in of.into_iter().chain(ChainId::FIXED) {
            let name = id.to_string();
            assert!(name.len() <= 28, "{name}: iptables takes 28 characters");
            assert_eq!(ChainId::parse(id.table(), &name), id);
        }
    }

    #[test]
    fn other_names_are_unknown() {
        for (table, name) in [
            (Table::Nat, "TOWPATH-IDLE"),
            (Table::Filter, "TOWPATH-SERVICES"),
            (Table::Nat, "TOWPATH-VIP-"),
            (Table::Nat, "TOWPATH-VIP-A"),
            (Table::Nat, "TOWPATH-VIP-123"),
            (Table::Nat, "TOWPATH-NP-TCP-7"),
            (Table::Nat, "TOWPATH-NP-7"),
            (Table::Nat, "TOWPATH-SVC-"),
            (Table::Nat, "TOWPATH-SVC-abcdefghijklmnop"),
            (Table::Nat, "TOWPATH-SVC-ABCDEFGHIJKLMNOPQ"),
            (Table::Nat, "TOWPATH-"),
        ] {
            assert_eq!(ChainId::parse(table, name), ChainId::Unknown(table, Arc::from(name)));
        }
    }
}
