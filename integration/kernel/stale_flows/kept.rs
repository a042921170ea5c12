//! Flows that nobody may delete, and what a start does with those that changed meanwhile.

use std::mem::swap;
use std::time::Duration;

use anyhow::{Result, ensure};
use model::Protocol::Tcp;
use testkit::probe::UdpFlow;
use testkit::scene::Scene;
use testkit::wait;

use super::{CLIENT, CLIENT6, DEAD, SCENE, Talks, ask, open, remove_first, stage};
use crate::Test;
use crate::plan::Plan;
use crate::rules::{flow_ids, generation};
use crate::stage::{NODE, NODE6, Stage, ip};

pub(crate) const TESTS: &[Test] = &[
    Test::new("flows_of_others_stay", flows_of_others_stay),
    Test::new("frontends_that_pass_to_another_service_keep_their_flows", frontends_pass_over),
    Test::new("endpoint_removed_while_the_program_is_down", removed_while_down),
    Test::new("service_deleted_while_the_program_is_down", deleted_while_down),
    Test::new("restart_with_nothing_changed_deletes_no_flow", restart_deletes_nothing),
];

/// A host far away, at a port whose number is also a NodePort here, and at the node's own such port elsewhere.
const FAR: [&str; 2] = ["198.51.100.99:30053", "[2001:db8:100::99]:30053"];
const POD: &str = "10.244.0.5";
const POD6: &str = "fd00:244::5";

/// Flows that have nothing to do with the Service ns/dns.
fn open_others(stage: &Stage) -> Result<Vec<UdpFlow>> {
    let others = [
        (CLIENT, "10.96.0.20:53"),
        (CLIENT, "192.168.0.2:30054"),
        (CLIENT6, "[fd00:96::20]:53"),
        (CLIENT6, "[fd00:192::2]:30054"),
        (POD, FAR[0]),
        (POD6, FAR[1]),
        (NODE, FAR[0]),
        (NODE6, FAR[1]),
    ];
    let flows = others.iter().map(|(from, to)| open(stage, from, to)).collect::<Result<Vec<_>>>()?;
    flows.iter().try_for_each(|flow| ask(flow).map(drop))?;
    for (from, to) in
        [(CLIENT, "10.96.0.20:80"), (CLIENT6, "[fd00:192::2]:30080"), (CLIENT, "192.168.0.2:30080")]
    {
        stage.reach(from, to, Tcp)?;
    }
    Ok(flows)
}

fn flows_of_others_stay() -> Result<()> {
    let plan = Plan::new(SCENE)?.outside(&[CLIENT, CLIENT6])?.hosts(&[POD, POD6])?.serve(&FAR)?;
    plan.start()?.play(|stage| {
        let others = open_others(stage)?;
        let before = flow_ids(stage.node(), |_| true)?;
        let talks = Talks::open(stage)?;
        remove_first(stage)?;
        talks.go_on_without(&DEAD)?;
        stage.change(|scene| scene.services[0].ports[0].node_port = Some(30059))?;
        stage.change(|scene| scene.services[0].ports[0].node_port = Some(30053))?;
        stage.change(|scene| scene.remove_service("ns/dns"))?;
        let after = flow_ids(stage.node(), |_| true)?;
        let lost: Vec<_> = before.difference(&after).collect();
        ensure!(lost.is_empty() && before.len() >= 11, "of {} flows these are gone: {lost:?}", before.len());
        others.iter().try_for_each(|flow| ask(flow).map(drop))
    })
}

/// Two Services with the same pods; one has frontends that the other can take over.
const TWINS: &str = "
services:
- name: ns/aa
  type: LoadBalancer
  cluster_ips: [10.96.0.30, 'fd00:96::30']
  ports: [{name: d, port: 53, protocol: UDP}]
- name: ns/zz
  type: LoadBalancer
  cluster_ips: [10.96.0.40, 'fd00:96::40']
  lb_ingress: [{ip: 198.51.100.30}, {ip: '2001:db8:100::30'}]
  ports: [{name: d, port: 53, node_port: 30061, protocol: UDP}]
