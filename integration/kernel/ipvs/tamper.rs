//! Other programs' hands in what is ours: repaired, and counted.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use model::Protocol::Tcp;
use netlink::ipvs::{Command, Key, PERSISTENT, RealServer, VirtualServer};
use testkit::wait;

use super::{ENDPOINTS, POD6, VIP, VIP6, plan};
use crate::Test;
use crate::lifecycle::POD;
use crate::rules::listable;
use crate::stage::{Stage, socket};
use crate::vs::key;

pub(crate) const TESTS: &[Test] = &[
    Test::new("a_real_server_that_others_delete", || {
        servers(|real| vec![Command::DeleteDestination(real.vip, real.at)])
    }),
    Test::new("a_weight_that_others_change", || servers(|real| vec![real.weigh(9)])),
    Test::new("a_weight_that_others_take", || servers(|real| vec![real.weigh(0)])),
    Test::new("a_stray_real_server", || servers(Real::stray)),
    Test::new("a_virtual_server_that_others_change", || servers(Real::other_choice)),
    Test::new("a_virtual_server_that_others_delete", || servers(|real| vec![Command::Delete(real.vip)])),
    Test::new("routes_that_others_delete_are_repaired", routes),
    Test::new("tables_that_others_delete_are_repaired", tables),
    Test::new("all_virtual_servers_flushed", flushed),
    Test::new("settings_that_others_change_are_set_again", settings),
];

/// How long a repair may take. It is due within a second; an emulated machine is ten times as slow, and stands still at times, so
/// that the share of the time that looks may cost is used up soon.
const DEADLINE: Duration = Duration::from_secs(20);
const REPAIRED: &str = "towpath_drift_repaired_total";

/// Tampers, and waits until everything is as it was, and counted.
fn repaired(stage: &mut Stage, what: &str, tamper: impl FnOnce(&Stage) -> Result<()>) -> Result<()> {
    let wanted = (stage.ipvs_state()?, stage.local_routes()?);
    let before = stage.metric(REPAIRED)?;
    tamper(stage)?;
    let mut last = None;
    let done = wait::until(&format!("the repair of {what}"), DEADLINE, || {
        let now = (stage.ipvs_state()?, stage.local_routes()?);
        let right = now == wanted && stage.metric(REPAIRED)? > before;
        last = Some(now);
        Ok(right.then_some(()))
    });
    if let Err(error) = done {
        let (servers, routes) = last.unwrap_or_default();
        let differ: Vec<_> = servers.symmetric_difference(&wanted.0).collect();
        return Err(error.context(format!("differs: {differ:#?}, routes: {routes:?}, want {:?}", wanted.1)));
    }
    stage.progress()?;
    stage.reaches(POD, VIP, Tcp, &ENDPOINTS)
}

/// A real server that others lay their hands on.
struct Real {
    vip: Key,
    at: SocketAddr,
    /// What its virtual server is.
    server: VirtualServer,
}

impl Real {
    fn weigh(&self, weight: u32) -> Command {
        Command::EditDestination(self.vip, RealServer::masquerade(self.at, weight))
    }

    fn stray(self) -> Vec<Command> {
        let stray = SocketAddr::from(([10, 244, 9, 99], 8080));
        vec![Command::AddDestination(self.vip, RealServer::masquerade(stray, 5))]
    }

    fn other_choice(self) -> Vec<Command> {
        let other = VirtualServer { scheduler: "sh".into(), flags: PERSISTENT, timeout: 9, ..self.server };
        vec![Command::Edit(other)]
    }
}

/// Each on a stage of its own: in an emulated machine a few repairs use up the share of the time that they may cost.
fn servers(hands: fn(Real) -> Vec<Command>) -> Result<()> {
    plan()?.start()?.play(|stage| {
        let server = stage.virtual_server(VIP, Tcp)?;
        let commands = hands(Real { vip: key(VIP, Tcp)?, at: socket(ENDPOINTS[0])?, server });
        repaired(stage, "it", |stage| stage.ipvs_commands(&commands))
    })
}

fn routes() -> Result<()> {
    plan()?.start()?.play(|stage| {
        for net in ["10.96.0.0/16", "198.51.100.10/32", "fd00:96::/112"] {
            let words = ["route", "del", "local", net, "dev", "lo", "table", "local", "proto", "107"];
            repaired(stage, net, |stage| stage.node().command("ip", &words).map(drop))?;
        }
        Ok(())
    })
}

fn tables() -> Result<()> {
    plan()?.start()?.play(|stage| {
        for script in
            ["delete table ip6 towpath-ipvs", "flush ruleset", "flush set ip towpath-ipvs virtual-servers"]
        {
            repaired(stage, script, |stage| stage.node().nft(script))?;
            stage.reach(POD6, VIP6, Tcp)?;
            stage.refused(POD, "10.96.0.10:9999", Tcp)?;
            listable(stage.node())?;
        }
        Ok(())
    })
}

fn settings() -> Result<()> {
    plan()?.start()?.play(|stage| {
        for name in ["ipv4/vs/conntrack", "ipv4/vs/expire_nodest_conn", "ipv4/ip_forward"] {
            stage.node().set_sysctls(&[(name, "0")])?;
            wait::until(name, DEADLINE, || Ok((stage.sysctl(name)? == "1").then_some(())))?;
            let told = format!("another program had changed net.{}", name.replace('/', "."));
            stage.soon("a word of it in the log", |stage| {
                ensure!(stage.log()?.contains(&told), "no word of it in the log");
                Ok(())
            })?;
        }
        stage.soon("a count of them", |stage| {
            let counted = stage.metric("towpath_repairs_total{of=\"settings\"}")?;
            ensure!(counted >= 1.0, "no repair of settings is counted");
            Ok(())
        })?;
        stage.reaches(POD, VIP, Tcp, &ENDPOINTS)
    })
}

/// As `ipvsadm -C` does it.
fn flushed() -> Result<()> {
    plan()?.start()?.play(|stage| {
        let all = stage.virtual_servers()?.into_keys().map(Command::Delete).collect::<Vec<_>>();
        ensure!(all.len() > 5, "only {} virtual servers", all.len());
        repaired(stage, "everything", |stage| stage.ipvs_commands(&all))
    })
}
