//! NodePorts at 127.0.0.1, and what that asks for: `route_localnet`, and a rule that keeps 127.0.0.0/8 on the host.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use model::IpFamily;
use model::Protocol::{Tcp, Udp};
use testkit::netns::NetNs;
use testkit::probe::{Outcome, probe};
use testkit::server::Greeters;

use crate::Test;
use crate::backend::{Backend, NFTABLES, current};
use crate::modes;
use crate::packets::{ANSWER, SILENCE};
use crate::plan::Plan;
use crate::scenes::RICH;
use crate::stage::{Stage, ip, socket};
use crate::xt::Variant;

pub(crate) const TESTS: &[Test] = &[
    Test::new("node_ports_answer_at_localhost", answers),
    Test::new("not_when_it_is_switched_off", switched_off),
    Test::new("localhost_stays_on_the_host", martians_stay_out),
    Test::new("route_localnet_is_set_back_by_cleanup", set_back_by_cleanup),
    Test::new("route_localnet_is_set_back_by_another_mode", set_back_by_another_mode),
    Test::new("route_localnet_that_was_on_stays_on", was_on),
    Test::new("route_localnet_that_others_close_is_opened_again", closed_by_others),
];

const ROUTE_LOCALNET: &str = "ipv4/conf/all/route_localnet";
const LOCALHOST: &str = "127.0.0.1";
const BOTH: [&str; 2] = ["10.244.0.1:8080", "10.244.1.1:8080"];
/// A neighbour of the node.
const NEIGHBOUR: &str = "203.0.113.5";
/// Somebody on the node who listens for its own processes only.
const SECRET: &str = "127.0.0.1:9999";

/// The kernel's setting on the node.
pub(super) fn route_localnet(stage: &Stage) -> Result<String> {
    let read = || std::fs::read_to_string(format!("/proc/sys/net/{ROUTE_LOCALNET}"));
    Ok(stage.node().run(read)??.trim().to_owned())
}

fn stage(flags: &[&str]) -> Result<Stage> {
    let mut stage = Plan::new(RICH)?.hosts(&[NEIGHBOUR])?.build()?;
    stage.add_flags(flags);
    Ok(stage)
}

fn answers() -> Result<()> {
    let mut stage = stage(&[])?;
    stage.start()?;
    stage.play(|stage| {
        stage.reaches(LOCALHOST, "127.0.0.1:30010", Tcp, &BOTH)?;
        stage.reach(LOCALHOST, "127.0.0.1:30011", Udp)?;
        stage.reaches("127.0.0.9", "127.0.0.77:30010", Tcp, &BOTH)?;
        stage.refused(LOCALHOST, "127.0.0.1:30040", Tcp).context("a Service without endpoints")
    })
}

fn switched_off() -> Result<()> {
    let mut stage = stage(&["--iptables-localhost-nodeports=false"])?;
    stage.start()?;
    stage.play(|stage| {
        stage.refused(LOCALHOST, "127.0.0.1:30010", Tcp)?;
        ensure!(route_localnet(stage)? == "0", "route_localnet was touched");
        let input = stage.saved(Variant::current())?.ours();
        let input = input.chain(IpFamily::V4, "filter", "TOWPATH-INPUT")?;
        ensure!(!input.iter().any(|rule| rule.contains("127.0.0.0/8")), "{input:#?}");
        Ok(())
    })
}

/// A host that sends to 127.0.0.1 by way of the node, as an attacker on the same network would.
fn make_attacker(neighbour: &NetNs) -> Result<()> {
    neighbour.set_sysctls(&[(ROUTE_LOCALNET, "1")])?;
    let gateway = neighbour.command("ip", &["-4", "route", "show", "default"])?;
    let gateway = gateway.split_whitespace().nth(2).context("no gateway")?;
    neighbour.ip_batch(&format!(
        "addr del 127.0.0.1/8 dev lo\nroute add 127.0.0.0/8 via {gateway} dev eth0 onlink\n"
    ))
}

