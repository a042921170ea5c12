//! What the program does for its node and its cluster beside rules: health checks for load balancers, Events, the start-up
//! taint, the measure of network programming, the last known good state.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use model::Protocol::Tcp;
use serde_json::{Value, json};
use testkit::cases::Policy;
use testkit::scene::NODE_NAME;
use testkit::wait;

use crate::Test;
use crate::http;
use crate::lifecycle::POD;
use crate::plan::Plan;
use crate::rules::generation;
use crate::scenes::SMALL;
use crate::stage::{NODE, Stage, ip, socket};

pub(crate) const TESTS: &[Test] = &[
    Test::new("a_load_balancer_asks_for_local_endpoints", health_check),
    Test::new("a_health_check_port_that_is_taken_is_told_and_had_later", health_check_taken),
    Test::new("health_pages", health_pages),
    Test::new("a_start_is_an_event_of_the_node", start_event),
    Test::new("the_start_up_taint_goes_after_the_first_sync", startup_taint),
    Test::new("network_programming_is_measured_from_its_cause", programming_latency),
    Test::new("without_an_api_server_the_last_known_state_serves", snapshot_serves),
    Test::new("rules_that_are_there_are_newer_than_a_snapshot", snapshot_not_wanted),
    Test::new("a_damaged_snapshot_is_told_and_ignored", snapshot_damaged),
    Test::new("init_only_does_that_and_ends", init_only),
];

/// A load balancer's Service whose traffic stays on the node.
const LOCAL: &str = "
services:
- name: ns/lb
  type: LoadBalancer
  cluster_ips: [10.96.0.20]
  external_traffic_policy: Local
  health_check_node_port: 32000
  lb_ingress: [{ip: 198.51.100.20}]
  ports: [{name: p, port: 80, node_port: 30020}]
slices:
- service: ns/lb
  ports: [{name: p, port: 8080}]
  endpoints: [{ip: 10.244.0.1, node: test-node}, {ip: 10.244.0.2, node: test-node}, {ip: 10.244.1.1, node: other}]
";
const LOAD_BALANCER: &str = "203.0.113.5";
const VIP: &str = "10.96.0.10:80";
const BOTH: [&str; 2] = ["10.244.0.1:8080", "10.244.1.1:8080"];
const PATIENCE: Duration = Duration::from_secs(15);

fn small() -> Result<Plan> {
    Plan::new(SMALL)?.hosts(&[POD]).map(Plan::through_api)
}

/// What a load balancer outside is told: the head of the answer and its body.
fn asked(stage: &Stage) -> Result<String> {
    let outside = stage.world.namespace(ip(LOAD_BALANCER)?);
    outside.command("curl", &["-si", "-m", "2", &format!("http://{NODE}:32000/any/path")])
}

fn says(stage: &Stage, status: &str, weight: usize) -> Result<()> {
    let answer = asked(stage)?;
    let weight_line = format!("x-load-balancing-endpoint-weight: {weight}\r\n");
    let lower = answer.to_lowercase();
    ensure!(answer.starts_with(&format!("HTTP/1.1 {status}")), "want {status}: {answer}");
    ensure!(lower.contains(&weight_line) && lower.contains("x-content-type-options: nosniff"), "{answer}");
    ensure!(
        answer.contains(&format!("\"localEndpoints\": {weight},\n\t\"serviceProxyHealthy\": true")),
        "{answer}"
    );
    Ok(())
}

fn health_check() -> Result<()> {
    Plan::new(LOCAL)?.outside(&[LOAD_BALANCER])?.through_api().start()?.play(|stage| {
        stage.soon("two local endpoints", |stage| says(stage, "200", 2))?;
        stage.change(|scene| scene.remove_endpoint([10, 244, 0, 2].into()))?;
        stage.soon("one local endpoint", |stage| says(stage, "200", 1))?;
        stage.change(|scene| scene.remove_endpoint([10, 244, 0, 1].into()))?;
        stage.soon("no local endpoint", |stage| says(stage, "503", 0))?;
        stage.change(|scene| scene.services[0].external_traffic_policy = Some(Policy::Cluster))?;
        stage.soon("no server any more", |stage| match asked(stage) {
            Ok(answer) => bail!("it still answers: {answer}"),
            Err(_) => Ok(()),
        })
    })
}

