//! Debian's kernels: the newest package of a short name, unpacked with its modules where nothing else looks.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::command::{must, program};
use crate::vm::apt;
use crate::vm::cache::Cache;

/// The directories of the modules that machines load; 30 MB more than before, without drivers of hardware.
const DECOMPRESSED: [&str; 8] =
    ["net", "fs/9p", "fs/netfs", "fs/overlayfs", "drivers/net", "drivers/virtio", "lib", "crypto"];

/// A kernel that can be booted.
#[derive(Debug)]
pub struct Image {
    /// Its file; its modules lie where virtme-ng looks for them, at `../lib/modules`.
    pub path: PathBuf,
}

/// A kernel's name on the command line: `6.12`.
pub fn short_name(text: &str) -> Result<String, String> {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    match text.split_once('.') {
        Some((major, minor)) if is_number(major) && is_number(minor) => Ok(text.to_owned()),
        _ => Err(format!("{text}: write the first two numbers of a kernel's version, such as 6.12")),
    }
}

/// The unpacked kernel of that name; gets it where there is none, or where a newer one is asked for.
pub fn ensure(cache: &Cache, short: &str, newer: bool) -> Result<Image> {
    let _lock = cache.lock()?;
    let kernels = cache.root.join("kernels");
    if let Some(image) = unpacked(&kernels, short).filter(|_| !newer) {
        return Ok(image);
    }
    let package = known(short)?;
    let place = kernels.join(&package);
    if !place.is_dir() {
        unpack(&kernels, &package)?;
    }
    image(&place)
}

/// The newest that was unpacked before.
fn unpacked(kernels: &Path, short: &str) -> Option<Image> {
    let found = kernels.read_dir().ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let package = newest(short, found)?;
    image(&kernels.join(package)).ok()
}

/// The newest that apt can get.
fn known(short: &str) -> Result<String> {
    apt::update()?;
    let names = apt::search(&format!("^linux-image-{}\\..*-amd64$", short.replace('.', "\\.")))?;
    newest(short, names).with_context(|| format!("apt knows no package linux-image-{short}.*-amd64"))
}

/// Of package names, the newest kernel for all machines: not those for clouds, for real time or for debuggers.
fn newest(short: &str, names: impl IntoIterator<Item = String>) -> Option<String> {
    names.into_iter().filter_map(|name| Some((version(short, &name)?, name))).max().map(|(_, name)| name)
}

/// The numbers after the short name: `[117, 12]` of `linux-image-6.12.117+deb12-amd64`.
fn version(short: &str, package: &str) -> Option<Vec<u64>> {
    let rest = package.strip_prefix("linux-image-")?.strip_prefix(short)?.strip_prefix('.')?;
    let rest = rest.strip_suffix("-amd64")?;
    if !rest.split('-').all(|part| part.starts_with(|first: char| first.is_ascii_digit())) {
        return None;
    }
    let numbers = rest.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty());
    numbers.map(|part| part.parse().ok()).collect()
}

/// Downloads and unpacks beside the place where it belongs: what is there is whole.
fn unpack(kernels: &Path, package: &str) -> Result<()> {
    println!("Getting {package}");
    let work = kernels.join("unfinished");
    if work.is_dir() {
        fs::remove_dir_all(&work).with_context(|| format!("removing {}", work.display()))?;
    }
    fs::create_dir_all(work.join("x")).with_context(|| format!("making {}", work.display()))?;
    let archive = apt::download(package, &work)?;
    let place = work.join("x");
    must(program("dpkg", &["-x"]).arg(archive).arg(&place))?;
    decompress(&place.join("lib/modules").join(release(&place)?).join("kernel"))?;
    must(program("depmod", &["-b"]).arg(&place).arg(release(&place)?))?;
    fs::rename(&place, kernels.join(package)).with_context(|| format!("keeping {package}"))?;
    fs::remove_dir_all(&work).with_context(|| format!("removing {}", work.display()))
}

/// Unpacks the modules that machines load: the kernel itself takes a third of a second for each, when it is emulated.
fn decompress(modules: &Path) -> Result<()> {
    let places = DECOMPRESSED.map(|place| modules.join(place)).into_iter().filter(|place| place.is_dir());
    let mut find = program("find", &[]);
    find.args(places).args(["-path", "*/drivers/net/*", "-type", "d", "-prune"]);
    find.args(["-o", "-name", "*.ko.xz", "-exec", "xz", "--decompress", "{}", "+"]);
    must(&mut find)
}

fn image(place: &Path) -> Result<Image> {
    Ok(Image { path: place.join("boot").join(format!("vmlinuz-{}", release(place)?)) })
}

/// What `uname -r` says in it.
fn release(place: &Path) -> Result<String> {
    let modules = place.join("lib/modules");
    let mut found = modules.read_dir().with_context(|| format!("reading {}", modules.display()))?;
    let first = found.next().with_context(|| format!("{} has no kernel", modules.display()))?;
    Ok(first.context("reading the modules' directory")?.file_name().to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(short: &str, names: &[&str]) -> Option<String> {
        newest(short, names.iter().map(|name| (*name).to_owned()))
    }

    #[test]
    fn the_newest_is_chosen_by_number() {
        let cases: [(&str, &[&str], Option<&str>); 6] = [
            (
                "6.1",
                &[
                    "linux-image-6.1.0-9-amd64",
                    "linux-image-6.1.0-56-amd64",
                    "linux-image-6.12.117+deb12-amd64",
                ],
                Some("linux-image-6.1.0-56-amd64"),
            ),
            (
                "6.12",
                &["linux-image-6.12.100+deb12-amd64", "linux-image-6.12.99+deb12-amd64"],
                Some("linux-image-6.12.100+deb12-amd64"),
            ),
            (
                "6.12",
                &[
                    "linux-image-6.12.117+deb12-cloud-amd64",
                    "linux-image-6.12.117+deb12-rt-amd64",
                    "linux-image-6.12.117+deb12-amd64-dbg",
                    "linux-image-6.12.117+deb12-amd64-unsigned",
                    "linux-image-6.12-amd64",
                    "linux-image-6.12-rt-amd64",
                ],
                None,
            ),
            ("6.1", &["linux-image-6.12.117+deb12-amd64", "unfinished"], None),
            ("6.12", &["linux-image-6.12.48+deb13-amd64"], Some("linux-image-6.12.48+deb13-amd64")),
            ("6.12", &[], None),
        ];
        for (short, names, expected) in cases {
            assert_eq!(chosen(short, names).as_deref(), expected, "{short} of {names:?}");
        }
    }

    #[test]
    fn a_short_name_is_two_numbers() {
        assert_eq!(short_name("6.12"), Ok("6.12".to_owned()));
        for wrong in ["6", "6.", ".1", "6.1.0", "6.x", "linux"] {
            assert!(short_name(wrong).is_err(), "{wrong}");
        }
    }
}
