//! What each kind of frontend does with each protocol, in both families.

pub(crate) mod annotations;
pub(crate) mod competition;
pub(crate) mod other_kinds;
pub(crate) mod source_ranges;
pub(crate) mod weights;

use anyhow::{Result, ensure};
use model::Protocol::{self, Sctp, Tcp, Udp};
use testkit::probe::{Outcome, has_sctp, ping};

use crate::Test;
use crate::backend::is_ipvs;
use crate::packets::ANSWER;
use crate::plan::Plan;
use crate::rules::listable;
use crate::stage::{NODE, Stage, ip};

pub(crate) const TESTS: &[Test] = &[
    Test::new("one_port_number_of_two_protocols", || play(one_port_of_two_protocols)),
    Test::new("wrong_port_or_protocol_of_a_cluster_ip_is_refused", || play(wrong_port_is_refused))
        .not_in_iptables(),
    Test::new("unallocated_cluster_ip_is_dropped", || play(unallocated_is_dropped)).not_in_iptables(),
    Test::new("a_cluster_ip_does_not_answer_ping", || play(ping_is_refused)).only_nftables(),
    Test::new("udp_through_every_frontend", || play(|stage| every_frontend(stage, Udp))),
    Test::new("tcp_through_every_frontend", || play(|stage| every_frontend(stage, Tcp))),
    Test::new("sctp_through_every_frontend", || play(|stage| every_frontend(stage, Sctp))).needing(has_sctp),
    Test::new("node_ports_answer_on_primary_addresses_only", || play(node_ports_elsewhere)).only_nftables(),
    Test::new("without_endpoints_every_frontend_refuses", without_endpoints),
];

/// TCP and UDP at one port number, to different endpoints; SCTP at another.
const SCENE: &str = "
services:
- name: ns/multi
  type: LoadBalancer
  cluster_ips: [10.96.0.10, 'fd00:96::10']
  external_ips: [198.51.100.11, '2001:db8:100::11']
  lb_ingress: [{ip: 198.51.100.10}, {ip: '2001:db8:100::10'}]
  ports:
  - {name: t, port: 80, node_port: 30080}
  - {name: u, port: 80, node_port: 30080, protocol: UDP}
  - {name: s, port: 80, node_port: 30080, protocol: SCTP}
- name: ns/tcp-only
  type: ClusterIP
  cluster_ips: [10.96.0.20, 'fd00:96::20']
  ports: [{name: t, port: 443}]
slices:
- service: ns/multi
  ports: [{name: t, port: 8080}, {name: u, port: 5353, protocol: UDP}, {name: s, port: 9999, protocol: SCTP}]
  endpoints: [{ip: 10.244.1.1}, {ip: 10.244.0.2, node: test-node}]
- service: ns/multi
  family: 6
  ports: [{name: t, port: 8080}, {name: u, port: 5353, protocol: UDP}, {name: s, port: 9999, protocol: SCTP}]
  endpoints: [{ip: 'fd00:244:0:1::1'}, {ip: 'fd00:244::2', node: test-node}]
- {service: ns/tcp-only, ports: [{name: t, port: 8443}], endpoints: [{ip: 10.244.1.1}]}
- {service: ns/tcp-only, family: 6, ports: [{name: t, port: 8443}], endpoints: [{ip: 'fd00:244:0:1::1'}]}
";

/// Clients: a local pod, the node, and a host outside; in both families.
const CLIENTS: [&str; 3] = ["10.244.0.5", NODE, "203.0.113.5"];
const CLIENTS6: [&str; 3] = ["fd00:244::5", "fd00:192::2", "2001:db8:1::5"];
const VIPS: [[&str; 3]; 2] = [
    ["10.96.0.10:80", "198.51.100.10:80", "198.51.100.11:80"],
    ["[fd00:96::10]:80", "[2001:db8:100::10]:80", "[2001:db8:100::11]:80"],
];
const NODE_PORTS: [&str; 2] = ["192.168.0.2:30080", "[fd00:192::2]:30080"];
/// Addresses in the Service CIDRs that no Service has; somebody would answer there.
const UNALLOCATED: [&str; 2] = ["10.96.7.7:80", "[fd00:96::777]:80"];
/// The node's other addresses.
const SECOND: [&str; 2] = ["192.168.7.7", "fd00:192::7"];

fn play(test: impl FnOnce(&mut Stage) -> Result<()>) -> Result<()> {
    let [pod, _, outside] = CLIENTS;
    let [pod6, _, outside6] = CLIENTS6;
    let plan = Plan::new(SCENE)?.hosts(&[pod, pod6, outside, outside6])?;
    let served = ["10.96.0.10:81", "[fd00:96::10]:81", "10.96.0.20:444", "198.51.100.10:81"];
    plan.serve(&served)?.serve(&UNALLOCATED)?.node_addresses(&SECOND)?.start()?.play(|stage| {
        test(stage)?;
        listable(stage.node())
    })
}

