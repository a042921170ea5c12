//! The configuration file while the program runs: what it can take over, what it cannot, what it refuses.

use std::fs;
use std::os::unix::fs::symlink;

use anyhow::{Context, Result, ensure};
use model::Protocol::Tcp;
use serde_json::Value;

use crate::Test;
use crate::http;
use crate::lifecycle::POD;
use crate::plan::Plan;
use crate::scenes::SMALL;
use crate::stage::{Stage, ip, socket};
use crate::vs;

pub(crate) const TESTS: &[Test] = &[
    Test::new("a_changed_cluster_cidr_is_applied_while_it_runs", applied_live),
    Test::new("a_configmap_that_a_kubelet_swaps_is_followed", symlink_swap),
    Test::new("a_file_that_cannot_be_changes_nothing_and_says_why", bad_file),
    Test::new("a_change_that_needs_a_restart_ends_it_in_order", restart_needed),
    Test::new("a_change_with_which_it_could_not_start_does_not_end_it", cannot_start)
        .needing(vs::has_no_ipvs),
    Test::new("the_settings_in_force_are_on_configz", configz),
    Test::new("write_config_to_prints_what_would_be_in_force", write_config_to),
];

const VIP: &str = "10.96.0.10:80";
/// With this one, the pod that asks is no local pod, so that its traffic is masqueraded.
const ELSEWHERE: &str = "10.99.0.0/16";

fn stage() -> Result<Stage> {
    Plan::new(SMALL)?.hosts(&[POD])?.through_api().start()
}

/// The endpoint sees the pod itself.
fn seen(stage: &Stage) -> Result<()> {
    let got = stage.reach(POD, VIP, Tcp)?.source;
    ensure!(got == ip(POD)?, "the endpoint saw {got}, want {POD}");
    Ok(())
}

/// The endpoint sees an address of the node.
fn masqueraded(stage: &Stage) -> Result<()> {
    let got = stage.reach(POD, VIP, Tcp)?.source;
    ensure!(got != ip(POD)?, "the endpoint saw {got}, which is not masqueraded");
    Ok(())
}

fn applied_live() -> Result<()> {
    stage()?.play(|stage| {
        seen(stage)?;
        stage.cluster()?.reconfigure(|config| config["clusterCIDR"] = ELSEWHERE.into())?;
        stage.soon("the new clusterCIDR", masqueraded)?;
        ensure!(stage.metric("towpath_config_reloads_total")? == 1.0);
        ensure!(stage.log()?.contains("clusterCIDR; it is applied"), "the log does not say so");
        // The same process: it has not begun anew.
        ensure!(stage.log()?.matches("starting").count() == 1);
        stage.progress().map(drop)
    })
}

/// `config.conf -> ..data/config.conf`, `..data -> ..version`: what is replaced is `..data`.
fn symlink_swap() -> Result<()> {
    let mut stage = Plan::new(SMALL)?.hosts(&[POD])?.through_api().build()?;
    let config = stage.cluster()?.config();
    let root = config.parent().context("the configuration's directory")?.to_owned();
    stage.configure()?;
    let text = fs::read_to_string(&config)?;
    for (version, text) in [("..1", text.clone()), ("..2", text.replace("10.244.0.0/16", ELSEWHERE))] {
        fs::create_dir(root.join(version))?;
        fs::write(root.join(version).join("config.conf"), text)?;
    }
    fs::remove_file(&config)?;
    symlink("..1", root.join("..data"))?;
    symlink("..data/config.conf", &config)?;
    stage.launch_as_configured()?;
    stage.progress()?;
    stage.play(|stage| {
        seen(stage)?;
        symlink("..2", root.join("..new"))?;
        fs::rename(root.join("..new"), root.join("..data"))?;
        stage.soon("the new clusterCIDR", masqueraded)
    })
}

fn bad_file() -> Result<()> {
    stage()?.play(|stage| {
        let cluster = stage.cluster()?;
        cluster.reconfigure(|config| {
            config["clusterCIDR"] = "10.99.0.0/99".into();
            config["nodePortAddresses"] = ["nonsense"].as_slice().into();
        })?;
        stage.soon("the file to be refused", |stage| {
            ensure!(stage.metric("towpath_config_refused_total")? == 1.0);
            Ok(())
        })?;
        let log = stage.log()?;
        let line = log.lines().find(|line| line.contains("stay in force")).context("no line says so")?;
        ensure!(line.contains("clusterCIDR") && line.contains("nodePortAddresses"), "not both: {line}");
        let page = http::get(stage.node(), socket("127.0.0.1:10249")?, "/debug/rules")?;
        ensure!(page.is_some_and(|page| page.body.contains("configuration not in force")));
        seen(stage)?;
        stage.cluster()?.reconfigure(|config| {
            config["clusterCIDR"] = ELSEWHERE.into();
            config["nodePortAddresses"] = Value::Null;
        })?;
        stage.soon("the mended file", masqueraded)
    })
}

fn restart_needed() -> Result<()> {
    stage()?.play(|stage| {
        stage.cluster()?.reconfigure(|config| config["metricsBindAddress"] = "127.0.0.1:10250".into())?;
        let status = stage.await_end()?;
        ensure!(status.success(), "it ended with {status}");
        ensure!(stage.log()?.contains("metricsBindAddress"), "the log does not name the field");
        // The rules stay, and serve.
        seen(stage)
    })
}

/// Every node would leave, and none come back.
fn cannot_start() -> Result<()> {
    stage()?.play(|stage| {
        for (i, change) in [
            |config: &mut Value| config["mode"] = "ipvs".into(),
            |config: &mut Value| {
                config["mode"] = Value::Null;
                config["clientConnection"]["kubeconfig"] = "/no/such/file".into();
            },
        ]
        .into_iter()
        .enumerate()
        {
            stage.cluster()?.reconfigure(change)?;
            stage.soon("the file to be refused", |stage| {
                ensure!(stage.metric("towpath_config_refused_total")? == (i + 1) as f64);
                Ok(())
            })?;
        }
        ensure!(stage.log()?.contains("/no/such/file"), "the log does not name the file");
        stage.change(|scene| scene.services[0].ports[0].port = 81)?;
        stage.reach(POD, "10.96.0.10:81", Tcp).map(drop)
    })
}

fn configz() -> Result<()> {
    stage()?.play(|stage| {
        let page = http::get(stage.node(), socket("127.0.0.1:10249")?, "/configz")?.context("no page")?;
        let page: Value = serde_json::from_str(&page.body)?;
        let config = &page["kubeproxy.config.k8s.io"];
        ensure!(config["clusterCIDR"] == "10.244.0.0/16,fd00:244::/56", "{config:#}");
        ensure!(config["conntrack"]["tcpEstablishedTimeout"] == "24h0m0s", "{config:#}");
        Ok(())
    })
}

fn write_config_to() -> Result<()> {
    let stage = Plan::new(SMALL)?.through_api().build()?;
    let cluster = stage.cluster()?;
    let args = cluster.configure(&["--cluster-cidr=10.1.0.0/16".to_owned()])?;
    let out = cluster.config().with_extension("out");
    let out_flag = format!("--write-config-to={}", out.display());
    let args: Vec<&str> = args.iter().map(String::as_str).chain([out_flag.as_str()]).collect();
    let output = crate::agent::run_to_end(stage.node(), &args)?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = fs::read_to_string(&out)?;
    ensure!(
        text.contains("clusterCIDR: 10.1.0.0/16") && text.contains("kind: KubeProxyConfiguration"),
        "{text}"
    );
    Ok(())
}
