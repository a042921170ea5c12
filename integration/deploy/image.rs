//! The image: built by buildah in a directory of the test's own, without a registry and without a daemon.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::{Value, json};
use testkit::scratch::Scratch;

use crate::manifest;
use crate::program;
use crate::tools;
use crate::{Needs, Test};

pub(crate) const TESTS: &[Test] = &[
    ("it_holds_the_program_and_the_tools", Needs::Image(it_holds_the_program_and_the_tools)),
    ("it_is_built_alike_each_time", Needs::Image(it_is_built_alike_each_time)),
    ("the_program_needs_no_other_file", Needs::Image(the_program_needs_no_other_file)),
    ("it_starts_the_program", Needs::Image(it_starts_the_program)),
];

const PROGRAM: &str = "usr/local/bin/towpath";
const LINK: &str = "usr/local/bin/kube-proxy";

/// Commands that are called, and the Debian packages that have them.
const TOOLS: &[(&str, &str)] = &[
    ("buildah", "buildah"),
    ("capsh", "libcap2-bin"),
    ("unshare", "util-linux"),
    ("iptables-legacy-save", "iptables"),
];

/// Why no image can be built and started here.
pub(crate) fn obstacle() -> Option<String> {
    let starts =
        |tool: &str| Command::new(tool).arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status();
    for (tool, package) in TOOLS {
        if starts(tool).is_err() {
            return Some(format!("needs {tool} (apt-get install --no-install-recommends {package})"));
        }
    }
    testkit::requires_root().err().or_else(|| tools::directory().err().map(|error| error.to_string()))
}

/// Built when the first test asks for it.
#[derive(Default)]
pub(crate) struct Lazy(OnceLock<Result<Image, String>>);

impl Lazy {
    /// The image; the same error for everybody if it cannot be built.
    pub(crate) fn get(&self) -> Result<&Image> {
        let built = self.0.get_or_init(|| Image::build().map_err(|error| format!("{error:#}")));
        built.as_ref().map_err(|error| anyhow!("{error}"))
    }
}

/// An image that was built, and its files.
pub(crate) struct Image {
    /// Holds everything that buildah writes.
    scratch: Scratch,
    /// Its name, as in the DaemonSet.
    name: String,
    /// Its files.
    root: PathBuf,
}

impl Image {
    fn build() -> Result<Self> {
        let program = program::statically_linked()?;
        let scratch = Scratch::new()?;
        let name = manifest::text(&manifest::container()?["image"])?.to_owned();
        let context = scratch.path().join("context");
        lay_out(&context, &program)?;
        let mut image = Self { scratch, name, root: PathBuf::new() };
        image.build_from(&context, &image.name)?;
        let container = image.buildah(&["from", "--pull-never", &image.name])?;
        image.root = image.buildah(&["mount", container.trim()])?.trim().into();
        Ok(image)
    }

    /// As docs/install.md says; the image's id.
    fn build_from(&self, context: &Path, name: &str) -> Result<String> {
        let fixed = ["build", "--isolation", "chroot", "--quiet", "--timestamp", "0", "--tag", name];
        self.buildah(&[&fixed[..], &[&shown(context)]].concat())
    }

