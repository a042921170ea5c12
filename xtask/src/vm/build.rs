//! Builds the programs, and copies them without their symbols: a machine reads 13 MB a second.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::command::{build_towpath, cargo, must, output, program};
use crate::vm::programs::Program;

/// A program that can be run.
#[derive(Debug)]
pub struct Built {
    /// Which it is.
    pub program: Program,
    /// The copy without symbols.
    pub file: PathBuf,
    /// The directory of its package, where cargo would start it.
    pub directory: PathBuf,
    /// The program under test, if it is one that starts it.
    pub towpath: Option<PathBuf>,
}

/// What cargo is told to build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// The programs, and no more than they need.
    Programs,
    /// All tests of the workspace: nothing is built anew that `cargo test --workspace` has built.
    Workspace,
}

/// Builds all at once, so that they share what they are built of; the copies go to `place`.
pub fn build(place: &Path, programs: &[Program], extent: Extent) -> Result<Vec<Built>> {
    let messages = output(cargo(&arguments(programs, extent)).stderr(Stdio::inherit()))?;
    let towpath = programs.iter().any(Program::needs_towpath).then(|| towpath(place)).transpose()?;
    programs.iter().map(|program| built(place, program, &messages, towpath.as_deref())).collect()
}

fn towpath(place: &Path) -> Result<PathBuf> {
    stripped(&build_towpath()?, place)
}

fn arguments(programs: &[Program], extent: Extent) -> Vec<&str> {
    let format = ["--message-format", "json-render-diagnostics"];
    if programs.iter().any(|program| program.measures) {
        return [&["build", "--release", "--package", "towpath-bench"][..], &format].concat();
    }
    let mut arguments = [&["test", "--no-run"][..], &format].concat();
    if extent == Extent::Workspace {
        arguments.push("--workspace");
        return arguments;
    }
    let packages: BTreeSet<_> = programs.iter().map(|program| program.package.as_str()).collect();
    let targets: BTreeSet<_> = programs.iter().map(|program| program.target.as_str()).collect();
    arguments.extend(packages.into_iter().flat_map(|package| ["--package", package]));
    for target in targets {
        if target == "lib" { arguments.push("--lib") } else { arguments.extend(["--test", target]) }
    }
    arguments
}

fn built(place: &Path, program: &Program, messages: &str, towpath: Option<&Path>) -> Result<Built> {
    let found = messages.lines().find_map(|line| artifact(line, program));
    let (file, directory) = found.with_context(|| format!("cargo built no {}", program.name()))?;
    let towpath = towpath.filter(|_| program.needs_towpath()).map(Path::to_owned);
    Ok(Built { program: program.clone(), file: stripped(&file, place)?, directory, towpath })
}

/// The program and its package's directory, if this line of cargo's messages tells it.
fn artifact(line: &str, program: &Program) -> Option<(PathBuf, PathBuf)> {
    let message: Value = serde_json::from_str(line).ok()?;
    let target = &message["target"];
    let kind = match (program.measures, program.target.as_str()) {
        (true, _) => "bin",
        (false, "lib") => "lib",
        _ => "test",
    };
    let is_kind = target["kind"].as_array()?.iter().any(|one| one == kind);
    let is_named = kind == "lib" || target["name"] == program.target.as_str();
    let is_ours = message["package_id"].as_str()?.contains(&format!("#{}@", program.package));
    if message["profile"]["test"] == program.measures || !(is_kind && is_named && is_ours) {
        return None;
    }
    let directory = Path::new(message["manifest_path"].as_str()?).parent()?;
    Some((message["executable"].as_str()?.into(), directory.to_owned()))
}

fn stripped(file: &Path, place: &Path) -> Result<PathBuf> {
    let copy = place.join(file.file_name().context("a program has a name")?);
    must(program("strip", &["-o"]).arg(&copy).arg(file))?;
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm::programs::{measurement, parse};

    #[test]
    fn packages_and_targets_are_named_once() {
        let programs = ["a:lib", "a:x", "b:x"].map(|text| parse(text).unwrap());
        let all = arguments(&programs, Extent::Programs).join(" ");
        assert!(all.ends_with("--package a --package b --lib --test x"), "{all}");
        let all = arguments(&programs, Extent::Workspace).join(" ");
        assert!(all.ends_with("--workspace"), "{all}");
    }

    #[test]
    fn a_measurement_is_built_for_release() {
        let programs = [measurement(&[])];
        let all = arguments(&programs, Extent::Programs).join(" ");
        assert!(all.starts_with("build --release --package towpath-bench "), "{all}");
        let line = r#"{"reason":"compiler-artifact","package_id":"path+file:///r/crates/bench#towpath-bench@0.1.0","manifest_path":"/r/crates/bench/Cargo.toml","target":{"kind":["bin"],"name":"towpath-bench"},"profile":{"test":false},"executable":"/t/towpath-bench"}"#;
        let expected = ("/t/towpath-bench".into(), "/r/crates/bench".into());
        assert_eq!(artifact(line, &programs[0]), Some(expected));
    }

    #[test]
    fn a_program_is_found_in_the_messages_of_cargo() {
        let line = |id: &str, kind: &str, name: &str, test: bool| {
            format!(
                r#"{{"reason":"compiler-artifact","package_id":"path+file:///r/crates/{id}","manifest_path":"/r/crates/a/Cargo.toml","target":{{"kind":["{kind}"],"name":"{name}"}},"profile":{{"test":{test}}},"executable":"/t/{name}-1"}}"#
            )
        };
        let found = |name: &str| Some((PathBuf::from(format!("/t/{name}-1")), PathBuf::from("/r/crates/a")));
        let cases = [
            ("a:x", line("a#a@0.1.0", "test", "x", true), found("x")),
            ("a:lib", line("a#a@0.1.0", "lib", "my_a", true), found("my_a")),
            ("a:lib", line("a#a@0.1.0", "lib", "my_a", false), None),
            ("a:x", line("ba#ba@0.1.0", "test", "x", true), None),
            ("a:x", line("a#a@0.1.0", "test", "y", true), None),
            ("a:x", "Compiling a".to_owned(), None),
        ];
        for (program, line, expected) in cases {
            assert_eq!(artifact(&line, &parse(program).unwrap()), expected, "{program} of {line}");
        }
    }
}
