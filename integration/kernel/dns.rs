//! DNS on the node: what of it is the node's network, with real packets.
//!
//! Here the place of the program's DNS server has a process of the test's own ([`server`]); it has the node's side from the
//! crate `dns-node`, and says who it is as the other servers do. The proxy is the real program. With the program's own DNS
//! server: [`program`].
//!
//! ```text
//! pod, node --- VIP:53 ---> stand-in: says VIP:53          while it is alive
//!                     \---> CoreDNS: says 10.244.1.53:53   otherwise
//! ```

pub(crate) mod ask;
pub(crate) mod falls;
pub(crate) mod load;
pub(crate) mod node;
pub(crate) mod program;
pub(crate) mod server;
pub(crate) mod stand_in;

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use model::Protocol::{self, Tcp, Udp};
use testkit::cases::ServiceSpec;
use testkit::scene::Scene;

use crate::Test;
use crate::dns::stand_in::{StandIn, Want};
use crate::plan::Plan;
use crate::rules::listable;
use crate::stage::{NODE, NODE6, Stage, socket};

pub(crate) const TESTS: &[Test] = &[
    Test::new("both_families_are_intercepted_for_pods_and_the_node", dual_stack),
    Test::new("only_port_53_is_intercepted", other_ports),
    Test::new("pods_that_opted_out_are_not_intercepted", opt_out),
    Test::new("a_service_that_comes_back_with_another_vip_is_followed", vip_changes),
    Test::new("without_endpoints_dns_is_answered_all_the_same", without_endpoints),
    Test::new("replies_leave_from_the_address_that_was_asked", asked_address),
    Test::new("ten_thousand_pairs_leave_no_conntrack_entry", no_conntrack),
];

/// kube-dns with two CoreDNS pods elsewhere, one of each family; and a Service to ask for.
pub(crate) const SCENE: &str = "
services:
- name: kube-system/kube-dns
  type: ClusterIP
  cluster_ips: [10.96.0.10, 'fd00:96::a']
  ports:
  - {name: dns, port: 53, protocol: UDP}
  - {name: dns-tcp, port: 53}
  - {name: metrics, port: 9153}
- {name: shop/web, type: ClusterIP, cluster_ips: [10.96.7.1, 'fd00:96::71'], ports: [{name: p, port: 80}]}
slices:
- service: kube-system/kube-dns
  ports: &ports
  - {name: dns, port: 53, protocol: UDP}
  - {name: dns-tcp, port: 53}
  - {name: metrics, port: 9153}
  endpoints: [{ip: 10.244.1.53, node: other}]
- service: kube-system/kube-dns
  family: 6
  ports: *ports
  endpoints: [{ip: 'fd00:244:0:1::53', node: other}]
- {service: shop/web, ports: [{name: p, port: 8080}], endpoints: [{ip: 10.244.1.70, node: other}]}
";

/// kube-dns, by its name.
pub(crate) const KUBE_DNS: &str = "kube-system/kube-dns";
/// Pods of this node.
pub(crate) const POD: &str = "10.244.0.5";
pub(crate) const POD6: &str = "fd00:244::5";
/// One that is opted out.
pub(crate) const SHY: &str = "10.244.0.6";
pub(crate) const SHY6: &str = "fd00:244::6";
/// The VIPs.
pub(crate) const VIP: &str = "10.96.0.10:53";
pub(crate) const VIP6: &str = "[fd00:96::a]:53";
/// CoreDNS.
pub(crate) const COREDNS: &str = "10.244.1.53:53";
pub(crate) const COREDNS6: &str = "[fd00:244:0:1::53]:53";
/// `--dns-listen` addresses.
pub(crate) const LISTEN: &str = "169.254.20.10";
pub(crate) const LISTEN6: &str = "fd00:53::a";

/// Who asks which VIP, and which CoreDNS is behind it.
pub(crate) const CLIENTS: [(&str, &str, &str); 4] =
    [(POD, VIP, COREDNS), (POD6, VIP6, COREDNS6), (NODE, VIP, COREDNS), (NODE6, VIP6, COREDNS6)];
