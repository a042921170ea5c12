//! How many rules of iptables a first packet walks before it is in the chain of its Service.

use std::net::Ipv4Addr;

use anyhow::{Context, Result, ensure};
use model::IpFamily;
use testkit::netns::NetNs;
use xtables::{SavedRule, SavedTable, Tools, Variant};

use crate::data::{self, Size};
use crate::load::Kind;

/// Measures it for every Service, on what the kernel has.
pub(crate) fn measure(size: Size, kind: Kind<iptables::Iptables>, variant: Variant) -> Result<()> {
    let namespace = NetNs::new()?;
    let nat = namespace.run(|| -> Result<_> {
        kind.engine(size)?.sync()?;
        Ok(Tools::find(variant)?.save(IpFamily::V4, "nat")?)
    })??;
    let rules: usize = nat.chains.values().map(|chain| chain.rules.len()).sum();
    println!("iptables: {} chains and {rules} rules in nat", nat.chains.len());
    let walked = (0..size.services).map(|n| walk(&nat, data::cluster_ip(n))).collect::<Result<Vec<_>>>()?;
    let (most, sum) = (walked.iter().max().copied().unwrap_or(0), walked.iter().sum::<usize>());
    println!(
        "iptables: rules walked before the Service's own chain: mean {}, most {most}, last Service {}",
        sum / walked.len().max(1),
        walked.last().copied().unwrap_or(0)
    );
    Ok(())
}

fn walk(nat: &SavedTable, ip: Ipv4Addr) -> Result<usize> {
    let mut walked = 0;
    let found = enter(nat, "PREROUTING", ip, &mut walked)?;
    ensure!(found, "no rule leads to {ip}");
    Ok(walked)
}

/// Whether the packet got into the chain of a Service.
fn enter(nat: &SavedTable, chain: &str, ip: Ipv4Addr, walked: &mut usize) -> Result<bool> {
    let chain = nat.chains.get(chain).with_context(|| format!("no chain {chain}"))?;
    for rule in &chain.rules {
        *walked += 1;
        let Some(target) = rule.target().filter(|_| matches(rule, ip)) else { continue };
        if target.starts_with("TOWPATH-SVC-") || enter(nat, target, ip, walked)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Only by its destination: nothing else differs between the Services that are measured.
fn matches(rule: &SavedRule, ip: Ipv4Addr) -> bool {
    let Some(net) = rule.value("-d") else { return true };
    let (address, mask) = net.split_once('/').unwrap_or((net, "32"));
    let mask = match mask.parse::<u32>() {
        Ok(length) => u32::MAX.checked_shl(32 - length).unwrap_or(0),
        Err(_) => mask.parse::<Ipv4Addr>().map_or(0, u32::from),
    };
    address.parse::<Ipv4Addr>().is_ok_and(|address| u32::from(ip) & mask == u32::from(address))
}
