//! Which of our crates may use which. Dependencies point down only; a new arrow is a visible change of this table.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde::Deserialize;

/// What a crate may use of our own crates.
enum May {
    /// These, in the program and in its tests.
    Use(&'static [&'static str]),
    /// Any: what only tests are made of, and the one place that wires everything together.
    UseAny,
}

/// Each crate with what it may use. Tests of any crate may also use the testkit.
const TABLE: &[(&str, May)] = &[
    ("towpath-model", May::Use(&[])),
    ("towpath-netlink", May::Use(&[])),
    ("towpath-xtables", May::Use(&["towpath-model"])),
    ("towpath-takeover", May::Use(&["towpath-model", "towpath-xtables", "towpath-netlink"])),
    ("towpath-resolve", May::Use(&["towpath-model"])),
    ("towpath-dataplane", May::Use(&["towpath-model", "towpath-resolve"])),
    (
        "towpath-nftables",
        May::Use(&["towpath-dataplane", "towpath-resolve", "towpath-model", "towpath-netlink"]),
    ),
    (
        "towpath-iptables",
        May::Use(&[
            "towpath-dataplane",
            "towpath-resolve",
            "towpath-model",
            "towpath-xtables",
            "towpath-netlink",
        ]),
    ),
    (
        "towpath-ipvs",
        May::Use(&[
            "towpath-dataplane",
            "towpath-resolve",
            "towpath-model",
            "towpath-nftables",
            "towpath-netlink",
        ]),
    ),
    ("towpath-sources", May::Use(&["towpath-model", "towpath-netlink"])),
    ("towpath-admin", May::Use(&["towpath-model"])),
    ("towpath-page", May::Use(&["towpath-model"])),
    ("towpath-config", May::Use(&["towpath-model"])),
    ("towpath-node", May::Use(&[])),
    ("towpath-dns-wire", May::Use(&[])),
    ("towpath-dns-config", May::Use(&["towpath-dns-wire"])),
    ("towpath-dns-names", May::Use(&["towpath-model", "towpath-dns-wire"])),
    ("towpath-dns-forward", May::Use(&["towpath-dns-wire"])),
    (
        "towpath-dns",
        May::Use(&[
            "towpath-dns-wire",
            "towpath-dns-names",
            "towpath-dns-forward",
            "towpath-dns-config",
            "towpath-model",
        ]),
    ),
    ("towpath-dns-node", May::Use(&["towpath-model", "towpath-netlink"])),
    ("towpath-shadow", May::Use(&["towpath-xtables", "towpath-resolve", "towpath-model", "towpath-netlink"])),
    ("towpath-flows", May::Use(&["towpath-model", "towpath-netlink"])),
    ("towpath-migrate", May::Use(&["towpath-config", "towpath-resolve", "towpath-model"])),
    ("towpath-agent", May::UseAny),
    ("towpath", May::Use(&["towpath-agent"])),
    ("towpath-testkit", May::UseAny),
    ("towpath-apiserver", May::UseAny),
    ("towpath-bench", May::UseAny),
    ("towpath-integration", May::UseAny),
    ("xtask", May::UseAny),
];

/// What tests of a crate may use beside that: each is a test of two crates together.
const ONLY_IN_TESTS_OF: &[(&str, &[&str])] = &[
    // The fixtures are manifests, and the index is asked for what is in them.
    ("towpath-dns-names", &["towpath-sources"]),
];

/// Crates that the program must not contain.
const ONLY_FOR_TESTS: &[&str] =
    &["towpath-testkit", "towpath-apiserver", "towpath-bench", "towpath-integration", "xtask"];
/// Whose tests may use everything: the root package's are about all crates together.
const ROOT: &str = "towpath";

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
}

impl Dependency {
    fn is_for_tests(&self) -> bool {
        self.kind.as_deref() == Some("dev")
    }
}

#[test]
fn dependencies_point_down() {
    let packages = packages();
    let ours: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let mut complaints = strangers(&ours);
    for package in &packages {
        let arrows = package.dependencies.iter().filter(|arrow| ours.contains(arrow.name.as_str()));
        complaints.extend(arrows.filter_map(|arrow| complaint(&package.name, arrow)));
    }
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

fn packages() -> Vec<Package> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Metadata = serde_json::from_slice(&output.stdout).unwrap();
    metadata.packages
}

/// Crates without a row, and rows without a crate.
fn strangers(ours: &BTreeSet<&str>) -> Vec<String> {
    let rows: BTreeSet<&str> = TABLE.iter().map(|(name, _)| *name).collect();
    let unknown =
        ours.difference(&rows).map(|name| format!("{name} has no row in the table: say what it may use"));
    let stale =
        rows.difference(ours).map(|name| format!("{name} is in the table, but there is no such crate"));
    unknown.chain(stale).collect()
}

fn complaint(user: &str, arrow: &Dependency) -> Option<String> {
    let used = arrow.name.as_str();
    if ONLY_FOR_TESTS.contains(&used) && !arrow.is_for_tests() && !ONLY_FOR_TESTS.contains(&user) {
        return Some(format!("{user} uses {used}, which is for tests only: make it a dev-dependency"));
    }
    let also = ONLY_IN_TESTS_OF.iter().any(|(tested, with)| *tested == user && with.contains(&used));
    let for_tests = arrow.is_for_tests() && (user == ROOT || ONLY_FOR_TESTS.contains(&used) || also);
    let rows: BTreeMap<&str, &May> = TABLE.iter().map(|(name, may)| (*name, may)).collect();
    let allowed = match rows.get(user)? {
        May::UseAny => true,
        May::Use(list) => list.contains(&used),
    };
    (!allowed && !for_tests).then(|| {
        format!("{user} must not use {used}: the table of tests/dependencies.rs has no such arrow (design: the crates)")
    })
}
