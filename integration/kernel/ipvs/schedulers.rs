//! Who gets the next connection: by turns, by weight, by client, by destination.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use model::Protocol::{self, Tcp, Udp};

use super::{
    BALANCER, CLIENTS, ENDPOINTS, ENDPOINTS6, NODE_PORT, POD6, SCHEDULER, VIP, VIP6, WEIGHTS, annotate, plan,
    tally,
};
use crate::Test;
use crate::lifecycle::POD;
use crate::rules::listable;
use crate::stage::{NODE, Stage, socket};

pub(crate) const TESTS: &[Test] = &[
    Test::new("rr_gives_each_endpoint_the_same", round_robin),
    Test::new("wrr_gives_each_endpoint_its_weight", weighted_round_robin),
    Test::new("sh_chooses_by_client_mh_by_its_port_too_dh_by_destination", by_hash),
    Test::new("every_scheduler_serves", every_scheduler),
];

/// The endpoints of ns/web, UDP.
const UDP_ENDPOINTS: [&str; 3] = ["10.244.1.1:5353", "10.244.1.2:5353", "10.244.1.3:5353"];

/// These endpoints have so many connections, and no other has any.
fn shares(stage: &Stage, from: &str, to: &str, protocol: Protocol, wanted: &[(&str, usize)]) -> Result<()> {
    let wanted: BTreeMap<SocketAddr, usize> =
        wanted.iter().map(|(at, count)| Ok((socket(at)?, *count))).collect::<Result<_>>()?;
    let found = tally(stage, from, to, protocol, wanted.values().sum())?;
    ensure!(found == wanted, "{from} -> {to}/{protocol}: {found:?}, want {wanted:?}");
    Ok(())
}

/// Every virtual server counts for itself, whoever else is asked in between.
fn round_robin() -> Result<()> {
    plan()?.start()?.play(|stage| {
        let frontends: [(&str, &str, Protocol, [&str; 3]); 6] = [
            (POD, VIP, Tcp, ENDPOINTS),
            (POD, "10.96.0.10:53", Udp, UDP_ENDPOINTS),
            (NODE, VIP, Tcp, ENDPOINTS),
            (CLIENTS[0], NODE_PORT, Tcp, ENDPOINTS),
            (CLIENTS[1], BALANCER, Tcp, ENDPOINTS),
            (POD6, VIP6, Tcp, ENDPOINTS6),
        ];
        for (from, to, protocol, endpoints) in frontends {
            ensure!(stage.virtual_server(to, protocol)?.scheduler == "rr", "{to} has another scheduler");
            shares(stage, from, to, protocol, &endpoints.map(|endpoint| (endpoint, 3)))?;
        }
        listable(stage.node())
    })
}

fn weighted_round_robin() -> Result<()> {
    let weights = "10.244.1.1=3, 10.244.1.2/32=2";
    let stage = plan()?.with(|scene| {
        annotate(scene, "ns/web", SCHEDULER, Some("wrr"));
        annotate(scene, "ns/web", WEIGHTS, Some(weights));
    });
    let [first, second, third] = ENDPOINTS;
    stage.start()?.play(|stage| {
        stage.has_weights(VIP, Tcp, &[(first, 3), (second, 2), (third, 1)])?;
        for (from, to) in [(POD, VIP), (CLIENTS[0], NODE_PORT)] {
            shares(stage, from, to, Tcp, &[(first, 6), (second, 4), (third, 2)])?;
        }
        // A family whose endpoints are not named has weight 1 everywhere.
        shares(stage, POD6, VIP6, Tcp, &ENDPOINTS6.map(|endpoint| (endpoint, 2)))?;
        // The longest prefix wins.
        let weights = "10.244.1.0/24=2, 10.244.1.3=4, 10.244.0.0/16=9";
        stage.change(|scene| annotate(scene, "ns/web", WEIGHTS, Some(weights)))?;
        stage.has_weights(VIP, Tcp, &[(first, 2), (second, 2), (third, 4)])?;
        shares(stage, POD, VIP, Tcp, &[(first, 4), (second, 4), (third, 8)])?;
        stage.change(|scene| annotate(scene, "ns/web", WEIGHTS, None))?;
        shares(stage, POD, VIP, Tcp, &ENDPOINTS.map(|endpoint| (endpoint, 2)))
    })
}

/// Where every client is; each at one place.
fn places(stage: &Stage, to: &str) -> Result<BTreeSet<SocketAddr>> {
    let place = |client: &&str| {
        let tally = tally(stage, client, to, Tcp, 3)?;
        ensure!(tally.len() == 1, "{client} -> {to} was sent to {tally:?}");
        tally.into_keys().next().context("no connection")
    };
    CLIENTS.iter().map(place).collect()
}

fn by_hash() -> Result<()> {
    plan()?.start()?.play(|stage| {
        for (scheduler, spread) in [("sh", true), ("dh", false)] {
            stage.change(|scene| annotate(scene, "ns/web", SCHEDULER, Some(scheduler)))?;
            for to in [VIP, NODE_PORT] {
                let places = places(stage, to).with_context(|| scheduler.to_owned())?;
                ensure!((places.len() > 1) == spread, "{scheduler}: all clients of {to} are at {places:?}");
            }
        }
        stage.change(|scene| annotate(scene, "ns/web", SCHEDULER, Some("mh")))?;
        // As kube-proxy has it, its flags make the port count.
        let tally = tally(stage, POD, VIP, Tcp, 12)?;
        ensure!(tally.len() > 1, "mh: all connections of a client are at {tally:?}");
        Ok(())
    })
}

/// Those that Linux 6.1 has too.
const ALL: [&str; 13] =
    ["rr", "wrr", "lc", "wlc", "dh", "sh", "sed", "nq", "mh", "lblc", "lblcr", "fo", "ovf"];

fn every_scheduler() -> Result<()> {
    plan()?.start()?.play(|stage| {
        // The first one is there already.
        for scheduler in ALL.into_iter().skip(1).chain(["rr"]) {
            stage.change(|scene| annotate(scene, "ns/web", SCHEDULER, Some(scheduler)))?;
            for (from, to) in [(POD, VIP), (POD6, VIP6), (CLIENTS[0], NODE_PORT)] {
                let found = stage.virtual_server(to, Tcp)?.scheduler;
                ensure!(found == scheduler, "{to} has {found}, want {scheduler}");
                stage.reach(from, to, Tcp).with_context(|| scheduler.to_owned())?;
            }
        }
        ensure!(stage.progress()?.problems.is_empty(), "problems");
        Ok(())
    })
}
