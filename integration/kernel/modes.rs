//! From one mode to another while clients make connections without a pause: nobody may notice.
//!
//! ```text
//! traffic (new requests)   ~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~
//! traffic (long-lived)     -----------------------------------------
//! the configuration file    nftables | iptables | nftables | ...
//! the kernel                A        A+B B       B+A A               never neither
//! ```

pub(crate) mod ipvs;
pub(crate) mod lock;
pub(crate) mod long_lived;
pub(crate) mod meanwhile;
pub(crate) mod refused;
pub(crate) mod restart;
pub(crate) mod traffic;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use model::Protocol::{Tcp, Udp};
use testkit::scene::Scene;
use testkit::wait;

use crate::Test;
use crate::backend::{Backend, IPVS, LEGACY, NFT_VARIANT, NFTABLES};
use crate::http;
use crate::lifecycle::POD;
use crate::plan::Plan;
use crate::rules::listable;
use crate::stage::{NODE, Stage, socket};
use crate::vs::has_ipvs;
use crate::xt::Variant;
use long_lived::LongLived;
use traffic::Stream;

pub(crate) const TESTS: &[Test] = &[
    Test::new("to_iptables_legacy_and_back_nobody_notices", || there_and_back(&LEGACY)),
    Test::new("to_iptables_nft_and_back_nobody_notices", || there_and_back(&NFT_VARIANT)),
];

/// Traffic goes to the first three; the last one changes.
pub(crate) const SCENE: &str = "
services:
- name: ns/web
  type: LoadBalancer
  cluster_ips: [10.96.0.10, 'fd00:96::10']
  lb_ingress: [{ip: 198.51.100.10}, {ip: '2001:db8:100::10'}]
  ports:
  - {name: p, port: 80, node_port: 30010}
  - {name: u, port: 53, node_port: 30011, protocol: UDP}
- name: ns/local
  type: LoadBalancer
  cluster_ips: [10.96.0.20, 'fd00:96::20']
  lb_ingress: [{ip: 198.51.100.20}, {ip: '2001:db8:100::20'}]
  external_traffic_policy: Local
  ports: [{name: p, port: 80, node_port: 30020}]
- name: ns/sticky
  type: ClusterIP
  cluster_ips: [10.96.0.30, 'fd00:96::30']
  session_affinity: ClientIP
  ports: [{name: p, port: 80}]
- {name: ns/other, type: ClusterIP, cluster_ips: [10.96.0.40, 'fd00:96::40'], ports: [{name: p, port: 1000}]}
slices:
- service: ns/web
  ports: [{name: p, port: 8080}, {name: u, port: 5353, protocol: UDP}]
  endpoints: [{ip: 10.244.0.1, node: test-node}, {ip: 10.244.1.1, node: other}]
- service: ns/web
  family: 6
  ports: [{name: p, port: 8080}, {name: u, port: 5353, protocol: UDP}]
  endpoints: [{ip: 'fd00:244::1', node: test-node}, {ip: 'fd00:244:0:1::1', node: other}]
- service: ns/local
  ports: [{name: p, port: 8080}]
  endpoints: [{ip: 10.244.0.1, node: test-node}, {ip: 10.244.1.1, node: other}]
- service: ns/local
  family: 6
  ports: [{name: p, port: 8080}]
  endpoints: [{ip: 'fd00:244::1', node: test-node}, {ip: 'fd00:244:0:1::1', node: other}]
- service: ns/sticky
  ports: [{name: p, port: 8080}]
  endpoints: [{ip: 10.244.0.1, node: test-node}, {ip: 10.244.1.1, node: other}]
- service: ns/sticky
  family: 6
  ports: [{name: p, port: 8080}]
  endpoints: [{ip: 'fd00:244::1', node: test-node}, {ip: 'fd00:244:0:1::1', node: other}]
- {service: ns/other, ports: [{name: p, port: 8080}], endpoints: [{ip: 10.244.0.1}, {ip: 10.244.1.1}]}
- {service: ns/other, family: 6, ports: [{name: p, port: 8080}], endpoints: [{ip: 'fd00:244::1'}]}
";

pub(crate) const POD6: &str = "fd00:244::5";
pub(crate) const CLIENT: &str = "203.0.113.9";
pub(crate) const CLIENT6: &str = "2001:db8:1::9";
pub(crate) const BOTH: [&str; 2] = ["10.244.0.1:8080", "10.244.1.1:8080"];

