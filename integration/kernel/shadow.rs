//! Beside a running kube-proxy: what differs is told by Service, and nothing is written.
//!
//! ```text
//! manifests    A                | B                                     | B
//! kube-proxy   A                | A                                     | B
//! told         no difference    | waiting, then each of B - A by Service | differs no more
//! the node     as before -------------------------------------------------- as before
//! ```

mod cluster;
mod page;
mod traces;

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use apiserver::Options;
use serde_json::Value;
use testkit::kube_proxy::{Cluster as KubeProxy, Port};
use testkit::scene::NODE_NAME;
use testkit::scratch::Scratch;
use testkit::wait;
use testkit::world::{Layout, World};

use crate::Test;
use crate::agent::program;
use crate::cluster::Cluster;
use crate::http;
use crate::stage::{Stage, socket};
use cluster::{Proxy, example, scene};
use page::{Page, await_agreement, await_lines, await_page, differences_in_metrics, lines_of};
use traces::{Traces, listening};

pub(crate) const TESTS: &[Test] = &[
    Test::new("of_nftables_tells_what_differs", || tells(Proxy::Nftables)),
    Test::new("of_iptables_legacy_tells_what_differs", || tells(Proxy::Legacy)),
    Test::new("of_iptables_nft_tells_what_differs", || tells(Proxy::Nft)),
    Test::new("without_a_kube_proxy_it_waits_for_one", waits_for_one),
    Test::new("a_kube_proxy_that_changes_its_mode_is_followed", follows_the_mode),
    Test::new("with_kube_proxys_own_file_its_ports_are_left_alone", kube_proxys_file),
    Test::new("in_a_cluster_that_always_changes_it_compares", always_changing),
    Test::new("without_privilege_it_says_what_it_needs", without_privilege),
];

/// A difference is told once it has lasted for 10 s; the program looks every 5 s.
const PATIENCE: Duration = Duration::from_secs(40);
/// It has not lasted before.
const LASTS: Duration = Duration::from_secs(10);
const METRICS: &str = "127.0.0.1:10249";
const HEALTHZ: &str = "127.0.0.1:10256";

/// A node with these manifests on which nothing runs yet.
fn stage(ours: &KubeProxy, api: Option<Options>) -> Result<Stage> {
    let cidrs = ours.pod_cidrs.join(",");
    let flags = ["--hostname-override", NODE_NAME, "--cluster-cidr", &cidrs, "--shadow"];
    let layout = Layout::of_node(ours.node_ips.iter().copied());
    Stage::new(World::new(&layout)?, scene(ours)?, flags.map(str::to_owned).to_vec(), api)
}

/// An endpoint gone, a Service gone, a Service new.
fn change(cluster: &mut KubeProxy) -> Result<()> {
    let is_web = |port: &&mut Port| port.service == "default/web" && port.cluster_ip.is_ipv4();
    let web = cluster.ports.iter_mut().find(is_web).context("default/web")?;
    web.endpoints.retain(|endpoint| endpoint.local);
    cluster.ports.retain(|port| port.service != "default/sticky");
    cluster.ports.push(Port::new("ns/new", "p", socket("10.96.0.50:80")?, &[socket("10.244.2.7:8080")?]));
    Ok(())
}

const CHANGED: [(&str, &str, &str); 3] = [
    (
        "default/sticky",
        "extra",
        "default/sticky 10.96.0.13:80/tcp, [fd00:96::13]:80/tcp: kube-proxy serves it, towpath does not",
    ),
    (
        "default/web",
        "endpoints",
        "default/web:http 10.96.0.10:80/tcp, nodePort 30080/tcp (IPv4): kube-proxy sends to 10.244.2.7:8080 too, \
         towpath does not",
    ),
    ("ns/new", "missing", "ns/new:p 10.96.0.50:80/tcp: towpath serves it, kube-proxy has no rule for it"),
];