slices:
- {service: ns/aa, ports: [{name: d, port: 5353, protocol: UDP}], endpoints: [{ip: 10.244.1.1}]}
- {service: ns/zz, ports: [{name: d, port: 5353, protocol: UDP}], endpoints: [{ip: 10.244.1.1}]}
- service: ns/aa
  family: 6
  ports: [{name: d, port: 5353, protocol: UDP}]
  endpoints: [{ip: 'fd00:244:0:1::1'}]
- service: ns/zz
  family: 6
  ports: [{name: d, port: 5353, protocol: UDP}]
  endpoints: [{ip: 'fd00:244:0:1::1'}]
";

/// The frontends that pass from one to the other, with a client for each.
const PASSED: [(&str, &str); 4] = [
    (CLIENT, "198.51.100.30:53"),
    (CLIENT, "192.168.0.2:30061"),
    (CLIENT6, "[2001:db8:100::30]:53"),
    (CLIENT6, "[fd00:192::2]:30061"),
];

/// Frontends pass from zz to aa, and back.
fn frontends_pass_over() -> Result<()> {
    Plan::new(TWINS)?.outside(&[CLIENT, CLIENT6])?.start()?.play(|stage| {
        let flows = PASSED.iter().map(|(from, to)| open(stage, from, to)).collect::<Result<Vec<_>>>()?;
        flows.iter().try_for_each(|flow| ask(flow).map(drop))?;
        let before = flow_ids(stage.node(), |flow| flow.protocol == 17)?;
        ensure!(before.len() == flows.len(), "{} flows have {} entries", flows.len(), before.len());
        for (to, from) in [("ns/aa", "ns/zz"), ("ns/zz", "ns/aa")] {
            stage.change(|scene| pass_over(scene, to))?;
            flows.iter().try_for_each(|flow| ask(flow).map(drop))?;
            let after = flow_ids(stage.node(), |flow| flow.protocol == 17)?;
            ensure!(after == before, "from {from} to {to}: {before:?} became {after:?}");
        }
        Ok(())
    })
}

/// Gives what the one twin has to the other. Who gains stands first in the file: then no frontend is without a Service
/// in between, should the program happen to write the one change before it reads the other.
fn pass_over(scene: &mut Scene, to: &str) {
    scene.services.sort_by_key(|service| service.name != to);
    if let [gains, loses] = &mut scene.services[..] {
        swap(&mut gains.lb_ingress, &mut loses.lb_ingress);
        swap(&mut gains.ports, &mut loses.ports);
    }
}

fn removed_while_down() -> Result<()> {
    stage()?.play(|stage| {
        let talks = Talks::open(stage)?;
        stage.kill()?;
        let [v4, v6] = [ip("10.244.1.1")?, ip("fd00:244:0:1::1")?];
        [v4, v6].into_iter().for_each(|dead| stage.scene.remove_endpoint(dead));
        stage.publish()?;
        stage.start()?;
        talks.go_on_without(&DEAD)
    })
}

fn deleted_while_down() -> Result<()> {
    stage()?.play(|stage| {
        let talks = Talks::open(stage)?;
        stage.stop()?;
        stage.scene.remove_service("ns/dns");
        stage.publish()?;
        stage.start()?;
        wait::until("flows of the deleted Service to go", Duration::from_secs(3), || {
            let left = flow_ids(stage.node(), |flow| flow.protocol == 17 && flow.is_dnat())?;
            Ok(left.is_empty().then_some(()))
        })?;
        talks.are_silent()
    })
}

fn restart_deletes_nothing() -> Result<()> {
    let plan = Plan::new(SCENE)?.outside(&[CLIENT, CLIENT6])?.hosts(&[POD, POD6])?.serve(&FAR)?;
    plan.start()?.play(|stage| {
        let _others = open_others(stage)?;
        let talks = Talks::open(stage)?;
        let (flows, rules) = (flow_ids(stage.node(), |_| true)?, generation(stage.node())?);
        stage.kill()?;
        stage.start()?;
        let after = flow_ids(stage.node(), |_| true)?;
        let lost: Vec<_> = flows.difference(&after).collect();
        ensure!(lost.is_empty(), "flows are gone: {lost:?}");
        ensure!(generation(stage.node())? == rules, "something was written");
        talks.go_on_without(&[])
    })
}
