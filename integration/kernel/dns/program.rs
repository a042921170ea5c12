//! DNS on the node by the program itself: it answers as long as it lives, and CoreDNS otherwise.
//!
//! ```text
//! pod, node --- VIP:53 ---> towpath: knows web.shop                intercepted
//!                     \---> CoreDNS stand-in: says who it is       otherwise
//! ```

pub(crate) mod config;
pub(crate) mod falls;
pub(crate) mod fresh;
mod pods;
pub(crate) mod resolvers;
pub(crate) mod start;
mod tamper;
pub(crate) mod upgrade;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use model::Protocol::{self, Tcp, Udp};
use testkit::wait;

use crate::Test;
use crate::dns::ask::{self, A, AAAA, ADDRESS, NAME, Reply};
use crate::dns::node::network;
use crate::dns::{
    COREDNS, KUBE_DNS, LISTEN, LISTEN6, POD, POD6, PROTOCOLS, VIP, VIP6, be_strict, each_client, plan,
};
use crate::plan::Plan;
use crate::rules::{flow_ids, listable};
use crate::stage::{NODE, NODE6, Stage, ip, socket};

/// In every mode.
pub(crate) const TESTS: &[Test] = &[
    Test::new("the_node_answers_for_the_dns_service", answered),
    Test::new("a_dns_service_that_comes_back_with_another_vip_is_followed", vip_changes),
    Test::new("a_pod_opts_out_by_its_annotation", pods::opt_out),
    Test::new("cleanup_and_a_start_without_it_remove_all_of_dns", removed),
];
/// Once.
pub(crate) const ONCE: &[Test] = &[
    Test::new("a_pod_of_the_api_server_opts_out", pods::opt_out_by_api),
    Test::new("what_others_change_on_the_node_is_repaired_at_once", tamper::repaired),
];

/// The flag that has the VIPs answered here.
pub(crate) const INTERCEPT: &str = "--dns-intercept";
/// How long an answer may take on a busy machine.
pub(crate) const ANSWER: Duration = Duration::from_millis(900);
/// How long it may take until the node answers.
const PATIENCE: Duration = Duration::from_secs(20);

/// A stage with these flags, on which the program does not run yet.
pub(crate) fn build(plan: Plan, flags: &[&str]) -> Result<Stage> {
    let mut stage = plan.build()?;
    stage.add_flags(flags);
    be_strict(&stage)?;
    Ok(stage)
}

/// A stage on which the node answers for the VIPs; plays the test on it.
pub(crate) fn play(flags: &[&str], test: impl FnOnce(&mut Stage) -> Result<()>) -> Result<()> {
    let mut stage = build(plan()?, flags)?;
    stage.start()?;
    stage.play(|stage| {
        await_intercepted(stage)?;
        test(stage)?;
        listable(stage.node())
    })
}

/// One query for an address of the name that only the node knows.
pub(crate) fn asked(stage: &Stage, from: &str, to: &str, protocol: Protocol) -> Result<Reply> {
    asked_for(stage, (from, to), protocol, (NAME, A))
}

/// One query.
pub(crate) fn asked_for(
    stage: &Stage,
    (from, to): (&str, &str),
    protocol: Protocol,
    question: (&str, u16),
) -> Result<Reply> {
    ask::ask(&stage.world, (ip(from)?, socket(to)?), protocol, question, ANSWER)
}

/// The node answers, over both protocols.
pub(crate) fn by_node(stage: &Stage, from: &str, to: &str) -> Result<()> {
    must(stage, from, to, &Reply::Node(0, vec![ip(ADDRESS)?]))
}

/// This CoreDNS answers, over both protocols.
pub(crate) fn by_coredns(stage: &Stage, from: &str, to: &str, pod: &str) -> Result<()> {
    must(stage, from, to, &Reply::CoreDns(socket(pod)?))
}

fn must(stage: &Stage, from: &str, to: &str, wanted: &Reply) -> Result<()> {
    for protocol in PROTOCOLS {
        let reply = asked(stage, from, to, protocol)?;
        ensure!(reply == *wanted, "{from} asks {to} by {protocol}: {reply:?}, want {wanted:?}");
    }
    Ok(())
}

pub(crate) fn intercepted(stage: &Stage) -> Result<()> {
    each_client(|from, vip, _| by_node(stage, from, vip))
}

pub(crate) fn not_intercepted(stage: &Stage) -> Result<()> {
    each_client(|from, vip, coredns| by_coredns(stage, from, vip, coredns))
}

/// Waits for something that may take until the next probe, or the next look at the node.
pub(crate) fn soon(stage: &Stage, what: &str, good: impl Fn(&Stage) -> Result<()>) -> Result<()> {
    let mut last = Ok(());
    let done = wait::until(what, PATIENCE, || {
        last = good(stage);
        Ok(last.is_ok().then_some(()))
    });
    last.and(done)
}

