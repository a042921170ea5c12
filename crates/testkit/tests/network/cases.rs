//! Cases of the flow table against hand-written rules: right ones pass, wrong ones are found out.

use anyhow::{Context, Result, ensure};
use towpath_testkit::cases::{FlowCase, FlowTable, Mode, load_flows, table_path};
use towpath_testkit::verdict::check_flows;
use towpath_testkit::world::{Layout, World};

const MODE: Mode = Mode::Nftables;

fn table() -> Result<FlowTable> {
    load_flows(&table_path("flows.yaml"))
}

/// What the flows of a case say when these rules are in the node's kernel.
fn verdict_of(id: &str, rules: &str) -> Result<Result<()>> {
    let table = table()?;
    let case = table.cases.iter().find(|c| c.id == id).with_context(|| format!("no case {id}"))?;
    let world = world(&table, case)?;
    world.node().nft(rules)?;
    Ok(check_flows(&world, case, case.phases()[0].flows, MODE))
}

fn world(table: &FlowTable, case: &FlowCase) -> Result<World> {
    World::new(&Layout::for_case(case, &table.defaults, MODE)).with_context(|| case.id.clone())
}

fn must_fail(id: &str, rules: &str, words: &str) -> Result<()> {
    let error = verdict_of(id, rules)?.err().with_context(|| format!("{id} passed"))?;
    ensure!(format!("{error:#}").contains(words), "{id}: {error:#}");
    Ok(())
}

/// Rules for `d-hairpin-only-when-own-endpoint-chosen`.
fn hairpin_rules(endpoints: &str, masquerade: &str) -> String {
    let count = endpoints.split(',').count();
    format!(
        "table ip t {{ chain d {{ type nat hook prerouting priority dstnat;
           ip daddr 172.30.0.41 tcp dport 80 dnat to numgen random mod {count} map {{ {endpoints} }}; }}
         chain s {{ type nat hook postrouting priority srcnat; ct status dnat {masquerade}; }}
 }}"
    )
}

const TWO: &str = "0 : 10.180.0.1, 1 : 10.180.1.1";
const IF_HAIRPIN: &str = "ip saddr 10.180.0.1 ip daddr 10.180.0.1 masquerade";
const HAIRPIN: &str = "d-hairpin-only-when-own-endpoint-chosen";

const NOT_ALLOWED: &str = "table ip t { chain d { type filter hook prerouting priority dstnat - 10;
   ip daddr 1.2.3.4 tcp dport 80 drop; }
 chain o { type filter hook output priority -110; ip daddr 1.2.3.4 tcp dport 80 drop; }
 }";

const REFUSED: &str = "table ip t { set v { type ipv4_addr . inet_service;
     elements = { 172.30.0.41 . 80, 192.168.99.11 . 80, 192.168.0.2 . 3001, 1.2.3.4 . 80 }; }
 chain f { type filter hook forward priority 0; ip daddr . th dport @v reject; }
 chain i { type filter hook input priority 0; ip daddr . th dport @v reject; }
 }";

pub(crate) fn right_rules_pass() -> Result<()> {
    verdict_of(HAIRPIN, &hairpin_rules(TWO, IF_HAIRPIN))??;
    verdict_of("d-node-not-in-ranges", NOT_ALLOWED)??;
    verdict_of("no-endpoints-reject", REFUSED)?
}

pub(crate) fn no_rules_fail() -> Result<()> {
    must_fail(HAIRPIN, "", "went to 172.30.0.41:80")?;
    must_fail("d-node-not-in-ranges", "", "2 flow(s) went wrong")?;
    must_fail("no-endpoints-reject", "", "6 flow(s) went wrong")
}

pub(crate) fn one_endpoint_too_many_fails() -> Result<()> {
    must_fail(
        HAIRPIN,
        &hairpin_rules(&format!("{TWO}, 2 : 172.30.0.41"), IF_HAIRPIN),
        "went to 172.30.0.41",
    )?;
    must_fail(HAIRPIN, &hairpin_rules("0 : 10.180.1.1", IF_HAIRPIN), "only {10.180.1.1:80}")
}

pub(crate) fn wrong_masquerade_fails() -> Result<()> {
    must_fail(HAIRPIN, &hairpin_rules("0 : 10.180.1.1", "masquerade"), "want it as it was")?;
    must_fail("lb-ipmode-proxy", &hairpin_rules("0 : 10.180.0.1", ""), "NodePort still works")
}

pub(crate) fn every_world_can_be_built() -> Result<()> {
    let table = table()?;
    table.cases.iter().try_for_each(|case| world(&table, case).map(drop))
}
