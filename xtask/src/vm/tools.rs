//! What boots a machine: QEMU and its helpers by apt, virtme-ng by pip into a directory of ours.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::command::{must, output, program};
use crate::vm::apt;
use crate::vm::cache::Cache;

/// A command that is called here or in the machine, and the Debian package that has it.
const TOOLS: [(&str, &str); 15] = [
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("depmod", "kmod"),
    ("xz", "xz-utils"),
    ("busybox", "busybox-static"),
    ("python3", "python3"),
    ("strip", "binutils"),
    ("setpriv", "util-linux"),
    ("ip", "iproute2"),
    ("ipvsadm", "ipvsadm"),
    ("ipset", "ipset"),
    ("nft", "nftables"),
    ("iptables", "iptables"),
    ("conntrack", "conntrack"),
    ("sysctl", "procps"),
    ("curl", "curl"),
];

/// The version that is known to boot these kernels over 9p without KVM.
const VIRTME: &str = "virtme-ng==1.42";

/// Sees to it that all is there, and says where `vng` is. Asks the network only when something is missing; for Debian's
/// packages only if it may install them.
pub fn ensure(cache: &Cache, may_install: bool) -> Result<PathBuf> {
    // The machine runs the programs of this one.
    ensure!(env::consts::ARCH == "x86_64", "the kernels are for x86-64, and this is {}", env::consts::ARCH);
    let _lock = cache.lock()?;
    let mut missing: Vec<&str> = missing(apt::has);
    if !missing.contains(&"python3") && !has_venv() {
        missing.push("python3-venv");
    }
    if !missing.is_empty() {
        let list = missing.join(" ");
        ensure!(may_install, "these packages are missing, and none is to be installed: {list}");
        println!("Installing what is missing: {list}");
        apt::install(&missing)?;
    }
    virtme(&cache.root.join("venv")).context("virtme-ng")
}

fn missing(is_there: impl Fn(&str) -> bool) -> Vec<&'static str> {
    let absent = TOOLS.iter().filter(|(tool, _)| !is_there(tool));
    let mut packages: Vec<_> = absent.map(|(_, package)| *package).collect();
    if packages.contains(&"python3") {
        packages.push("python3-venv");
    }
    packages
}

/// Debian has the module `venv` without what it needs to put pip there.
fn has_venv() -> bool {
    output(&mut program("python3", &["-c", "import ensurepip, venv"])).is_ok()
}

/// A virtual environment that does not work, such as one of a Python that is gone, is made anew.
fn virtme(venv: &Path) -> Result<PathBuf> {
    let vng = venv.join("bin/vng");
    if works(&vng) {
        return Ok(vng);
    }
    println!("Installing {VIRTME} into {}", venv.display());
    must(program("python3", &["-m", "venv", "--clear"]).arg(venv))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", VIRTME];
    must(&mut program(&venv.join("bin/python3").to_string_lossy(), &pip))?;
    output(&mut program(&vng.to_string_lossy(), &["--version"]))?;
    Ok(vng)
}

fn works(vng: &Path) -> bool {
    vng.is_file() && output(&mut program(&vng.to_string_lossy(), &["--version"])).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_not_asked_for() {
        assert!(missing(|_| true).is_empty());
        assert_eq!(missing(|tool| tool != "depmod"), ["kmod"]);
        assert_eq!(missing(|tool| tool != "python3"), ["python3", "python3-venv"]);
    }
}
