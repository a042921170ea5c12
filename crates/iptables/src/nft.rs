//! The nf_tables variant's tables by netlink: what its tools can only tell slowly beside many chains of others, or not at
//! all of a table in which `nft` has made rules of its own.

use model::IpFamily;
use netlink::nft::{self, Jump, NETLINK_NETFILTER, Transaction};
use netlink::{NetlinkError, Socket};

use crate::layout::LOCALNET_WAS_OFF;
use crate::names::{ChainId, Hook, PREFIX, Table};

/// What a table has of ours.
#[derive(Debug, Default)]
pub struct Look {
    /// Names of our chains.
    pub chains: Vec<String>,
    /// Rules of built-in chains that lead to chains with our prefix.
    pub jumps: Vec<Jump>,
}

/// Looks at one table. Nothing is there if there is no such table.
pub fn look(family: IpFamily, table: Table) -> Result<Look, NetlinkError> {
    let (chains, _) = chains(family, table)?;
    let jumps = jumps_from(family, table, Hook::ALL.map(Hook::as_str))?;
    Ok(Look { chains, jumps })
}

/// Whether a table has the flag that takes its chains out of force. No tool of iptables sets it, shows it or minds it.
pub fn is_dormant(family: IpFamily, table: Table) -> Result<bool, NetlinkError> {
    let flags = nft::table(&mut open()?, kernel_family(family), table.as_str())?;
    Ok(flags.is_some_and(nft::TableFlags::is_dormant))
}

/// Takes that flag away.
pub fn wake(family: IpFamily, table: Table) -> Result<(), NetlinkError> {
    let mut socket = open()?;
    let mut transaction = Transaction::new(&mut socket, kernel_family(family), table.as_str(), None);
    transaction.add_table();
    transaction.commit(&mut socket)
}

/// Names of chains of ours, and of all others.
pub fn chains(family: IpFamily, table: Table) -> Result<(Vec<String>, Vec<String>), NetlinkError> {
    let mut socket = open()?;
    let chains = nft::chains(&mut socket, kernel_family(family), table.as_str())?;
    Ok(chains.into_iter().map(|chain| chain.name).partition(|name| name.starts_with(PREFIX)))
}

/// Rules of some chains that lead to chains with our prefix.
pub fn jumps_from<'c>(
    family: IpFamily,
    table: Table,
    chains: impl IntoIterator<Item = &'c str>,
) -> Result<Vec<Jump>, NetlinkError> {
    let (mut socket, mut found) = (open()?, Vec::new());
    for chain in chains {
        let jumps = nft::jumps(&mut socket, kernel_family(family), table.as_str(), chain)?;
        found.extend(jumps.into_iter().filter(|jump| jump.target.starts_with(PREFIX)));
    }
    Ok(found)
}

/// Every rule outside our chains that leads to one of them.
pub fn leads(family: IpFamily, table: Table) -> Result<Vec<Jump>, NetlinkError> {
    let (_, others) = chains(family, table)?;
    jumps_from(family, table, others.iter().map(String::as_str))
}

/// Removes rules.
pub fn delete_rules(family: IpFamily, table: Table, rules: &[Jump]) -> Result<(), NetlinkError> {
    let mut socket = open()?;
    let mut transaction = Transaction::new(&mut socket, kernel_family(family), table.as_str(), None);
    rules.iter().for_each(|rule| transaction.delete_rule(&rule.chain, rule.handle));
    transaction.commit(&mut socket)
}

/// Removes every rule that leads to a chain of ours, and every chain of ours, at once. The number of these chains.
pub fn remove(family: IpFamily, table: Table) -> Result<usize, NetlinkError> {
    let (ours, others) = chains(family, table)?;
    if ours.is_empty() {
        return Ok(0);
    }
    let leads = jumps_from(family, table, others.iter().map(String::as_str))?;
    let mut socket = open()?;
    let mut transaction = Transaction::new(&mut socket, kernel_family(family), table.as_str(), None);
    leads.iter().for_each(|lead| transaction.delete_rule(&lead.chain, lead.handle));
    // All are emptied before the first is deleted: they lead to each other.
    ours.iter().for_each(|chain| transaction.flush_chain(chain));
    ours.iter().for_each(|chain| transaction.delete_chain(chain));
    transaction.commit(&mut socket)?;
    Ok(ours.len())
}

/// What the rules of our `INPUT` say they are for.
pub fn input_comments() -> Result<Vec<String>, NetlinkError> {
    let chain = ChainId::Input.to_string();
    nft::comments(&mut open()?, kernel_family(IpFamily::V4), Table::Filter.as_str(), &chain)
}

/// Whether the rules say that `route_localnet` was 0 before them.
pub fn says_localnet_was_off() -> bool {
    input_comments().is_ok_and(|comments| comments.iter().any(|comment| comment == LOCALNET_WAS_OFF))
}

fn open() -> Result<Socket, NetlinkError> {
    Socket::open(NETLINK_NETFILTER)
}

fn kernel_family(family: IpFamily) -> nft::Family {
    match family {
        IpFamily::V4 => nft::Family::Ip,
        IpFamily::V6 => nft::Family::Ip6,
    }
}
