//! `/debug/flows` and `towpath flows`: which endpoint each connection went to, as real packets show it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testkit::probe::UdpFlow;
use testkit::wait;

use crate::agent::METRICS;
use crate::backend::is_ipvs;
use crate::drain::others::remember;
use crate::ipvs::held::{self, HELD, HOLDERS, Holders};
use crate::packets::{ANSWER, Answer, answer};
use crate::plan::Plan;
use crate::stage::{Stage, ip, socket};
use crate::{Test, http};

pub(crate) const TESTS: &[Test] = &[
    Test::new("each_flow_is_shown_with_service_and_endpoint", each_flow),
    Test::new("only_what_is_asked_for_is_shown", filters),
    Test::new("an_endpoint_to_itself_and_every_address_of_a_node_port_are_shown", itself),
    Test::new("explain_shows_the_connections_of_a_client_to_a_frontend", explained),
    Test::new("fifty_thousand_are_counted_while_changes_are_programmed", many).not_in_ipvs(),
    Test::new("bytes_are_counted_by_endpoint", bytes),
    Test::new("an_endpoint_that_is_gone_is_called_so", gone),
    Test::new("what_cannot_be_asked_is_refused", refused),
    Test::new("connections_and_bytes_are_metrics", metrics),
    Test::new("top_shows_who_is_busy", top),
];

const SCENE: &str = "
services:
- name: ns/dns
  type: LoadBalancer
  cluster_ips: [10.96.0.10, 'fd00:96::10']
  external_ips: [198.51.100.11, '2001:db8:100::11']
  lb_ingress: [{ip: 198.51.100.10}, {ip: '2001:db8:100::10'}]
  ports: [{name: d, port: 53, node_port: 30053, protocol: UDP}]
- name: ns/other
  type: ClusterIP
  cluster_ips: [10.96.0.30]
  ports: [{name: d, port: 53, protocol: UDP}]
slices:
- service: ns/dns
  ports: [{name: d, port: 5353, protocol: UDP}]
  endpoints: [{ip: 10.244.1.1}, {ip: 10.244.1.2}]
- service: ns/dns
  family: 6
  ports: [{name: d, port: 5353, protocol: UDP}]
  endpoints: [{ip: 'fd00:244:0:1::1'}, {ip: 'fd00:244:0:1::2'}]
- service: ns/other
  ports: [{name: d, port: 5353, protocol: UDP}]
  endpoints: [{ip: 10.244.1.1}]
";

/// How long a list may take.
const SOON: Duration = Duration::from_secs(30);

const CLIENT: &str = "203.0.113.9";
const CLIENT6: &str = "2001:db8:1::9";
const OTHER: &str = "10.96.0.30:53";

/// Every frontend of ns/dns, with a client for it and its kind.
const FRONTENDS: [(&str, &str, &str); 8] = [
    (CLIENT, "10.96.0.10:53", "clusterIP"),
    (CLIENT, "198.51.100.10:53", "loadBalancer"),
    (CLIENT, "198.51.100.11:53", "externalIP"),
    (CLIENT, "192.168.0.2:30053", "nodePort"),
    (CLIENT6, "[fd00:96::10]:53", "clusterIP"),
    (CLIENT6, "[2001:db8:100::10]:53", "loadBalancer"),
    (CLIENT6, "[2001:db8:100::11]:53", "externalIP"),
    (CLIENT6, "[fd00:192::2]:30053", "nodePort"),
];

fn stage() -> Result<Stage> {
    held::plan(Plan::new(SCENE)?.outside(&[CLIENT, CLIENT6])?)?.start()
}

/// A flow that was answered, and what its endpoint saw.
struct Talk {
    flow: UdpFlow,
    answer: Answer,
    kind: &'static str,
}

fn talk(stage: &Stage, from: &str, to: &str, kind: &'static str) -> Result<Talk> {
    let flow = UdpFlow::open(stage.world.namespace(ip(from)?), ip(from)?, socket(to)?)?;
    let answer = answer(&flow.ask(ANSWER)?).with_context(|| format!("{from} -> {to}"))?;
    Ok(Talk { flow, answer, kind })
}

fn talk_to_all(stage: &Stage) -> Result<Vec<Talk>> {
    FRONTENDS.iter().map(|(from, to, kind)| talk(stage, from, to, kind)).collect()
}

