//! What the container is started with, against the real parser.

use std::fs;
use std::path::Path;
use std::process::Output;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testkit::scratch::Scratch;

use crate::manifest;
use crate::program::run_to_end;
use crate::{Needs, Test};

pub(crate) const TESTS: &[Test] = &[
    (
        "the_containers_are_taken_without_a_warning",
        Needs::Program(the_containers_are_taken_without_a_warning),
    ),
    ("a_word_that_is_wrong_is_refused", Needs::Program(a_word_that_is_wrong_is_refused)),
];

const NODE: &str = "n1";

/// The container's arguments, with the ConfigMap's directory here, and `more`.
fn arguments(etc: &Path, more: &str) -> Result<Vec<String>> {
    let args = manifest::texts(&manifest::container()?["args"])?;
    let here = format!("{}/", etc.display());
    let mapped = |arg: &String| arg.replace("/etc/towpath/", &here).replace("$(NODE_NAME)", NODE);
    Ok(args.iter().map(mapped).chain([more.to_owned()]).collect())
}

/// Runs it for what it would run with; the answer, and the effective settings.
fn effective(edit: impl Fn(String) -> String) -> Result<(Output, Option<Value>)> {
    let scratch = Scratch::new()?;
    fs::write(scratch.path().join("config.yaml"), edit(manifest::config_file("config.yaml")?))?;
    let written = scratch.path().join("effective.yaml");
    let more = format!("--write-config-to={}", written.display());
    let output = run_to_end(&arguments(scratch.path(), &more)?)?;
    let text = fs::read_to_string(&written).ok();
    let documents = text.map(|text| serde_saphyr::from_multiple::<Value>(&text)).transpose()?;
    Ok((output, documents.and_then(|documents| documents.into_iter().next())))
}

fn the_containers_are_taken_without_a_warning() -> Result<()> {
    let (output, settings) = effective(|text| text)?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && stderr.is_empty(), "{}\n{stderr}", output.status);
    let settings = settings.context("no settings were written")?;
    let given = manifest::settings("KubeProxyConfiguration")?;
    for key in ["mode", "detectLocalMode", "healthzBindAddress", "metricsBindAddress", "oomScoreAdj"] {
        ensure!(!given[key].is_null() && settings[key] == given[key], "{key}: {}", settings[key]);
    }
    ensure!(settings["clientConnection"]["kubeconfig"] == given["clientConnection"]["kubeconfig"]);
    Ok(())
}

/// So that the test above can fail.
fn a_word_that_is_wrong_is_refused() -> Result<()> {
    for (right, wrong) in [("mode: nftables", "mode: nftable"), ("snapshot:", "snapshots:")] {
        let (output, settings) = effective(|text| text.replace(right, wrong))?;
        ensure!(!output.status.success() && settings.is_none(), "{wrong} was taken");
        let stderr = String::from_utf8_lossy(&output.stderr);
        let word = wrong.split(':').next().unwrap_or_default();
        ensure!(stderr.contains(word), "{wrong}: the error does not say it: {stderr}");
    }
    Ok(())
}
