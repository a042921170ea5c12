//! The program in its container: it finds its API server by name, works with what it may do, and survives an upgrade.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use testkit::wait;

use crate::cluster::{Cluster, ENDPOINT, HOST, NODE, PATIENCE, VIP, node};
use crate::container::{self, Container, Plan};
use crate::image::Image;
use crate::manifest::{self, DAEMONSET, STARTUP_TAINT};
use crate::{Needs, Test, rbac};

pub(crate) const TESTS: &[Test] = &[
    ("its_api_server_is_found_by_dns", Needs::Image(its_api_server_is_found_by_dns)),
    ("its_api_server_is_found_in_etc_hosts", Needs::Image(its_api_server_is_found_in_etc_hosts)),
    ("it_does_all_its_work_with_what_it_is_given", Needs::Image(it_does_all_its_work_with_what_it_is_given)),
    (
        "the_startup_taint_goes_with_the_rights_for_it",
        Needs::Image(the_startup_taint_goes_with_the_rights_for_it),
    ),
];

const TAINT: &str = "towpath.dev/not-ready";
const TIMEOUT: &str = "netfilter/nf_conntrack_tcp_timeout_established";

fn its_api_server_is_found_by_dns(image: &Image) -> Result<()> {
    let cluster = Cluster::new(true)?;
    let plan = cluster.plan("127.0.0.1 localhost\n")?;
    reaches_the_server(image, &cluster, &plan)?;
    ensure!(cluster.dns.was_asked(), "who has told it the address?");
    Ok(())
}

/// DNS says that there is no such name, which must not be the last word.
fn its_api_server_is_found_in_etc_hosts(image: &Image) -> Result<()> {
    let cluster = Cluster::new(false)?;
    let plan = cluster.plan(&format!("127.0.0.1 localhost\n127.0.0.1 {HOST}\n"))?;
    reaches_the_server(image, &cluster, &plan)
}

fn reaches_the_server(image: &Image, cluster: &Cluster, plan: &Plan) -> Result<()> {
    let mut container = Container::start(image, &cluster.node, plan)?;
    let asked = wait::until("a list of Services to be asked for", PATIENCE, || {
        container.must_run()?;
        let asked = cluster.server.requests().count(|request| request.resource == "services");
        Ok((asked > 0).then_some(()))
    });
    asked.with_context(|| container.log())
}

/// Root is read-only, the capabilities are those of the DaemonSet, and the account has the rights of the ClusterRole.
fn it_does_all_its_work_with_what_it_is_given(image: &Image) -> Result<()> {
    let cluster = Cluster::new(true)?;
    cluster.node.set_sysctls(&[(TIMEOUT, "1000")])?;
    let plan = cluster.plan("127.0.0.1 localhost\n")?;
    let mut container = Container::start(image, &cluster.node, &plan)?;
    cluster.await_probe(&mut container, "readinessProbe")?;
    cluster.await_probe(&mut container, "livenessProbe")?;
    has_capabilities(&container, plan.capabilities.as_deref().unwrap_or_default())?;
    let ruleset = cluster.ruleset()?;
    ensure!(ruleset.contains(VIP) && ruleset.contains(ENDPOINT), "{ruleset}");
    let timeout = cluster.node.run(|| fs::read_to_string(format!("/proc/sys/net/{TIMEOUT}")))??;
    ensure!(timeout.trim() == "86400", "the sysctl is {timeout}");
    let log = container.terminate()?;
    has_no_complaint(&log, &[])?;
    nothing_was_forbidden(&cluster)?;
    ensure!(fs::read_dir(cluster.path("state"))?.next().is_some(), "no snapshot was written\n{log}");
    ensure!(cluster.ruleset()? == ruleset, "rules stay when it ends");
    cleans_up(image, &cluster, plan)
}

/// With other arguments and nothing else, as docs/install.md says.
pub(crate) fn cleans_up(image: &Image, cluster: &Cluster, mut plan: Plan) -> Result<()> {
    plan.command = vec!["/usr/local/bin/towpath".into(), "cleanup".into()];
    let log = Container::start(image, &cluster.node, &plan)?.finish()?;
    let legacy = cluster.node.command("iptables-legacy-save", &[])?;
    let rest = cluster.ruleset()? + &legacy;
    ensure!(!rest.to_lowercase().contains("towpath"), "{rest}\n{log}");
    Ok(())
}

pub(crate) fn has_capabilities(container: &Container, names: &[String]) -> Result<()> {
    let mut wanted = 0_u64;
    for name in names {
        wanted |= 1 << container::number(name)?;
    }
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        let given = container.status(set)?;
        ensure!(u64::from_str_radix(&given, 16)? == wanted, "{set} is {given}");
    }
    ensure!(container.status("NoNewPrivs")? == "1", "it may get privileges");
    Ok(())
}

/// The size of conntrack's table is the machine's, and no network namespace but the first may change it. `expected`: words
/// of other complaints that are right.
pub(crate) fn has_no_complaint(log: &str, expected: &[&str]) -> Result<()> {
    let known = |line: &str| {
        ["nf_conntrack_max", "nf_conntrack_buckets"].iter().chain(expected).any(|word| line.contains(word))
    };
    let complaints = log.lines().filter(|line| line.contains("WARN") || line.contains("ERROR"));
    let complaints: Vec<&str> = complaints.filter(|line| !known(line)).collect();
    ensure!(complaints.is_empty(), "{}", complaints.join("\n"));
    Ok(())
}

fn nothing_was_forbidden(cluster: &Cluster) -> Result<()> {
    let forbidden = cluster.server.requests().all().into_iter().filter(|request| request.status == 403);
    let forbidden: Vec<_> = forbidden.collect();
    ensure!(forbidden.is_empty(), "{forbidden:?}");
    Ok(())
}

/// As a cloud's controller that makes Nodes would have it, with both files applied.
fn the_startup_taint_goes_with_the_rights_for_it(image: &Image) -> Result<()> {
    let cluster = Cluster::new(true)?;
    let rights = rbac::allowed(DAEMONSET)?.into_iter().chain(rbac::allowed(STARTUP_TAINT)?);
    cluster.allow(rights);
    let mut node = node();
    node["spec"]["taints"] =
        json!([{"key": TAINT, "effect": "NoSchedule"}, {"key": "other", "effect": "NoExecute"}]);
    cluster.server.store().apply(node)?;
    let plan = cluster.plan("127.0.0.1 localhost\n")?;
    let config = cluster.path("config/config.yaml");
    let text = fs::read_to_string(&config)?.replace("startupTaint: \"\"", &format!("startupTaint: {TAINT}"));
    ensure!(text.contains(TAINT), "the taint is configured elsewhere");
    fs::write(config, text)?;
    let mut container = Container::start(image, &cluster.node, &plan)?;
    let gone = wait::until("the taint to go", PATIENCE, || {
        container.must_run()?;
        let node = cluster.server.store().get("nodes", "", NODE).context("the Node is gone")?;
        let taints = manifest::list(&node["spec"]["taints"])?;
        Ok((taints.len() == 1 && taints[0]["key"] == "other").then_some(()))
    });
    gone.with_context(|| container.log())?;
    has_no_complaint(&container.terminate()?, &[])?;
    nothing_was_forbidden(&cluster)
}
