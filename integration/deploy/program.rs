//! The programs under test: the one that was built for all tests, and a static one for the image.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::manifest;

const NAMED_BY: &str = "TOWPATH_BIN";
const STATIC_NAMED_BY: &str = "TOWPATH_STATIC_BIN";

/// Why there is no program to test. One that is named and not there is an error: somebody wanted it tested.
pub(crate) fn obstacle() -> Result<Option<String>> {
    match named(NAMED_BY)? {
        Some(_) => Ok(None),
        None => Ok(built().err().map(|error| error.to_string())),
    }
}

/// Runs the program to its end with these arguments.
pub(crate) fn run_to_end(args: &[String]) -> Result<Output> {
    let program = named(NAMED_BY)?.map_or_else(built, Ok)?;
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null());
    command.output().with_context(|| format!("running towpath {}", args.join(" ")))
}

fn named(variable: &str) -> Result<Option<PathBuf>> {
    let Some(path) = env::var_os(variable).map(PathBuf::from) else { return Ok(None) };
    ensure!(path.is_file(), "{variable}: no program at {}", path.display());
    Ok(Some(path))
}

/// The newest of those in `target`.
fn built() -> Result<PathBuf> {
    let target = manifest::repository().join("target");
    let built = ["release", "debug"].map(|profile| target.join(profile).join("towpath"));
    let age = |path: &PathBuf| fs::metadata(path).and_then(|m| m.modified()).ok();
    let newest = built.into_iter().filter(|p| age(p).is_some()).max_by_key(age);
    newest.ok_or_else(|| anyhow!("no program: run `cargo build` first, or set {NAMED_BY}"))
}

/// The static program: the one that is named, or a fresh one. Not optimised, since what is tested does not depend on it.
pub(crate) fn statically_linked() -> Result<PathBuf> {
    if let Some(path) = named(STATIC_NAMED_BY)? {
        return Ok(path);
    }
    let triple = format!("{}-unknown-linux-gnu", env::consts::ARCH);
    let target = manifest::repository().join("target/image");
    build(&triple, &target)?;
    let program = target.join(triple).join("debug/towpath");
    ensure!(program.is_file(), "cargo built no {}", program.display());
    Ok(program)
}

/// In a directory of its own, so that nothing else is built again because of the flags.
fn build(triple: &str, target: &Path) -> Result<()> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--package", "towpath", "--bin", "towpath", "--target", triple]);
    cargo.arg("--target-dir").arg(target).current_dir(manifest::repository());
    // Whoever runs the tests may have flags of their own, which come before these.
    cargo.env_remove("CARGO_ENCODED_RUSTFLAGS").env("RUSTFLAGS", "-C target-feature=+crt-static");
    cargo.env("CARGO_PROFILE_DEV_DEBUG", "false").env("CARGO_INCREMENTAL", "0");
    let output = cargo.stdin(Stdio::null()).output().context("running cargo")?;
    if !output.status.success() {
        bail!("the static program was not built:\n{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