/// The page, once it is not older than what happened before the call.
fn flows(stage: &Stage, query: &str) -> Result<Value> {
    let path = format!("/debug/flows?format=json&{query}");
    // A slow machine has to wait at times (503), since lists may take a share of its time only.
    let page = wait::until("the list", SOON, || {
        let answer = http::get(stage.node(), METRICS, &path)?;
        Ok(answer.filter(|answer| answer.status != 503))
    })?;
    ensure!(page.status == 200, "{path}: {page:?}");
    let view = serde_json::from_str(&page.body).with_context(|| format!("reading {page:?}"))?;
    testkit::schema::conforms("flows", &view)?;
    Ok(view)
}

/// A list in the answer.
fn list<'a>(value: &'a Value, name: &str) -> Result<&'a Vec<Value>> {
    value[name].as_array().with_context(|| format!("{name} is no list in {value}"))
}

/// What the page says of a talk.
fn shown<'a>(page: &'a Value, talk: &Talk) -> Result<&'a Value> {
    let client = talk.flow.source.to_string();
    let found = list(page, "flows")?.iter().find(|flow| {
        flow["client"] == client.as_str() && flow["frontend"] == talk.flow.destination.to_string()
    });
    found.with_context(|| format!("{client} -> {} is not in {page:#}", talk.flow.destination))
}

fn each_flow() -> Result<()> {
    stage()?.play(|stage| {
        let talks = talk_to_all(stage)?;
        let holders = Holders::listen(stage)?;
        let held = holders.open_many(stage, CLIENT, HELD, 2)?;
        let page = flows(stage, "")?;
        for talk in &talks {
            let flow = shown(&page, talk)?;
            ensure!(flow["endpoint"] == talk.answer.endpoint.to_string(), "{:?}: {flow}", talk.answer);
            ensure!(
                flow["service"] == "ns/dns" && flow["port"] == "d" && flow["protocol"] == "udp",
                "{flow}"
            );
            ensure!(flow["kind"] == talk.kind && flow["state"] == "ANSWERED", "{}: {flow}", talk.kind);
            let other = (talk.answer.source != talk.flow.source.ip()).then_some(talk.answer.source);
            let seen = flow["masqueraded"].as_str().map(socket).transpose()?.map(|seen| seen.ip());
            ensure!(seen == other, "the endpoint saw {other:?}: {flow}");
        }
        let notes = list(&page, "notes")?.iter().filter_map(Value::as_str);
        ensure!(
            notes.filter(|note| note.contains("net.netfilter.nf_conntrack_acct is 0")).count() == 1,
            "{page:#}"
        );
        ensure!(page["totals"]["bytesIn"].is_null() && page["flows"][0]["bytesIn"].is_null(), "{page:#}");
        let tcp = |flow: &&Value| flow["service"] == "ns/held" && flow["state"] == "ESTABLISHED";
        ensure!(list(&page, "flows")?.iter().filter(tcp).count() == held.len(), "{page:#}");
        totals(&page, "ns/dns", &talks.iter().map(|talk| talk.answer.endpoint).collect::<Vec<_>>())?;
        totals(&page, "ns/held", &held.iter().map(|held| held.endpoint).collect::<Vec<_>>())?;
        text(stage, &talks[0])
    })
}

/// The totals of a Service are those of these connections.
fn totals(page: &Value, service: &str, went_to: &[SocketAddr]) -> Result<()> {
    let found = list(page, "services")?.iter().find(|one| one["service"] == service);
    let of_service = found.with_context(|| format!("no totals of {service} in {page:#}"))?;
    ensure!(of_service["totals"]["connections"] == went_to.len(), "want {went_to:?}: {of_service:#}");
    for endpoint in list(of_service, "endpoints")? {
        let expected = went_to.iter().filter(|at| endpoint["endpoint"] == at.to_string()).count();
        ensure!(endpoint["totals"]["established"] == expected, "want {went_to:?}: {of_service:#}");
        ensure!(endpoint["state"] == "ready", "{of_service:#}");
    }
    Ok(())
}

/// The command prints the same for people.
fn text(stage: &Stage, talk: &Talk) -> Result<()> {
    let output = stage.run_program(&["flows", "--service", "ns/dns", "--client", CLIENT])?;
    let text = String::from_utf8(output.stdout)?;
    ensure!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    let (client, endpoint) = (talk.flow.source.to_string(), talk.answer.endpoint.to_string());
    let line = text.lines().find(|line| line.contains(&client));
    ensure!(line.is_some_and(|line| line.contains(&endpoint) && line.contains("ns/dns:d")), "{text}");
    ensure!(!text.contains(CLIENT6) && !text.contains("ns/held"), "{text}");
    Ok(())
}

