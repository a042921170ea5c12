//! kube-proxy in nftables mode: the tables `ip kube-proxy` and `ip6 kube-proxy`, read by netlink.
//!
//! ```text
//! service-ips       addr . proto . port -> goto service-… | local-… | external-…    ClusterIP, other VIPs
//! service-nodeports        proto . port -> goto external-…
//! no-endpoint-…            the same keys -> goto reject-chain | drop
//! firewall-ips      addr . proto . port -> goto firewall-…     saddr != { ranges } drop
//! ```

mod bytes;
mod dispatch;
mod rule;
mod table;

use std::collections::BTreeMap;

use model::{FrontendKey, IpFamily};
use netlink::nft::{self, Family};
use netlink::{NetlinkError, Socket};
use resolve::Mode;

use crate::assemble::frontends;
use crate::{Frontend, Programmed};

/// The name of kube-proxy's tables.
const TABLE: &str = "kube-proxy";
/// Times that a reading disturbed by other commits is tried again.
const ATTEMPTS: u32 = 3;

/// What was read before, by which the next reading is much cheaper: it asks only for what has changed.
#[derive(Debug, Default)]
pub struct Memory([table::Known; 2]);

/// Reads what a kube-proxy in nftables mode has programmed in this network namespace; `None` if its tables are not
/// there. `socket` is one of [`nft::NETLINK_NETFILTER`], and `memory` of the same namespace. Errors: the socket failed, or
/// the kernel refused.
pub fn read(socket: &mut Socket, memory: &mut Memory) -> Result<Option<Programmed>, NetlinkError> {
    let families = families(socket)?;
    if families.is_empty() {
        return Ok(None);
    }
    let (frontends, consistent) = read_calm(socket, &families, memory)?;
    let tables: Vec<String> = families.iter().map(|f| format!("{} {TABLE}", nft_family_name(*f))).collect();
    let found = format!("nf_tables {}", tables.join(", "));
    Ok(Some(Programmed { mode: Mode::Nftables, found, consistent, frontends }))
}

/// Whether there is any table of a kube-proxy.
pub(crate) fn is_there(socket: &mut Socket) -> Result<bool, NetlinkError> {
    families(socket).map(|families| !families.is_empty())
}

/// Those in which the table has chains.
fn families(socket: &mut Socket) -> Result<Vec<IpFamily>, NetlinkError> {
    let mut found = Vec::new();
    for family in IpFamily::ALL {
        if !nft::chains(socket, nft_family(family), TABLE)?.is_empty() {
            found.push(family);
        }
    }
    Ok(found)
}

/// Reads until no commit came between, a few times; and says whether that was reached.
fn read_calm(
    socket: &mut Socket,
    families: &[IpFamily],
    memory: &mut Memory,
) -> Result<(BTreeMap<FrontendKey, Frontend>, bool), NetlinkError> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        let before = nft::generation(socket)?;
        let mut all = BTreeMap::new();
        for family in families {
            all.append(&mut read_family(socket, *family, &mut memory.0[*family as usize])?);
        }
        let consistent = nft::generation(socket)? == before;
        if consistent || attempt == ATTEMPTS {
            return Ok((all, consistent));
        }
    }
}

fn read_family(
    socket: &mut Socket,
    family: IpFamily,
    known: &mut table::Known,
) -> Result<BTreeMap<FrontendKey, Frontend>, NetlinkError> {
    let table = table::Table::read(socket, nft_family(family), TABLE, known)?;
    let chains = rule::chains(&table, family);
    Ok(frontends(dispatch::dispatch(&table, family, &chains), &chains))
}

fn nft_family(family: IpFamily) -> Family {
    match family {
        IpFamily::V4 => Family::Ip,
        IpFamily::V6 => Family::Ip6,
    }
}

fn nft_family_name(family: IpFamily) -> &'static str {
    match family {
        IpFamily::V4 => "ip",
        IpFamily::V6 => "ip6",
    }
}
