//! Whether the kernel has what we need, in words.

use model::IpFamily;
use netlink::nft::Transaction;
use netlink::{NetlinkError, Socket};

use crate::ids::{ChainId, SetId};
use crate::layout::{Layout, set_spec};
use crate::{Pick, kernel_family};
use resolve::{LocalSource, NodePortScope};

/// Something that the kernel lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// What it is for.
    pub feature: &'static str,
    /// The kernel option that brings it.
    pub option: &'static str,
    /// What the kernel said.
    pub answer: String,
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the kernel lacks {}: it needs {} ({})", self.feature, self.option, self.answer)
    }
}

/// A table that exists only inside a transaction which is never committed.
const TABLE: &str = "towpath-probe";

/// Tries every kind of object and rule that we use, in a table of its own that is deleted in the same transaction.
pub fn probe(socket: &mut Socket) -> Vec<Missing> {
    let mut missing = Vec::new();
    for family in IpFamily::ALL {
        let layout = layout(family);
        for (feature, option, chain) in CHAINS {
            let result = try_chain(socket, &layout, chain);
            missing.extend(result.err().map(|e| Missing { feature, option, answer: e.to_string() }));
        }
    }
    missing.dedup_by_key(|m| m.feature);
    missing
}

const PICK: Pick = Pick { ports: false, shard: 0, count: 2, masquerade: false, affinity: None };

/// Simple things first: what fails there explains the rest.
const CHAINS: [(&str, &str, ChainId); 7] = [
    (
        "nf_tables with hash maps, or this process lacks CAP_NET_ADMIN",
        "CONFIG_NF_TABLES",
        ChainId::LocalPolicyVips,
    ),
    ("reject", "CONFIG_NFT_REJECT, CONFIG_NF_TABLES_IPV4, CONFIG_NF_TABLES_IPV6", ChainId::Reject),
    ("NAT chains", "CONFIG_NFT_NAT, CONFIG_NF_NAT", ChainId::NatPrerouting),
    ("masquerading", "CONFIG_NFT_MASQ, CONFIG_NFT_CT", ChainId::NatPostrouting),
    ("random choice", "CONFIG_NFT_NUMGEN", ChainId::Pick(PICK)),
    ("address types", "CONFIG_NFT_FIB, CONFIG_NFT_FIB_IPV4, CONFIG_NFT_FIB_IPV6", ChainId::Services),
    ("connection state", "CONFIG_NFT_CT", ChainId::FilterForward),
];

fn layout(family: IpFamily) -> Layout {
    Layout {
        family,
        local: LocalSource::Interface("towpath-probe".into()),
        masquerade_all: false,
        mark: 1 << 14,
        scope: NodePortScope::All,
        service_cidrs: Vec::new(),
    }
}

fn try_chain(socket: &mut Socket, layout: &Layout, chain: ChainId) -> Result<(), NetlinkError> {
    let mut transaction = Transaction::new(socket, kernel_family(layout.family), TABLE, None);
    transaction.add_table();
    for id in SetId::constant().filter(|id| !matches!(id, SetId::VipSlots(n) | SetId::PortSlots(n) if *n > 0))
    {
        transaction.add_set(&set_spec(id, layout.family));
    }
    for id in [ChainId::Services, ChainId::ClusterIpCheck, ChainId::Reject] {
        transaction.add_chain(&id.to_string(), None);
    }
    transaction.add_chain(&chain.to_string(), Layout::hook(chain));
    for rule in layout.encoded(chain) {
        transaction.add_rule(&chain.to_string(), &rule);
    }
    transaction.delete_table();
    transaction.commit(socket)
}