fn tells(proxy: Proxy) -> Result<()> {
    let mut cluster = example();
    let mut stage = stage(&cluster, None)?;
    proxy.program(stage.node(), &cluster)?;
    let (before, ports) = (Traces::of(stage.node())?, listening(stage.node())?);
    stage.launch()?;
    stage.play(|stage| {
        let agreed = await_agreement(stage)?;
        let mode = format!("6 Services with the 24 frontends of kube-proxy in mode {}", proxy.mode());
        ensure!(agreed.compared && agreed.summary.contains(&mode), "{agreed:?}");
        ensure!(agreed.differences.is_empty() && differences_in_metrics(stage)? == 0.0, "{agreed:?}");
        await_lines(stage, "INFO compared", &[agreed.summary.trim_start_matches("compared")])?;
        change(&mut cluster)?;
        stage.scene = scene(&cluster)?;
        stage.publish()?;
        told(stage)?;
        before.stay(stage.node()).context("while it compared")?;
        let opened: Vec<String> = listening(stage.node())?.difference(&ports).cloned().collect();
        ensure!(opened == [METRICS, HEALTHZ], "it listens on {opened:?}");
        proxy.program(stage.node(), &cluster)?;
        await_agreement(stage)?;
        await_lines(stage, "INFO differs no more: ", &CHANGED.map(|(_, _, line)| line))?;
        ensure!(differences_in_metrics(stage)? == 0.0, "the metric stays");
        let after = Traces::of(stage.node())?;
        stage.stop()?;
        after.stay(stage.node()).context("when it ended")?;
        ensure!(listening(stage.node())? == ports, "somebody listens still");
        Ok(())
    })
}

/// Each change is told by Service: in both forms of the page, in the log, in the metric; and not before it has lasted.
fn told(stage: &Stage) -> Result<()> {
    let changed = Instant::now();
    let waiting =
        await_page(stage, "the change to be seen", |page| page.waiting + page.differences.len() > 0)?;
    ensure!(waiting.waiting == 3 && waiting.differences.is_empty(), "told at once: {waiting:?}");
    ensure!(waiting.summary.ends_with(": waiting whether differences last (3)"), "{waiting:?}");
    let page = await_page(stage, "differences that last", |page| !page.differences.is_empty())?;
    ensure!(changed.elapsed() >= LASTS, "told after {:?}", changed.elapsed());
    let told = page.differences.iter().map(|d| [&d["service"], &d["kind"], &d["text"]].map(Value::as_str));
    let wanted = CHANGED.map(|(service, kind, text)| [service, kind, text].map(Some));
    ensure!(told.eq(wanted), "{page:#?}");
    ensure!(page.summary.ends_with(": 3 difference(s)") && page.waiting == 0, "{page:?}");
    let text = http::get(stage.node(), socket(METRICS)?, "/debug/shadow")?.context("no page")?.body;
    let lines: String = CHANGED.iter().map(|(_, _, line)| format!("{line}\n")).collect();
    ensure!(text == format!("# {}\n{lines}", page.summary), "{text}");
    await_lines(stage, "WARN differs from kube-proxy: ", &CHANGED.map(|(_, _, line)| line))?;
    ensure!(differences_in_metrics(stage)? == 3.0, "{}", differences_in_metrics(stage)?);
    Ok(())
}

const NOBODY: &str = "cannot compare: no rules of a running kube-proxy found: looked for ";

const LOOKED: &str = "the nf_tables tables ip and ip6 kube-proxy, the chain KUBE-SERVICES in table nat of iptables (legacy), \
                      the chain KUBE-SERVICES in table nat of iptables (nft), the link kube-ipvs0 with IPVS";

fn nobody(page: &Page) -> bool {
    page.summary.starts_with(NOBODY) && !page.compared
}

fn waits_for_one() -> Result<()> {
    let mut stage = stage(&example(), None)?;
    let before = Traces::of(stage.node())?;
    stage.launch()?;
    stage.play(|stage| {
        await_page(stage, "it to say that there is none", nobody)?;
        let readiness = || http::get(stage.node(), socket(HEALTHZ)?, "/readyz")?.context("no /readyz");
        ensure!(readiness()?.status == 503 && differences_in_metrics(stage)? == -1.0, "that is no agreement");
        before.stay(stage.node())?;
        Proxy::Nft.program(stage.node(), &example())?;
        await_agreement(stage)?;
        ensure!(readiness()?.status == 200 && differences_in_metrics(stage)? == 0.0, "it has compared");
        Proxy::Nft.leave(stage.node())?;
        await_page(stage, "it to say that it has gone", nobody)?;
        ensure!(differences_in_metrics(stage)? == -1.0, "that is no agreement any more");
        // Once each time.
        await_lines(stage, &format!("WARN {NOBODY}"), &[LOOKED; 2])
    })
}