fn filters() -> Result<()> {
    stage()?.play(|stage| {
        let talks = talk_to_all(stage)?;
        let other = talk(stage, CLIENT, OTHER, "clusterIP")?;
        let endpoint = talks[0].answer.endpoint;
        let v4 = talks.iter().filter(|talk| talk.flow.source.is_ipv4()).count();
        let to = |at: SocketAddr| talks.iter().chain([&other]).filter(|t| t.answer.endpoint == at).count();
        for (query, expected) in [
            ("service=ns/dns".to_owned(), talks.len()),
            ("service=ns/other".to_owned(), 1),
            (format!("client={CLIENT}"), v4 + 1),
            (format!("client={CLIENT6}"), talks.len() - v4),
            (format!("client={CLIENT}&service=ns/dns"), v4),
            (format!("client=::ffff:{CLIENT}"), v4 + 1),
            ("client=203.0.113.8".to_owned(), 0),
            (format!("endpoint={endpoint}"), to(endpoint)),
            (format!("endpoint={}", endpoint.ip()), to(endpoint)),
            (format!("endpoint={}:1", endpoint.ip()), 0),
            ("limit=2".to_owned(), 2),
        ] {
            let page = flows(stage, &query)?;
            let found = list(&page, "flows")?.len();
            ensure!(found == expected, "{query}: {found} flows, want {expected}: {page:#}");
            let all = if query == "limit=2" { talks.len() + 1 } else { expected };
            ensure!(page["totals"]["connections"] == all, "{query}: {page:#}");
        }
        Ok(())
    })
}

/// An address of the node beside its first one.
const SECOND: &str = "192.168.7.2";

fn itself() -> Result<()> {
    let flags = ["--cluster-cidr", "10.244.0.0/16,fd00:244::/56", "--nodeport-addresses=192.168.0.0/16"];
    let plan = Plan::new(SCENE)?.outside(&[CLIENT])?.node_addresses(&[SECOND])?.flags(&flags);
    plan.start()?.play(|stage| {
        // Until the endpoint has come to itself.
        let mut talks = Vec::new();
        let hairpin = wait::until("a flow from an endpoint to itself", SOON, || {
            talks.push(talk(stage, "10.244.1.1", "10.96.0.10:53", "clusterIP")?);
            Ok(talks.pop_if(|talk| talk.answer.endpoint.ip().to_string() == "10.244.1.1"))
        })?;
        let second = talk(stage, CLIENT, &format!("{SECOND}:30053"), "nodePort")?;
        let first = talk(stage, CLIENT, "192.168.0.2:30053", "nodePort")?;
        let page = flows(stage, "service=ns/dns")?;
        for talk in [&hairpin, &second, &first] {
            let flow = shown(&page, talk)?;
            ensure!(flow["kind"] == talk.kind && flow["state"] == "ANSWERED", "{flow}");
            ensure!(flow["endpoint"] == talk.answer.endpoint.to_string(), "{flow}");
            let seen = flow["masqueraded"].as_str().map(socket).transpose()?.map(|seen| seen.ip());
            ensure!(seen == Some(talk.answer.source), "the endpoint saw {:?}: {flow}", talk.answer.source);
        }
        ensure!(page["totals"]["masqueraded"] == 3, "{page:#}");
        // An endpoint of two Services, asked for by Service and as such.
        let other = talk(stage, CLIENT, OTHER, "clusterIP")?;
        let at = other.answer.endpoint;
        let page = flows(stage, &format!("endpoint={at}"))?;
        let of = |name: &str| list(&page, "services").map(|all| all.iter().any(|one| one["service"] == name));
        ensure!(of("ns/dns")? && of("ns/other")?, "{page:#}");
        let page = flows(stage, &format!("endpoint={at}&service=ns/other"))?;
        ensure!(page["totals"]["connections"] == 1, "{page:#}");
        Ok(())
    })
}

