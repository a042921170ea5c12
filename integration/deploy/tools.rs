//! The iptables tools of the image: `deploy/tools.sh` gets them, and nothing that they need is missing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, ensure};

use crate::image::{Image, files};
use crate::manifest;
use crate::{Needs, Test};

pub(crate) const TESTS: &[Test] = &[
    ("each_is_of_its_variant", Needs::Image(each_is_of_its_variant)),
    ("all_that_they_load_is_there", Needs::Image(all_that_they_load_is_there)),
    ("their_packages_and_licences_are_named", Needs::Image(their_packages_and_licences_are_named)),
];

const PACKAGES: [&str; 10] = [
    "base-files",
    "iptables",
    "libc6",
    "libip4tc2",
    "libip6tc2",
    "libmnl0",
    "libnetfilter-conntrack3",
    "libnfnetlink0",
    "libnftnl11",
    "libxtables12",
];

/// Where the script has put them; got when the first test asks. The error is the reason why they cannot be had.
pub(crate) fn directory() -> Result<&'static Path> {
    static DIRECTORY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let got = DIRECTORY.get_or_init(|| get().map_err(|error| format!("{error:#}")));
    got.as_deref().map_err(|error| anyhow!("{error}"))
}

/// Those that this very script has brought once are taken again.
fn get() -> Result<PathBuf> {
    let script = manifest::directory().join("tools.sh");
    let kept = manifest::repository().join("target/image/tools");
    let (root, stamp) = (kept.join("root"), kept.join("tools.sh"));
    let text = fs::read(&script).context("reading deploy/tools.sh")?;
    if fs::read(&stamp).is_ok_and(|before| before == text) {
        return Ok(root);
    }
    let fresh = kept.with_extension(format!("{}", std::process::id()));
    let got = bring(&script, &fresh.join("root"));
    let moved = got.and_then(|()| {
        fs::write(fresh.join("tools.sh"), text)?;
        // None were there, or those of another script.
        let _ = fs::remove_dir_all(&kept);
        fs::rename(&fresh, &kept).context("keeping the tools")
    });
    let _ = fs::remove_dir_all(&fresh);
    moved.map(|()| root)
}

fn bring(script: &Path, root: &Path) -> Result<()> {
    let mut command = Command::new("sh");
    let output = command.arg(script).arg(root).stdin(Stdio::null()).output().context("running sh")?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    let last = stderr.trim().lines().last().unwrap_or_default().to_owned();
    ensure!(output.status.success(), "needs Debian's packages of iptables: {last}");
    Ok(())
}

/// Runs a program of the image in its root, with no capability but those of chroot(2).
fn run(image: &Image, program: &str, args: &[&str]) -> Result<Output> {
    let mut command = Command::new("chroot");
    command.arg(image.root()).arg(program).args(args).stdin(Stdio::null());
    command.output().with_context(|| format!("running {program}"))
}

fn each_is_of_its_variant(image: &Image) -> Result<()> {
    for family in ["iptables", "ip6tables"] {
        for (variant, word) in [("legacy", "(legacy)"), ("nft", "(nf_tables)")] {
            for job in ["restore", "save"] {
                let program = format!("/usr/sbin/{family}-{variant}-{job}");
                let output = run(image, &program, &["--version"])?;
                let text = String::from_utf8_lossy(&output.stdout);
                ensure!(output.status.success() && text.contains(word), "{program}: {output:?}");
            }
        }
    }
    Ok(())
}

/// The loader is asked for every program and library of the tools, so for the extensions too.
fn all_that_they_load_is_there(image: &Image) -> Result<()> {
    let files = files(image.root())?;
    let loader = files.iter().find(|file| file.starts_with("lib") && file.contains("/ld-linux"));
    let loader = format!("/{}", loader.context("there is no loader")?);
    let multi = |file: &str| file.starts_with("usr/sbin/xtables-");
    let loading: Vec<&String> = files.iter().filter(|file| file.contains(".so") || multi(file)).collect();
    ensure!(loading.iter().filter(|file| file.contains("/xtables/")).count() > 80, "{loading:?}");
    for file in loading {
        let output = run(image, &loader, &["--list", &format!("/{file}")])?;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success() && !text.contains("not found"), "{file}: {output:?}");
    }
    Ok(())
}

fn their_packages_and_licences_are_named(image: &Image) -> Result<()> {
    let status = image.root().join("var/lib/dpkg/status.d");
    ensure!(files(&status)? == PACKAGES, "{:?}", files(&status)?);
    for package in PACKAGES {
        let text = fs::read_to_string(status.join(package))?;
        let named = |word: &str| text.lines().any(|line| line.starts_with(word));
        ensure!(named(&format!("Package: {package}")) && named("Version: "), "{text}");
        let licence = image.root().join(format!("usr/share/doc/{package}/copyright"));
        ensure!(!fs::read(&licence).with_context(|| format!("{package} has no licence"))?.is_empty());
    }
    Ok(())
}
