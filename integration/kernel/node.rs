//! What changes on the node at run time: its addresses, its Node object, its zone.

use anyhow::Result;
use model::Protocol::Tcp;
use testkit::cases::Mode;

use crate::Test;
use crate::backend;
use crate::lifecycle::POD;
use crate::plan::Plan;
use crate::stage::{NODE, NODE6, Stage, ip};
use crate::xt::Variant;

pub(crate) const TESTS: &[Test] = &[
    Test::new("an_address_that_comes_and_goes_is_followed", addresses_are_followed),
    Test::new("all_addresses_includes_later_ones_but_not_loopback", all_addresses).not_in_iptables(),
    Test::new("an_ipv4_list_leaves_ipv6_open", other_family_is_open),
    Test::new("the_primary_address_changes_with_the_node_object", primary_changes).only_nftables(),
    Test::new("without_its_node_object_the_kernels_addresses_serve", no_node_object),
    Test::new("the_bind_address_is_the_primary_one_without_a_node_object", bind_address).only_nftables(),
    Test::new("another_zone_chooses_again_by_hints", zone_changes),
    Test::new("hints_come_and_go", hints_come_and_go),
];

const SCENE: &str = "
services:
- name: ns/web
  type: NodePort
  cluster_ips: [10.96.0.10, 'fd00:96::10']
  ports: [{name: p, port: 80, node_port: 30010}]
slices:
- service: ns/web
  ports: [{name: p, port: 8080}]
  endpoints: [{ip: 10.244.1.1, zone_hints: [a]}, {ip: 10.244.1.2, zone_hints: [b]}]
- service: ns/web
  family: 6
  ports: [{name: p, port: 8080}]
  endpoints: [{ip: 'fd00:244:0:1::1', zone_hints: [a]}, {ip: 'fd00:244:0:1::2', zone_hints: [b]}]
";

const CLIENT: &str = "203.0.113.5";
const CLIENT6: &str = "2001:db8:1::5";
const SECOND: [&str; 2] = ["192.168.7.7", "fd00:192::7"];
const LATER: [&str; 2] = ["192.168.7.8", "fd00:192::8"];

fn stage(addresses: &str) -> Result<Stage> {
    let plan = Plan::new(SCENE)?.hosts(&[POD, CLIENT, CLIENT6])?.node_addresses(&SECOND)?;
    let flags = ["--cluster-cidr", "10.244.0.0/16", "--nodeport-addresses", addresses];
    plan.flags(if addresses.is_empty() { &flags[..2] } else { &flags }).start()
}

