//! The situations of docs/operations.md: each is made with real packets, and the commands of the page must name its cause.

pub(crate) mod choice;
pub(crate) mod path;
pub(crate) mod state;

use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use model::Protocol::Tcp;
use testkit::wait;

use crate::Test;
use crate::lifecycle::POD;
use crate::plan::Plan;
use crate::stage::Stage;

pub(crate) const TESTS: &[Test] = &[
    Test::new("refused_no_endpoint_is_ready", not_ready),
    Test::new("refused_no_endpoint_fits_the_port", port_name),
    Test::new("silence_policy_local", policy_local),
    Test::new("silence_source_ranges", source_ranges),
    Test::new("silence_of_one_endpoint", one_endpoint),
    Test::new("a_node_port_on_some_addresses", node_port),
];

/// A client outside of the cluster.
pub(crate) const OUTSIDE: &str = "203.0.113.9";
/// Another, which no source range has.
const STRANGER: &str = "192.0.2.1";
/// An address of the node beside its first one.
const SECOND: &str = "192.168.7.2";

/// A shop with two endpoints, and a load balancer's Service with an endpoint elsewhere.
pub(crate) const SCENE: &str = "
services:
- name: shop/web
  type: NodePort
  cluster_ips: [10.96.0.10]
  ports: [{name: http, port: 80, node_port: 30010}]
- name: shop/front
  type: LoadBalancer
  cluster_ips: [10.96.0.20]
  external_traffic_policy: Local
  lb_ingress: [{ip: 198.51.100.20}]
  lb_source_ranges: [203.0.113.0/24]
  ports: [{name: http, port: 80, node_port: 30020}]
slices:
- service: shop/web
  ports: [{name: http, port: 8080}]
  endpoints: [{ip: 10.244.0.1, node: test-node}, {ip: 10.244.1.1, node: other}]
- service: shop/front
  ports: [{name: http, port: 8081}]
  endpoints: [{ip: 10.244.1.2, node: other}]
";

/// The ClusterIP of shop/web.
pub(crate) const WEB: &str = "10.96.0.10:80";
const BALANCER: &str = "198.51.100.20:80";

/// A stage with everybody who takes part.
pub(crate) fn plan() -> Result<Plan> {
    Plan::new(SCENE)?.hosts(&[POD])?.outside(&[OUTSIDE, STRANGER])
}

