//! The container in each mode, with what the DaemonSet gives it: it serves, and takes over what kube-proxy has left.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use model::{IpFamily, Protocol};
use testkit::kube_proxy::{self, kubelet};
use testkit::netns::NetNs;
use testkit::probe::{Outcome, probe};
use testkit::server::Greeters;
use testkit::wait;

use crate::cluster::{Cluster, ENDPOINT, PATIENCE, VIP};
use crate::container::{Container, Plan};
use crate::image::Image;
use crate::life::{cleans_up, has_capabilities, has_no_complaint};
use crate::{Needs, Test};

pub(crate) const TESTS: &[Test] = &[
    ("nftables_serves_and_takes_over", Needs::Image(|image| serves(image, "nftables", "auto", "nft"))),
    (
        "iptables_legacy_serves_and_takes_over",
        Needs::Image(|image| serves(image, "iptables", "legacy", "legacy")),
    ),
    ("iptables_nft_serves_and_takes_over", Needs::Image(|image| serves(image, "iptables", "nft", "nft"))),
    ("legacy_chains_go_in_mode_nftables", Needs::Image(|image| serves(image, "nftables", "auto", "legacy"))),
    ("only_the_legacy_variant_needs_net_raw", Needs::Image(only_the_legacy_variant_needs_net_raw)),
    ("the_xtables_lock_is_the_nodes", Needs::Image(the_xtables_lock_is_the_nodes)),
];

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(2);
const LOCALNET: &str = "/proc/sys/net/ipv4/conf/all/route_localnet";

/// A pod with a server at the endpoint's address, and a route from the node to it; stops on drop.
pub(crate) struct Pod {
    _ns: NetNs,
    _server: Greeters,
}

impl Pod {
    pub(crate) fn start(cluster: &Cluster) -> Result<Self> {
        let ns = NetNs::new()?;
        cluster.node.ip_batch(&format!(
            "link add name web0 type veth peer name eth0 netns {}\nlink set web0 up\n\
             address add 10.244.1.1/24 dev web0\nroute add default dev node0\n",
            ns.path()
        ))?;
        ns.ip_batch(&format!(
            "address add {ENDPOINT}/24 dev eth0\nlink set eth0 up\nroute add default via 10.244.1.1\n"
        ))?;
        let server = Greeters::start(&ns, &[endpoint()?])?;
        Ok(Self { _ns: ns, _server: server })
    }
}

fn endpoint() -> Result<SocketAddr> {
    Ok(SocketAddr::new(ENDPOINT.parse()?, 8080))
}

/// A connection from the node to the Service gets to the pod.
pub(crate) fn is_served(cluster: &Cluster) -> Result<()> {
    let vip = SocketAddr::new(VIP.parse()?, 80);
    let outcome = probe(&cluster.node, None, vip, Protocol::Tcp, ANSWER)?;
    let wanted = endpoint()?;
    let served = matches!(outcome, Outcome::Answered { endpoint, .. } if endpoint == wanted);
    ensure!(served, "{vip}: {outcome:?}");
    Ok(())
}

/// What the kubelet and kube-proxy have in a variant of iptables, in both families.
pub(crate) fn leave(node: &NetNs, variant: &str) -> Result<()> {
    for (family, name) in [(IpFamily::V4, "iptables"), (IpFamily::V6, "ip6tables")] {
        let program = format!("{name}-{variant}-restore");
        let left = kube_proxy::Cluster::example().iptables(family);
        for text in [kubelet(family), left] {
            node.command_with_input(&program, &["--noflush", "-w"], &text)?;
        }
    }
    Ok(())
}

/// Waits until kube-proxy's chains are gone; the kubelet's stay.
pub(crate) fn await_takeover(cluster: &Cluster, container: &mut Container, variant: &str) -> Result<()> {
    let saved = |name: &str| cluster.node.command(&format!("{name}-{variant}-save"), &[]);
    let gone = wait::until("kube-proxy's chains to go", PATIENCE, || {
        container.must_run()?;
        let left = format!("{}{}", saved("iptables")?, saved("ip6tables")?);
        Ok(["KUBE-SERVICES", "KUBE-SVC-"].iter().all(|word| !left.contains(word)).then_some(()))
    });
    gone.with_context(|| container.log())?;
    for name in ["iptables", "ip6tables"] {
        let rest = saved(name)?;
        ensure!(rest.contains(":KUBE-FIREWALL") && rest.contains(":KUBE-IPTABLES-HINT"), "{name}: {rest}");
    }
    Ok(())
}

