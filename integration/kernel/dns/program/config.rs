//! A Corefile that is wrong: the proxy works whatever DNS does.

use std::fs;

use anyhow::{Context, Result, ensure};
use model::Protocol::{Tcp, Udp};

use crate::Test;
use crate::dns::ask::{A, ADDRESS, Reply};
use crate::dns::program::{
    INTERCEPT, asked_for, await_alive, await_intercepted, build, by_node, intercepted, line, not_intercepted,
    soon,
};
use crate::dns::{LISTEN, POD, VIP, plan};
use crate::stage::{Stage, ip};

pub(crate) const TESTS: &[Test] = &[
    Test::new("a_corefile_that_breaks_leaves_the_old_one_in_force", breaks),
    Test::new("with_a_broken_corefile_at_the_start_only_the_proxy_works", broken_at_start),
];

const GOOD: &str = ".:53 {\n kubernetes cluster.local\n}\n";
const BROKEN: &str = ".:53 {\n kubernetes cluster.local\n cache {\n";
const WEB: &str = "10.96.7.1:80";
const ENDPOINT: &str = "10.244.1.70:8080";

/// Writes the Corefile; the first time, names it for the next start.
pub(crate) fn write(stage: &mut Stage, text: &str) -> Result<()> {
    let path = stage.directory().with_file_name("Corefile");
    let is_new = !path.exists();
    fs::write(&path, text).context("writing the Corefile")?;
    if is_new {
        stage.add_flags(&[&format!("--dns-corefile={}", path.display())]);
    }
    Ok(())
}

fn told(stage: &Stage) -> Result<()> {
    let why = line(stage, "configuration not in force:")?;
    ensure!(why.contains("Corefile:"), "neither file nor line: {why}");
    Ok(())
}

fn breaks() -> Result<()> {
    let mut stage = build(plan()?, &[INTERCEPT])?;
    write(&mut stage, GOOD)?;
    stage.start()?;
    stage.play(|stage| {
        await_intercepted(stage)?;
        write(stage, BROKEN)?;
        soon(stage, "the error to be shown", told)?;
        intercepted(stage)?;
        // Another domain than the flag's default.
        write(stage, &GOOD.replace("cluster.local", "other.local"))?;
        soon(stage, "the new one to be in force", |stage| {
            let reply = asked_for(stage, (POD, VIP), Udp, ("web.shop.svc.other.local", A))?;
            ensure!(reply == Reply::Node(0, vec![ip(ADDRESS)?]), "{reply:?}");
            ensure!(told(stage).is_err(), "the error is still shown");
            Ok(())
        })?;
        await_alive(stage)?;
        // A server that answers its probe wrongly is not asked by others.
        write(stage, "other.example:53 {\n kubernetes cluster.local\n}\n")?;
        soon(stage, "the probe's failure to be shown", |stage| {
            let why = line(stage, "our own server does not answer right at 10.96.0.10/udp:")?;
            ensure!(why.contains("rcode 5"), "{why}");
            not_intercepted(stage)
        })
    })
}

fn broken_at_start() -> Result<()> {
    let listen = format!("--dns-listen={LISTEN}");
    let mut stage = build(plan()?, &[INTERCEPT, &listen])?;
    write(&mut stage, BROKEN)?;
    stage.start()?;
    stage.play(|stage| {
        soon(stage, "the error to be shown", told)?;
        stage.reaches(POD, WEB, Tcp, &[ENDPOINT])?;
        // Longer than two probes take.
        for _ in 0..10 {
            not_intercepted(stage)?;
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        ensure!(line(stage, "intercepted:")?.is_empty());
        write(stage, GOOD)?;
        await_intercepted(stage)?;
        by_node(stage, POD, &format!("{LISTEN}:53"))
    })
}
