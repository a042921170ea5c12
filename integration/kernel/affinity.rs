//! `sessionAffinity: ClientIP`: a client stays with its endpoint.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

pub(crate) mod changes;
pub(crate) mod losses;
pub(crate) mod timeout;

use anyhow::{Context, Result, ensure};
use model::Protocol::{Tcp, Udp};
use testkit::scene::Scene;

use crate::Test;
use crate::lifecycle::POD;
use crate::plan::Plan;
use crate::rules::listable;
use crate::stage::{Stage, ip};

pub(crate) const TESTS: &[Test] = &[
    Test::new("clients_stick_to_the_cluster_ip", || clients_stick(|f| f.vip)),
    Test::new("clients_stick_to_the_node_port", || clients_stick(|f| f.node_port)),
    Test::new("udp_clients_stick", udp_clients_stick),
    Test::new("frontends_remember_apart", frontends_remember_apart),
    Test::new("an_endpoint_on_the_node_itself_sticks", endpoint_on_the_node),
    Test::new("local_pods_and_others_of_one_node_port_stick_apart", local_policy),
];

pub(crate) const SCENE: &str = "
services:
- name: ns/web
  type: NodePort
  cluster_ips: [10.96.0.10, 'fd00:96::10']
  session_affinity: ClientIP
  affinity_timeout: 10800
  ports:
  - {name: p, port: 80, node_port: 30010}
  - {name: u, port: 53, node_port: 30011, protocol: UDP}
slices:
- service: ns/web
  ports: [{name: p, port: 8080}, {name: u, port: 5353, protocol: UDP}]
  endpoints: [{ip: 10.244.1.1}, {ip: 10.244.1.2}, {ip: 10.244.1.3}]
- service: ns/web
  family: 6
  ports: [{name: p, port: 8080}, {name: u, port: 5353, protocol: UDP}]
  endpoints: [{ip: 'fd00:244:0:1::1'}, {ip: 'fd00:244:0:1::2'}, {ip: 'fd00:244:0:1::3'}]
";

