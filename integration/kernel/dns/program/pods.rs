//! Pods that want their queries to go to the CoreDNS pods.

use anyhow::Result;
use serde_json::{Value, json};
use testkit::scene::NODE_NAME;

use crate::dns::program::{INTERCEPT, await_intercepted, build, by_coredns, by_node, intercepted, soon};
use crate::dns::{COREDNS, COREDNS6, SHY, SHY6, VIP, VIP6, plan};
use crate::plan::Plan;

/// A pod of this node that wants the CoreDNS pods.
fn shy_pod() -> Value {
    let ips: Vec<Value> = [SHY, SHY6].iter().map(|ip| json!({ "ip": ip })).collect();
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "shy",
            "namespace": "shop",
            "annotations": { "towpath.dev/dns-intercept": "false" },
        },
        "spec": { "nodeName": NODE_NAME, "containers": [{ "name": "c", "image": "i" }] },
        "status": { "phase": "Running", "podIP": SHY, "podIPs": ips },
    })
}

pub(super) fn opt_out() -> Result<()> {
    opts_out(plan()?)
}

pub(super) fn opt_out_by_api() -> Result<()> {
    opts_out(plan()?.through_api())
}

fn opts_out(plan: Plan) -> Result<()> {
    let mut stage = build(plan, &[INTERCEPT])?;
    stage.start()?;
    stage.play(|stage| {
        await_intercepted(stage)?;
        stage.change(|scene| scene.extra.push(shy_pod()))?;
        soon(stage, "the pod to be left alone", |stage| {
            by_coredns(stage, SHY, VIP, COREDNS)?;
            by_coredns(stage, SHY6, VIP6, COREDNS6)
        })?;
        intercepted(stage)?;
        stage.change(|scene| scene.extra.clear())?;
        soon(stage, "the pod to be intercepted", |stage| {
            by_node(stage, SHY, VIP)?;
            by_node(stage, SHY6, VIP6)
        })
    })
}
