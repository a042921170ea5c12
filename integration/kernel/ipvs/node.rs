//! What mode ipvs does to its node: local routes, settings of the kernel, timeouts; and addresses that are both the
//! node's and a Service's.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, ensure};
use model::Protocol::Tcp;
use netlink::ipvs;
use testkit::probe::{Outcome, ping};
use testkit::wait;

use super::{CLIENTS, ENDPOINTS, POD6, VIP, VIP6, plan};
use crate::Test;
use crate::lifecycle::POD;
use crate::packets::ANSWER;
use crate::stage::{NODE, NODE6, Stage, ip};

pub(crate) const TESTS: &[Test] = &[
    Test::new("vips_are_routed_to_the_node_and_answer_ping", routes),
    Test::new("an_address_of_the_node_that_is_a_frontend_stays_the_nodes", both),
    Test::new("settings_and_timeouts_are_written", settings),
    Test::new("node_port_servers_follow_the_nodes_addresses", node_ports),
];

fn routed(stage: &Stage, wanted: &[&str]) -> Result<()> {
    let wanted: BTreeSet<String> = wanted.iter().map(|net| (*net).to_owned()).collect();
    let found = stage.local_routes()?;
    ensure!(found == wanted, "routes of ours: {found:?}, want {wanted:?}");
    Ok(())
}

fn echoed(stage: &Stage, from: &str, to: &str) -> Result<()> {
    let outcome = ping(stage.world.namespace(ip(from)?), ip(from)?, ip(to)?, ANSWER)?;
    ensure!(matches!(outcome, Outcome::Other(_)), "{from} pings {to}: {outcome:?}");
    Ok(())
}

/// One route for each ServiceCIDR, one for each VIP outside of them.
fn routes() -> Result<()> {
    const CIDRS: [&str; 2] = ["10.96.0.0/16", "fd00:96::/112"];
    plan()?.start()?.play(|stage| {
        routed(stage, &[CIDRS[0], CIDRS[1], "198.51.100.10"])?;
        for (from, to) in [(POD, "10.96.0.10"), (CLIENTS[0], "198.51.100.10"), (POD6, "fd00:96::10")] {
            echoed(stage, from, to)?;
        }
        // The node's own connections come from its address, not from the VIP.
        for (to, from) in [(VIP, NODE), (VIP6, NODE6)] {
            let to = crate::stage::socket(to)?;
            let own = stage.node().run(|| {
                std::net::TcpStream::connect_timeout(&to, ANSWER).and_then(|stream| stream.local_addr())
            })??;
            ensure!(own.ip() == ip(from)?, "the node's connection to {to} is from {}", own.ip());
        }
        stage.change(|scene| scene.services[0].lb_ingress.clear())?;
        // Once its virtual servers are gone, which have nobody to wait for.
        wait::until("the route to go", Duration::from_secs(30), || Ok(routed(stage, &CIDRS).ok()))?;
        stage.change(|scene| {
            scene.services[0].external_ips =
                ["198.51.100.11", "2001:db8:100::11"].iter().filter_map(|ip| ip.parse().ok()).collect()
        })?;
        routed(stage, &[CIDRS[0], CIDRS[1], "198.51.100.11", "2001:db8:100::11"])
    })
}

/// The kernel has a route for it already, which is not ours to make or take.
fn both() -> Result<()> {
    const SECOND: &str = "192.168.7.7";
    plan()?.node_addresses(&[SECOND])?.serve(&["192.168.7.7:99"])?.start()?.play(|stage| {
        let before = stage.node().command("ip", &["-4", "route", "show", "table", "local"])?;
        stage.change(|scene| scene.services[0].external_ips = ip(SECOND).into_iter().collect())?;
        stage.reaches(CLIENTS[0], "192.168.7.7:80", Tcp, &ENDPOINTS)?;
        // Its other ports are the node's own.
        stage.untouched(CLIENTS[0], "192.168.7.7:99", Tcp)?;
        let with = stage.node().command("ip", &["-4", "route", "show", "table", "local"])?;
        ensure!(with == before, "was:\n{before}is:\n{with}");
        stage.change(|scene| scene.services[0].external_ips.clear())?;
        stage.untouched(CLIENTS[0], "192.168.7.7:99", Tcp)?;
        let after = stage.node().command("ip", &["-4", "route", "show", "table", "local"])?;
        ensure!(after == before, "was:\n{before}is:\n{after}");
        Ok(())
    })
}

const SYSCTLS: [(&str, &str); 4] = [
    ("ipv4/vs/conntrack", "1"),
    ("ipv4/vs/expire_nodest_conn", "1"),
    ("ipv4/vs/expire_quiescent_template", "1"),
    ("ipv4/ip_forward", "1"),
];
const STRICT_ARP: [(&str, &str); 2] =
    [("ipv4/conf/all/arp_ignore", "1"), ("ipv4/conf/all/arp_announce", "2")];

fn has_settings(stage: &Stage, settings: &[(&str, &str)], wanted: bool) -> Result<()> {
    for (name, value) in settings {
        let found = stage.sysctl(name)?;
        ensure!((found == *value) == wanted, "{name} is {found}");
    }
    Ok(())
}

fn settings() -> Result<()> {
    let mut stage = plan()?.build()?;
    let before = stage.ipvs(ipvs::timeouts)?;
    stage.start()?;
    stage.play(|stage| {
        has_settings(stage, &SYSCTLS, true)?;
        has_settings(stage, &STRICT_ARP, false)?;
        ensure!(stage.ipvs(ipvs::timeouts)? == before, "timeouts that nobody asked for");
        stage.stop()?;
        stage.add_flags(&["--ipvs-strict-arp", "--ipvs-tcp-timeout", "5m", "--ipvs-udp-timeout", "30s"]);
        stage.start()?;
        has_settings(stage, &SYSCTLS, true)?;
        has_settings(stage, &STRICT_ARP, true)?;
        let now = stage.ipvs(ipvs::timeouts)?;
        ensure!((now.tcp, now.tcp_fin, now.udp) == (300, before.tcp_fin, 30), "{now:?}");
        Ok(())
    })
}

fn node_ports() -> Result<()> {
    const LATER: &str = "192.168.7.8";
    plan()?.start()?.play(|stage| {
        let at = format!("{LATER}:30010");
        ensure!(stage.virtual_server(&at, Tcp).is_err(), "served before it is there");
        stage.node().ip_batch(&format!("addr add {LATER}/32 dev eth0\n"))?;
        stage.soon("the new address to be served", |stage| stage.reach(CLIENTS[0], &at, Tcp).map(drop))?;
        stage.has_weights(&at, Tcp, &ENDPOINTS.map(|endpoint| (endpoint, 1)))?;
        stage.node().ip_batch(&format!("addr del {LATER}/32 dev eth0\n"))?;
        // Its connections are over, but not forgotten yet: no new ones.
        stage.soon("the address to leave", |stage| {
            let weights = stage.weights(&at, Tcp)?;
            ensure!(weights.values().all(|weight| *weight == 0), "{weights:?}");
            Ok(())
        })?;
        // No loopback address, and no address of a Service, is one for NodePorts.
        for key in stage.virtual_servers()?.keys() {
            let text = format!("{key:?}");
            let of_node_port = text.contains("port: 30010") || text.contains("port: 30011");
            let wrong = ["127.0.0.1", " ::1,", "10.96.", "fd00:96:", "198.51."];
            ensure!(!of_node_port || !wrong.iter().any(|part| text.contains(part)), "{text}");
        }
        stage.reaches(CLIENTS[0], "192.168.0.2:30010", Tcp, &ENDPOINTS)
    })
}
