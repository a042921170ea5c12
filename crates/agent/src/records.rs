//! Which virtual servers of IPVS our tables say are ours. Read without IPVS: asking for it would load its module.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use netlink::NetlinkError;
use netlink::ipvs::{self, Key};
use nftables::{Nftables, Style, VipKey};

use crate::janitor::is_absent;

/// Where netfilter's netlink is there without nf_tables, the kernel answers with this.
const EINVAL: i32 = 22;

/// Their keys. None where the kernel has no IPVS loaded, or no such tables. Errors: they cannot be read.
pub(crate) fn virtual_servers() -> Result<BTreeSet<Key>> {
    if matches!(ipvs::available(), Ok(false)) {
        return Ok(BTreeSet::new());
    }
    match recorded() {
        Err(error) if is_absent(&error) || is_invalid(&error) => Ok(BTreeSet::new()),
        result => result.context("cannot read which virtual servers are ours"),
    }
}

fn is_invalid(error: &anyhow::Error) -> bool {
    let causes = error.chain().filter_map(|cause| cause.downcast_ref::<NetlinkError>());
    causes.map(NetlinkError::errno).any(|errno| errno == Some(EINVAL))
}

fn recorded() -> Result<BTreeSet<Key>> {
    let servers = Nftables::open_as(Style::Ipvs)?.virtual_servers()?;
    let key =
        |vip: &VipKey| Key::Address { address: vip.ip, protocol: vip.protocol.number(), port: vip.port };
    Ok(servers.iter().map(key).collect())
}