/// One family's view of the Service.
pub(crate) struct Family {
    pub(crate) vip: &'static str,
    pub(crate) node_port: &'static str,
    pub(crate) clients: [&'static str; 8],
    pub(crate) first: &'static str,
}

pub(crate) const FAMILIES: [Family; 2] = [
    Family {
        vip: "10.96.0.10:80",
        node_port: "192.168.0.2:30010",
        clients: [
            "203.0.113.1",
            "203.0.113.2",
            "203.0.113.3",
            "203.0.113.4",
            "203.0.113.5",
            "203.0.113.6",
            "203.0.113.7",
            "203.0.113.8",
        ],
        first: "10.244.1.1",
    },
    Family {
        vip: "[fd00:96::10]:80",
        node_port: "[fd00:192::2]:30010",
        clients: [
            "2001:db8:1::1",
            "2001:db8:1::2",
            "2001:db8:1::3",
            "2001:db8:1::4",
            "2001:db8:1::5",
            "2001:db8:1::6",
            "2001:db8:1::7",
            "2001:db8:1::8",
        ],
        first: "fd00:244:0:1::1",
    },
];

/// Connections of each client.
const CONNECTIONS: usize = 20;

type Choices = BTreeMap<(&'static str, &'static str), SocketAddr>;

fn stage() -> Result<Stage> {
    stage_with(|_| ())
}

pub(crate) fn stage_with(change: impl FnOnce(&mut Scene)) -> Result<Stage> {
    let plan = Plan::new(SCENE)?.outside(&FAMILIES[0].clients)?.outside(&FAMILIES[1].clients)?;
    plan.hosts(&[POD])?.with(change).start()
}

/// Where every client of every family is at this frontend; each must be at one place only.
fn choices(stage: &Stage, frontend: fn(&Family) -> &'static str, connections: usize) -> Result<Choices> {
    let mut all = Choices::new();
    for family in &FAMILIES {
        for client in family.clients {
            let to = frontend(family);
            all.insert((client, to), settled(stage, client, to, connections)?);
        }
    }
    Ok(all)
}

/// Where one client is, every time.
pub(crate) fn settled(stage: &Stage, client: &str, to: &str, connections: usize) -> Result<SocketAddr> {
    let mut seen = BTreeSet::new();
    for _ in 0..connections {
        seen.insert(stage.reach(client, to, Tcp)?.endpoint);
    }
    ensure!(seen.len() == 1, "{client} -> {to} was sent to {seen:?}");
    seen.pop_first().context("no connection")
}

/// Not all clients are at one place: the chance of that is 1 in 2,000 for one family, 1 in 4 million for both.
fn is_spread(choices: &Choices) -> bool {
    let of = |v4: bool| choices.values().filter(|e| e.is_ipv4() == v4).collect::<BTreeSet<_>>().len();
    of(true) > 1 || of(false) > 1
}

fn clients_stick(frontend: fn(&Family) -> &'static str) -> Result<()> {
    stage()?.play(|stage| {
        let all = choices(stage, frontend, CONNECTIONS)?;
        ensure!(is_spread(&all), "everybody was sent to one place: {all:?}");
        listable(stage.node())
    })
}

fn udp_clients_stick() -> Result<()> {
    stage()?.play(|stage| {
        for (client, to) in [("203.0.113.1", "10.96.0.10:53"), ("2001:db8:1::1", "[fd00:192::2]:30011")] {
            let ask = || stage.reach(client, to, Udp).map(|answer| answer.endpoint);
            let all = (0..CONNECTIONS).map(|_| ask()).collect::<Result<BTreeSet<_>>>()?;
            ensure!(all.len() == 1, "{client} -> {to}/udp was sent to {all:?}");
        }
        Ok(())
    })
}

/// A client's place at one frontend says nothing about another one; at least nothing that would break it.
fn frontends_remember_apart() -> Result<()> {
    stage()?.play(|stage| {
        let first = [choices(stage, |f| f.vip, 1)?, choices(stage, |f| f.node_port, 1)?];
        let again = [choices(stage, |f| f.vip, 3)?, choices(stage, |f| f.node_port, 3)?];
        ensure!(first == again, "{first:?} became {again:?}");
        Ok(())
    })
}

/// Packets to an endpoint on the node itself never see the postrouting hook.
fn endpoint_on_the_node() -> Result<()> {
    let on_node =
        |text: &str| text.replace("10.244.1.1}", "192.168.0.2}").replace("fd00:244:0:1::1'", "fd00:192::2'");
    let plan = Plan::new(&on_node(SCENE))?.outside(&FAMILIES[0].clients)?.outside(&FAMILIES[1].clients)?;
    plan.start()?.play(|stage| {
        let mut all = choices(stage, |f| f.vip, 6)?;
        all.extend(choices(stage, |f| f.node_port, 6)?);
        let at_node = |endpoint: &SocketAddr| stage.world.is_node_address(endpoint.ip());
        ensure!(all.values().any(at_node), "nobody is at the node: {all:?}");
        Ok(())
    })
}

/// With eTP Local, pods of the node may be sent anywhere and others only to local endpoints; both stick.
fn local_policy() -> Result<()> {
    let local = |scene: &mut Scene| {
        scene.services[0].external_traffic_policy = Some(testkit::cases::Policy::Local);
        scene.slices[0].endpoints[0].node = Some("test-node".to_owned());
    };
    stage_with(local)?.play(|stage| {
        for client in FAMILIES[0].clients {
            let place = settled(stage, client, FAMILIES[0].node_port, 4)?;
            ensure!(place.ip() == ip("10.244.1.1")?, "{client} was sent to {place}");
        }
        settled(stage, POD, FAMILIES[0].node_port, CONNECTIONS)?;
        // What was local is not any more: nobody from outside may stay there.
        stage.change(|scene| {
            let endpoints = &mut scene.slices[0].endpoints;
            (endpoints[0].node, endpoints[1].node) = (None, Some("test-node".to_owned()));
        })?;
        for client in FAMILIES[0].clients {
            let place = settled(stage, client, FAMILIES[0].node_port, 4)?;
            ensure!(place.ip() == ip("10.244.1.2")?, "{client} was sent to {place}");
        }
        Ok(())
    })
}