fn explained() -> Result<()> {
    stage()?.play(|stage| {
        let holders = Holders::listen(stage)?;
        let held = holders.open_many(stage, CLIENT, HELD, 12)?;
        let _other = talk(stage, CLIENT, "10.96.0.10:53", "clusterIP")?;
        let explain = |args: &[&str]| -> Result<String> {
            let to = [&["explain", "--live", "--from", CLIENT][..], args].concat();
            let output = stage.run_program(&to)?;
            ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            Ok(String::from_utf8(output.stdout)?)
        };
        let text = explain(&["--to", HELD])?;
        ensure!(text.contains("  now       12 connections from there to here"), "{text}");
        ensure!(text.matches("  goes to   ").count() == 10 && text.contains("ESTABLISHED"), "{text}");
        let view: Value = serde_json::from_str(&explain(&["--to", "10.96.0.10:53/udp", "-o", "json"])?)?;
        testkit::schema::conforms("explain-live", &view)?;
        ensure!(view["connections"]["total"] == 1, "{view:#}");
        ensure!(view["connections"]["error"].is_null(), "{view:#}");
        let none = explain(&["--to", OTHER, "-o", "json"])?;
        ensure!(serde_json::from_str::<Value>(&none)?["connections"].is_null(), "no Service has it: {none}");
        let none = explain(&["--to", &format!("{OTHER}/udp")])?;
        ensure!(none.contains("  now       no connection from there to here"), "{none}");
        ensure!(held.len() == 12);
        Ok(())
    })
}

/// Connections of which a list is made, about as many as a busy node has.
const MANY: u32 = 50_000;

/// Lists of them are made all the time, and no change waits for one.
fn many() -> Result<()> {
    stage()?.play(|stage| {
        remember(stage, MANY, "10.96.0.20")?;
        let before = stage.metric("process_resident_memory_bytes")?;
        let page = flows(stage, "service=ns/held")?;
        ensure!(page["totals"]["connections"] == MANY, "{}", page["totals"]);
        ensure!(page["services"][0]["endpoints"][0]["totals"]["connections"] == MANY / 2, "{}", page["services"]);
        ensure!(list(&page, "flows")?.len() == 1_000, "the list is bounded");
        let some = flows(stage, "client=203.0.113.10")?;
        ensure!(some["totals"]["connections"] == MANY - 30_000, "{}", some["totals"]);
        let (all_ms, some_ms) = (&page["tookMs"], &some["tookMs"]);
        let none = flows(stage, "client=192.0.2.77")?;
        ensure!(none["totals"]["connections"] == 0, "{none:#}");
        let world = Arc::clone(&stage.world);
        let is_over = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&is_over);
        let asking = thread::spawn(move || {
            let mut answers = 0;
            for n in (0..250_u8).cycle() {
                if until.load(Ordering::Relaxed) {
                    return answers;
                }
                // Another question each time, so that none is answered from memory.
                let path = format!("/debug/flows?service=ns/held&client=203.0.113.{n}");
                answers += u32::from(http::get(world.node(), METRICS, &path).is_ok_and(|page| page.is_some()));
            }
            answers
        });
        let mut slowest = Duration::ZERO;
        for n in 0..10 {
            let begun = Instant::now();
            stage.change(|scene| scene.services[1].ports[0].port = 100 + n)?;
            slowest = slowest.max(begun.elapsed());
        }
        is_over.store(true, Ordering::Relaxed);
        let answers = asking.join().map_err(|_| anyhow::anyhow!("the one who asks has failed"))?;
        let memory = (stage.metric("process_resident_memory_bytes")? - before) / 1e6;
        eprintln!(
            "all in {all_ms} ms, 20,000 in {some_ms} ms, none in {} ms; the slowest of 10 changes in {slowest:?} beside {answers} \
             answers; {memory:.0} MB more",
            none["tookMs"]
        );
        ensure!(answers > 0 && slowest < SOON / 3, "a change took {slowest:?} beside {answers} answers");
        ensure!(memory < 100.0, "{memory} MB more");
        Ok(())
    })
}

