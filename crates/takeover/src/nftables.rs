//! nftables mode: kube-proxy's two tables.

use netlink::nft::{Family, NETLINK_NETFILTER, Transaction, chains, sets};
use netlink::{NetlinkError, Socket};

use crate::names::NFT_TABLE;
use crate::{Leftovers, Report};

const FAMILIES: [(Family, &str); 2] = [(Family::Ip, "ip"), (Family::Ip6, "ip6")];

pub(crate) fn find(leftovers: &mut Leftovers) {
    let mut socket = match Socket::open(NETLINK_NETFILTER) {
        Ok(socket) => socket,
        Err(error) if is_nothing(&error) => return,
        Err(error) => return leftovers.unread.push(format!("tables of nf_tables: {error}")),
    };
    for (family, word) in FAMILIES {
        match is_there(&mut socket, family) {
            Ok(true) => leftovers.found.push(name(word)),
            Ok(false) => {}
            Err(error) => leftovers.unread.push(format!("{}: {error}", name(word))),
        }
    }
}

pub(crate) fn remove(report: &mut Report) {
    let mut socket = match Socket::open(NETLINK_NETFILTER) {
        Ok(socket) => socket,
        Err(error) if is_nothing(&error) => return,
        Err(error) => return report.failed.push(format!("tables of nf_tables: {error}")),
    };
    for (family, word) in FAMILIES {
        let mut transaction = Transaction::new(&mut socket, family, NFT_TABLE, None);
        transaction.delete_table();
        match transaction.commit(&mut socket) {
            Ok(()) => report.removed.push(name(word)),
            Err(error) if is_nothing(&error) => {}
            Err(error) => report.failed.push(format!("{}: {error}", name(word))),
        }
    }
}

/// Whether the table has anything in it. One without chains and sets does nothing, and goes with the others.
fn is_there(socket: &mut Socket, family: Family) -> Result<bool, NetlinkError> {
    let found = chains(socket, family, NFT_TABLE)
        .and_then(|chains| Ok(!chains.is_empty() || !sets(socket, family, NFT_TABLE)?.is_empty()));
    match found {
        Err(error) if is_nothing(&error) => Ok(false),
        found => found,
    }
}

/// No such table, or a kernel without nf_tables, or without netfilter's netlink.
pub(crate) fn is_nothing(error: &NetlinkError) -> bool {
    const ENOENT: i32 = 2;
    const EINVAL: i32 = 22;
    const EPROTONOSUPPORT: i32 = 93;
    const EOPNOTSUPP: i32 = 95;
    matches!(error.errno(), Some(ENOENT | EINVAL | EPROTONOSUPPORT | EOPNOTSUPP))
}

fn name(family: &str) -> String {
    format!("table {family} {NFT_TABLE}")
}
