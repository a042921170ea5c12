//! What the kernel has: rulesets, their generation, tracked flows.

use std::collections::BTreeSet;
use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use netlink::Socket;
use netlink::conntrack::{self, Family, Filter, Flow};
use netlink::nft;
use testkit::netns::NetNs;

/// The distribution's `nft` can print everything: bytecode that it does not understand would break it
/// for the whole host.
pub(crate) fn listable(node: &NetNs) -> Result<()> {
    let listing = node.command("nft", &["list", "ruleset"])?;
    ensure!(!listing.contains("[invalid"), "nft can't print everything:\n{listing}");
    Ok(())
}

/// The generation of the ruleset: it moves with each commit of anybody.
pub(crate) fn generation(node: &NetNs) -> Result<u32> {
    node.run(|| nft::generation(&mut Socket::open(nft::NETLINK_NETFILTER)?))?
        .context("reading the generation")
}

/// Who a tracked flow is: the kernel's id of it, and its client.
pub(crate) type FlowId = (u32, IpAddr, u16);

/// Tracked flows of both families, as far as they are wanted. The same id later is the same flow, never deleted.
pub(crate) fn flow_ids(node: &NetNs, wanted: impl Fn(&Flow) -> bool + Sync) -> Result<BTreeSet<FlowId>> {
    let dump = || {
        let (mut socket, mut found) = (conntrack::open()?, BTreeSet::new());
        for family in [Family::V4, Family::V6] {
            conntrack::dump(&mut socket, &Filter::all(family), |flow| {
                if wanted(&flow) {
                    found.insert((flow.id, flow.original.src, flow.original.sport));
                }
            })?;
        }
        Ok::<_, netlink::NetlinkError>(found)
    };
    node.run(dump)?.context("reading conntrack")
}