fn bytes() -> Result<()> {
    let mut stage = held::plan(Plan::new(SCENE)?.outside(&[CLIENT])?)?.build()?;
    stage.node().set_sysctls(&[("netfilter/nf_conntrack_acct", "1")])?;
    stage.start()?;
    stage.play(|stage| {
        let holders = Holders::listen(stage)?;
        let mut held = holders.open(stage, CLIENT, HELD)?;
        let of = |page: &Value| -> Result<(u64, u64)> {
            let flow = list(page, "flows")?.first().with_context(|| format!("no flow in {page:#}"))?;
            let bytes = |name: &str| flow[name].as_u64().with_context(|| format!("no {name} in {flow}"));
            Ok((bytes("bytesIn")?, bytes("bytesOut")?))
        };
        let before = of(&flows(stage, "service=ns/held")?)?;
        for _ in 0..10 {
            held.talk()?;
        }
        let mut after = before;
        // The list of before is shown again for twenty times what it has cost.
        let shown = wait::until("the bytes to be shown", SOON, || {
            after = of(&flows(stage, "service=ns/held")?)?;
            // Each time a packet of 53 bytes or more each way.
            Ok((after.0 >= before.0 + 530 && after.1 >= before.1 + 530).then_some(()))
        });
        shown.with_context(|| format!("{before:?}, then {after:?}"))
    })
}

fn gone() -> Result<()> {
    stage()?.play(|stage| {
        let holders = Holders::listen(stage)?;
        let held = holders.open_many(stage, CLIENT, HELD, 6)?;
        let left = held[0].endpoint;
        let others: Vec<&str> = HOLDERS.into_iter().filter(|at| *at != left.to_string()).collect();
        held::set_holders(stage, &others)?;
        let page = flows(stage, &format!("service=ns/held&endpoint={left}"))?;
        let endpoint = &page["services"][0]["endpoints"][0];
        ensure!(endpoint["endpoint"] == left.to_string() && endpoint["state"] == "gone", "{page:#}");
        Ok(())
    })
}

fn refused() -> Result<()> {
    stage()?.play(|stage| {
        for (query, status, words) in [
            ("service=ns/nobody", 404, "there is no Service ns/nobody"),
            ("service=nobody", 400, "NAMESPACE/NAME"),
            ("client=me", 400, "is not an IP address"),
            ("endpoint=10.0.0.1:x", 400, "IP:PORT"),
            ("limit=100000", 400, "is not 0 to 1000"),
            ("format=yaml", 400, "give html, json or text"),
        ] {
            let answer = http::get(stage.node(), METRICS, &format!("/debug/flows?{query}"))?;
            let answer = answer.with_context(|| format!("{query}: no answer"))?;
            ensure!(answer.status == status && answer.body.contains(words), "{query}: {answer:?}");
        }
        for (args, code, words) in [
            (["--service", "ns/nobody"], 1, "there is no Service ns/nobody"),
            (["--service", "nobody"], 2, "NAMESPACE/NAME"),
            (["--service", "a/b/c"], 2, "NAMESPACE/NAME"),
            (["--client", "me"], 2, "invalid IP address"),
            (["--client", "10.0.0.1:80"], 2, "invalid IP address"),
            (["--client", ""], 2, "--client"),
            (["--endpoint", "web"], 2, "IP:PORT"),
            (["--limit", "1001"], 2, "1001"),
        ] {
            let output = stage.run_program(&[&["flows"][..], &args].concat())?;
            let error = String::from_utf8(output.stderr)?;
            let is_one = error.lines().count() == 1 && error.contains(words) && output.stdout.is_empty();
            ensure!(output.status.code() == Some(code) && is_one, "{args:?}: {}: {error}", output.status);
        }
        Ok(())
    })
}

/// Has the program look every two seconds for a while. The first answer waits for two looks.
fn look(stage: &Stage) -> Result<()> {
    wait::until("the busiest Services", SOON, || {
        let answer = http::get(stage.node(), METRICS, "/debug/top")?;
        Ok(answer.filter(|answer| answer.status == 200).map(drop))
    })
}

/// Opens so many UDP flows to ns/dns and forgets them in the kernel, so that each ends. IPVS lets nobody end its
/// connections: there they stay.
fn come_and_go(stage: &Stage, count: usize) -> Result<()> {
    let talks = (0..count).map(|_| talk(stage, CLIENT, "10.96.0.10:53", "")).collect::<Result<Vec<_>>>()?;
    ensure!(talks.len() == count);
    if is_ipvs() {
        return Ok(());
    }
    let forgotten = stage.node().run(|| {
        std::process::Command::new("conntrack").args(["-D", "-p", "udp", "-d", "10.96.0.10"]).output()
    })??;
    ensure!(forgotten.status.success(), "{}", String::from_utf8_lossy(&forgotten.stderr));
    Ok(())
}

