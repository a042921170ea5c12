//! An answer changes once the kernel has the rules of the change; where no rules belong to it, at once.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use model::Protocol::{Tcp, Udp};
use serde_json::{Value, json};
use testkit::scene::{Scene, part};
use testkit::wait;

use crate::Test;
use crate::backend::LEGACY;
use crate::dns::ask::{A, Reply};
use crate::dns::program::{INTERCEPT, asked_for, await_intercepted, build, play, soon};
use crate::dns::{POD, VIP, plan};
use crate::modes::lock::hold;
use crate::stage::{Stage, ip};

/// In every mode.
pub(crate) const TESTS: &[Test] = &[Test::new("what_is_answered_can_be_reached", reachable)];
/// Once.
pub(crate) const ONCE: &[Test] = &[Test::new("with_the_lock_held_only_headless_names_change", held)];

/// The next try to take the lock may be this far away.
const AGAIN: Duration = Duration::from_secs(40);
/// A change that no rules belong to.
const AT_ONCE: Duration = Duration::from_secs(2);
/// One that comes while the lock is being waited for, for 5 s.
const AFTER_A_WAIT: Duration = Duration::from_secs(8);

/// A Service beside the others, with the endpoint of theirs.
fn add(scene: &mut Scene, number: u8) -> Result<()> {
    let service = format!(
        "{{name: shop/n{number}, type: ClusterIP, cluster_ips: [10.96.8.{number}], ports: [{{name: p, port: 80}}]}}"
    );
    let slice = format!(
        "{{service: shop/n{number}, ports: [{{name: p, port: 8080}}], endpoints: [{{ip: 10.244.1.70, node: other}}]}}"
    );
    scene.services.push(part(&service)?);
    scene.slices.push(part(&slice)?);
    Ok(())
}

fn name(number: u8) -> String {
    format!("n{number}.shop.svc.cluster.local")
}

fn addresses(stage: &Stage, name: &str) -> Result<Vec<IpAddr>> {
    match asked_for(stage, (POD, VIP), Udp, (name, A))? {
        Reply::Node(0, addresses) => Ok(addresses),
        Reply::Node(3, _) => Ok(Vec::new()),
        other => anyhow::bail!("{name}: {other:?}"),
    }
}

/// Waits for the answer, and makes a connection at once.
fn answered_and_reached(stage: &Stage, number: u8) -> Result<()> {
    let vip = format!("10.96.8.{number}");
    wait::until("the name", AGAIN, || Ok((addresses(stage, &name(number))? == [ip(&vip)?]).then_some(())))?;
    stage
        .reach(POD, &format!("{vip}:80"), Tcp)
        .context("the name was answered before the rules were there")
        .map(drop)
}

fn reachable() -> Result<()> {
    play(&[INTERCEPT], |stage| {
        for number in 1..=12 {
            add(&mut stage.scene, number)?;
            stage.publish()?;
            answered_and_reached(stage, number)?;
        }
        Ok(())
    })
}

fn headless(endpoints: &[&str]) -> [Value; 2] {
    let metadata = json!({ "name": "db", "namespace": "shop" });
    let labels = json!({ "kubernetes.io/service-name": "db" });
    let endpoints: Vec<Value> =
        endpoints.iter().map(|ip| json!({ "addresses": [ip], "conditions": { "ready": true } })).collect();
    [
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": metadata,
            "spec": { "clusterIP": "None", "clusterIPs": ["None"], "type": "ClusterIP",
                      "ports": [{ "name": "p", "port": 5432, "protocol": "TCP" }] },
        }),
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": { "name": "db-0", "namespace": "shop", "labels": labels },
            "ports": [{ "name": "p", "port": 5432, "protocol": "TCP" }], "endpoints": endpoints,
        }),
    ]
}

/// Publishes the headless Service with these endpoints and waits for the answer.
fn headless_changes(stage: &mut Stage, endpoints: &[&str], within: Duration) -> Result<()> {
    stage.scene.extra = headless(endpoints).into();
    stage.publish()?;
    let began = Instant::now();
    let mut wanted = endpoints.iter().map(|text| ip(text)).collect::<Result<Vec<_>>>()?;
    wanted.sort();
    soon(stage, "the headless name", |stage| {
        let mut found = addresses(stage, "db.shop.svc.cluster.local")?;
        found.sort();
        ensure!(found == wanted, "{found:?}");
        Ok(())
    })?;
    ensure!(began.elapsed() < within, "{endpoints:?} took {:?}", began.elapsed());
    Ok(())
}

fn held() -> Result<()> {
    let mut stage = build(plan()?, &[INTERCEPT])?;
    stage.set_backend(&LEGACY);
    stage.start()?;
    stage.play(|stage| {
        await_intercepted(stage)?;
        let lock = hold(stage)?;
        add(&mut stage.scene, 1)?;
        for (endpoints, within) in
            [(&["10.244.1.1"][..], AT_ONCE), (&["10.244.1.1", "10.244.1.2"], AFTER_A_WAIT)]
        {
            headless_changes(stage, endpoints, within)?;
            ensure!(addresses(stage, &name(1))?.is_empty(), "answered before there are rules");
        }
        drop(lock);
        answered_and_reached(stage, 1)
    })
}
