//! UDP flows whose endpoint is gone are sent elsewhere; all other flows are left alone.
//!
//! A client that keeps its socket keeps its flow: without help conntrack would send it to the dead endpoint for as
//! long as it talks.

use std::collections::BTreeSet;
use std::net::SocketAddr;

pub(crate) mod kept;

use anyhow::{Result, ensure};
use testkit::probe::{Outcome, UdpFlow};
use testkit::scene::Scene;

use crate::Test;
use crate::backend::is_ipvs;
use crate::packets::{ANSWER, SILENCE, answer};
use crate::plan::Plan;
use crate::stage::{Stage, ip, socket};

pub(crate) const TESTS: &[Test] = &[
    Test::new("endpoint_removed", || everywhere(endpoint_removed)),
    Test::new("endpoint_not_serving_any_more", || everywhere(endpoint_not_serving)),
    Test::new("service_deleted", || everywhere(service_deleted)),
    Test::new("scaled_to_zero_and_back", || everywhere(scaled_to_zero_and_back)),
    Test::new("new_node_port_on_an_old_service", new_node_port),
    Test::new("new_load_balancer_address_on_an_old_service", new_balancer),
    Test::new("first_endpoint_of_a_service_that_was_refused", first_endpoint),
    Test::new("many_services_change_at_once", many_change_at_once),
];

const SCENE: &str = "
services:
- name: ns/dns
  type: LoadBalancer
  cluster_ips: [10.96.0.10, 'fd00:96::10']
  external_ips: [198.51.100.11, '2001:db8:100::11']
  lb_ingress: [{ip: 198.51.100.10}, {ip: '2001:db8:100::10'}]
  ports: [{name: d, port: 53, node_port: 30053, protocol: UDP}]
- name: ns/other
  type: NodePort
  cluster_ips: [10.96.0.20, 'fd00:96::20']
  ports:
  - {name: d, port: 53, node_port: 30054, protocol: UDP}
  - {name: t, port: 80, node_port: 30080}
slices:
- service: ns/dns
  ports: [{name: d, port: 5353, protocol: UDP}]
  endpoints: [{ip: 10.244.1.1}, {ip: 10.244.1.2}]
- service: ns/dns
  family: 6
  ports: [{name: d, port: 5353, protocol: UDP}]
  endpoints: [{ip: 'fd00:244:0:1::1'}, {ip: 'fd00:244:0:1::2'}]
- service: ns/other
  ports: [{name: d, port: 5353, protocol: UDP}, {name: t, port: 8080}]
  endpoints: [{ip: 10.244.1.1}]
- service: ns/other
  family: 6
  ports: [{name: d, port: 5353, protocol: UDP}, {name: t, port: 8080}]
  endpoints: [{ip: 'fd00:244:0:1::1'}]
";

const CLIENT: &str = "203.0.113.9";
const CLIENT6: &str = "2001:db8:1::9";

/// Every frontend of the Service ns/dns, with a client for it.
const FRONTENDS: [(&str, &str); 8] = [
    (CLIENT, "10.96.0.10:53"),
    (CLIENT, "198.51.100.10:53"),
    (CLIENT, "198.51.100.11:53"),
    (CLIENT, "192.168.0.2:30053"),
    (CLIENT6, "[fd00:96::10]:53"),
    (CLIENT6, "[2001:db8:100::10]:53"),
    (CLIENT6, "[2001:db8:100::11]:53"),
    (CLIENT6, "[fd00:192::2]:30053"),
];

fn stage() -> Result<Stage> {
    Plan::new(SCENE)?.outside(&[CLIENT, CLIENT6])?.start()
}

fn open(stage: &Stage, from: &str, to: &str) -> Result<UdpFlow> {
    UdpFlow::open(stage.world.namespace(ip(from)?), ip(from)?, socket(to)?)
}

fn ask(flow: &UdpFlow) -> Result<SocketAddr> {
    Ok(answer(&flow.ask(ANSWER)?)?.endpoint)
}

/// One flow through each frontend, and where it goes.
struct Talks {
    flows: Vec<(UdpFlow, SocketAddr)>,
}

impl Talks {
    /// Flows to every endpoint through each frontend.
    fn open(stage: &Stage) -> Result<Self> {
        let mut flows = Vec::new();
        for (from, to) in FRONTENDS {
            let mut seen = BTreeSet::new();
            while seen.len() < 2 {
                let flow = open(stage, from, to)?;
                let endpoint = ask(&flow)?;
                seen.insert(endpoint);
                flows.push((flow, endpoint));
            }
        }
        Ok(Self { flows })
    }

    /// Every flow is answered at its next packet: those of live endpoints by them, the others by one that is alive.
    fn go_on_without(&self, dead: &[&str]) -> Result<()> {
        let dead = dead.iter().map(|d| socket(d)).collect::<Result<Vec<_>>>()?;
        for (flow, before) in &self.flows {
            let now = ask(flow)?;
            let right = if dead.contains(before) { !dead.contains(&now) } else { now == *before };
            ensure!(right, "{} -> {}: was at {before}, is at {now}", flow.source, flow.destination);
        }
        Ok(())
    }

