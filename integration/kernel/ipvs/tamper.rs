//! Other programs' hands in what is ours: repaired, and counted.

use std::time::Duration;

use anyhow::{Result, ensure};
use model::Protocol::Tcp;
use netlink::ipvs::{Command, PERSISTENT, RealServer, VirtualServer};
use testkit::wait;

use super::{ENDPOINTS, POD6, VIP, VIP6, plan};
use crate::Test;
use crate::lifecycle::POD;
use crate::rules::listable;
use crate::stage::{Stage, socket};
use crate::vs::key;

pub(crate) const TESTS: &[Test] = &[
    Test::new("servers_that_others_change_are_repaired", servers),
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

fn servers() -> Result<()> {
    plan()?.start()?.play(|stage| {
        let (vip, first) = (key(VIP, Tcp)?, socket(ENDPOINTS[0])?);
        let server = stage.virtual_server(VIP, Tcp)?;
        let changed =
            VirtualServer { scheduler: "sh".into(), flags: PERSISTENT, timeout: 9, ..server.clone() };
        let hands: [(&str, Vec<Command>); 6] = [
            ("a real server deleted", vec![Command::DeleteDestination(vip, first)]),
            ("a weight changed", vec![Command::EditDestination(vip, RealServer::masquerade(first, 9))]),
            ("a weight taken", vec![Command::EditDestination(vip, RealServer::masquerade(first, 0))]),
            (
                "a stray real server",
                vec![Command::AddDestination(vip, RealServer::masquerade(socket("10.244.9.99:8080")?, 5))],
            ),
            ("a virtual server changed", vec![Command::Edit(changed)]),
            ("a virtual server deleted", vec![Command::Delete(vip)]),
        ];
        for (what, commands) in hands {
            repaired(stage, what, |stage| stage.ipvs_commands(&commands))?;
        }
        Ok(())
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
