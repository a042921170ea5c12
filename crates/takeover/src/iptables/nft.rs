//! The nf_tables variant, by netlink: the iptables tools search a list for each chain, so that tens of thousands of them
//! take minutes (1.8.9), and they cannot read a table that also has rules made by `nft`.

use model::IpFamily;
use netlink::nft::{self, Family, NETLINK_NETFILTER, Transaction};
use netlink::{NetlinkError, Socket};

use super::TABLES;
use crate::plan::{Chains, Jump, Rule, TablePlan};

/// What each table has of kube-proxy.
pub(super) fn look(family: IpFamily) -> Result<Vec<TablePlan>, NetlinkError> {
    let mut socket = Socket::open(NETLINK_NETFILTER)?;
    TABLES.into_iter().map(|table| plan(&mut socket, kernel_family(family), table)).collect()
}

/// Removes everything, in one transaction for each table.
pub(super) fn remove(family: IpFamily, plans: &[TablePlan]) -> Result<(), NetlinkError> {
    if plans.iter().all(TablePlan::is_empty) {
        return Ok(());
    }
    let mut socket = Socket::open(NETLINK_NETFILTER)?;
    for plan in plans.iter().filter(|plan| !plan.is_empty()) {
        let mut transaction = Transaction::new(&mut socket, kernel_family(family), plan.table, None);
        for jump in &plan.jumps {
            if let Rule::Handle(handle) = jump.rule {
                transaction.delete_rule(&jump.from, handle);
            }
        }
        // All are emptied before the first is deleted: they lead to each other.
        plan.chains.iter().for_each(|chain| transaction.flush_chain(chain));
        plan.chains.iter().for_each(|chain| transaction.delete_chain(chain));
        transaction.commit(&mut socket)?;
    }
    Ok(())
}

fn plan(socket: &mut Socket, family: Family, table: &'static str) -> Result<TablePlan, NetlinkError> {
    let (mut chains, mut others) = (Chains::default(), Vec::new());
    for chain in nft::chains(socket, family, table)? {
        if !chains.add(&chain.name, chain.hook.is_some()) {
            others.push(chain.name);
        }
    }
    if chains.theirs.is_empty() {
        return Ok(TablePlan { table, ..TablePlan::default() });
    }
    let mut outside = Vec::new();
    for other in &others {
        let jumps = nft::jumps(socket, family, table, other)?.into_iter();
        outside.extend(jumps.filter(|jump| chains.theirs.contains(&jump.target)).map(jump));
    }
    let inside = |chain: &str| {
        let jumps = nft::jumps(socket, family, table, chain)?;
        Ok(jumps.into_iter().map(|jump| jump.target).collect())
    };
    TablePlan::new(table, &chains, outside, inside)
}

fn jump(jump: nft::Jump) -> Jump {
    let nft::Jump { chain, handle, target, comment } = jump;
    Jump { from: chain, to: target, comment, rule: Rule::Handle(handle) }
}

fn kernel_family(family: IpFamily) -> Family {
    match family {
        IpFamily::V4 => Family::Ip,
        IpFamily::V6 => Family::Ip6,
    }
}
