//! `towpath run` as a process: memory, restart, CPU.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};
use testkit::netns::NetNs;
use testkit::scratch::Scratch;

use crate::data::{self, Size};
use crate::process::{Agent, generation};

/// Services whose slices have a file of their own, so that a change writes one small file.
const CHANGING: u32 = 100;
const PER_FILE: u32 = 1000;
const RATE: u32 = 20;

/// Measures one agent on a cluster of manifests.
pub(crate) fn measure(size: Size, changes: u32) -> Result<()> {
    let scratch = Scratch::new()?;
    write_cluster(scratch.path(), size)?;
    let namespace = NetNs::new()?;
    let started = Instant::now();
    let agent = start(&namespace, scratch.path())?;
    println!("agent: from start to synced, manifests read from disk: {:.2?}", started.elapsed());
    println!(
        "agent: resident {} MiB, peak {} MiB",
        agent.status("VmRSS:")? / 1024,
        agent.status("VmHWM:")? / 1024
    );
    at_rate(&agent, scratch.path(), size, changes)?;
    println!("agent: resident afterwards {} MiB", agent.status("VmRSS:")? / 1024);
    drop(agent);
    restart(&namespace, scratch.path())
}

/// Starts a second agent on what the first left: the ruleset's generation must not move.
fn restart(namespace: &NetNs, manifests: &Path) -> Result<()> {
    let before = generation(namespace)?;
    let agent = start(namespace, manifests)?;
    let after = generation(namespace)?;
    println!(
        "agent: restart with nothing changed: {} kernel writes, ruleset generation {before} -> {after}",
        agent.metric("towpath_kernel_writes_total")?
    );
    Ok(())
}

fn at_rate(agent: &Agent<'_>, manifests: &Path, size: Size, changes: u32) -> Result<()> {
    let before = agent.cpu()?;
    let (started, writes) = (Instant::now(), agent.metric("towpath_kernel_writes_total")?);
    for i in 0..changes {
        let n = i % CHANGING;
        let endpoints = size.endpoints + 1 - (i / CHANGING) % 2;
        write_json(&slice_path(manifests, n), &data::slice_json(n, 0..endpoints))?;
        let next = started + Duration::from_secs(1) * (i + 1) / RATE;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    let (cpu, wall) = (agent.cpu()? - before, started.elapsed());
    let written = agent.metric("towpath_kernel_writes_total")? - writes;
    println!(
        "agent: {changes} changes at {RATE} a second: CPU {:.1} ms in {:.1} s = {:.2} % of a core, {written} objects written",
        cpu * 1000.0,
        wall.as_secs_f64(),
        cpu / wall.as_secs_f64() * 100.0
    );
    Ok(())
}

fn slice_path(manifests: &Path, n: u32) -> PathBuf {
    manifests.join(format!("slice-{n:03}.json"))
}

/// Writes manifests of a cluster.
pub(crate) fn write_cluster(dir: &Path, size: Size) -> Result<()> {
    let changing = CHANGING.min(size.services);
    for n in 0..changing {
        write_json(&slice_path(dir, n), &data::slice_json(n, 0..size.endpoints))?;
    }
    for (file, first) in (0..size.services).step_by(PER_FILE as usize).enumerate() {
        let range = first..(first + PER_FILE).min(size.services);
        let slices = range.clone().filter(|n| *n >= changing).map(|n| data::slice_json(n, 0..size.endpoints));
        write_json(&dir.join(format!("services-{file:03}.json")), &list(range.map(data::service_json)))?;
        write_json(&dir.join(format!("slices-{file:03}.json")), &list(slices))?;
    }
    Ok(())
}

fn list(items: impl Iterator<Item = Value>) -> Value {
    json!({ "apiVersion": "v1", "kind": "List", "items": items.collect::<Vec<_>>() })
}

/// Atomic, as an editor or a kubelet does it.
fn write_json(path: &Path, value: &Value) -> Result<()> {
    let staged = path.with_extension("new");
    fs::write(&staged, serde_json::to_vec(value)?)?;
    Ok(fs::rename(&staged, path)?)
}

/// Starts one on manifests and waits until it says that it is synced.
pub(crate) fn start<'a>(namespace: &'a NetNs, manifests: &Path) -> Result<Agent<'a>> {
    let path = manifests.to_string_lossy();
    let agent = Agent::spawn(namespace, &["--cluster-cidr", "20.0.0.0/8", "--manifests", &*path])?;
    agent.await_sync()?;
    Ok(agent)
}
