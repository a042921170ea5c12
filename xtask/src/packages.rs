//! The tools of the system that tests and the demo call, and how to get them on Debian.

use std::collections::BTreeSet;
use std::env;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

use crate::command::{is_root, must, program};

/// A command that is called, and the Debian package that has it.
const TOOLS: [(&str, &str); 13] = [
    ("nft", "nftables"),
    ("iptables", "iptables"),
    ("ipset", "ipset"),
    ("conntrack", "conntrack"),
    ("ip", "iproute2"),
    ("curl", "curl"),
    ("sysctl", "procps"),
    ("buildah", "buildah"),
    ("capsh", "libcap2-bin"),
    ("dig", "bind9-dnsutils"),
    ("dnsperf", "dnsperf"),
    ("musl-gcc", "musl-tools"),
    ("kubectl", "kubernetes-client"),
];

/// Sees to it that every tool is there. Asks the network only when one is missing.
pub fn ensure_installed() -> Result<()> {
    let missing = missing(is_installed);
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.iter().copied().collect::<Vec<_>>().join(" ");
    ensure!(is_root(), "these packages are missing and only root can install them: {list}");
    ensure!(
        is_installed("apt-get"),
        "these packages are missing and there is no apt-get to install them with: {list}"
    );
    println!("Installing what is missing: {list}");
    install(&missing)
}

fn missing(is_there: impl Fn(&str) -> bool) -> BTreeSet<&'static str> {
    let absent = TOOLS.iter().filter(|(tool, _)| !is_there(tool));
    absent.map(|(_, package)| *package).collect()
}

fn is_installed(tool: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|directory| is_file(&directory.join(tool)))
}

fn is_file(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.is_file())
}

fn install(packages: &BTreeSet<&str>) -> Result<()> {
    must(apt(&["update"]).arg("--quiet"))?;
    must(apt(&["install", "-y", "--no-install-recommends"]).args(packages))
}

/// `apt-get` that asks nothing and waits for another one to finish.
fn apt(args: &[&str]) -> Command {
    let mut apt = program("apt-get", &["-o", "DPkg::Lock::Timeout=120"]);
    apt.args(args).env("DEBIAN_FRONTEND", "noninteractive");
    apt
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_not_asked_for() {
        assert!(missing(|_| true).is_empty());
        let without = missing(|tool| tool != "nft" && tool != "ip");
        assert_eq!(without.into_iter().collect::<Vec<_>>(), ["iproute2", "nftables"]);
    }

    #[test]
    fn a_shell_is_found_and_nonsense_is_not() {
        assert!(is_installed("sh"));
        assert!(!is_installed("no-such-tool-at-all"));
    }
}
