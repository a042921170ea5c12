//! What the pod is given, and what it is not.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::manifest;
use crate::{Needs, Test};

pub(crate) const TESTS: &[Test] = &[
    ("it_has_no_privilege_but_those_named", Needs::Text(it_has_no_privilege_but_those_named)),
    ("it_runs_on_every_node_at_any_time", Needs::Text(it_runs_on_every_node_at_any_time)),
    ("probes_ask_where_it_answers", Needs::Text(probes_ask_where_it_answers)),
    ("what_is_mounted_is_there_and_used", Needs::Text(what_is_mounted_is_there_and_used)),
    ("files_that_settings_name_are_mounted", Needs::Text(files_that_settings_name_are_mounted)),
    ("it_asks_for_what_it_needs", Needs::Text(it_asks_for_what_it_needs)),
];

fn it_has_no_privilege_but_those_named() -> Result<()> {
    let pod = manifest::pod()?;
    for name in ["hostPID", "hostIPC", "initContainers", "shareProcessNamespace", "securityContext"] {
        ensure!(pod[name].is_null(), "{name} is set");
    }
    let wanted = json!({
        "runAsUser": 0, "runAsGroup": 0, "privileged": false, "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true, "seccompProfile": {"type": "RuntimeDefault"},
        "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW"]},
    });
    let given = &manifest::container()?["securityContext"];
    ensure!(*given == wanted, "{given}");
    Ok(())
}

fn it_runs_on_every_node_at_any_time() -> Result<()> {
    let pod = manifest::pod()?;
    for (name, wanted) in [
        ("hostNetwork", json!(true)),
        ("dnsPolicy", json!("Default")),
        ("priorityClassName", json!("system-node-critical")),
        ("tolerations", json!([{"operator": "Exists"}])),
        ("nodeSelector", json!({"kubernetes.io/os": "linux"})),
    ] {
        ensure!(pod[name] == wanted, "{name}: {}", pod[name]);
    }
    let grace = pod["terminationGracePeriodSeconds"].as_u64().context("no terminationGracePeriodSeconds")?;
    ensure!(grace <= 15, "{grace} s");
    let strategy = &manifest::object(manifest::DAEMONSET, "DaemonSet")?["spec"]["updateStrategy"];
    ensure!(*strategy == json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%"}}));
    Ok(())
}

fn probes_ask_where_it_answers() -> Result<()> {
    let settings = manifest::settings("KubeProxyConfiguration")?;
    let address: SocketAddr = manifest::text(&settings["healthzBindAddress"])?.parse()?;
    ensure!(address.ip().is_unspecified(), "the kubelet asks the node's address, not {address}");
    let container = manifest::container()?;
    for (probe, path) in [("livenessProbe", "/livez"), ("readinessProbe", "/readyz")] {
        let get = &container[probe]["httpGet"];
        ensure!(*get == json!({"path": path, "port": address.port()}), "{probe}: {get}");
    }
    let patience = ["periodSeconds", "failureThreshold"].map(|n| container["livenessProbe"][n].as_u64());
    ensure!(patience.into_iter().flatten().product::<u64>() >= 60, "a slow minute must not restart it");
    Ok(())
}

fn names<'a>(list: &'a Value, key: &str) -> Result<BTreeSet<&'a str>> {
    let names = manifest::list(list)?.iter().map(|item| manifest::text(&item[key]));
    names.collect()
}

fn what_is_mounted_is_there_and_used() -> Result<()> {
    let (pod, container) = (manifest::pod()?, manifest::container()?);
    let (volumes, mounts) = (names(&pod["volumes"], "name")?, names(&container["volumeMounts"], "name")?);
    ensure!(volumes == mounts, "{volumes:?} and {mounts:?}");
    let map = manifest::object(manifest::DAEMONSET, "ConfigMap")?["metadata"]["name"].take();
    let mut host = BTreeSet::new();
    for volume in manifest::list(&pod["volumes"])? {
        match volume["hostPath"]["path"].as_str() {
            Some(path) => drop(host.insert(path.to_owned())),
            None => ensure!(volume["configMap"] == json!({"name": map}), "{volume}"),
        }
    }
    let wanted = ["/proc/sys/net", "/run/xtables.lock", "/var/lib/towpath"].map(str::to_owned);
    ensure!(host == BTreeSet::from(wanted), "{host:?}");
    let writable = manifest::list(&container["volumeMounts"])?.iter().filter(|m| m["readOnly"] != true);
    let writable: Vec<&Value> = writable.map(|mount| &mount["mountPath"]).collect();
    ensure!(writable == ["/var/lib/towpath", "/host/proc/sys/net", "/run/xtables.lock"], "{writable:?}");
    ensure!(manifest::list(&pod["volumes"])?.contains(&lock_of_the_node()), "the tools lock the node's file");
    let root = manifest::list(&container["env"])?.iter().find(|e| e["name"] == "TOWPATH_HOST_ROOT");
    ensure!(root.is_some_and(|e| e["value"] == "/host"), "sysctls are mounted below /host");
    Ok(())
}

/// A node whose iptables has not run yet has no such file.
fn lock_of_the_node() -> Value {
    let path = json!({"path": "/run/xtables.lock", "type": "FileOrCreate"});
    json!({"name": "xtables-lock", "hostPath": path})
}

fn files_that_settings_name_are_mounted() -> Result<()> {
    let container = manifest::container()?;
    let mounts = names(&container["volumeMounts"], "mountPath")?;
    let proxy = manifest::settings("KubeProxyConfiguration")?;
    let towpath = manifest::settings("TowpathConfiguration")?;
    let kubeconfig = manifest::text(&proxy["clientConnection"]["kubeconfig"])?;
    let file = kubeconfig.strip_prefix("/etc/towpath/").context("the kubeconfig is elsewhere")?;
    manifest::config_file(file)?;
    let arguments = manifest::texts(&container["args"])?;
    ensure!(arguments == ["--config=/etc/towpath/config.yaml", "--hostname-override=$(NODE_NAME)"]);
    let snapshot = manifest::text(&towpath["snapshot"]["path"])?;
    ensure!(mounts.contains("/etc/towpath") && snapshot.starts_with("/var/lib/towpath/"), "{snapshot}");
    let name = json!({"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}});
    ensure!(manifest::list(&container["env"])?.contains(&name));
    Ok(())
}

/// The figures are those of docs/performance.md. A limit is a fuse: far above what is needed.
fn it_asks_for_what_it_needs() -> Result<()> {
    let resources = &manifest::container()?["resources"];
    ensure!(resources["requests"]["cpu"].is_string() && resources["limits"]["cpu"].is_null(), "{resources}");
    let mebibytes = |kind: &str| -> Result<u64> {
        let text = manifest::text(&resources[kind]["memory"])?;
        Ok(text.strip_suffix("Mi").with_context(|| format!("{text} is not in Mi"))?.parse()?)
    };
    let (request, limit) = (mebibytes("requests")?, mebibytes("limits")?);
    ensure!(limit >= 4 * request, "{request} Mi and {limit} Mi");
    Ok(())
}