/// Changes the ConfigMap's files, which [`Cluster::plan`] has written.
fn set_mode(cluster: &Cluster, mode: &str, variant: &str) -> Result<()> {
    let file = cluster.path("config/config.yaml");
    let text = fs::read_to_string(&file)?;
    let kind = "kind: TowpathConfiguration\n";
    ensure!(text.contains("mode: nftables\n") && text.contains(kind), "the settings are written otherwise");
    let text = text.replace("mode: nftables\n", &format!("mode: {mode}\n"));
    fs::write(&file, text.replace(kind, &format!("{kind}iptablesVariant: {variant}\n")))?;
    Ok(())
}

/// In this mode and variant, where kube-proxy has left its chains in the variant `left`.
fn serves(image: &Image, mode: &str, variant: &str, left: &str) -> Result<()> {
    let cluster = Cluster::new(true)?;
    let _pod = Pod::start(&cluster)?;
    leave(&cluster.node, left)?;
    let plan = cluster.plan("127.0.0.1 localhost\n")?;
    set_mode(&cluster, mode, variant)?;
    let mut container = Container::start(image, &cluster.node, &plan)?;
    cluster.await_probe(&mut container, "readinessProbe")?;
    is_served(&cluster)?;
    await_takeover(&cluster, &mut container, left)?;
    is_served(&cluster)?;
    has_capabilities(&container, plan.capabilities.as_deref().unwrap_or_default())?;
    routes_localnet(&cluster, mode == "iptables")?;
    has_no_complaint(&container.terminate()?, &[])?;
    is_served(&cluster)?;
    cleans_up(image, &cluster, plan)
}

/// What nodePorts on 127.0.0.1 need is written through the mount.
fn routes_localnet(cluster: &Cluster, wanted: bool) -> Result<()> {
    let value = cluster.node.run(|| fs::read_to_string(LOCALNET))??;
    ensure!((value.trim() == "1") == wanted, "route_localnet is {value}");
    Ok(())
}

/// It talks to the kernel through a raw socket.
fn only_the_legacy_variant_needs_net_raw(image: &Image) -> Result<()> {
    for (mode, variant) in [("nftables", "auto"), ("iptables", "nft"), ("iptables", "legacy")] {
        let cluster = Cluster::new(true)?;
        let plan =
            Plan { capabilities: Some(vec!["NET_ADMIN".into()]), ..cluster.plan("127.0.0.1 localhost\n")? };
        set_mode(&cluster, mode, variant)?;
        let mut container = Container::start(image, &cluster.node, &plan)?;
        if variant == "legacy" {
            let told = || container.log().contains("NET_RAW").then_some(());
            return wait::until("NET_RAW to be asked for", PATIENCE, || Ok(told()))
                .with_context(|| container.log());
        }
        cluster.await_probe(&mut container, "readinessProbe")?;
        has_no_complaint(&container.terminate()?, &[])?;
    }
    Ok(())
}

/// Somebody else on the node holds it: nothing is written until it is free.
fn the_xtables_lock_is_the_nodes(image: &Image) -> Result<()> {
    let cluster = Cluster::new(true)?;
    let plan = cluster.plan("127.0.0.1 localhost\n")?;
    set_mode(&cluster, "iptables", "legacy")?;
    let lock = File::options().append(true).open(cluster.path("xtables.lock"))?;
    lock.lock().context("locking the lock file")?;
    let mut container = Container::start(image, &cluster.node, &plan)?;
    let told = wait::until("the lock to be told", PATIENCE, || {
        container.must_run()?;
        Ok(container.log().contains("xtables lock").then_some(()))
    });
    told.with_context(|| container.log())?;
    let saved = cluster.node.command("iptables-legacy-save", &[])?;
    ensure!(!saved.contains(VIP), "{saved}");
    drop(lock);
    cluster.await_probe(&mut container, "readinessProbe")
}
