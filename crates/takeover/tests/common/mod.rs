//! What the tests share: loading texts, and saving rules so that they can be compared.
#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

use std::collections::BTreeSet;

use model::IpFamily;
use testkit::netns::NetNs;
use towpath_takeover::{Connections, Leftovers, Report, find, remove};
use xtables::Variant;

pub(crate) const TABLES: [&str; 4] = ["raw", "mangle", "nat", "filter"];

pub(crate) fn program(variant: Variant, family: IpFamily, job: &str) -> String {
    let base = if family == IpFamily::V4 { "iptables" } else { "ip6tables" };
    format!("{base}-{variant}-{job}")
}

pub(crate) fn restore(ns: &NetNs, variant: Variant, family: IpFamily, text: &str) {
    let program = program(variant, family, "restore");
    ns.command_with_input(&program, &["--noflush", "-w", "5"], text).unwrap();
}

/// All iptables rules of a family and variant, without what differs each time: comments and counters.
pub(crate) fn saved(ns: &NetNs, variant: Variant, family: IpFamily) -> String {
    let text = ns.command(&program(variant, family, "save"), &[]).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split(" [").next().unwrap_or(line).to_owned() + "\n").collect()
}

/// The rules of both variants and families, and all tables of nf_tables.
pub(crate) fn everything(ns: &NetNs) -> String {
    let places = Variant::ALL.into_iter().flat_map(|variant| IpFamily::ALL.map(|family| (variant, family)));
    let rules: String = places.map(|(variant, family)| saved(ns, variant, family)).collect();
    rules + &ns.command("nft", &["--stateless", "list", "ruleset"]).unwrap()
}

pub(crate) fn look(ns: &NetNs) -> Leftovers {
    ns.run(|| find(&BTreeSet::new())).unwrap()
}

pub(crate) fn clear(ns: &NetNs) -> Report {
    ns.run(|| remove(&BTreeSet::new(), Connections::End)).unwrap()
}
