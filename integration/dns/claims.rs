//! Which test has which case of the table, so that none is forgotten.
//!
//! | id | where |
//! |---|---|
//! | `answers::PROFILE::ID` | every query, here |
//! | `protocol::proto-NN`, `scenarios::scen-NN` | here, unless [`ELSEWHERE`] says otherwise |
//! | others | tests of [`ELSEWHERE`] |

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result, ensure};

use crate::table::{self, Table};
use crate::{protocol, resolver, scenarios};

/// Cases that need the node's kernel: the file, and the test in it.
const ELSEWHERE: &[(&str, &str, &str)] = &[
    ("scen-12", "integration/kernel/dns/falls.rs", "killed_under_load_dns_falls_back"),
    ("scen-13", "integration/kernel/dns.rs", "a_service_that_comes_back_with_another_vip_is_followed"),
    ("scen-14", "integration/kernel/dns.rs", "both_families_are_intercepted_for_pods_and_the_node"),
    ("scen-15", "integration/kernel/dns.rs", "only_port_53_is_intercepted"),
    ("scen-16", "integration/kernel/dns.rs", "pods_that_opted_out_are_not_intercepted"),
    ("scen-32", "integration/kernel/dns.rs", "ten_thousand_pairs_leave_no_conntrack_entry"),
];

/// Every id is claimed once, and no test has an id that is not there.
pub(crate) fn complete(table: &Table) -> Result<()> {
    let words = table.protocol_cases.iter().chain(&table.scenarios);
    let all: BTreeSet<_> = words.map(|case| case.id.as_str()).collect();
    let here = protocol::ids().chain(scenarios::ids()).chain(resolver::ids());
    let claimed: Vec<_> = here.chain(ELSEWHERE.iter().map(|(id, ..)| *id)).collect();
    let unique: BTreeSet<_> = claimed.iter().copied().collect();
    ensure!(unique.len() == claimed.len(), "claimed twice: {claimed:?}");
    let forgotten: Vec<_> = all.difference(&unique).collect();
    let unknown: Vec<_> = unique.difference(&all).collect();
    ensure!(forgotten.is_empty(), "no test has {forgotten:?}");
    ensure!(unknown.is_empty(), "not in the table: {unknown:?}");
    Ok(())
}

/// The tests elsewhere are there.
pub(crate) fn found_elsewhere() -> Result<()> {
    ELSEWHERE.iter().try_for_each(|(id, file, test)| {
        let path = table::repository().join(file);
        let text = fs::read_to_string(&path).with_context(|| format!("reading {file}"))?;
        ensure!(text.contains(&format!("\"{test}\"")), "{id}: no test {test} in {file}");
        Ok(())
    })
}
