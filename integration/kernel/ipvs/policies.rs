//! Traffic policies while endpoints come, go and move between nodes: where kube-proxy's ipvs mode is known to be wrong.

use anyhow::Result;
use model::Protocol::Tcp;
use testkit::cases::Policy;
use testkit::scene::{NODE_NAME, Scene};

use super::{BALANCER, CLIENTS, ENDPOINTS, NODE_PORT, VIP, plan};
use crate::Test;
use crate::lifecycle::POD;
use crate::rules::listable;
use crate::stage::{NODE, Stage};

pub(crate) const TESTS: &[Test] = &[
    Test::new("internal_local_never_leaks_to_other_nodes", internal_local),
    Test::new("external_local_is_for_outside_only", external_local),
];

/// How many of the first endpoints are on this node.
fn place(scene: &mut Scene, local: usize) {
    for slice in &mut scene.slices {
        for (i, endpoint) in slice.endpoints.iter_mut().enumerate() {
            endpoint.node = Some(if i < local { NODE_NAME } else { "other" }.to_owned());
        }
    }
}

fn stage(change: impl FnOnce(&mut Scene)) -> Result<Stage> {
    plan()?
        .with(|scene| {
            place(scene, 1);
            change(scene);
        })
        .start()
}

/// The Service has external frontends, for which the whole list counts: the ClusterIP has none of it.
fn internal_local() -> Result<()> {
    stage(|scene| scene.services[0].internal_traffic_policy = Policy::Local)?.play(|stage| {
        for local in [1, 0, 2, 0] {
            stage.change(|scene| {
                place(scene, local);
                // A change even where the endpoints are as they were.
                scene.zone = format!("z{local}");
            })?;
            for from in [POD, NODE, CLIENTS[0]] {
                match local {
                    // The node's own packets meet IPVS first, where the endpoints of before may still drain.
                    0 if from == NODE => stage.closed(from, VIP, Tcp)?,
                    0 => stage.dropped(from, VIP, Tcp)?,
                    n => stage.reaches(from, VIP, Tcp, &ENDPOINTS[..n])?,
                }
            }
            stage.reaches(CLIENTS[0], NODE_PORT, Tcp, &ENDPOINTS)?;
        }
        listable(stage.node())
    })
}

/// Outside -> local endpoints only, or nothing; pods and the node -> all.
fn external_local() -> Result<()> {
    stage(|scene| scene.services[0].external_traffic_policy = Some(Policy::Local))?.play(|stage| {
        for local in [1, 0, 3] {
            stage.change(|scene| {
                place(scene, local);
                scene.zone = format!("z{local}");
            })?;
            for to in [BALANCER, NODE_PORT] {
                match local {
                    0 => stage.dropped(CLIENTS[0], to, Tcp)?,
                    n => stage.reaches(CLIENTS[0], to, Tcp, &ENDPOINTS[..n])?,
                }
                stage.reaches(POD, to, Tcp, &ENDPOINTS)?;
                stage.reaches(NODE, to, Tcp, &ENDPOINTS)?;
            }
            stage.reaches(POD, VIP, Tcp, &ENDPOINTS)?;
        }
        // The client's address is kept; under policy Cluster it is not.
        let seen = stage.reach(CLIENTS[0], BALANCER, Tcp)?.source.to_string();
        anyhow::ensure!(seen == CLIENTS[0], "the endpoint saw {seen}");
        stage.change(|scene| scene.services[0].external_traffic_policy = Some(Policy::Cluster))?;
        let seen = stage.reach(CLIENTS[0], BALANCER, Tcp)?.source;
        anyhow::ensure!(stage.world.is_node_address(seen), "the endpoint saw {seen}");
        Ok(())
    })
}
