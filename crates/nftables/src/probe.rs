//! Whether the kernel has what we need, in words.

use model::IpFamily;
use netlink::nft::Transaction;
use netlink::{NetlinkError, Socket};

use crate::ids::{ChainId, SetId};
use crate::layout::Layout;
use crate::sets::set_spec;
use crate::style::Style;
use crate::{Pick, kernel_family};
use resolve::{LocalSource, NodePortScope};

/// Why nf_tables cannot be used as we need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// This process may not change nf_tables.
    Permission,
    /// The kernel lacks something.
    Feature {
        /// What it is for.
        feature: &'static str,
        /// The kernel option that brings it.
        option: &'static str,
        /// What the kernel said.
        answer: String,
    },
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Missing::Permission => {
                f.write_str("this process may not change nf_tables: run it as root or with CAP_NET_ADMIN")
            }
            Missing::Feature { feature, option, answer } => {
                write!(f, "the kernel lacks {feature}: it needs {option} ({answer})")
            }
        }
    }
}

/// A table that exists only inside a transaction which is never committed.
const TABLE: &str = "towpath-probe";

/// Tries every kind of object and rule that we use, without writing anything: the ruleset's generation stays.
pub fn probe(socket: &mut Socket) -> Vec<Missing> {
    probe_as(socket, Style::Dnat)
}

/// The same for tables of a style. It does not ask for IPVS itself.
pub fn probe_as(socket: &mut Socket, style: Style) -> Vec<Missing> {
    let mut missing = Vec::new();
    let more = PING.filter(|_| style == Style::Ipvs);
    for family in IpFamily::ALL {
        let layout = layout(style, family);
        for (feature, option, chain) in CHAINS.into_iter().chain(more) {
            match try_chain(socket, &layout, chain) {
                Ok(()) => {}
                Err(error) if error.errno() == Some(PERMISSION) => return vec![Missing::Permission],
                Err(error) => {
                    missing.push(Missing::Feature { feature, option, answer: format!("{family}: {error}") });
                }
            }
        }
    }
    missing
}

/// EPERM.
const PERMISSION: i32 = 1;
const PICK: Pick = Pick { ports: false, shard: 0, size: 2, masquerade: false, affinity: None };

/// Simple things first: what fails there explains the rest.
const CHAINS: [(&str, &str, ChainId); 9] = [
    ("nf_tables with maps and concatenated intervals", "CONFIG_NF_TABLES, kernel 5.6", ChainId::Firewall),
    ("reject", "CONFIG_NFT_REJECT, CONFIG_NF_TABLES_IPV4, CONFIG_NF_TABLES_IPV6", ChainId::Reject),
    ("NAT chains", "CONFIG_NFT_NAT, CONFIG_NF_NAT", ChainId::NatPrerouting),
    ("connection state", "CONFIG_NFT_CT", ChainId::FilterForward),
    ("masquerading", "CONFIG_NFT_MASQ", ChainId::NatPostrouting),
    ("random choice", "CONFIG_NFT_NUMGEN, CONFIG_NFT_NAT", ChainId::Pick(PICK)),
    ("address types", "CONFIG_NFT_FIB, CONFIG_NFT_FIB_IPV4, CONFIG_NFT_FIB_IPV6", ChainId::LocalPolicyVips),
    ("the original tuple of connections", "CONFIG_NFT_CT", ChainId::AffinityRecord),
    ("maps that rules write", "CONFIG_NF_TABLES", ChainId::Record { shard: 0, seconds: 1 }),
];

/// What only tables beside IPVS have.
const PING: Option<(&str, &str, ChainId)> =
    Some(("matches on headers of ICMP", "CONFIG_NF_TABLES", ChainId::ClusterIpCheck));

fn layout(style: Style, family: IpFamily) -> Layout {
    Layout {
        style,
        family,
        local: LocalSource::Interface("towpath-probe".into()),
        masquerade_all: false,
        mark: 1 << 14,
        scope: NodePortScope::All,
        service_cidrs: Vec::new(),
        addresses: Vec::new(),
    }
}

fn try_chain(socket: &mut Socket, layout: &Layout, chain: ChainId) -> Result<(), NetlinkError> {
    let mut transaction = Transaction::new(socket, kernel_family(layout.family), TABLE, None);
    transaction.add_table();
    for id in SetId::all().filter(|id| id.is_in(layout.style) && is_sample(id)) {
        transaction.add_set(&set_spec(id, layout.family));
    }
    for id in [ChainId::Services, ChainId::ClusterIpCheck, ChainId::Reject] {
        transaction.add_chain(&id.to_string(), None);
    }
    transaction.add_chain(&chain.to_string(), Layout::hook(chain));
    for rule in layout.encoded(chain) {
        transaction.add_rule(&chain.to_string(), &rule);
    }
    transaction.rehearse(socket)
}

/// One map of each kind is enough.
fn is_sample(id: &SetId) -> bool {
    !matches!(id, SetId::VipSlots(n) | SetId::PortSlots(n) | SetId::Affinity(n) if *n > 0)
}
