//! Debian's packages: installed where a tool is missing, looked up and downloaded for their kernels.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::command::{is_root, must, output, program};

/// Whether a command can be called.
pub fn has(tool: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|directory| directory.join(tool).is_file())
}

/// Reads the lists of packages anew.
pub fn update() -> Result<()> {
    possible("read the lists of Debian's packages")?;
    must(&mut apt(&["--quiet", "update"]))
}

/// Installs packages.
pub fn install(packages: &[&str]) -> Result<()> {
    possible(&format!("install {}", packages.join(" ")))?;
    update()?;
    let mut install = apt(&["--quiet", "install", "-y", "--no-install-recommends"]);
    must(install.args(packages))
}

fn possible(what: &str) -> Result<()> {
    ensure!(has("apt-get"), "no apt-get is here to {what} with");
    ensure!(is_root(), "only root can {what}");
    Ok(())
}

/// The names of packages that apt can get and that match a regular expression.
pub fn search(names: &str) -> Result<Vec<String>> {
    let said = output(&mut program("apt-cache", &["search", "--names-only", names]))?;
    Ok(said.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect())
}

/// Downloads one package into an empty directory, and says where it is.
pub fn download(package: &str, directory: &Path) -> Result<PathBuf> {
    // Its user for downloads may not write here.
    let unsandboxed = ["-o", "APT::Sandbox::User=root", "--quiet", "download", package];
    must(apt(&unsandboxed).current_dir(directory))?;
    let files = directory.read_dir().with_context(|| format!("reading {}", directory.display()))?;
    let mut paths = files.filter_map(|file| file.ok().map(|file| file.path()));
    paths.find(|path| path.extension().is_some_and(|end| end == "deb")).context("apt-get left no package")
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
    fn a_shell_is_found_and_nonsense_is_not() {
        assert!(has("sh"));
        assert!(!has("no-such-tool-at-all"));
    }
}
