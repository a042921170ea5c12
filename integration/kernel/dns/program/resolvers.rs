//! Programs that ask, in a pod's network namespace with a pod's `resolv.conf`: `dig`, glibc, musl.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::Test;
use crate::dns::program::{INTERCEPT, await_intercepted, build, config};
use crate::dns::{POD, POD6, plan};
use crate::rules::flow_ids;
use crate::stage::{Stage, ip};

pub(crate) const TESTS: &[Test] = &[
    Test::new("dig_and_glibc_find_names_by_the_search_path", dig_and_glibc).needing(|| needs("dig")),
    Test::new("musl_finds_names_by_the_search_path", musl).needing(|| needs("musl-gcc")),
];

const COREFILE: &str = ".:53 {\n nsid\n kubernetes cluster.local in-addr.arpa ip6.arpa\n}\n";
const CLIENTS: [(&str, &str); 2] = [(POD, "10.96.0.10"), (POD6, "fd00:96::a")];
/// Prints what `getaddrinfo` finds.
const LOOKUP: &str = "dns/resolver/lookup.c";

fn needs(program: &str) -> Result<(), String> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let there = std::env::split_paths(&paths).any(|directory| directory.join(program).is_file());
    if there { Ok(()) } else { Err(format!("{program} is not installed")) }
}

fn on_stage(test: impl FnOnce(&Stage, &Path) -> Result<()>) -> Result<()> {
    let mut stage = build(plan()?, &[INTERCEPT])?;
    config::write(&mut stage, COREFILE)?;
    stage.start()?;
    stage.play(|stage| {
        await_intercepted(stage)?;
        stage.node().command("conntrack", &["-F"])?;
        let scratch: PathBuf = stage.directory().with_file_name("clients");
        fs::create_dir(&scratch)?;
        test(stage, &scratch)?;
        let tracked =
            flow_ids(stage.node(), |flow| [flow.original.dport, flow.original.sport].contains(&53))?;
        ensure!(tracked.is_empty(), "tracked: {tracked:?}");
        Ok(())
    })
}

/// Runs it where the pod lives.
fn run(stage: &Stage, scratch: &Path, (from, server): (&str, &str), command: &[&str]) -> Result<String> {
    let file = scratch.join(format!("resolv-{}.conf", server.len()));
    let search = "shop.svc.cluster.local svc.cluster.local cluster.local";
    fs::write(&file, format!("nameserver {server}\nsearch {search}\noptions ndots:5\n"))?;
    let file = file.to_str().context("the file's name")?;
    let script = "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"";
    let shell = ["--mount", "sh", "-c", script, file];
    stage.world.namespace(ip(from)?).command("unshare", &[&shell[..], command].concat())
}

fn dig_and_glibc() -> Result<()> {
    on_stage(|stage, scratch| {
        for client in CLIENTS {
            for protocol in ["+notcp", "+tcp"] {
                let out =
                    run(stage, scratch, client, &["dig", "+search", "+nsid", protocol, "web.shop", "A"])?;
                let good =
                    ["status: NOERROR", "10.96.7.1", "(\"test-node\")", &format!("SERVER: {}#53", client.1)];
                good.iter().try_for_each(|word| {
                    ensure!(out.contains(word), "{word:?} is not in:\n{out}");
                    Ok(())
                })?;
            }
            let out = run(stage, scratch, client, &["dig", "+short", "-x", "10.96.7.1"])?;
            ensure!(out.trim() == "web.shop.svc.cluster.local.", "{out}");
            found(stage, scratch, client, &["getent", "ahosts"])?;
        }
        Ok(())
    })
}

fn musl() -> Result<()> {
    on_stage(|stage, scratch| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(LOOKUP).display().to_string();
        let program = scratch.join("lookup").display().to_string();
        stage.node().command("musl-gcc", &["-static", "-o", &program, &source])?;
        CLIENTS.iter().try_for_each(|client| found(stage, scratch, *client, &[&program]))
    })
}

/// Its address, by each step of the search path; and what does not exist is not found.
fn found(stage: &Stage, scratch: &Path, client: (&str, &str), lookup: &[&str]) -> Result<()> {
    for name in ["web", "web.shop", "web.shop.svc", "web.shop.svc.cluster.local"] {
        let out = run(stage, scratch, client, &[lookup, &[name]].concat())?;
        // glibc asks for the family that the host has.
        let address = if client.1.contains(':') { "fd00:96::71" } else { "10.96.7.1" };
        let has = out.lines().any(|line| line.split_whitespace().next() == Some(address));
        ensure!(has, "{lookup:?} {name} by {}: no {address} in:\n{out}", client.1);
    }
    let missing = run(stage, scratch, client, &[lookup, &["nosuch.shop.svc.cluster.local."]].concat());
    ensure!(missing.is_err(), "{lookup:?}: found what does not exist");
    Ok(())
}