pub(crate) const PROTOCOLS: [Protocol; 2] = [Udp, Tcp];

/// Both VIPs, and nothing else.
pub(crate) fn both_vips() -> Want {
    Want::default().intercept(&["10.96.0.10", "fd00:96::a"])
}

/// A stage with the proxy, with strict reverse path filters as an operator may have them, and nothing of DNS yet.
pub(crate) fn stage(change: fn(&mut Scene)) -> Result<Stage> {
    let stage = plan()?.with(change).start()?;
    be_strict(&stage)?;
    Ok(stage)
}

/// The same before it is built.
pub(crate) fn plan() -> Result<Plan> {
    Plan::new(SCENE)?.hosts(&[POD, POD6, SHY, SHY6])
}

/// Strict reverse path filters, and no exceptions for loopback addresses.
pub(crate) fn be_strict(stage: &Stage) -> Result<()> {
    let node = stage.node();
    let links = node.command("ip", &["-o", "link"])?;
    let names = links.lines().filter_map(|line| line.split(": ").nth(1)?.split('@').next());
    for name in names.chain(["all", "default"]) {
        node.set_sysctls(&[(&format!("ipv4/conf/{name}/rp_filter"), "1")])?;
        node.set_sysctls(&[(&format!("ipv4/conf/{name}/route_localnet"), "0")])?;
    }
    Ok(())
}

/// A stage on which the stand-in answers for what is wanted; plays the test on it.
pub(crate) fn play(want: &Want, test: impl FnOnce(&mut Stage, &mut StandIn) -> Result<()>) -> Result<()> {
    stage(|_| {})?.play(|stage| {
        let mut server = StandIn::start(stage.node())?;
        server.apply(want)?;
        server.await_alive(want)?;
        listable(stage.node())?;
        test(stage, &mut server).and_then(|()| listable(stage.node()))
    })
}

/// The stand-in answers everybody.
pub(crate) fn intercepted(stage: &Stage) -> Result<()> {
    each_client(|from, vip, _| answers(stage, from, vip, vip))
}

/// CoreDNS answers everybody.
pub(crate) fn not_intercepted(stage: &Stage) -> Result<()> {
    each_client(|from, vip, coredns| answers(stage, from, vip, coredns))
}

pub(crate) fn each_client(test: impl Fn(&str, &str, &str) -> Result<()>) -> Result<()> {
    CLIENTS.iter().try_for_each(|(from, vip, coredns)| test(from, vip, coredns))
}

/// This server answers over both protocols; the client is seen as it is unless the proxy masquerades.
pub(crate) fn answers(stage: &Stage, from: &str, to: &str, server: &str) -> Result<()> {
    for protocol in PROTOCOLS {
        stage.reaches(from, to, protocol, &[server])?;
    }
    Ok(())
}

fn dual_stack() -> Result<()> {
    stage(|_| {})?.play(|stage| {
        not_intercepted(stage)?;
        let mut server = StandIn::start(stage.node())?;
        server.apply(&both_vips())?;
        server.await_alive(&both_vips())?;
        intercepted(stage)?;
        // The server sees its clients as they are.
        for (from, vip, _) in CLIENTS {
            let seen = stage.reach(from, vip, Udp)?.source;
            ensure!(seen == from.parse::<std::net::IpAddr>()?, "{from} was seen as {seen}");
        }
        listable(stage.node())
    })
}

fn other_ports() -> Result<()> {
    play(&both_vips(), |stage, _| {
        // Servers of the node that listen everywhere.
        let bind = |at: &str| stage.node().run(|| std::net::TcpListener::bind(at)).context("a server");
        let _servers = [bind("0.0.0.0:8181")??, bind("[::]:8182")??];
        for (from, vip, coredns) in CLIENTS {
            let other = |of: &str, port: u16| -> Result<String> {
                let mut socket: SocketAddr = socket(of)?;
                socket.set_port(port);
                Ok(socket.to_string())
            };
            let (metrics, theirs) = (other(vip, 9153)?, other(coredns, 9153)?);
            stage.reaches(from, &metrics, Tcp, &[&theirs])?;
            for port in [8181, 8182, 22] {
                stage.refused(from, &other(vip, port)?, Tcp)?;
            }
            stage.refused(from, &other(vip, 5353)?, Udp)?;
        }
        intercepted(stage)
    })
}