pub(crate) fn await_intercepted(stage: &Stage) -> Result<()> {
    let done = soon(stage, "the node to answer", intercepted);
    done.with_context(|| stage.page("/debug/dns").unwrap_or_default())
}

/// Waits until the page says that all is intercepted.
pub(crate) fn await_alive(stage: &Stage) -> Result<()> {
    soon(stage, "the page to say what is intercepted", |stage| {
        let page = line(stage, "intercepted:")?;
        ensure!(page == "10.96.0.10/tcp 10.96.0.10/udp fd00:96::a/tcp fd00:96::a/udp", "{page}");
        Ok(())
    })
}

/// The words of a line of the page about DNS.
pub(crate) fn line(stage: &Stage, beginning: &str) -> Result<String> {
    let page = stage.page("/debug/dns")?;
    let found = page.lines().find_map(|line| line.strip_prefix(beginning));
    found.map(|rest| rest.trim().to_owned()).with_context(|| format!("no line {beginning:?} in:\n{page}"))
}

fn answered() -> Result<()> {
    play(&[INTERCEPT], |stage| {
        stage.node().command("conntrack", &["-F"])?;
        intercepted(stage)?;
        for (from, vip) in [(POD, VIP), (POD6, VIP6)] {
            let reply = asked_for(stage, (from, vip), Udp, (NAME, AAAA))?;
            ensure!(reply == Reply::Node(0, vec![ip("fd00:96::71")?]), "AAAA: {reply:?}");
        }
        let tracked =
            flow_ids(stage.node(), |flow| [flow.original.dport, flow.original.sport].contains(&53))?;
        ensure!(tracked.is_empty(), "tracked: {tracked:?}");
        // All else of the Service is as ever.
        for (from, vip, coredns) in [
            (POD, "10.96.0.10:9153", "10.244.1.53:9153"),
            (NODE6, "[fd00:96::a]:9153", "[fd00:244:0:1::53]:9153"),
        ] {
            stage.reaches(from, vip, Tcp, &[coredns])?;
        }
        stage.refused(POD, "10.96.0.10:5353", Udp)?;
        await_alive(stage)
    })
}

/// scen-13.
fn vip_changes() -> Result<()> {
    play(&[INTERCEPT], |stage| {
        let kube_dns = stage.scene.service(KUBE_DNS)?.clone();
        stage.change(|scene| scene.services.retain(|service| service.name != KUBE_DNS))?;
        soon(stage, "the old VIP to be gone", |stage| {
            ensure!(line(stage, "to be intercepted:")?.starts_with(';'), "it is still wanted");
            stage.gone(POD, VIP, Udp)
        })?;
        let other = crate::dns::renumbered(kube_dns)?;
        stage.change(|scene| scene.services.push(other))?;
        let clients = [(POD, "10.96.0.77:53"), (POD6, "[fd00:96::77]:53"), (NODE, "10.96.0.77:53")];
        soon(stage, "the new VIP to be answered", |stage| {
            clients.iter().try_for_each(|(from, vip)| by_node(stage, from, vip))
        })?;
        stage.gone(POD, VIP, Udp)
    })
}

/// What is left of DNS.
fn traces(stage: &Stage) -> Result<Vec<String>> {
    let all = network(stage.node())?;
    let ours =
        |line: &&str| ["towpath-dns", "proto 108", LISTEN, LISTEN6].iter().any(|word| line.contains(word));
    Ok(all.lines().filter(ours).map(str::to_owned).collect())
}

fn removed() -> Result<()> {
    let listen = format!("--dns-listen={LISTEN},{LISTEN6}");
    play(&[INTERCEPT, &listen], |stage| {
        for (from, to) in [(POD, format!("{LISTEN}:53")), (NODE6, format!("[{LISTEN6}]:53"))] {
            by_node(stage, from, &to)?;
        }
        ensure!(!traces(stage)?.is_empty(), "nothing was made");
        stage.kill()?;
        let flags = stage.flags().to_vec();
        stage.drop_flags("--dns");
        stage.start()?;
        soon(stage, "all of DNS to go", |stage| {
            let left = traces(stage)?;
            ensure!(left.is_empty(), "left: {left:#?}");
            Ok(())
        })?;
        by_coredns(stage, POD, VIP, COREDNS)?;
        by_coredns(stage, NODE, VIP, COREDNS)?;
        stage.stop()?;
        let more: Vec<&str> =
            flags.iter().filter(|flag| flag.starts_with("--dns")).map(String::as_str).collect();
        stage.add_flags(&more);
        stage.start()?;
        await_intercepted(stage)?;
        stage.kill()?;
        let output = stage.run_program(&["cleanup"])?;
        ensure!(output.status.success(), "cleanup: {output:?}");
        let left = traces(stage)?;
        ensure!(left.is_empty(), "left: {left:#?}");
        Ok(())
    })
}
