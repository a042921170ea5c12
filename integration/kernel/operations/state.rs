//! What the agent says of itself, of others' hands, and of what it cannot do.

use anyhow::{Result, ensure};
use model::Protocol::Tcp;

use super::{SCENE, WEB, comes_to_say, explains, plan, says};
use crate::Test;
use crate::lifecycle::POD;
use crate::plan::Plan;

pub(crate) const TESTS: &[Test] = &[
    Test::new("a_change_is_not_in_force_conflict", conflict),
    Test::new("a_change_is_not_in_force_unreadable", unreadable),
    Test::new("a_change_is_not_in_force_api_server_away", api_away),
    Test::new("somebody_changed_the_rules", changed_by_others),
    Test::new("a_sync_takes_long", slow),
    Test::new("a_name_is_not_found", name),
];

/// A younger Service with a load balancer's address that another has.
const RIVAL: &str = "
name: shop/rival
type: LoadBalancer
cluster_ips: [10.96.0.60]
lb_ingress: [{ip: 198.51.100.20}]
ports: [{name: http, port: 80}]
";

fn conflict() -> Result<()> {
    plan()?.start()?.play(|stage| {
        let rival = testkit::scene::part(RIVAL)?;
        stage.change(|scene| scene.services.push(rival))?;
        says(stage, &["status"], &["shop/rival", "served by shop/front"])?;
        let page = stage.page("/debug/rules/shop/rival")?;
        ensure!(page.contains("served by shop/front"), "{page}");
        Ok(())
    })
}

fn unreadable() -> Result<()> {
    plan()?.start()?.play(|stage| {
        let mut service = serde_json::json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "odd", "namespace": "shop"},
        });
        service["spec"] = serde_json::json!({
            "clusterIP": "10.96.0.61", "clusterIPs": ["10.96.0.61"], "ports": [{"port": 80, "protocol": "ICMP"}],
        });
        stage.change(|scene| scene.extra.push(service))?;
        says(stage, &["status"], &["shop/odd", "ICMP"]).map(drop)
    })
}

fn api_away() -> Result<()> {
    let stage = Plan::new(SCENE)?.hosts(&[POD])?.through_api().start()?;
    stage.play(|stage| {
        stage.cluster()?.server.faults().refuse(true);
        comes_to_say(stage, &["status"], &["API server  away"])?;
        // What is programmed stays.
        stage.reach(POD, WEB, Tcp)?;
        explains(stage, POD, WEB, &[": dnat", "kernel    has all"]).map(drop)
    })
}

fn changed_by_others() -> Result<()> {
    plan()?.start()?.play(|stage| {
        let rules = "delete element ip towpath vips { 10.96.0.10 . tcp . 80 }";
        stage.node().nft(rules)?;
        stage.soon("the repair", |stage| {
            stage.reach(POD, WEB, Tcp)?;
            let page = stage.page("/debug/audit")?;
            ensure!(page.contains("repair") && page.contains("10.96.0.10"), "{page}");
            ensure!(stage.metric("towpath_drift_repaired_total")? > 0.0, "no drift is counted");
            let log = stage.log()?;
            ensure!(log.contains("another program had changed"), "{log}");
            Ok(())
        })?;
        says(stage, &["diff"], &["the kernel has all"]).map(drop)
    })
}

fn slow() -> Result<()> {
    plan()?.start()?.play(|stage| {
        stage.change(|scene| drop(scene.slices[0].endpoints.pop()))?;
        let page = stage.page("/debug/audit?service=shop/web")?;
        ensure!(page.contains("EndpointSlice shop/web") && page.contains("ms ago"), "{page}");
        Ok(())
    })
}

fn name() -> Result<()> {
    plan()?.build()?.play(|stage| {
        let manifests = stage.directory().display().to_string();
        let explain = |name: &str, words: &[&str]| {
            says(stage, &["dns", "explain", name, "--manifests", &manifests], words).map(drop)
        };
        explain("web.shop.svc.cluster.local.", &["10.96.0.10"])?;
        explain("wed.shop.svc.cluster.local.", &["NXDOMAIN"])
    })
}
