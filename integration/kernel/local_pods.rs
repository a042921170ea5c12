//! How pods of this node are recognised: by CIDR, by bridge, by the names of their links.
//!
//! Recognised pods are not masqueraded on their way to a ClusterIP, and under eTP Local they may go to any endpoint.

use anyhow::{Result, ensure};
use model::Protocol::Tcp;
use testkit::cases::Policy;

use crate::Test;
use crate::plan::Plan;
use crate::rules::listable;
use crate::stage::Stage;

pub(crate) const TESTS: &[Test] = &[
    Test::new("by_cluster_cidr", || recognised(&["--cluster-cidr", "10.244.0.0/24,fd00:244::/64"])),
    Test::new("by_the_nodes_pod_cidr", || recognised(&["--detect-local-mode", "NodeCIDR"])),
    Test::new("by_bridge", || {
        recognised(&["--detect-local-mode", "BridgeInterface", "--pod-bridge-interface", "cbr0"])
    }),
    Test::new("by_bridge_of_ipv6", || {
        recognised_v6(&["--detect-local-mode", "BridgeInterface", "--pod-bridge-interface", "cbr1"])
    }),
    Test::new("by_prefix_of_links", || {
        recognised(&["--detect-local-mode", "InterfaceNamePrefix", "--pod-interface-name-prefix", "cbr"])
    }),
    Test::new("without_any_nobody_is_local", not_at_all),
    Test::new("pod_cidrs_of_the_node_that_come_later_count", pod_cidrs_come_later),
    Test::new("masquerade_all_means_everybody", masquerade_all),
];

const SCENE: &str = "
pod_cidrs: [10.244.0.0/24, 'fd00:244::/64']
services:
- name: ns/web
  type: NodePort
  cluster_ips: [10.96.0.10, 'fd00:96::10']
  ports: [{name: p, port: 80, node_port: 30010}]
- name: ns/local
  type: LoadBalancer
  cluster_ips: [10.96.0.20, 'fd00:96::20']
  external_ips: [198.51.100.20, '2001:db8:100::20']
  external_traffic_policy: Local
  ports: [{name: p, port: 80, node_port: 30020}]
slices:
- {service: ns/web, ports: [{name: p, port: 8080}], endpoints: [{ip: 10.244.1.1}]}
- {service: ns/web, family: 6, ports: [{name: p, port: 8080}], endpoints: [{ip: 'fd00:244:0:1::1'}]}
- {service: ns/local, ports: [{name: p, port: 8080}], endpoints: [{ip: 10.244.1.1}]}
- {service: ns/local, family: 6, ports: [{name: p, port: 8080}], endpoints: [{ip: 'fd00:244:0:1::1'}]}
";

/// A family's pod on this node, a pod elsewhere, and frontends.
struct Cast {
    pod: &'static str,
    stranger: &'static str,
    vip: &'static str,
    local_frontends: [&'static str; 2],
}

const V4: Cast = Cast {
    pod: "10.244.0.5",
    stranger: "10.244.1.9",
    vip: "10.96.0.10:80",
    local_frontends: ["198.51.100.20:80", "192.168.0.2:30020"],
};
const V6: Cast = Cast {
    pod: "fd00:244::5",
    stranger: "fd00:244:0:1::9",
    vip: "[fd00:96::10]:80",
    local_frontends: ["[2001:db8:100::20]:80", "[fd00:192::2]:30020"],
};

/// The pods' links are `cbr0` and `cbr1`, those of the others are not.
fn stage(flags: &[&str]) -> Result<Stage> {
    let plan = Plan::new(SCENE)?.hosts(&[V4.pod, V6.pod, V4.stranger, V6.stranger])?;
    plan.link(V4.pod, "cbr0")?.link(V6.pod, "cbr1")?.flags(flags).start()
}

fn masqueraded(stage: &Stage, from: &str, to: &str) -> Result<bool> {
    let seen = stage.reach(from, to, Tcp)?.source.to_string();
    ensure!(seen == from || stage.world.is_node_address(seen.parse()?), "{from} was seen as {seen}");
    Ok(seen != from)
}

fn is_local(stage: &Stage, cast: &Cast) -> Result<()> {
    ensure!(!masqueraded(stage, cast.pod, cast.vip)?, "{} -> {} was masqueraded", cast.pod, cast.vip);
    for to in cast.local_frontends {
        ensure!(!masqueraded(stage, cast.pod, to)?, "{} -> {to} was masqueraded", cast.pod);
    }
    Ok(())
}

fn is_stranger(stage: &Stage, cast: &Cast) -> Result<()> {
    ensure!(masqueraded(stage, cast.stranger, cast.vip)?, "{} was not masqueraded", cast.stranger);
    cast.local_frontends.iter().try_for_each(|to| stage.dropped(cast.stranger, to, Tcp))
}

fn recognised(flags: &[&str]) -> Result<()> {
    let both = !flags.contains(&"cbr0");
    stage(flags)?.play(|stage| {
        is_local(stage, &V4)?;
        is_stranger(stage, &V4)?;
        if both {
            is_local(stage, &V6)?;
        }
        is_stranger(stage, &V6)?;
        node_itself(stage)?;
        listable(stage.node())
    })
}

fn recognised_v6(flags: &[&str]) -> Result<()> {
    stage(flags)?.play(|stage| {
        is_local(stage, &V6)?;
        is_stranger(stage, &V6)?;
        is_stranger(stage, &V4)
    })
}

/// The node's own connections go anywhere too, and are masqueraded.
fn node_itself(stage: &Stage) -> Result<()> {
    for to in V4.local_frontends {
        let answer = stage.reach(crate::stage::NODE, to, Tcp)?;
        ensure!(answer.source.to_string() != crate::stage::NODE, "{to}: the node was not masqueraded");
    }
    Ok(())
}

/// Nothing to tell them by: no masquerading to ClusterIPs, no way round eTP Local.
fn not_at_all() -> Result<()> {
    stage(&[])?.play(|stage| {
        for cast in [&V4, &V6] {
            for from in [cast.pod, cast.stranger] {
                ensure!(!masqueraded(stage, from, cast.vip)?, "{from} was masqueraded");
                cast.local_frontends.iter().try_for_each(|to| stage.dropped(from, to, Tcp))?;
            }
        }
        node_itself(stage)
    })
}

fn pod_cidrs_come_later() -> Result<()> {
    stage(&["--detect-local-mode", "NodeCIDR"])?.play(|stage| {
        stage.change(|scene| scene.pod_cidrs.clear())?;
        stage.dropped(V4.pod, V4.local_frontends[0], Tcp)?;
        ensure!(!masqueraded(stage, V4.stranger, V4.vip)?, "nobody can be told from others");
        stage.change(|scene| scene.pod_cidrs = vec!["10.244.0.0/24".to_owned()])?;
        is_local(stage, &V4)?;
        is_stranger(stage, &V4)?;
        stage.change(|scene| scene.services[1].external_traffic_policy = Some(Policy::Cluster))?;
        ensure!(masqueraded(stage, V4.pod, V4.local_frontends[0])?, "eTP Cluster masquerades pods too");
        Ok(())
    })
}

fn masquerade_all() -> Result<()> {
    stage(&["--masquerade-all", "--cluster-cidr", "10.244.0.0/24"])?.play(|stage| {
        for (from, to) in [(V4.pod, V4.vip), (V4.stranger, V4.vip), (V6.pod, V6.vip)] {
            ensure!(masqueraded(stage, from, to)?, "{from} -> {to} was not masqueraded");
        }
        Ok(())
    })
}