/// A metric that has these words in its labels.
fn metric(stage: &Stage, name: &str, labels: &str) -> Result<u64> {
    let page = stage.page("/metrics")?;
    let line = page.lines().find(|line| line.starts_with(&format!("{name}{{")) && line.contains(labels));
    let value = line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    value.map(|value| value as u64).with_context(|| format!("no {name} with {labels}"))
}

const WEB: &str = "service=\"dns\"";

fn metrics() -> Result<()> {
    let mut stage = held::plan(Plan::new(SCENE)?.outside(&[CLIENT])?)?.build()?;
    stage.add_flags(&["--service-metrics", "--service-metrics-max-services=1"]);
    stage.start()?;
    stage.play(|stage| {
        let holders = Holders::listen(stage)?;
        // While somebody looks the counters follow within seconds; the first look only says what was there before.
        look(stage)?;
        let page = stage.page("/metrics")?;
        ensure!(page.contains("service=\"other\"") && !page.contains(WEB), "{page}");
        come_and_go(stage, 5)?;
        let stay = |count: u64| if is_ipvs() { count } else { 0 };
        counted(stage, WEB, (5, stay(5)))?;
        come_and_go(stage, 3)?;
        let _held = holders.open_many(stage, CLIENT, HELD, 4)?;
        let _open = talk(stage, CLIENT, "10.96.0.10:53", "")?;
        counted(stage, WEB, (9, 1 + stay(8)))?;
        // There is room for one Service only.
        counted(stage, "service=\"other\"", (4, 4))?;
        // A question of 18 bytes in a datagram each, and an answer.
        ensure!(metric(stage, "towpath_service_bytes_in_total", WEB)? >= 9 * 46);
        ensure!(metric(stage, "towpath_service_bytes_out_total", WEB)? >= 9 * 40);
        let each = HOLDERS.iter().map(|at| metric(stage, "towpath_endpoint_connections", at).unwrap_or(0));
        let each = each.sum::<u64>();
        ensure!(each == 4, "{each} of endpoints: {}", stage.page("/metrics")?);
        Ok(())
    })
}

/// Waits until a Service has had and has so many connections.
fn counted(stage: &Stage, labels: &str, (opened, live): (u64, u64)) -> Result<()> {
    let mut last = (0, 0);
    let done = wait::until("the connections to be counted", SOON, || {
        look(stage)?;
        let now = metric(stage, "towpath_service_connections_opened_total", labels).unwrap_or(0);
        last = (now, metric(stage, "towpath_service_connections", labels).unwrap_or(0));
        ensure!(last.0 <= opened, "{labels}: {last:?}, want {:?}", (opened, live));
        Ok((last == (opened, live)).then_some(()))
    });
    done.with_context(|| format!("{labels}: {last:?}, want {:?}", (opened, live)))
}

fn top() -> Result<()> {
    let mut stage = held::plan(Plan::new(SCENE)?.outside(&[CLIENT])?)?.build()?;
    stage.node().set_sysctls(&[("netfilter/nf_conntrack_acct", "1")])?;
    stage.start()?;
    stage.play(|stage| {
        let holders = Holders::listen(stage)?;
        let _held = holders.open_many(stage, CLIENT, HELD, 2)?;
        let page = stage.page("/metrics")?;
        ensure!(!page.contains("towpath_service_connections"), "nobody has asked for them: {page}");
        let show = |args: &[&str]| -> Result<String> {
            let output = stage.run_program(&[&["top", "--once"], args].concat())?;
            ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            Ok(String::from_utf8(output.stdout)?)
        };
        let text = show(&["--sort", "live"])?;
        let line = text.lines().find(|line| line.starts_with("ns/held"));
        ensure!(line.is_some_and(|line| line.split_whitespace().nth(2) == Some("2")), "{text}");
        ensure!(!text.contains('\x1b'), "colours where there is no terminal: {text:?}");
        wait::until("new connections to be shown", SOON, || {
            come_and_go(stage, 4)?;
            let view: Value = serde_json::from_str(&show(&["-o", "json", "--limit", "1"])?)?;
            testkit::schema::conforms("top", &view)?;
            let first = &view["services"][0];
            let is_busy = first["service"] == "ns/dns" && first["newPerSecond"].as_f64() > Some(0.0);
            let carries = first["bytesInPerSecond"].as_f64() > Some(0.0);
            Ok((is_busy && carries).then_some(()))
        })
    })
}
