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
use crate::{Needs, Test};

pub(crate) const TESTS: &[Test] = &[
    ("it_holds_one_program_with_two_names", Needs::Image(it_holds_one_program_with_two_names)),
    ("the_program_needs_no_other_file", Needs::Image(the_program_needs_no_other_file)),
    ("it_starts_the_program", Needs::Image(it_starts_the_program)),
];

const PROGRAM: &str = "usr/local/bin/towpath";
const LINK: &str = "usr/local/bin/kube-proxy";

/// Commands that are called, and the Debian packages that have them.
const TOOLS: &[(&str, &str)] = &[("buildah", "buildah"), ("capsh", "libcap2-bin"), ("unshare", "util-linux")];

/// Why no image can be built and started here.
pub(crate) fn obstacle() -> Option<String> {
    let starts =
        |tool: &str| Command::new(tool).arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status();
    for (tool, package) in TOOLS {
        if starts(tool).is_err() {
            return Some(format!("needs {tool} (apt-get install --no-install-recommends {package})"));
        }
    }
    testkit::requires_root().err()
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
        image.buildah(&[
            "build",
            "--isolation",
            "chroot",
            "--quiet",
            "--tag",
            &image.name,
            &shown(&context),
        ])?;
        fs::remove_dir_all(&context)?;
        let container = image.buildah(&["from", "--pull-never", &image.name])?;
        image.root = image.buildah(&["mount", container.trim()])?.trim().into();
        Ok(image)
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
        fs::create_dir_all(target.join("usr/local/bin"))?;
        symlink(fs::read_link(self.root.join(LINK))?, target.join(LINK))?;
        // The program is large and never written to.
        fs::hard_link(self.root.join(PROGRAM), target.join(PROGRAM)).context("linking the program")
    }
}

/// What the two commands of docs/install.md leave: `deploy/` with the program in it.
fn lay_out(context: &Path, program: &Path) -> Result<()> {
    let (from, bin) = (manifest::directory(), context.join("root/usr/local/bin"));
    fs::create_dir_all(&bin)?;
    fs::copy(from.join("Containerfile"), context.join("Containerfile"))?;
    let link = fs::read_link(from.join("root").join(LINK)).context("deploy/root has no kube-proxy")?;
    symlink(link, bin.join("kube-proxy"))?;
    fs::copy(program, bin.join("towpath")).context("copying the program")?;
    Ok(())
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// All that is below a directory but directories, sorted.
fn files(root: &Path) -> Result<Vec<String>> {
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

fn it_holds_one_program_with_two_names(image: &Image) -> Result<()> {
    let found = files(&image.root)?;
    ensure!(found == [LINK, PROGRAM], "{found:?}");
    ensure!(fs::read_link(image.root.join(LINK))?.as_os_str() == OsStr::new("towpath"));
    // The test's image is made of the same files.
    let kept = files(&manifest::directory().join("root"))?;
    ensure!(kept.iter().all(|file| found.contains(file)), "deploy/root has more: {kept:?}");
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
