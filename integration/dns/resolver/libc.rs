//! `getaddrinfo` of both libraries, in a mount namespace with a pod's `resolv.conf`.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::place::{self, Place};
use crate::stub::Seen;

/// As the kubelet writes it for a pod of the namespace `shop`.
const RESOLV_CONF: &str = "nameserver 10.244.0.2
search shop.svc.cluster.local svc.cluster.local cluster.local
options ndots:5
";
const SOURCE: &str = "integration/dns/resolver/lookup.c";

/// A compiler for static programs of musl.
pub(super) fn needs_musl() -> Result<(), String> {
    place::needs("musl-gcc", "musl-tools")
}

/// Runs a command with this `/etc/resolv.conf`; returns what it printed and whether it succeeded.
fn with_resolv_conf(place: &Place, text: &str, command: &[&str]) -> Result<(String, bool)> {
    let path = place.file("pod-resolv.conf");
    fs::write(&path, text).context("writing resolv.conf")?;
    let script = "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"";
    let mut process = Command::new("unshare");
    process.args(["--mount", "sh", "-c", script]).arg(&path).args(command);
    let output = place.ns.run(|| process.output())?.context("running unshare")?;
    ensure!(!String::from_utf8_lossy(&output.stderr).contains("mount"), "{output:?}");
    Ok((String::from_utf8_lossy(&output.stdout).into_owned(), output.status.success()))
}

/// Name, the first field of a line of the output, or nothing when there is no such name.
const ROWS: &[(&str, Option<&str>)] = &[
    ("web", Some("10.96.10.1")),
    ("web.shop", Some("10.96.10.1")),
    ("web.shop.svc", Some("10.96.10.1")),
    ("web.shop.svc.cluster.local", Some("10.96.10.1")),
    ("web6", Some("fd00:10:96::a001")),
    ("dual", Some("fd00:10:96::a003")),
    ("dual", Some("10.96.10.3")),
    ("kubernetes.default", Some("10.96.0.1")),
    ("db.data", Some("10.244.1.30")),
    ("www.example.net", Some("198.51.100.80")),
    ("v4only.example.net", Some("198.51.100.81")),
    ("alias.example.net", Some("198.51.100.80")),
    ("www.example.net", Some("2001:db8::80")),
    ("nosuch", None),
    ("nosuch.example.net", None),
];

fn rows(place: &Place, resolv_conf: &str, lookup: &[&str]) -> Result<()> {
    for (name, want) in ROWS {
        let (out, found) = with_resolv_conf(place, resolv_conf, &[lookup, &[name]].concat())?;
        let has = |want: &str| out.lines().any(|line| line.split_whitespace().next() == Some(want));
        ensure!(found == want.is_some() && want.is_none_or(has), "{name}: want {want:?}, got {out:?}");
    }
    Ok(())
}

/// What the server asks on its own account: health, and whether there is a loop.
fn is_probe(seen: &Seen) -> bool {
    seen.name == "." || seen.kind == "HINFO"
}

/// Only the absolute name leaves the node: A and AAAA, once each.
fn leaves(place: &Place, lookup: impl FnOnce() -> Result<()>) -> Result<()> {
    place.stub.forget();
    lookup()?;
    let seen: Vec<_> = place.stub.seen().into_iter().filter(|seen| !is_probe(seen)).collect();
    let names: Vec<_> = seen.iter().map(|seen| format!("{} {}", seen.name, seen.kind)).collect();
    ensure!(names.len() <= 2, "{} queries left the node: {names:?}", names.len());
    ensure!(seen.iter().all(|seen| seen.name == "v4only.example.net."), "these left the node: {names:?}");
    Ok(())
}

fn left(place: &Place, lookup: &[&str]) -> Result<()> {
    leaves(place, || {
        let command = [lookup, &["v4only.example.net"]].concat();
        let (out, found) = with_resolv_conf(place, RESOLV_CONF, &command)?;
        ensure!(found && out.contains("198.51.100.81"), "{out}");
        Ok(())
    })
}

/// glibc.
pub(super) fn getent(place: &Place) -> Result<()> {
    let lookup = ["getent", "ahosts"];
    left(place, &lookup)?;
    rows(place, RESOLV_CONF, &lookup)
}

/// musl: asks all expansions to the first that exists, and stops where a server fails.
pub(super) fn musl(place: &Place) -> Result<()> {
    let program = compiled(place)?;
    let lookup = [program.as_str()];
    left(place, &lookup)?;
    rows(place, RESOLV_CONF, &lookup)
}

fn compiled(place: &Place) -> Result<String> {
    let program = place.file("lookup").display().to_string();
    let source = crate::table::repository().join(SOURCE);
    let source: &Path = &source;
    place.ns.command("musl-gcc", &["-static", "-o", &program, &source.display().to_string()])?;
    Ok(program)
}

/// Search paths at and beyond the old limits of 6 domains and 256 characters, and the root as a domain.
pub(super) fn odd_search(place: &Place) -> Result<()> {
    let cluster = "shop.svc.cluster.local svc.cluster.local cluster.local";
    let many: String = (0..12).map(|i| format!(" domain-number-{i}.of-the-search-path.example")).collect();
    ensure!(cluster.len() + many.len() > 256);
    for search in
        [format!("{cluster}{many}"), format!(". {cluster}"), format!("{cluster} ."), cluster.to_owned()]
    {
        let text = format!("nameserver 10.244.0.2\nsearch {search}\noptions ndots:5\n");
        rows(place, &text, &["getent", "ahosts"]).with_context(|| format!("search {search}"))?;
    }
    Ok(())
}
