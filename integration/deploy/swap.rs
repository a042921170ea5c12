//! kubeadm's DaemonSet of kube-proxy with another image and nothing else: its command, files, privileges and account.

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::cluster::{Cluster, HOST, NODE, VIP};
use crate::container::{Container, Mount, Plan};
use crate::image::Image;
use crate::life::has_no_complaint;
use crate::modes::{Pod, await_takeover, is_served, leave};
use crate::{Needs, Test, rbac};

pub(crate) const TESTS: &[Test] = &[
    ("mode_nftables_starts", Needs::Image(mode_nftables_starts)),
    ("an_open_mode_takes_over_from_iptables", Needs::Image(an_open_mode_takes_over_from_iptables)),
    ("an_open_mode_without_nf_tables_is_iptables", Needs::Image(an_open_mode_without_nf_tables_is_iptables)),
    (
        "without_nf_tables_nothing_need_have_been_there",
        Needs::Image(without_nf_tables_nothing_need_have_been_there),
    ),
];

/// What kubeadm's DaemonSet and ConfigMap mean here, for a cluster with this `mode`.
fn plan(cluster: &Cluster, mode: &str) -> Result<Plan> {
    cluster.allow(rbac::kube_proxys());
    write_files(cluster, mode)?;
    let mount = |from: &str, to: &str, read_only| Mount { from: from.into(), to: to.into(), read_only };
    let of_the_test =
        |name: &str, to: &str| Mount { from: cluster.path(name), to: to.into(), read_only: false };
    let command = ["/usr/local/bin/kube-proxy", "--config=/var/lib/kube-proxy/config.conf"];
    let name = format!("--hostname-override={NODE}");
    Ok(Plan {
        command: command.map(str::to_owned).into_iter().chain([name]).collect(),
        environment: [("NODE_NAME".to_owned(), NODE.to_owned())].into(),
        capabilities: None,
        mounts: vec![
            of_the_test("config", "/var/lib/kube-proxy"),
            of_the_test("xtables.lock", "/run/xtables.lock"),
            mount("/lib/modules", "/lib/modules", true),
            cluster.account(),
        ],
        hosts: "127.0.0.1 localhost\n".to_owned(),
        nf_tables: true,
    })
}

/// As kubeadm writes them.
fn write_files(cluster: &Cluster, mode: &str) -> Result<()> {
    let kubeconfig = include_str!("kubeadm/kubeconfig.conf").replace("https://SERVER:6443", &cluster.url());
    ensure!(kubeconfig.contains(HOST), "the kubeconfig has no server");
    let config = include_str!("kubeadm/config.conf").replace("mode: nftables\n", &format!("mode: {mode}\n"));
    ensure!(config.contains(&format!("\nmode: {mode}\n")), "the configuration has no mode");
    fs::write(cluster.path("config/config.conf"), config)?;
    fs::write(cluster.path("config/kubeconfig.conf"), kubeconfig)?;
    Ok(())
}

/// Its role knows no Namespaces, which are done without.
fn ends_well(container: Container) -> Result<()> {
    has_no_complaint(&container.terminate()?, &["Namespaces"])
}

fn mode_nftables_starts(image: &Image) -> Result<()> {
    let cluster = Cluster::new(true)?;
    let mut container = Container::start(image, &cluster.node, &plan(&cluster, "nftables")?)?;
    cluster.await_probe(&mut container, "readinessProbe")?;
    ensure!(cluster.ruleset()?.contains(VIP));
    ends_well(container)
}

/// What kubeadm writes, where kube-proxy took iptables for it.
fn an_open_mode_takes_over_from_iptables(image: &Image) -> Result<()> {
    for variant in ["legacy", "nft"] {
        let cluster = Cluster::new(true)?;
        let _pod = Pod::start(&cluster)?;
        leave(&cluster.node, variant)?;
        let mut container = Container::start(image, &cluster.node, &plan(&cluster, "\"\"")?)?;
        cluster.await_probe(&mut container, "readinessProbe")?;
        await_takeover(&cluster, &mut container, variant)?;
        is_served(&cluster)?;
        ensure!(cluster.ruleset()?.contains("table ip towpath"), "{}", container.log());
        ends_well(container)?;
    }
    Ok(())
}

fn an_open_mode_without_nf_tables_is_iptables(image: &Image) -> Result<()> {
    let cluster = Cluster::new(true)?;
    let _pod = Pod::start(&cluster)?;
    leave(&cluster.node, "legacy")?;
    let mut container = without_nf_tables(image, &cluster)?;
    await_takeover(&cluster, &mut container, "legacy")?;
    is_served(&cluster)?;
    has_no_complaint(&container.terminate()?, &["Namespaces", "no conntrack"])
}

/// A node without a rule of iptables, where nothing but the kernel tells which variant is possible.
fn without_nf_tables_nothing_need_have_been_there(image: &Image) -> Result<()> {
    let cluster = Cluster::new(true)?;
    let _pod = Pod::start(&cluster)?;
    without_nf_tables(image, &cluster)?;
    is_served(&cluster)
}

fn without_nf_tables(image: &Image, cluster: &Cluster) -> Result<Container> {
    let plan = Plan { nf_tables: false, ..plan(cluster, "\"\"")? };
    let mut container = Container::start(image, &cluster.node, &plan)?;
    cluster.await_probe(&mut container, "readinessProbe")?;
    let saved = cluster.node.command("iptables-legacy-save", &[]).with_context(|| container.log())?;
    ensure!(saved.contains(VIP), "{saved}\n{}", container.log());
    Ok(container)
}
