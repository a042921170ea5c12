//! Loads that do not go as they should: a rule that the tools refuse, a program that is killed in the middle.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use model::Protocol::Tcp;
use testkit::wait;

use super::BOTH;
use crate::Test;
use crate::http;
use crate::lifecycle::{POD, many};
use crate::plan::Plan;
use crate::scenes::SMALL;
use crate::stage::{ip, socket};
use crate::xt::Variant;

pub(crate) const TESTS: &[Test] = &[
    Test::new("a_refused_rule_is_told_of_its_service_alone", refused_rule).needing(needs_extensions),
    Test::new("killed_while_it_loads_it_heals_at_the_next_start", killed_while_loading),
];

/// One Service of three needs an extension that the tools do not have.
const WITH_SCTP: &str = "
services:
- {name: ns/web, type: ClusterIP, cluster_ips: [10.96.0.10], ports: [{name: p, port: 80}]}
- {name: ns/assoc, type: ClusterIP, cluster_ips: [10.96.0.11], ports: [{name: s, port: 80, protocol: SCTP}]}
- {name: ns/also, type: ClusterIP, cluster_ips: [10.96.0.12], ports: [{name: p, port: 80}]}
slices:
- {service: ns/web, ports: [{name: p, port: 8080}], endpoints: [{ip: 10.244.0.1}, {ip: 10.244.1.1}]}
- {service: ns/assoc, ports: [{name: s, port: 8080, protocol: SCTP}], endpoints: [{ip: 10.244.1.1}]}
- {service: ns/also, ports: [{name: p, port: 8080}], endpoints: [{ip: 10.244.0.1}, {ip: 10.244.1.1}]}
";

/// Where the tools find their extensions.
fn extensions() -> Option<PathBuf> {
    let places =
        ["/usr/lib/x86_64-linux-gnu/xtables", "/usr/lib/aarch64-linux-gnu/xtables", "/usr/lib/xtables"];
    places.iter().map(PathBuf::from).find(|place| place.join("libxt_sctp.so").is_file())
}

fn needs_extensions() -> Result<(), String> {
    extensions()
        .map(drop)
        .ok_or_else(|| "where the iptables tools have their extensions is not known".to_owned())
}

/// All extensions but that for SCTP.
fn without_sctp(directory: &Path) -> Result<()> {
    fs::create_dir(directory)?;
    for entry in fs::read_dir(extensions().context("no extensions")?)? {
        let entry = entry?;
        if entry.file_name() != "libxt_sctp.so" {
            symlink(entry.path(), directory.join(entry.file_name()))?;
        }
    }
    Ok(())
}

fn refused_rule() -> Result<()> {
    let mut stage = Plan::new(WITH_SCTP)?.hosts(&[POD])?.build()?;
    let directory = Path::new(stage.surroundings.lock()).with_file_name("extensions");
    without_sctp(&directory)?;
    let place = directory.to_string_lossy().into_owned();
    stage.surroundings.environment.insert("XTABLES_LIBDIR".to_owned(), place);
    stage.launch()?;
    stage.play(|stage| {
        stage.soon("the others", |stage| {
            stage.reaches(POD, "10.96.0.10:80", Tcp, &BOTH)?;
            stage.reaches(POD, "10.96.0.12:80", Tcp, &BOTH)
        })?;
        let page = http::get(stage.node(), socket("127.0.0.1:10249")?, "/debug/rules")?;
        let page = page.context("no page")?.body;
        let told: Vec<&str> =
            page.lines().filter(|line| line.contains("ns/assoc") && line.contains("sctp")).collect();
        ensure!(!told.is_empty(), "no Problem names ns/assoc and sctp:\n{page}");
        let log = stage.log()?;
        ensure!(log.lines().any(|line| line.contains("ns/assoc") && line.contains("sctp")), "not in the log");
        // What comes later is not held up.
        stage.scene.remove_endpoint(ip("10.244.1.1")?);
        stage.publish()?;
        stage.soon("a change of another", |stage| stage.reaches(POD, "10.96.0.10:80", Tcp, &BOTH[..1]))
    })
}

/// More than one piece.
const MANY: u16 = 2500;

/// What is there is complete in itself, and the next start goes on.
fn killed_while_loading() -> Result<()> {
    let stage = Plan::new(SMALL)?.hosts(&[POD])?.with(|scene| many(scene, MANY)).build()?;
    stage.play(|stage| {
        stage.launch()?;
        wait::until("the first rules", Duration::from_secs(30), || {
            Ok((!stage.saved(Variant::current())?.ours().is_empty()).then_some(()))
        })?;
        stage.kill()?;
        stage.launch()?;
        wait::until("everything", Duration::from_secs(60), || {
            Ok(stage.refused(POD, "10.96.25.0:80", Tcp).ok())
        })?;
        stage.progress()?;
        stage.reaches(POD, "10.96.0.10:80", Tcp, &BOTH)?;
        stage.refused(POD, "10.96.16.0:80", Tcp)
    })
}