/// Both families: clients and the number of the family.
fn families() -> [([&'static str; 3], usize); 2] {
    [(CLIENTS, 0), (CLIENTS6, 1)]
}

fn endpoints_of(protocol: Protocol, family: usize) -> [&'static str; 2] {
    match (protocol, family) {
        (Tcp, 0) => ["10.244.1.1:8080", "10.244.0.2:8080"],
        (Tcp, _) => ["[fd00:244:0:1::1]:8080", "[fd00:244::2]:8080"],
        (Udp, 0) => ["10.244.1.1:5353", "10.244.0.2:5353"],
        (Udp, _) => ["[fd00:244:0:1::1]:5353", "[fd00:244::2]:5353"],
        (Sctp, 0) => ["10.244.1.1:9999", "10.244.0.2:9999"],
        (Sctp, _) => ["[fd00:244:0:1::1]:9999", "[fd00:244::2]:9999"],
    }
}

fn one_port_of_two_protocols(stage: &mut Stage) -> Result<()> {
    for (clients, family) in families() {
        for protocol in [Tcp, Udp] {
            stage.reaches(clients[0], VIPS[family][0], protocol, &endpoints_of(protocol, family))?;
        }
    }
    // One of the two goes: the other stays.
    stage.change(|scene| scene.services[0].ports.retain(|port| port.name != "u"))?;
    for (clients, family) in families() {
        stage.reaches(clients[0], VIPS[family][0], Tcp, &endpoints_of(Tcp, family))?;
        stage.refused(clients[0], VIPS[family][0], Udp)?;
    }
    Ok(())
}

fn wrong_port_is_refused(stage: &mut Stage) -> Result<()> {
    for (port, protocol) in [("10.96.0.10:81", Tcp), ("10.96.0.10:81", Udp), ("10.96.0.20:443", Udp)] {
        CLIENTS.iter().try_for_each(|client| stage.refused(client, port, protocol))?;
    }
    for (port, protocol) in [("[fd00:96::10]:81", Tcp), ("[fd00:96::10]:81", Udp), ("[fd00:96::20]:443", Udp)]
    {
        CLIENTS6.iter().try_for_each(|client| stage.refused(client, port, protocol))?;
    }
    // Other ports of a load balancer's address are not ours, but in mode ipvs the address is routed to the node itself.
    let other = "198.51.100.10:81";
    if is_ipvs() { stage.refused(CLIENTS[0], other, Tcp) } else { stage.untouched(CLIENTS[0], other, Tcp) }
}

fn unallocated_is_dropped(stage: &mut Stage) -> Result<()> {
    for (clients, family) in families() {
        for client in clients {
            stage.dropped(client, UNALLOCATED[family], Tcp)?;
            stage.dropped(client, UNALLOCATED[family], Udp)?;
        }
    }
    Ok(())
}

fn ping_is_refused(stage: &mut Stage) -> Result<()> {
    for (from, to) in [(CLIENTS, "10.96.0.10"), (CLIENTS6, "fd00:96::10")] {
        for client in from {
            let client = ip(client)?;
            let outcome = ping(stage.world.namespace(client), client, ip(to)?, ANSWER)?;
            ensure!(outcome == Outcome::Refused, "{client} pings {to}: {outcome:?}");
        }
    }
    let outcome = ping(stage.world.namespace(ip(CLIENTS[2])?), ip(CLIENTS[2])?, ip(NODE)?, ANSWER)?;
    ensure!(matches!(outcome, Outcome::Other(_)), "the node itself must answer: {outcome:?}");
    Ok(())
}

fn every_frontend(stage: &mut Stage, protocol: Protocol) -> Result<()> {
    for (clients, family) in families() {
        let endpoints = endpoints_of(protocol, family);
        let frontends = VIPS[family].into_iter().chain([NODE_PORTS[family]]);
        for to in frontends {
            clients.iter().try_for_each(|client| stage.reaches(client, to, protocol, &endpoints))?;
        }
    }
    Ok(())
}

fn node_ports_elsewhere(stage: &mut Stage) -> Result<()> {
    for (from, to) in [(CLIENTS[2], "192.168.7.7:30080"), (CLIENTS6[2], "[fd00:192::7]:30080")] {
        stage.refused(from, to, Tcp)?;
        stage.refused(from, to, Udp)?;
    }
    stage.refused(NODE, "127.0.0.1:30080", Tcp)
}

fn without_endpoints() -> Result<()> {
    play(|stage| {
        stage.change(|scene| scene.slices.clear())?;
        for (clients, family) in families() {
            let frontends: Vec<&str> = VIPS[family].into_iter().chain([NODE_PORTS[family]]).collect();
            for (to, protocol) in frontends.iter().flat_map(|to| [(to, Tcp), (to, Udp)]) {
                clients.iter().try_for_each(|client| stage.refused(client, to, protocol))?;
            }
        }
        Ok(())
    })
}