fn follows_the_mode() -> Result<()> {
    let mut stage = stage(&example(), None)?;
    Proxy::Legacy.program(stage.node(), &example())?;
    stage.launch()?;
    stage.play(|stage| {
        await_agreement(stage)?;
        for (old, new) in [(Proxy::Legacy, Proxy::Nftables), (Proxy::Nftables, Proxy::Nft)] {
            new.program(stage.node(), &example())?;
            await_page(stage, "both to be named", |page| {
                page.summary.contains("; not compared: its rules of mode ")
            })?;
            old.leave(stage.node())?;
            let alone = |page: &Page| {
                page.summary.contains(&format!("mode {} ", new.mode()))
                    && !page.summary.contains("not compared")
            };
            let page = await_page(stage, "the new mode to be compared", alone)?;
            ensure!(page.summary.ends_with(": no difference"), "{page:?}");
        }
        let told = lines_of(stage, "differs from kube-proxy: ")?;
        ensure!(told.is_empty(), "{told:#?}");
        Ok(())
    })
}

/// Its addresses, its snapshot and its Events are not for this.
fn kube_proxys_file() -> Result<()> {
    let mut stage = stage(&example(), Some(Cluster::options()))?;
    Proxy::Nftables.program(stage.node(), &example())?;
    let (before, ports) = (Traces::of(stage.node())?, listening(stage.node())?);
    stage.launch()?;
    stage.play(|stage| {
        wait::until("the log to say that nothing differs", PATIENCE, || {
            Ok(lines_of(stage, "INFO compared ")?.pop().filter(|line| line.ends_with(": no difference")))
        })?;
        ensure!(listening(stage.node())? == ports, "it listens on {:?}", listening(stage.node())?);
        let cluster = stage.cluster()?;
        ensure!(!cluster.snapshot().exists(), "it has kept a snapshot");
        let asked = cluster.server.requests().all();
        let wrote: Vec<_> =
            asked.iter().filter(|r| !matches!(r.verb.as_str(), "get" | "list" | "watch")).collect();
        ensure!(wrote.is_empty() && !asked.is_empty(), "{wrote:#?}");
        before.stay(stage.node())
    })
}

/// Every half second a Service is another and kube-proxy writes all it has anew; one that differs lasts.
fn always_changing() -> Result<()> {
    let mut theirs = example();
    let mut stage = stage(&theirs, None)?;
    change(&mut theirs)?;
    Proxy::Nftables.program(stage.node(), &theirs)?;
    stage.launch()?;
    stage.play(|stage| {
        let (mut number, mut written) = (1000, None::<Instant>);
        wait::until("a difference that lasts", PATIENCE, || {
            if written.is_none_or(|at| at.elapsed() > Duration::from_millis(500)) {
                (number, written) = (number + 1, Some(Instant::now()));
                stage.scene.service("kube-system/dns")?.ports[0].port = number;
                stage.publish()?;
                Proxy::Nftables.program(stage.node(), &theirs)?;
            }
            let told = lines_of(stage, "WARN differs from kube-proxy: ")?;
            Ok((told.iter().any(|line| line.starts_with("default/web:http 10.96.0.10:80/tcp"))).then_some(()))
        })
    })
}

fn without_privilege() -> Result<()> {
    let stage = stage(&example(), None)?;
    Proxy::Nftables.program(stage.node(), &example())?;
    let scratch = Scratch::new()?;
    let log = scratch.path().join("log");
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set=-net_admin", "--inh-caps=-net_admin"]).arg(program()?);
    command.args(["run", "--manifests"]).arg(stage.directory()).args(stage.flags());
    command.stdin(Stdio::null()).stderr(fs::File::create(&log)?);
    let running = stage.node().spawn(command)?;
    wait::until("it to say what it needs", PATIENCE, || {
        let text = fs::read_to_string(&log)?;
        Ok((text.contains("WARN cannot compare: ") && text.contains("CAP_NET_ADMIN")).then_some(()))
    })?;
    let status = running.terminate(LASTS)?;
    ensure!(status.success(), "{status}");
    Ok(())
}
