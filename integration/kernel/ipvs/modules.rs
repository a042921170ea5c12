//! A scheduler whose module is not there.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use model::Protocol::Tcp;

use super::{ENDPOINTS, SCHEDULER, VIP, annotate, plan};
use crate::Test;
use crate::lifecycle::POD;
use crate::stage::Stage;
use crate::vs::is_virtual_machine;

pub(crate) const TESTS: &[Test] = &[
    Test::new("the_nodes_scheduler_without_its_module_is_refused", node_default).needing(in_a_machine),
    Test::new("a_services_scheduler_without_its_module_is_a_problem", of_a_service).needing(in_a_machine),
];

/// How the kernel loads modules, for all namespaces.
const LOADER: &str = "/proc/sys/kernel/modprobe";
const MODULE: &str = "ip_vs_ovf";

/// The module cannot be loaded while this lives.
struct Hidden {
    loader: String,
}

impl Hidden {
    fn new() -> Result<Self> {
        let loader = fs::read_to_string(LOADER).context("how modules are loaded")?;
        let hidden = Self { loader };
        fs::write(LOADER, "/bin/false").context("hiding the modules")?;
        // It is not there, or nobody uses it.
        let _ = Command::new("rmmod").arg(MODULE).output();
        let loaded = fs::read_to_string("/proc/modules")?;
        ensure!(!loaded.contains(MODULE), "{MODULE} is loaded and stays");
        Ok(hidden)
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // In a machine that lives for the tests alone.
        let _ = fs::write(LOADER, self.loader.trim_end());
    }
}

/// Only a machine of the tests' own may be without its modules for a moment.
fn in_a_machine() -> Result<(), String> {
    let reason = "hides modules from the kernel: needs a virtual machine";
    if is_virtual_machine() { Ok(()) } else { Err(reason.to_owned()) }
}

fn node_default() -> Result<()> {
    let stage = plan()?.build()?;
    let _hidden = Hidden::new()?;
    let path = stage.directory().to_str().context("the directory's name")?;
    let args = ["run", "--manifests", path, "--proxy-mode", "ipvs", "--ipvs-scheduler", "ovf"];
    let output = stage.run_program(&args)?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(!output.status.success(), "it started without {MODULE}");
    let last = said.lines().last().unwrap_or_default();
    ensure!(last.starts_with("towpath: ") && last.contains(MODULE), "{MODULE} is not named in: {said}");
    ensure!(stage.virtual_servers()?.is_empty() && stage.local_routes()?.is_empty(), "something was written");
    Ok(())
}

fn of_a_service() -> Result<()> {
    plan()?.start()?.play(|stage| {
        let hidden = Hidden::new()?;
        stage.tolerate_differences(true);
        stage.change(|scene| annotate(scene, "ns/web", SCHEDULER, Some("ovf")))?;
        let problems = stage.progress()?.problems;
        let named = |text: &String| text.contains("ns/web") && text.contains(MODULE);
        ensure!(!problems.is_empty() && problems.iter().all(named), "{problems:?}");
        served_by_default(stage)?;
        // Not told again at each change, and gone with its cause.
        stage.change(|scene| scene.slices[0].endpoints.truncate(2))?;
        stage.reaches(POD, VIP, Tcp, &ENDPOINTS[..2])?;
        stage.change(|scene| annotate(scene, "ns/web", SCHEDULER, None))?;
        stage.tolerate_differences(false);
        ensure!(stage.progress()?.problems.is_empty(), "{:?}", stage.progress()?.problems);
        drop(hidden);
        stage.change(|scene| annotate(scene, "ns/web", SCHEDULER, Some("ovf")))?;
        ensure!(stage.virtual_server(VIP, Tcp)?.scheduler == "ovf", "the module is there again");
        Ok(())
    })
}

fn served_by_default(stage: &Stage) -> Result<()> {
    let scheduler = stage.virtual_server(VIP, Tcp)?.scheduler;
    ensure!(scheduler == "rr", "served by {scheduler}");
    stage.reaches(POD, VIP, Tcp, &ENDPOINTS)
}