/// What a command prints; it must say all of this.
pub(crate) fn says(stage: &Stage, args: &[&str], words: &[&str]) -> Result<String> {
    let output = stage.run_program(args)?;
    let text = String::from_utf8(output.stdout)?;
    for word in words {
        ensure!(
            text.contains(word),
            "towpath {args:?} does not say {word:?}: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(text)
}

/// The same, once it does.
pub(crate) fn comes_to_say(stage: &Stage, args: &[&str], words: &[&str]) -> Result<String> {
    let mut last = Ok(String::new());
    let patience = std::time::Duration::from_secs(20);
    let done = wait::until("the command to say it", patience, || {
        last = says(stage, args, words);
        Ok(last.is_ok().then_some(()))
    });
    last.and_then(|text| done.map(|()| text))
}

/// `towpath explain --live` of a packet.
pub(crate) fn explains(stage: &Stage, from: &str, to: &str, words: &[&str]) -> Result<String> {
    says(stage, &["explain", "--live", "--from", from, "--to", &format!("{to}/tcp")], words)
}

fn not_ready() -> Result<()> {
    let unready = |scene: &mut testkit::scene::Scene| {
        let endpoints = scene.slices[0].endpoints.iter_mut();
        endpoints.for_each(|endpoint| (endpoint.ready, endpoint.serving) = (Some(false), Some(false)));
    };
    plan()?.with(unready).start()?.play(|stage| {
        stage.refused(POD, WEB, Tcp)?;
        explains(
            stage,
            POD,
            WEB,
            &[
                ": reject",
                "the Service has no usable endpoint",
                "10.244.0.1:8080  (not ready)",
                "kernel    has all",
            ],
        )?;
        let page = stage.page("/debug/rules/shop/web")?;
        ensure!(page.contains("10.244.1.1:8080") && page.contains("not ready"), "{page}");
        Ok(())
    })
}

fn port_name() -> Result<()> {
    plan()?.with(|scene| scene.slices[0].ports[0].name = "web".into()).start()?.play(|stage| {
        stage.refused(POD, WEB, Tcp)?;
        explains(stage, POD, WEB, &[": reject", "10.244.0.1", "has no port named http/tcp"]).map(drop)
    })
}

fn policy_local() -> Result<()> {
    plan()?.start()?.play(|stage| {
        stage.dropped(OUTSIDE, BALANCER, Tcp)?;
        explains(
            stage,
            OUTSIDE,
            BALANCER,
            &[": drop", "none on this node, and the policy is Local", "10.244.1.2:8081  (on node other"],
        )
        .map(drop)
    })
}

fn source_ranges() -> Result<()> {
    let here = |scene: &mut testkit::scene::Scene| {
        scene.slices[1].endpoints[0].node = Some(testkit::scene::NODE_NAME.into());
    };
    plan()?.with(here).start()?.play(|stage| {
        stage.dropped(STRANGER, BALANCER, Tcp)?;
        explains(
            stage,
            STRANGER,
            BALANCER,
            &[": drop", "192.0.2.1 is in no range of loadBalancerSourceRanges"],
        )?;
        explains(stage, OUTSIDE, BALANCER, &[": dnat", "endpoint  10.244.1.2:8081"]).map(drop)
    })
}

/// What goes to one endpoint is dropped: at its end, where this node's conntrack has seen it, or by another program
/// on this node, where conntrack keeps nothing of it.
fn one_endpoint() -> Result<()> {
    plan()?.start()?.play(|stage| {
        let there = stage.world().namespace(crate::stage::ip("10.244.1.1")?);
        there.nft("table ip other {\nchain c {\ntype filter hook input priority 10;\ndrop\n}\n}\n")?;
        falls_silent(stage)?;
        let text =
            comes_to_say(stage, &["flows", "--service", "shop/web"], &["10.244.1.1:8080", "SYN_SENT"])?;
        let line = text.lines().find(|line| line.trim_start().starts_with("10.244.1.1:8080"));
        let opening = line.and_then(|line| line.split_whitespace().nth(3)?.parse::<u32>().ok());
        ensure!(opening.is_some_and(|count| count > 0), "nothing is opening at the silent endpoint: {text}");
        // The kernel has what it should: it is not the rules.
        says(stage, &["diff", "--service", "shop/web"], &["the kernel has all"])?;
        there.nft("delete table ip other\n")?;
        stage.reaches(POD, WEB, Tcp, &["10.244.0.1:8080", "10.244.1.1:8080"])
    })?;
    plan()?.start()?.play(|stage| {
        stage.node().nft(
            "table ip other {\nchain c {\ntype filter hook forward priority 10;\nip daddr 10.244.1.1 drop\n}\n}\n",
        )?;
        falls_silent(stage)?;
        let text = says(stage, &["flows", "--service", "shop/web"], &[])?;
        ensure!(!text.contains("SYN_SENT"), "the kernel keeps what a filter drops: {text}");
        says(stage, &["diff", "--service", "shop/web"], &["the kernel has all"]).map(std::mem::drop)
    })
}

/// One of the next connections gets no answer.
fn falls_silent(stage: &Stage) -> Result<()> {
    wait::until("a connection to the silent endpoint", std::time::Duration::from_secs(20), || {
        Ok(stage.dropped(POD, WEB, Tcp).is_ok().then_some(()))
    })
}

fn node_port() -> Result<()> {
    let second: IpAddr = SECOND.parse()?;
    let flags = ["--nodeport-addresses=192.168.0.0/24"];
    plan()?.node_addresses(&[SECOND])?.flags(&flags).start()?.play(|stage| {
        stage.reach(OUTSIDE, "192.168.0.2:30010", Tcp)?;
        let outcome = stage.send(OUTSIDE, &format!("{second}:30010"), Tcp, crate::packets::SILENCE)?;
        ensure!(!matches!(outcome, testkit::probe::Outcome::Answered { .. }), "{outcome:?}");
        explains(stage, OUTSIDE, &format!("{SECOND}:30010"), &["30010", "nodePortAddresses"])
            .context("towpath explain has to say why")
            .map(drop)
    })
}