fn health_check_taken() -> Result<()> {
    let stage = Plan::new(LOCAL)?.outside(&[LOAD_BALANCER])?.through_api().build()?;
    let squatter = stage.node().run(|| std::net::TcpListener::bind((NODE, 32000)))??;
    let mut squatter = Some(squatter);
    stage.play(|stage| {
        stage.start()?;
        let event = event(stage, "FailedToStartServiceHealthcheck")?;
        ensure!(event["involvedObject"]["name"] == "lb" && event["type"] == "Warning", "{event:#}");
        drop(squatter.take());
        wait::until("the port to be taken over", PATIENCE, || Ok(says(stage, "200", 2).ok()))
    })
}

fn health_pages() -> Result<()> {
    small()?.start()?.play(|stage| {
        let page =
            |path| http::get(stage.node(), socket("127.0.0.1:10256")?, path)?.context("nobody serves it");
        for path in ["/healthz", "/livez"] {
            let page = page(path)?;
            ensure!(page.status == 200, "{path}: {}", page.body);
            let body: Value = serde_json::from_str(&page.body)?;
            ensure!(body["healthy"] == true && body["status"]["IPv6"]["healthy"] == true, "{body:#}");
            ensure!(body.get("nodeEligible").is_some() == (path == "/healthz"), "{body:#}");
        }
        ensure!(page("/readyz")?.status == 200);
        let store = stage.cluster()?.server.store();
        let mut node = store.get("nodes", "", NODE_NAME).context("the Node")?;
        node["spec"]["taints"] = json!([{ "key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule" }]);
        stage.cluster()?.server.store().apply(node).map_err(|e| anyhow::anyhow!("{e:?}"))?;
        stage.soon("the node to be no target any more", |_| {
            ensure!(page("/healthz")?.status == 503 && page("/livez")?.status == 200);
            Ok(())
        })
    })
}

/// Waits for the Event with this reason.
pub(crate) fn event(stage: &Stage, reason: &str) -> Result<Value> {
    let server = &stage.cluster()?.server;
    let found = || server.store().list("events").into_iter().find(|event| event["reason"] == reason);
    wait::until(&format!("an Event {reason}"), PATIENCE, || Ok(found()))
}

fn start_event() -> Result<()> {
    small()?.start()?.play(|stage| {
        let event = event(stage, "Starting")?;
        let about = &event["involvedObject"];
        ensure!(
            about["kind"] == "Node" && about["name"] == NODE_NAME && event["type"] == "Normal",
            "{event:#}"
        );
        Ok(())
    })
}

fn startup_taint() -> Result<()> {
    const OURS: &str = "towpath.dev/not-ready";
    let mut stage = small()?.build()?;
    let store = stage.cluster()?.server.store().clone();
    let mut node = store.get("nodes", "", NODE_NAME).context("the Node")?;
    node["spec"]["taints"] =
        json!([{ "key": "other", "effect": "NoSchedule" }, { "key": OURS, "effect": "NoSchedule" }]);
    store.apply(node).map_err(|e| anyhow::anyhow!("{e:?}"))?;
    stage.add_flags(&["--startup-taint", OURS]);
    stage.play(|stage| {
        stage.start()?;
        let taints = || store.get("nodes", "", NODE_NAME).map(|node| node["spec"]["taints"].clone());
        let only_other =
            || taints().filter(|taints| *taints == json!([{ "key": "other", "effect": "NoSchedule" }]));
        wait::until("the taint to go", PATIENCE, || Ok(only_other())).map(drop)
    })
}

fn programming_latency() -> Result<()> {
    const COUNT: &str = "kubeproxy_network_programming_duration_seconds_count{ip_family=\"IPv4\"}";
    const SUM: &str = "kubeproxy_network_programming_duration_seconds_sum{ip_family=\"IPv4\"}";
    small()?.start()?.play(|stage| {
        ensure!(stage.metric(COUNT)? == 0.0, "the first list has no causes that count");
        let store = stage.cluster()?.server.store();
        let slices = store.list("endpointslices");
        let mut slice = slices.into_iter().find(|slice| slice["addressType"] == "IPv4").context("a slice")?;
        let cause = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() - 2;
        slice["metadata"]["annotations"] =
            json!({ "endpoints.kubernetes.io/last-change-trigger-time": rfc3339(cause) });
        slice["endpoints"].as_array_mut().context("endpoints")?.truncate(1);
        store.apply(slice).map_err(|e| anyhow::anyhow!("{e:?}"))?;
        stage.soon("the measure", |stage| {
            let (count, sum) = (stage.metric(COUNT)?, stage.metric(SUM)?);
            ensure!(count == 1.0 && (2.0..8.0).contains(&sum), "count {count}, sum {sum}");
            Ok(())
        })
    })
}