    /// Nobody answers any flow.
    fn are_silent(&self) -> Result<()> {
        for (flow, _) in &self.flows {
            let outcome = flow.ask(SILENCE / 10)?;
            let silent = matches!(outcome, Outcome::TimedOut | Outcome::Other(_));
            ensure!(silent, "{} -> {}: {outcome:?}", flow.source, flow.destination);
        }
        Ok(())
    }
}

/// Plays with flows through all frontends of both families.
fn everywhere(test: fn(&mut Stage, &Talks) -> Result<()>) -> Result<()> {
    stage()?.play(|stage| {
        let talks = Talks::open(stage)?;
        test(stage, &talks)
    })
}

const DEAD: [&str; 2] = ["10.244.1.1:5353", "[fd00:244:0:1::1]:5353"];

fn remove_first(stage: &mut Stage) -> Result<()> {
    let [v4, v6] = [ip("10.244.1.1")?, ip("fd00:244:0:1::1")?];
    stage.change(|scene| {
        let slices = scene.slices.iter_mut().filter(|slice| slice.service == "ns/dns");
        slices.for_each(|slice| slice.endpoints.retain(|e| e.ip != v4 && e.ip != v6));
    })
}

fn endpoint_removed(stage: &mut Stage, talks: &Talks) -> Result<()> {
    remove_first(stage)?;
    talks.go_on_without(&DEAD)?;
    let deleted = |family| {
        stage.metric(&format!(
            "kubeproxy_conntrack_reconciler_deleted_entries_total{{ip_family=\"{family}\"}}"
        ))
    };
    // IPVS itself sends them elsewhere.
    ensure!(is_ipvs() || deleted("IPv4")? + deleted("IPv6")? >= FRONTENDS.len() as f64);
    Ok(())
}

/// While an endpoint that shuts down still serves, its flows stay, though new ones go elsewhere. Not in mode ipvs, where
/// UDP's real servers go at once, as with kube-proxy.
fn endpoint_not_serving(stage: &mut Stage, talks: &Talks) -> Result<()> {
    for (serving, dead) in [(true, &[][..]), (false, &DEAD)] {
        stage.change(|scene| {
            for slice in scene.slices.iter_mut().filter(|slice| slice.service == "ns/dns") {
                let first = &mut slice.endpoints[0];
                (first.ready, first.serving, first.terminating) = (Some(false), Some(serving), Some(true));
            }
        })?;
        talks.go_on_without(if is_ipvs() { &DEAD } else { dead })?;
    }
    Ok(())
}

fn service_deleted(stage: &mut Stage, talks: &Talks) -> Result<()> {
    stage.change(|scene| scene.remove_service("ns/dns"))?;
    talks.are_silent()
}

fn scaled_to_zero_and_back(stage: &mut Stage, talks: &Talks) -> Result<()> {
    let full = stage.scene.clone();
    stage.change(|scene| scene.slices.retain(|slice| slice.service != "ns/dns"))?;
    talks.are_silent()?;
    stage.change(|scene| {
        *scene = full;
        scene.slices.iter_mut().filter(|s| s.service == "ns/dns").for_each(|s| drop(s.endpoints.remove(0)));
    })?;
    talks.go_on_without(&DEAD)
}

/// Flows that existed before anybody served their destination, which no rule had touched.
fn frontend_comes(to: [&str; 2], without: fn(&mut Scene)) -> Result<()> {
    let full = Scene::parse(SCENE)?;
    Plan::new(SCENE)?.outside(&[CLIENT, CLIENT6])?.with(without).start()?.play(|stage| {
        let flows = [open(stage, CLIENT, to[0])?, open(stage, CLIENT6, to[1])?];
        for flow in &flows {
            let outcome = flow.ask(SILENCE)?;
            ensure!(!matches!(outcome, Outcome::Answered { .. }), "answered too early: {outcome:?}");
        }
        stage.change(|scene| *scene = full)?;
        flows.iter().try_for_each(|flow| ask(flow).map(drop))
    })
}

fn new_node_port() -> Result<()> {
    frontend_comes(["192.168.0.2:30053", "[fd00:192::2]:30053"], |scene| {
        scene.services[0].ports[0].node_port = None;
    })
}

fn new_balancer() -> Result<()> {
    frontend_comes(["198.51.100.10:53", "[2001:db8:100::10]:53"], |scene| {
        scene.services[0].lb_ingress.clear();
    })
}

fn first_endpoint() -> Result<()> {
    frontend_comes(["10.96.0.10:53", "[fd00:96::10]:53"], |scene| {
        scene.slices.retain(|slice| slice.service != "ns/dns");
    })
}

/// So many frontends that conntrack is read once for all of them.
fn many_change_at_once() -> Result<()> {
    stage()?.play(|stage| {
        let (talks, other) = (Talks::open(stage)?, open(stage, CLIENT, "10.96.0.20:53")?);
        ask(&other)?;
        let dead = [ip("10.244.1.1")?, ip("fd00:244:0:1::1")?];
        stage.change(|scene| dead.into_iter().for_each(|ip| scene.remove_endpoint(ip)))?;
        talks.go_on_without(&DEAD)?;
        ensure!(other.ask(SILENCE)? == Outcome::TimedOut, "a dead endpoint still answers");
        Ok(())
    })
}
