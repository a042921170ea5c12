//! Everything that a program could leave behind on a node.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use testkit::netns::NetNs;

use crate::rules::generation;

/// Settings that the kernel itself changes.
const COUNTERS: &[&str] = &["net.netfilter.nf_conntrack_count"];

/// What is on the node, but for sockets.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Traces {
    /// Moves with each transaction of nf_tables, whatever it does.
    generation: u32,
    ruleset: String,
    /// Of both variants and families, without times and counters.
    iptables: String,
    /// Tables of x_tables: looking can make one.
    legacy_tables: String,
    sysctls: Vec<String>,
    links: String,
}

impl Traces {
    pub(super) fn of(node: &NetNs) -> Result<Self> {
        let read = |path| node.command("cat", &[path]).unwrap_or_default();
        let legacy_tables = ["/proc/net/ip_tables_names", "/proc/net/ip6_tables_names"].map(read).concat();
        let ruleset = node.command("nft", &["-a", "-s", "list", "ruleset"])?;
        let mut iptables = String::new();
        for tool in ["iptables-legacy", "ip6tables-legacy", "iptables-nft", "ip6tables-nft"] {
            let text = node.command(&format!("{tool}-save"), &[])?;
            let rules = text.lines().filter(|line| !line.starts_with('#'));
            let uncounted =
                rules.map(|line| if line.starts_with(':') { before_counters(line) } else { line });
            uncounted.for_each(|line| iptables += &format!("{tool} {line}\n"));
        }
        let sysctls = node.command("sysctl", &["-a", "-r", r"^net\."])?;
        let counts = |line: &&str| COUNTERS.iter().any(|counter| line.starts_with(counter));
        Ok(Self {
            ruleset,
            iptables,
            legacy_tables,
            sysctls: sysctls.lines().filter(|line| !counts(line)).map(str::to_owned).collect(),
            links: node.command("ip", &["-o", "addr"])?,
            generation: generation(node)?,
        })
    }

    /// Nothing is other than it was.
    pub(super) fn stay(&self, node: &NetNs) -> Result<()> {
        let now = Self::of(node)?;
        let moved = |line: &&String| !self.sysctls.contains(line);
        let sysctls: Vec<_> = now.sysctls.iter().filter(moved).collect();
        ensure!(sysctls.is_empty(), "settings were changed: {sysctls:#?}");
        ensure!(now == *self, "was {self:#?}\nis {now:#?}");
        Ok(())
    }
}

fn before_counters(chain: &str) -> &str {
    chain.split_once('[').map_or(chain, |(before, _)| before)
}

/// Addresses with a port on which somebody listens, of TCP and UDP.
pub(super) fn listening(node: &NetNs) -> Result<BTreeSet<String>> {
    let text = node.command("ss", &["-Hlntu"])?;
    Ok(text.lines().filter_map(|line| line.split_whitespace().nth(4)).map(str::to_owned).collect())
}