/// By `date`, which knows the calendar.
fn rfc3339(seconds: u64) -> String {
    let date =
        std::process::Command::new("date").args(["-u", "-d", &format!("@{seconds}"), "+%FT%TZ"]).output();
    date.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned()).unwrap_or_default()
}

/// A stage whose program has written its snapshot and ended.
fn with_snapshot() -> Result<Stage> {
    let mut stage = small()?.start()?;
    stage.stop()?;
    let path = stage.cluster()?.snapshot();
    ensure!(path.is_file(), "no snapshot at {}", path.display());
    Ok(stage)
}

/// As after a reboot.
fn forget_rules(stage: &Stage) -> Result<()> {
    let output = stage.run_program(&["cleanup"])?;
    ensure!(output.status.success(), "cleanup: {output:?}");
    Ok(())
}

fn snapshot_serves() -> Result<()> {
    with_snapshot()?.play(|stage| {
        forget_rules(stage)?;
        stage.cluster()?.server.faults().refuse(true);
        stage.launch()?;
        wait::until("rules from the snapshot", PATIENCE, || Ok(stage.reach(POD, VIP, Tcp).ok()))?;
        stage.reaches(POD, VIP, Tcp, &BOTH)?;
        ensure!(stage.metric("towpath_from_snapshot")? == 1.0);
        // What was deleted meanwhile goes when the server is back, and not before.
        stage.scene.remove_endpoint([10, 244, 1, 1].into());
        stage.publish()?;
        stage.reaches(POD, VIP, Tcp, &BOTH)?;
        stage.cluster()?.server.faults().refuse(false);
        wait::until("the server's state", Duration::from_secs(40), || {
            Ok(stage.metric("towpath_from_snapshot").ok().filter(|value| *value == 0.0))
        })?;
        stage.await_mark()?;
        stage.reaches(POD, VIP, Tcp, &BOTH[..1])
    })
}

fn snapshot_not_wanted() -> Result<()> {
    with_snapshot()?.play(|stage| {
        let before = generation(stage.node())?;
        stage.cluster()?.server.faults().refuse(true);
        stage.add_flags(&["--snapshot-after=1s"]);
        stage.launch()?;
        stage.soon("the server to be missed", |stage| {
            let log = stage.log()?;
            ensure!(
                log.contains("WARN api: ") && stage.metric("towpath_from_snapshot").is_ok(),
                "nothing is said"
            );
            Ok(())
        })?;
        stage.reaches(POD, VIP, Tcp, &BOTH)?;
        // Then somebody deletes the rules: now the old state is better than none.
        ensure!(generation(stage.node())? == before && stage.metric("towpath_from_snapshot")? == 0.0);
        forget_rules(stage)?;
        wait::until("rules from the snapshot", PATIENCE, || Ok(stage.reach(POD, VIP, Tcp).ok())).map(drop)
    })
}

fn snapshot_damaged() -> Result<()> {
    with_snapshot()?.play(|stage| {
        forget_rules(stage)?;
        let path = stage.cluster()?.snapshot();
        let text = fs::read_to_string(&path)?;
        fs::write(&path, text.replacen("10.244.1.1", "10.244.1.2", 1))?;
        stage.cluster()?.server.faults().refuse(true);
        stage.add_flags(&["--snapshot-after=1s"]);
        stage.launch()?;
        wait::until("the damage to be told", PATIENCE, || {
            Ok(stage
                .log()?
                .lines()
                .any(|line| line.contains("snapshot") && line.contains("ignored"))
                .then_some(()))
        })?;
        ensure!(stage.reach(POD, VIP, Tcp).is_err(), "a damaged snapshot was programmed");
        stage.cluster()?.server.faults().refuse(false);
        wait::until("the server's state", Duration::from_secs(40), || Ok(stage.reach(POD, VIP, Tcp).ok()))
            .map(drop)
    })
}

fn init_only() -> Result<()> {
    let stage = small()?.build()?;
    let args = [stage.configure()?, vec!["--init-only".to_owned()]].concat();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let output = crate::agent::run_to_end(stage.node(), &args)?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let set = stage.node().command("sysctl", &["-n", "net.netfilter.nf_conntrack_tcp_timeout_close_wait"])?;
    ensure!(set.trim() == "3600", "close_wait is {set}");
    ensure!(!stage.node().command("nft", &["list", "tables"])?.contains("towpath"), "it programmed rules");
    Ok(())
}
