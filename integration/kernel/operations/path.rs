//! The rules are right, and packets do not come through: another firewall; and a pod that reaches itself.

use anyhow::{Result, ensure};
use model::Protocol::Tcp;

use super::{OUTSIDE, WEB, explains, plan, says};
use crate::Test;
use crate::lifecycle::POD;
use crate::stage::ip;

pub(crate) const TESTS: &[Test] = &[
    Test::new("a_firewall_drops_what_comes_from_outside", firewall),
    Test::new("a_pod_reaches_itself", itself),
];

/// The node's address and the nodePort of shop/web.
const NODE_PORT: &str = "192.168.0.2:30010";
/// An endpoint of shop/web on this node.
const OWN: &str = "10.244.0.1";

/// What a host firewall does that knows nothing of Services: pods may talk, and nobody else is forwarded.
const FIREWALL: &str = "
table ip site-firewall {
  chain forward {
    type filter hook forward priority filter; policy drop;
    ct state established,related accept
    ip saddr 10.244.0.0/16 counter accept
    counter
  }
}
";

fn firewall() -> Result<()> {
    plan()?.start()?.play(|stage| {
        stage.node().nft(FIREWALL)?;
        stage.dropped(OUTSIDE, NODE_PORT, Tcp)?;
        stage.reach(POD, WEB, Tcp)?;
        explains(stage, OUTSIDE, NODE_PORT, &[": dnat", "10.244.0.1:8080", "kernel    has all"])?;
        // What is dropped before it leaves the node is no connection, not even one that opens.
        says(stage, &["flows", "--client", OUTSIDE], &[": 0 connections of 0 Services"])?;
        let rules = stage.node().command("nft", &["list", "ruleset"])?;
        let drops = rules.lines().any(|line| line.contains("hook forward") && line.contains("policy drop"));
        ensure!(drops, "{rules}");
        stage.node().nft("delete table ip site-firewall")?;
        stage.reach(OUTSIDE, NODE_PORT, Tcp).map(drop)
    })
}

fn itself() -> Result<()> {
    let alone = |scene: &mut testkit::scene::Scene| scene.slices[0].endpoints.truncate(1);
    plan()?.with(alone).start()?.play(|stage| {
        let answer = stage.reach(OWN, WEB, Tcp)?;
        ensure!(answer.source != ip(OWN)?, "the pod saw itself: {answer:?}");
        explains(stage, OWN, WEB, &[": dnat", "10.244.0.1:8080  (sees this node's address)"])?;
        let other = explains(stage, POD, WEB, &["10.244.0.1:8080"])?;
        ensure!(other.contains("sees the client's address"), "{other}");
        let page = stage.page("/debug/rules/shop/web")?;
        ensure!(page.contains("A pod that gets to itself is masqueraded too"), "{page}");
        Ok(())
    })
}
