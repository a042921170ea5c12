//! Table filter: what must get through although policy is DROP, and what must not.

use anyhow::{Context, Result, ensure};
use model::IpFamily;
use model::Protocol::Tcp;

use crate::Test;
use crate::plan::Plan;
use crate::scenes::SMALL;
use crate::stage::{NODE, Stage, ip};
use crate::xt::Variant;

pub(crate) const TESTS: &[Test] = &[
    Test::new("service_traffic_is_forwarded_although_policy_is_drop", forwarded),
    Test::new("health_checks_are_let_in_although_policy_is_drop", health_checks),
    Test::new("packets_of_no_connection_are_dropped", || invalid_packets(None)),
    Test::new("packets_of_no_connection_are_dropped_with_strict_tcp", || invalid_packets(Some("0"))),
    Test::new("packets_of_no_connection_pass_with_liberal_tcp", || invalid_packets(Some("1"))),
    Test::new("rules_of_others_come_after_ours", ours_come_first),
];

const CLIENT: &str = "203.0.113.9";
const CLIENT6: &str = "2001:db8:1::9";
const BE_LIBERAL: &str = "netfilter/nf_conntrack_tcp_be_liberal";

/// Masqueraded traffic and answers are let through; what is no business of ours is not.
fn forwarded() -> Result<()> {
    let mut stage = Plan::new(SMALL)?.outside(&[CLIENT, CLIENT6])?.build()?;
    stage.iptables_of_both(Variant::current(), "-P FORWARD DROP")?;
    stage.start()?;
    stage.play(|stage| {
        stage.reaches(CLIENT, "192.168.0.2:30010", Tcp, &["10.244.0.1:8080", "10.244.1.1:8080"])?;
        stage.reaches(
            CLIENT6,
            "[fd00:192::2]:30010",
            Tcp,
            &["[fd00:244::1]:8080", "[fd00:244:0:1::1]:8080"],
        )?;
        stage.dropped(CLIENT, "10.244.1.1:8080", Tcp).context("not by a Service")?;
        stage.dropped(CLIENT6, "[fd00:244:0:1::1]:8080", Tcp).context("not by a Service")
    })
}

const LOCAL: &str = "
services:
- name: ns/lb
  type: LoadBalancer
  cluster_ips: [10.96.0.20]
  external_traffic_policy: Local
  health_check_node_port: 32000
  lb_ingress: [{ip: 198.51.100.20}]
  ports: [{name: p, port: 80, node_port: 30020}]
slices:
- service: ns/lb
  ports: [{name: p, port: 8080}]
  endpoints: [{ip: 10.244.0.1, node: test-node}]
";

fn health_checks() -> Result<()> {
    let other = format!("{NODE}:32001");
    let mut stage = Plan::new(LOCAL)?.outside(&[CLIENT])?.serve(&[&other])?.build()?;
    let variant = Variant::current();
    for line in [
        "-A INPUT -i lo -j ACCEPT",
        "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "-P INPUT DROP",
    ] {
        stage.iptables_of_both(variant, line)?;
    }
    stage.start()?;
    stage.play(|stage| {
        stage.soon("the health check", health)?;
        stage.dropped(CLIENT, &other, Tcp).context("a port that is not for health checks")?;
        // It closes with the Service.
        stage.change(|scene| scene.remove_service("ns/lb"))?;
        stage.dropped(CLIENT, &format!("{NODE}:32000"), Tcp)
    })
}

fn health(stage: &Stage) -> Result<()> {
    let outside = stage.world.namespace(ip(CLIENT)?);
    let answer = outside.command("curl", &["-si", "-m", "1", &format!("http://{NODE}:32000/")])?;
    ensure!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    Ok(())
}

/// `None`: as the kernel has it. The rule is for all forwarded packets.
fn invalid_packets(be_liberal: Option<&str>) -> Result<()> {
    let mut stage = Plan::new(SMALL)?.build()?;
    // The setting is there once somebody tracks connections.
    stage.iptables_of_both(Variant::current(), "-A INPUT -m conntrack --ctstate NEW")?;
    if let Some(value) = be_liberal {
        stage.node().set_sysctls(&[(BE_LIBERAL, value)])?;
    }
    stage.start()?;
    stage.play(|stage| {
        let ours = stage.saved(Variant::current())?.ours();
        for family in IpFamily::ALL {
            let rules = ours.chain(family, "filter", "TOWPATH-FORWARD")?;
            let drops =
                rules.iter().any(|rule| rule.contains("--ctstate INVALID") && rule.ends_with("-j DROP"));
            ensure!(drops == (be_liberal != Some("1")), "{family:?}: {rules:#?}");
        }
        Ok(())
    })
}

/// A rule that accepts everything, or drops it, at the head of what others have.
fn ours_come_first() -> Result<()> {
    let mut stage = Plan::new(SMALL)?.outside(&[CLIENT])?.build()?;
    let variant = Variant::current();
    for line in
        ["-t nat -A PREROUTING -j ACCEPT", "-t nat -A POSTROUTING -j ACCEPT", "-A FORWARD -p tcp -j DROP"]
    {
        stage.iptables_of_both(variant, line)?;
    }
    stage.start()?;
    stage.play(|stage| {
        stage.reaches(CLIENT, "192.168.0.2:30010", Tcp, &["10.244.0.1:8080", "10.244.1.1:8080"])?;
        let got = stage.reach(CLIENT, "192.168.0.2:30010", Tcp)?.source;
        ensure!(stage.world.is_node_address(got), "the endpoint saw {got}, which is not masqueraded");
        Ok(())
    })
}