    /// Its files.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// What it prints. Everything that it writes is in the scratch directory, as plain files.
    fn buildah(&self, args: &[&str]) -> Result<String> {
        let at = |name: &str| self.scratch.path().join(name);
        let mut command = Command::new("buildah");
        command.arg("--root").arg(at("storage")).arg("--runroot").arg(at("run"));
        command.args(["--storage-driver", "vfs"]).args(args).env("TMPDIR", self.scratch.path());
        let output = command.stdin(Stdio::null()).output().context("running buildah")?;
        if !output.status.success() {
            bail!("buildah {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// A copy of its files, for a container to be started from.
    pub(crate) fn copy_to(&self, target: &Path) -> Result<()> {
        link(&self.root, target)
    }
}

/// What the commands of docs/install.md leave: `deploy/` with the program and the tools in it.
fn lay_out(context: &Path, program: &Path) -> Result<()> {
    let (from, root) = (manifest::directory(), context.join("root"));
    fs::create_dir_all(context)?;
    link(tools::directory()?, &root)?;
    fs::create_dir_all(root.join("usr/local/bin"))?;
    fs::copy(from.join("Containerfile"), context.join("Containerfile"))?;
    let target = fs::read_link(from.join("root").join(LINK)).context("deploy/root has no kube-proxy")?;
    symlink(target, root.join(LINK))?;
    fs::copy(program, root.join(PROGRAM)).context("copying the program")?;
    Ok(())
}

/// A copy of a directory. Files are the same ones, not copied: they are large, and nobody writes to them.
fn link(from: &Path, to: &Path) -> Result<()> {
    let mut command = Command::new("cp");
    let output = command.args(["--archive", "--link"]).args([from, to]).output().context("running cp")?;
    ensure!(output.status.success(), "cp: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// All that is below a directory but directories, sorted.
pub(crate) fn files(root: &Path) -> Result<Vec<String>> {
    let (mut found, mut waiting) = (Vec::new(), vec![root.to_owned()]);
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                waiting.push(entry.path());
            } else {
                found.push(shown(entry.path().strip_prefix(root)?));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// No shell, no package manager: nothing that can be started but what is named here.
fn it_holds_the_program_and_the_tools(image: &Image) -> Result<()> {
    let found = files(&image.root)?;
    let mut wanted = files(tools::directory()?)?;
    wanted.extend([LINK, PROGRAM].map(str::to_owned));
    wanted.sort();
    ensure!(found == wanted, "{found:?}");
    ensure!(fs::read_link(image.root.join(LINK))?.as_os_str() == OsStr::new("towpath"));
    let programs = found.iter().filter(|file| file.contains("bin/") && !is_link(&image.root.join(file)));
    let programs: Vec<&String> = programs.collect();
    ensure!(programs == [PROGRAM, "usr/sbin/xtables-legacy-multi", "usr/sbin/xtables-nft-multi"]);
    // The test's image is made of the same files.
    let kept = files(&manifest::directory().join("root"))?;
    ensure!(kept.iter().all(|file| found.contains(file)), "deploy/root has more: {kept:?}");
    Ok(())
}

fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink())
}

/// From files that were copied anew, and so have other times.
fn it_is_built_alike_each_time(image: &Image) -> Result<()> {
    let context = image.scratch.path().join("again");
    lay_out(&context, &image.root.join(PROGRAM))?;
    let id = image.build_from(&context, "localhost/towpath:again")?;
    let first =
        image.buildah(&["inspect", "--type", "image", "--format", "{{.FromImageID}}", &image.name])?;
    ensure!(id.trim() == first.trim(), "{id} and {first}");
    Ok(())
}

fn the_program_needs_no_other_file(image: &Image) -> Result<()> {
    let bytes = fs::read(image.root.join(PROGRAM))?;
    let kinds = segments(&bytes).context("no ELF file of 64 bits, little-endian")?;
    const LOAD: u32 = 1;
    const INTERP: u32 = 3;
    ensure!(kinds.contains(&LOAD) && !kinds.contains(&INTERP), "segments {kinds:?}: it asks for a loader");
    Ok(())
}

/// The kinds of segments of an ELF file; see elf(5).
fn segments(elf: &[u8]) -> Option<Vec<u32>> {
    let number = |at: usize, length: usize| {
        let bytes = elf.get(at..at + length)?;
        Some(bytes.iter().rev().fold(0, |sum: usize, byte| sum << 8 | usize::from(*byte)))
    };
    elf.strip_prefix(b"\x7fELF\x02\x01")?;
    let (table, size, count) = (number(0x20, 8)?, number(0x36, 2)?, number(0x38, 2)?);
    (0..count).map(|i| number(table + i * size, 4).and_then(|kind| u32::try_from(kind).ok())).collect()
}

fn it_starts_the_program(image: &Image) -> Result<()> {
    let inspected: Value =
        serde_json::from_str(&image.buildah(&["inspect", "--type", "image", &image.name])?)?;
    let config = &inspected["OCIv1"]["config"];
    ensure!(config["Entrypoint"] == json!([format!("/{PROGRAM}")]), "{config}");
    ensure!(config["Cmd"].is_null() && config["User"].is_null(), "{config}");
    ensure!(config["Labels"]["org.opencontainers.image.title"] == "towpath", "{config}");
    Ok(())
}
