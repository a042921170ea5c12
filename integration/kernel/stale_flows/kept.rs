//! Flows that nobody may delete, and what a start does with those that changed meanwhile.

use std::time::Duration;

use anyhow::{Result, ensure};
use model::Protocol::Tcp;
use testkit::probe::UdpFlow;
use testkit::wait;

use super::{CLIENT, CLIENT6, DEAD, SCENE, Talks, ask, open, remove_first, stage};
use crate::Test;
use crate::plan::Plan;
use crate::rules::{flow_ids, generation};
use crate::stage::{NODE, NODE6, Stage, ip};

pub(crate) const TESTS: &[Test] = &[
    Test::new("flows_of_others_stay", flows_of_others_stay),
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