/// Clients of both families, each with an address of the node.
fn node_ports(addresses: [&str; 2]) -> [(&'static str, String); 2] {
    [(CLIENT, format!("{}:30010", addresses[0])), (CLIENT6, format!("[{}]:30010", addresses[1]))]
}

fn open(stage: &Stage, addresses: [&str; 2]) -> Result<()> {
    node_ports(addresses).iter().try_for_each(|(from, to)| stage.reach(from, to, Tcp).map(drop))
}

fn closed(stage: &Stage, addresses: [&str; 2]) -> Result<()> {
    node_ports(addresses).iter().try_for_each(|(from, to)| stage.refused(from, to, Tcp))
}

fn ip_address(stage: &Stage, verb: &str, addresses: [&str; 2]) -> Result<()> {
    let [v4, v6] = addresses;
    stage.node().ip_batch(&format!("addr {verb} {v4}/32 dev eth0\naddr {verb} {v6}/128 dev eth0\n"))
}

fn addresses_are_followed() -> Result<()> {
    stage("192.168.7.0/24,fd00:192::4/126,fd00:192::8/126")?.play(|stage| {
        open(stage, SECOND)?;
        closed(stage, [NODE, "fd00:192::2"])?;
        ip_address(stage, "add", LATER)?;
        stage.soon("the new addresses to be served", |stage| open(stage, LATER))?;
        open(stage, SECOND)?;
        ip_address(stage, "del", SECOND)?;
        // Nobody answers there now; that it is not ours any more, the kernel's rules say.
        stage.soon("the old address to leave the rules", |stage| {
            let served = served(stage)?;
            anyhow::ensure!(!served.contains(SECOND[0]) && served.contains(LATER[0]), "{served}");
            Ok(())
        })?;
        open(stage, LATER)
    })
}

/// Where the kernel has the addresses of nodePorts.
fn served(stage: &Stage) -> Result<String> {
    match backend::current() {
        None => stage.node().command("nft", &["list", "set", "ip", "towpath", "nodeport-ips"]),
        Some(backend) if backend.mode == Mode::Ipvs => Ok(format!("{:?}", stage.balancing()?)),
        Some(_) => Ok(stage.saved(Variant::current())?.ours().to_string()),
    }
}

fn all_addresses() -> Result<()> {
    stage("0.0.0.0/0,::/0")?.play(|stage| {
        open(stage, [NODE, "fd00:192::2"])?;
        open(stage, SECOND)?;
        ip_address(stage, "add", LATER)?;
        stage.soon("the new addresses to be served", |stage| open(stage, LATER))?;
        stage.refused(NODE, "127.0.0.1:30010", Tcp)?;
        stage.refused("127.0.0.1", "127.0.0.1:30010", Tcp)?;
        stage.refused("::1", "[::1]:30010", Tcp)
    })
}

/// As kube-proxy has it: a list without a CIDR of a family leaves that family open on all addresses. It is told.
fn other_family_is_open() -> Result<()> {
    stage("192.168.7.0/24")?.play(|stage| {
        stage.refused(CLIENT, "192.168.0.2:30010", Tcp)?;
        stage.reach(CLIENT, "192.168.7.7:30010", Tcp)?;
        stage.reach(CLIENT6, "[fd00:192::2]:30010", Tcp)?;
        stage.reach(CLIENT6, "[fd00:192::7]:30010", Tcp)?;
        anyhow::ensure!(stage.log()?.contains("names no IPv6 CIDR"), "no warning:\n{}", stage.log()?);
        Ok(())
    })
}

fn primary_changes() -> Result<()> {
    stage("")?.play(|stage| {
        open(stage, [NODE, "fd00:192::2"])?;
        closed(stage, SECOND)?;
        let second = [ip(SECOND[0])?, ip(SECOND[1])?];
        stage.change(|scene| scene.node_ips = second.to_vec())?;
        open(stage, SECOND)?;
        closed(stage, [NODE, "fd00:192::2"])
    })
}

fn no_node_object() -> Result<()> {
    let plan = Plan::new(SCENE)?.hosts(&[CLIENT, CLIENT6])?;
    plan.flags(&["--hostname-override", "another-node"]).start()?.play(|stage| {
        open(stage, [NODE, "fd00:192::2"])?;
        stage.reaches(CLIENT, VIP, Tcp, &ALL)
    })
}

/// NodePorts of the family of `--bind-address` answer there only.
fn bind_address() -> Result<()> {
    for (i, bound) in SECOND.into_iter().enumerate() {
        let plan = Plan::new(SCENE)?.hosts(&[CLIENT, CLIENT6])?.node_addresses(&SECOND)?;
        let flags = ["--hostname-override", "another-node", "--bind-address", bound];
        plan.flags(&flags).start()?.play(|stage| {
            let (from, to) = &node_ports(SECOND)[i];
            stage.reach(from, to, Tcp)?;
            let (from, to) = &node_ports([NODE, NODE6])[i];
            stage.refused(from, to, Tcp)
        })?;
    }
    Ok(())
}

const IN_A: [&str; 1] = ["10.244.1.1:8080"];
const IN_B: [&str; 1] = ["10.244.1.2:8080"];
const ALL: [&str; 2] = ["10.244.1.1:8080", "10.244.1.2:8080"];
const VIP: &str = "10.96.0.10:80";

fn zone_changes() -> Result<()> {
    stage("")?.play(|stage| {
        stage.reaches(POD, VIP, Tcp, &ALL)?;
        for (zone, endpoints) in [("a", &IN_A[..]), ("b", &IN_B), ("c", &ALL), ("a", &IN_A), ("", &ALL)] {
            stage.change(|scene| scene.zone = zone.to_owned())?;
            stage.reaches(POD, VIP, Tcp, endpoints)?;
        }
        stage.reaches(
            CLIENT6,
            "[fd00:192::2]:30010",
            Tcp,
            &["[fd00:244:0:1::1]:8080", "[fd00:244:0:1::2]:8080"],
        )
    })
}

/// One ready endpoint without a hint, and hints count for nothing.
fn hints_come_and_go() -> Result<()> {
    stage("")?.play(|stage| {
        stage.change(|scene| scene.zone = "a".to_owned())?;
        stage.reaches(POD, VIP, Tcp, &IN_A)?;
        stage.change(|scene| scene.slices[0].endpoints[1].zone_hints.clear())?;
        stage.reaches(POD, VIP, Tcp, &ALL)?;
        stage.change(|scene| scene.slices[0].endpoints[1].ready = Some(false))?;
        stage.reaches(POD, VIP, Tcp, &IN_A)?;
        // For this node by name, which is stronger than the zone.
        stage.change(|scene| {
            let endpoints = &mut scene.slices[0].endpoints;
            endpoints[1].ready = None;
            endpoints[0].node_hints = vec!["other".to_owned()];
            endpoints[1].node_hints = vec!["test-node".to_owned()];
        })?;
        stage.reaches(POD, VIP, Tcp, &IN_B)
    })
}