fn attack(stage: &Stage) -> Result<Outcome> {
    let neighbour = stage.world.namespace(ip(NEIGHBOUR)?);
    let patience = SILENCE.max(ANSWER / 2);
    probe(neighbour, Some(ip(NEIGHBOUR)?), socket(SECRET)?, Tcp, patience)
}

/// The way in is there, and the rule shuts it.
fn martians_stay_out() -> Result<()> {
    let mut stage = stage(&[])?;
    let secret: SocketAddr = socket(SECRET)?;
    let _server = Greeters::start(stage.node(), &[secret])?;
    make_attacker(stage.world.namespace(ip(NEIGHBOUR)?))?;
    stage.node().set_sysctls(&[(ROUTE_LOCALNET, "1")])?;
    let open = attack(&stage)?;
    ensure!(matches!(open, Outcome::Answered { .. }), "there is no way in to shut: {open:?}");
    stage.start()?;
    stage.play(|stage| {
        let shut = attack(stage)?;
        ensure!(shut == Outcome::TimedOut, "a packet from outside to {SECRET}: {shut:?}");
        stage.untouched(LOCALHOST, SECRET, Tcp).context("the node's own processes")?;
        stage.reaches(LOCALHOST, "127.0.0.1:30010", Tcp, &BOTH)
    })
}

fn set_back_by_cleanup() -> Result<()> {
    let mut stage = stage(&[])?;
    ensure!(route_localnet(&stage)? == "0");
    stage.start()?;
    stage.play(|stage| {
        ensure!(route_localnet(stage)? == "1", "localhost NodePorts without route_localnet");
        // Another process sets it back, after two that had it on.
        stage.stop()?;
        stage.start()?;
        stage.stop()?;
        let output = stage.run_program(&["cleanup"])?;
        ensure!(output.status.success() && route_localnet(stage)? == "0", "route_localnet is still on");
        Ok(())
    })
}

fn set_back_by_another_mode() -> Result<()> {
    let backend = current().context("a backend")?;
    let mut stage = Plan::new(RICH)?.hosts(&[NEIGHBOUR, crate::lifecycle::POD])?.through_api().build()?;
    stage.start()?;
    stage.play(|stage| {
        for to in [&NFTABLES, backend, &NFTABLES] as [&Backend; 3] {
            modes::ask_for(stage, to)?;
            modes::in_force(stage, to)?;
            let wanted = if to.mode == NFTABLES.mode { "0" } else { "1" };
            stage.soon("route_localnet", |stage| {
                let now = route_localnet(stage)?;
                ensure!(now == wanted, "route_localnet is {now} in mode {}", to.name);
                Ok(())
            })?;
        }
        Ok(())
    })
}

/// Somebody else needs it.
fn was_on() -> Result<()> {
    let mut stage = stage(&[])?;
    stage.node().set_sysctls(&[(ROUTE_LOCALNET, "1")])?;
    stage.start()?;
    stage.play(|stage| {
        stage.stop()?;
        let output = stage.run_program(&["cleanup"])?;
        ensure!(output.status.success() && route_localnet(stage)? == "1", "it was on before");
        Ok(())
    })
}

/// It is a repair like any other: counted, and told.
fn closed_by_others() -> Result<()> {
    let mut stage = stage(&[])?;
    stage.start()?;
    stage.play(|stage| {
        stage.reach(LOCALHOST, "127.0.0.1:30010", Tcp)?;
        stage.node().set_sysctls(&[(ROUTE_LOCALNET, "0")])?;
        stage.soon("the setting", |stage| {
            ensure!(route_localnet(stage)? == "1", "it is still closed");
            let counted = stage.metric("towpath_repairs_total{of=\"settings\"}")?;
            ensure!(counted == 1.0, "{counted} repairs of settings are counted");
            ensure!(
                stage.log()?.contains("another program has set net.ipv4.conf.all.route_localnet"),
                "no word"
            );
            Ok(())
        })?;
        stage.reach(LOCALHOST, "127.0.0.1:30010", Tcp).map(drop)
    })
}