/// Every kind of frontend that does not change, each with a client.
pub(crate) const STREAMS: &[Stream] = &[
    Stream(POD, "10.96.0.10:80", Tcp),
    Stream(POD, "10.96.0.10:53", Udp),
    Stream(POD, "10.96.0.30:80", Tcp),
    Stream(NODE, "10.96.0.10:80", Tcp),
    Stream(CLIENT, "192.168.0.2:30010", Tcp),
    Stream(CLIENT, "192.168.0.2:30011", Udp),
    Stream(CLIENT, "198.51.100.10:80", Tcp),
    Stream(CLIENT, "198.51.100.10:53", Udp),
    Stream(CLIENT, "198.51.100.20:80", Tcp),
    Stream(CLIENT, "192.168.0.2:30020", Tcp),
    Stream(POD6, "[fd00:96::10]:80", Tcp),
    Stream(POD6, "[fd00:96::10]:53", Udp),
    Stream(CLIENT6, "[fd00:192::2]:30010", Tcp),
    Stream(CLIENT6, "[fd00:192::2]:30011", Udp),
    Stream(CLIENT6, "[2001:db8:100::10]:80", Tcp),
    Stream(CLIENT6, "[2001:db8:100::20]:80", Tcp),
];

const ROUNDS: usize = 3;
/// How long a move may take on a busy machine, with a program that is not optimised.
const PATIENCE: Duration = Duration::from_secs(30);

/// A stage with clients and a place for long-lived connections.
pub(crate) fn plan(backend: &Backend) -> Result<Plan> {
    let flags: Vec<String> = backend.flags().collect();
    let cidrs = ["--cluster-cidr", "10.244.0.0/16,fd00:244::/56"];
    let flags: Vec<&str> = flags.iter().map(String::as_str).chain(cidrs).collect();
    let plan = Plan::new(SCENE)?.flags(&flags).hosts(&[POD, POD6])?.outside(&[CLIENT, CLIENT6])?;
    LongLived::plan(plan)
}

/// A stage in mode nftables, whose mode iptables is of a variant.
pub(crate) fn stage(of: &Backend, change: impl FnOnce(&mut Scene)) -> Result<Stage> {
    let mut stage = plan(of)?.with(change).through_api().build()?;
    stage.add_flags(&["--proxy-mode", NFTABLES.mode.as_str()]);
    stage.start()?;
    Ok(stage)
}

/// Plays while everybody talks; none of it may be disturbed.
pub(crate) fn play(stage: Stage, act: impl FnOnce(&mut Stage) -> Result<()>) -> Result<()> {
    traffic::set_ports_apart(&stage, STREAMS)?;
    let talks = LongLived::open(&stage)?;
    stage.play(|stage| talks.during(|| traffic::during(stage, STREAMS, act)))
}

fn there_and_back(backend: &'static Backend) -> Result<()> {
    play(stage(backend, |_| ())?, |stage| {
        for _ in 0..ROUNDS {
            for to in [backend, &NFTABLES] {
                ask_for(stage, to)?;
                in_force(stage, to)?;
            }
        }
        ensure!(stage.log()?.matches(" starting ").count() <= 1, "it began anew");
        Ok(())
    })
}

/// Puts a mode into the configuration file.
pub(crate) fn ask_for(stage: &Stage, to: &Backend) -> Result<()> {
    stage.cluster()?.reconfigure(|config| config["mode"] = to.mode.as_str().into())
}

/// The mode that the program tells.
pub(crate) fn told_mode(stage: &Stage) -> Result<String> {
    let page = http::get(stage.node(), socket("127.0.0.1:10249")?, "/proxyMode")?;
    Ok(page.context("nobody tells the mode")?.body)
}

/// Waits until a mode is in force, and nothing of ours is left of another one.
pub(crate) fn in_force(stage: &mut Stage, backend: &Backend) -> Result<()> {
    wait::until(&format!("mode {} to be in force", backend.name), PATIENCE, || {
        Ok((told_mode(stage)? == backend.mode.as_str()).then_some(()))
    })?;
    let mut last = Vec::new();
    let alone = wait::until("the rules of other modes to go", PATIENCE, || {
        last = modes_in_kernel(stage)?;
        Ok((last == [backend.name]).then_some(()))
    });
    alone.with_context(|| format!("{} is wanted, there are rules of {last:?}", backend.name))?;
    stage.progress()?;
    listable(stage.node())?;
    stage.reaches(POD, "10.96.0.10:80", Tcp, &BOTH)
}

/// Where rules of ours are.
pub(crate) fn modes_in_kernel(stage: &Stage) -> Result<Vec<&'static str>> {
    let mut found = Vec::new();
    let tables = stage.node().command("nft", &["list", "tables"])?;
    if tables.lines().any(|line| line.ends_with(" towpath")) {
        found.push(NFTABLES.name);
    }
    // What drains stays for as long as its connections: it is no mode any more.
    if has_ipvs().is_ok() && !stage.balancing()?.is_empty() {
        found.push(IPVS.name);
    }
    for (variant, backend) in [(Variant::Legacy, &LEGACY), (Variant::Nft, &NFT_VARIANT)] {
        if !stage.saved(variant)?.ours().is_empty() {
            found.push(backend.name);
        }
    }
    Ok(found)
}
