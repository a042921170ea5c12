//! What clients must not be held to any more: an endpoint that their SYN still looks for, one that policy forbids.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use model::Protocol::Tcp;
use testkit::cases::Policy;
use testkit::probe::Outcome;
use testkit::scene::Scene;
use testkit::wait;

use super::changes::without_first;
use super::timeout::affinity_maps;
use super::{Choices, FAMILIES, Family, SCENE, choices, stage_with};
use crate::Test;
use crate::stage::{Stage, ip, socket};

pub(crate) const TESTS: &[Test] = &[
    Test::new("a_syn_sent_again_does_not_bring_back_a_lost_endpoint", syn_sent_again).not_in_ipvs(),
    Test::new("external_policy_that_becomes_local_moves_clients_to_local_endpoints", policy_becomes_local),
];

/// A host that hears SYNs, counts them, and is silent.
const MUTE: &str = "
table inet mute {
    counter syns { }
    chain input { type filter hook input priority 0; tcp dport 8080 counter name syns drop; }
}
";

/// A client gives up after this; by then its kernel has sent its SYN two times more at least.
const STUBBORN: Duration = Duration::from_secs(5);

fn syn_sent_again() -> Result<()> {
    let mut later = Scene::parse(SCENE)?;
    without_first(&mut later);
    stage_with(only_first)?.play(|stage| {
        for family in &FAMILIES {
            stage.world.namespace(ip(family.first)?).nft(MUTE)?;
        }
        let clients = FAMILIES.iter().map(|family| knock(stage, family)).collect::<Result<Vec<_>>>()?;
        for family in &FAMILIES {
            await_syns(stage, family, 1)?;
            ensure!(affinity_maps(stage)?.contains(family.first), "{} was not recorded", family.first);
        }
        stage.change(|scene| *scene = later)?;
        FAMILIES.iter().try_for_each(|family| lost_for_good(stage, family))?;
        clients.into_iter().try_for_each(gave_up)
    })
}

fn only_first(scene: &mut Scene) {
    scene.slices.iter_mut().for_each(|slice| slice.endpoints.truncate(1));
}

/// Another SYN reaches the lost endpoint, and that is all: the client's new connections go elsewhere.
fn lost_for_good(stage: &Stage, family: &Family) -> Result<()> {
    await_syns(stage, family, syns(stage, family)? + 1)?;
    let maps = affinity_maps(stage)?;
    ensure!(!maps.contains(family.first), "{} is remembered again:\n{maps}", family.first);
    let place = stage.reach(family.clients[0], family.vip, Tcp)?.endpoint;
    ensure!(place.ip() != ip(family.first)?, "a new connection went to {place}");
    Ok(())
}

/// Connects to the VIP in a thread, where the kernel sends SYNs until there is an answer or the client gives up.
fn knock(stage: &Stage, family: &Family) -> Result<JoinHandle<Result<Outcome>>> {
    let (world, from, to) = (Arc::clone(&stage.world), ip(family.clients[0])?, socket(family.vip)?);
    Ok(thread::spawn(move || world.probe(from, to, Tcp, STUBBORN)))
}

fn gave_up(client: JoinHandle<Result<Outcome>>) -> Result<()> {
    let outcome = client.join().map_err(|_| anyhow!("a client panicked"))??;
    ensure!(outcome == Outcome::TimedOut, "a silent endpoint: {outcome:?}");
    Ok(())
}

fn await_syns(stage: &Stage, family: &Family, wanted: u64) -> Result<()> {
    wait::until("a SYN", STUBBORN, || Ok((syns(stage, family)? >= wanted).then_some(())))
}

/// How many SYNs the silent endpoint has heard.
fn syns(stage: &Stage, family: &Family) -> Result<u64> {
    let host = stage.world.namespace(ip(family.first)?);
    let counter = host.command("nft", &["list", "counter", "inet", "mute", "syns"])?;
    let mut words = counter.split_whitespace().skip_while(|word| *word != "packets");
    words.nth(1).and_then(|count| count.parse().ok()).with_context(|| format!("no count in:\n{counter}"))
}

/// Who stuck to a remote endpoint through a NodePort or the load balancer's address is moved, once Local forbids it.
fn policy_becomes_local() -> Result<()> {
    let balanced = balanced()?;
    stage_with(|scene| *scene = balanced)?.play(|stage| {
        let before = [choices(stage, |f| f.node_port, 1)?, choices(stage, balancer, 1)?];
        for choices in &before {
            ensure!(places(choices).len() > FAMILIES.len(), "nobody is at a remote endpoint: {choices:?}");
        }
        stage.change(|scene| scene.services[0].external_traffic_policy = Some(Policy::Local))?;
        let local = BTreeSet::from([socket("10.244.1.1:8080")?, socket("[fd00:244:0:1::1]:8080")?]);
        for after in [choices(stage, |f| f.node_port, 4)?, choices(stage, balancer, 4)?] {
            ensure!(places(&after) == local, "not all are at local endpoints: {after:?}");
        }
        Ok(())
    })
}

/// The Service with addresses of a load balancer, and the first endpoint of each family on the node.
fn balanced() -> Result<Scene> {
    let balancer = "type: LoadBalancer\n  lb_ingress: [{ip: 198.51.100.10}, {ip: '2001:db8:100::10'}]";
    let mut scene = Scene::parse(&SCENE.replace("type: NodePort", balancer))?;
    scene.slices.iter_mut().for_each(|slice| slice.endpoints[0].node = Some("test-node".to_owned()));
    Ok(scene)
}

/// The load balancer's address of a family.
fn balancer(family: &Family) -> &'static str {
    if family.vip.starts_with('[') { "[2001:db8:100::10]:80" } else { "198.51.100.10:80" }
}

fn places(choices: &Choices) -> BTreeSet<SocketAddr> {
    choices.values().copied().collect()
}