fn opt_out() -> Result<()> {
    let want = both_vips().opt_out(&[SHY, SHY6]);
    play(&want, |stage, server| {
        answers(stage, SHY, VIP, COREDNS)?;
        answers(stage, SHY6, VIP6, COREDNS6)?;
        intercepted(stage)?;
        ensure!(server.apply(&both_vips())?, "nothing was written");
        answers(stage, SHY, VIP, VIP)?;
        answers(stage, SHY6, VIP6, VIP6)
    })
}

/// The Service with other VIPs.
pub(crate) fn renumbered(mut service: ServiceSpec) -> Result<ServiceSpec> {
    service.cluster_ips = vec!["10.96.0.77".parse()?, "fd00:96::77".parse()?];
    Ok(service)
}

fn vip_changes() -> Result<()> {
    play(&both_vips(), |stage, server| {
        intercepted(stage)?;
        let kube_dns = stage.scene.service(KUBE_DNS)?.clone();
        stage.change(|scene| scene.services.retain(|service| service.name != KUBE_DNS))?;
        server.apply(&Want::default())?;
        stage.gone(POD, VIP, Udp)?;
        let want = Want::default().intercept(&["10.96.0.77", "fd00:96::77"]);
        let other = renumbered(kube_dns)?;
        stage.change(|scene| scene.services.push(other))?;
        answers(stage, POD, "10.96.0.77:53", COREDNS)?;
        server.apply(&want)?;
        server.await_alive(&want)?;
        answers(stage, POD, "10.96.0.77:53", "10.96.0.77:53")?;
        answers(stage, POD6, "[fd00:96::77]:53", "[fd00:96::77]:53")?;
        answers(stage, NODE, "10.96.0.77:53", "10.96.0.77:53")?;
        stage.gone(POD, VIP, Udp)
    })
}

/// The proxy refuses what has no endpoints; what is intercepted it does not see.
fn without_endpoints() -> Result<()> {
    play(&both_vips(), |stage, server| {
        stage.change(|scene| scene.slices.clear())?;
        intercepted(stage)?;
        server.tell("flip")?;
        each_client(|from, vip, _| PROTOCOLS.iter().try_for_each(|p| stage.refused(from, vip, *p)))?;
        server.apply(&both_vips())?;
        server.await_alive(&both_vips())?;
        intercepted(stage)
    })
}

/// proto-51. Clients are connected, so that they take a reply from nobody else.
fn asked_address() -> Result<()> {
    let want = both_vips().listen(&[LISTEN, LISTEN6]);
    play(&want, |stage, _| {
        let (listen, listen6) = (format!("{LISTEN}:53"), format!("[{LISTEN6}]:53"));
        for (from, to) in [(POD, &listen), (NODE, &listen), (POD6, &listen6), (NODE6, &listen6)] {
            answers(stage, from, to, to)?;
        }
        intercepted(stage)
    })
}

/// scen-32.
fn no_conntrack() -> Result<()> {
    const PAIRS: usize = 10_000;
    let want = both_vips().listen(&[LISTEN, LISTEN6]);
    play(&want, |stage, _| {
        stage.node().command("conntrack", &["-F"])?;
        let listen = format!("{LISTEN}:53");
        let listen6 = format!("[{LISTEN6}]:53");
        let asked = [(POD, VIP), (POD6, VIP6), (NODE, VIP), (NODE6, VIP6), (POD, &listen), (NODE6, &listen6)];
        for (from, to) in asked {
            load::pairs(stage, from, to, PAIRS / asked.len() + 1)?;
        }
        for protocol in PROTOCOLS {
            each_client(|from, vip, _| stage.reaches(from, vip, protocol, &[vip]))?;
        }
        let tracked = crate::rules::flow_ids(stage.node(), |flow| {
            [flow.original.dport, flow.original.sport].contains(&53)
        })?;
        ensure!(tracked.is_empty(), "tracked: {tracked:?}");
        Ok(())
    })
}
