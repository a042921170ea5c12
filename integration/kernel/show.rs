//! What the program shows of itself: explain --live, diff, render -o json. Every JSON conforms to its schema.

pub(crate) mod tampered;

use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::manifest::replace;
use testkit::scene::NODE_NAME;
use testkit::schema::conforms;

use crate::Test;
use crate::lifecycle::POD;
use crate::plan::Plan;
use crate::scenes::RICH;
use crate::stage::Stage;

pub(crate) const TESTS: &[Test] = &[
    Test::new("explain_live_says_what_manifests_say_and_what_the_kernel_has", explain_live),
    Test::new("explain_live_refuses_what_is_no_packet", refusals),
    Test::new("diff_asks_the_agent", diff_of_agent),
    Test::new("diff_is_not_misled_by_changes_under_way", diff_while_it_changes),
    Test::new("diff_compares_manifests_with_the_kernel_here", diff_of_manifests),
    Test::new("diff_names_what_others_have_done", diff_of_tampered).only_nftables(),
    Test::new("status_tells_the_state_in_one_screen", status),
    Test::new("status_before_the_first_sync_is_not_healthy", status_before_the_first_sync),
    Test::new("render_lists_the_objects_of_each_service", render),
    Test::new("the_page_says_what_explain_says", page),
];

/// Packets to every kind of destination: source, destination.
const PACKETS: &[(&str, &str)] = &[
    (POD, "10.96.0.10:80/tcp"),
    ("fd00:244::9", "[fd00:96::10]:53/udp"),
    ("203.0.113.9", "192.168.0.2:30020/tcp"),
    ("203.0.113.9", "198.51.100.20:80/tcp"),
    ("192.0.2.1", "198.51.100.20:80/tcp"),
    (POD, "10.96.0.40:80/tcp"),
    (POD, "10.96.0.10:81/tcp"),
    (POD, "192.0.2.99:80/tcp"),
];

fn explain_live() -> Result<()> {
    Plan::new(RICH)?.hosts(&[POD])?.start()?.play(|stage| {
        for (from, to) in PACKETS {
            let mut live = success(stage, &["explain", "--live", "--from", from, "--to", to, "-o", "json"])?;
            conforms("explain-live", &live)?;
            let (kernel, synced) = (live["kernel"].take(), live["synced"].take());
            let own = ["node", "mode", "synced", "kernel", "connections"];
            live.as_object_mut().context("an object")?.retain(|key, _| !own.contains(&&**key));
            let offline =
                success(stage, &offline(stage, &["explain", "--from", from, "--to", to, "-o", "json"])?)?;
            conforms("explain", &offline)?;
            ensure!(live == offline, "{from} to {to}: {live:#} is not {offline:#}");
            ensure!(synced == true && kernel.is_null() == live["service"].is_null(), "{live:#} {kernel:#}");
            ensure!(kernel.is_null() || is_there(&kernel), "{from} to {to}: {kernel:#}");
        }
        let text =
            text(&stage.run_program(&["explain", "--live", "--from", POD, "--to", "10.96.0.10:80/tcp"])?)?;
        ensure!(text.contains("as they should be") && text.contains("  object    "), "{text}");
        Ok(())
    })
}

fn is_there(kernel: &Value) -> bool {
    kernel["error"].is_null() && kernel["differences"] == json!([]) && kernel["objects"] != json!([])
}

fn refusals() -> Result<()> {
    Plan::new(RICH)?.start()?.play(|stage| {
        for (args, code, named) in [
            (&["explain", "--live", "--from", POD, "--to", "[fd00:96::10]:80"][..], 1, "one family"),
            (&["explain", "--live", "--from", POD, "--to", "10.96.0.10"], 1, "--to"),
            (&["explain", "--live", "--from", POD], 2, "--to"),
            (&["explain", "--from", POD, "--to", "10.96.0.10:80"], 1, "--manifests"),
            (
                &["explain", "--live", "--agent", "127.0.0.1:9", "--from", POD, "--to", "10.96.0.10:80"],
                1,
                "127.0.0.1:9",
            ),
            (&["diff", "--agent", "127.0.0.1:9"], 2, "127.0.0.1:9"),
            (&["diff", "--service", "web"], 2, "NAMESPACE/NAME"),
            (&["diff", "--service", "ns/nobody"], 2, "no such Service"),
            (&["diff", "--manifests", "no/such/place"], 2, "no/such/place"),
        ] {
            let output = stage.run_program(args)?;
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            ensure!(output.status.code() == Some(code), "{args:?}: {output:?}");
            ensure!(said.lines().count() == 1 && said.contains(named), "{args:?}: {said}");
            ensure!(output.stdout.is_empty(), "{args:?}: {output:?}");
        }
        Ok(())
    })
}

fn diff_of_agent() -> Result<()> {
    Plan::new(RICH)?.start()?.play(|stage| {
        let all = success(stage, &["diff", "-o", "json"])?;
        let one = success(stage, &["diff", "-o", "json", "--service", "ns/plain"])?;
        for view in [&all, &one] {
            conforms("diff", view)?;
            ensure!(view["equal"] == true && view["synced"] == true && view["node"] == NODE_NAME, "{view:#}");
        }
        let count = |view: &Value| view["objects"].as_u64().unwrap_or(0);
        ensure!(0 < count(&one) && count(&one) < count(&all), "{one:#} of {all:#}");
        let text = text(&stage.run_program(&["diff"])?)?;
        ensure!(text.starts_with("the kernel has all "), "{text}");
        Ok(())
    })
}

/// Endpoints come and go without a pause; between the question and the look at the kernel too.
fn diff_while_it_changes() -> Result<()> {
    Plan::new(RICH)?.start()?.play(|stage| {
        let (directory, manifest) = (stage.directory().clone(), stage.scene.manifest().to_string());
        let other = manifest.replace("10.244.1.1", "10.244.1.7");
        let stop = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&stop);
        let changing = thread::spawn(move || -> Result<()> {
            while !until.load(Relaxed) {
                [&other, &manifest]
                    .into_iter()
                    .try_for_each(|text| replace(&directory, "scene.json", text))?;
            }
            Ok(())
        });
        let asked = (0..10).try_for_each(|_| success(stage, &["diff", "-o", "json"]).map(drop));
        stop.store(true, Relaxed);
        changing.join().map_err(|_| anyhow::anyhow!("the changing thread"))??;
        asked
    })
}

fn diff_of_manifests() -> Result<()> {
    Plan::new(RICH)?.start()?.play(|stage| {
        stage.stop()?;
        let equal = success(stage, &offline(stage, &["diff", "-o", "json"])?)?;
        conforms("diff", &equal)?;
        ensure!(equal["equal"] == true, "{equal:#}");
        let plain =
            |stage: &Stage| stage.run_program(&as_text(&offline(stage, &["diff", "--service", "ns/plain"])?));
        ensure!(plain(stage)?.status.success(), "{:?}", plain(stage)?);
        // Another Service changes, and this one does not.
        stage.scene.slices.retain(|slice| slice.service != "ns/sticky");
        stage.publish()?;
        ensure!(plain(stage)?.status.success(), "{:?}", plain(stage)?);
        let output = stage.run_program(&as_text(&offline(stage, &["diff", "-o", "json"])?))?;
        ensure!(output.status.code() == Some(1), "{output:?}");
        let differs: Value = serde_json::from_slice(&output.stdout)?;
        conforms("diff", &differs)?;
        ensure!(differs["equal"] == false && differs["differences"] != json!([]), "{differs:#}");
        // Nothing of it was written.
        stage.start()?;
        ensure!(stage.metric("towpath_kernel_writes_total")? > 0.0, "diff has written what differed");
        Ok(())
    })
}

fn status() -> Result<()> {
    Plan::new(RICH)?.start()?.play(|stage| {
        let view = success(stage, &["status", "-o", "json"])?;
        conforms("status", &view)?;
        for (field, expected) in [
            ("/healthy", json!(true)),
            ("/reasons", json!([])),
            ("/node", json!(NODE_NAME)),
            ("/nodeEligible", json!(true)),
            ("/rules/synced", json!(true)),
            ("/rules/services", json!(4)),
            ("/rules/endpoints", json!(12)),
            ("/problems/count", json!(0)),
            ("/dns", json!(null)),
        ] {
            ensure!(view.pointer(field) == Some(&expected), "{field} is not {expected}: {view:#}");
        }
        ensure!(view["rules"]["lastSync"].is_object() && view["rules"]["objects"] != 0, "{view:#}");
        let page = stage.page("/debug/status")?;
        for text in [&page, &text(&stage.run_program(&["status"])?)?] {
            let mode = view["mode"].as_str().unwrap_or("?");
            ensure!(text.contains(": healthy\n") && text.contains(mode), "{text}");
            ensure!(!text.contains('\x1b') && text.lines().count() < 24, "no screen of plain text: {text:?}");
        }
        let nobody = stage.run_program(&["status", "--agent", "127.0.0.1:9"])?;
        ensure!(nobody.status.code() == Some(2) && nobody.stdout.is_empty(), "{nobody:?}");
        Ok(())
    })
}

fn status_before_the_first_sync() -> Result<()> {
    let mut stage = Plan::new(RICH)?.through_api().build()?;
    let faults = |stage: &Stage| -> Result<_> { Ok(stage.cluster()?.server.faults().clone()) };
    faults(&stage)?.refuse(true);
    stage.launch()?;
    stage.play(|stage| {
        let says = |stage: &Stage, code: i32, words: &str| {
            let output = stage.run_program(&["status"])?;
            let text = String::from_utf8_lossy(&output.stdout);
            ensure!(output.status.code() == Some(code) && text.contains(words), "{output:?}");
            Ok(())
        };
        stage.soon("a status that is not healthy", |stage| {
            says(stage, 1, "the first sync has not succeeded")
        })?;
        stage.soon("a word of the server", |stage| says(stage, 1, "API server  away"))?;
        faults(stage)?.refuse(false);
        stage.soon("a healthy one", |stage| says(stage, 0, "API server  connected"))?;
        let view = success(stage, &["status", "-o", "json"])?;
        conforms("status", &view)
    })
}

const TAMPER: &str = "
delete element ip towpath vips { 10.96.0.10 . tcp . 80 }
delete element ip towpath vips { 10.96.0.10 . udp . 53 }
add element ip towpath vips { 10.96.0.10 . udp . 53 : drop }
add element ip towpath cluster-ips { 192.0.2.77 }
";

fn diff_of_tampered() -> Result<()> {
    Plan::new(RICH)?.start()?.play(|stage| {
        stage.stop()?;
        stage.node().nft(TAMPER).context("the test's own script")?;
        let kinds = |more: &[&str]| -> Result<Vec<String>> {
            let args = [&["diff", "-o", "json"], more].concat();
            let output = stage.run_program(&as_text(&offline(stage, &args)?))?;
            ensure!(output.status.code() == Some(1), "{output:?}");
            let view: Value = serde_json::from_slice(&output.stdout)?;
            conforms("diff", &view)?;
            let kinds =
                view["differences"].as_array().into_iter().flatten().map(|one| one["kind"].to_string());
            Ok(kinds.collect())
        };
        // Sorted by kind. What others have added is of no Service.
        ensure!(kinds(&[])? == ["\"missing\"", "\"changed\"", "\"foreign\""], "{:?}", kinds(&[])?);
        let of_plain = kinds(&["--service", "ns/plain"])?;
        ensure!(of_plain == ["\"missing\"", "\"changed\""], "{of_plain:?}");
        Ok(())
    })
}

fn render() -> Result<()> {
    Plan::new(RICH)?.start()?.play(|stage| {
        let args = offline(stage, &["render", "-o", "json"])?;
        let rendered = success(stage, &args)?;
        conforms("render", &rendered)?;
        stage.scene.services.reverse();
        stage.publish()?;
        ensure!(success(stage, &args)? == rendered, "another order gives another text");
        let of = |view: &Value, name: &str| {
            let services = view["services"].as_array().cloned().unwrap_or_default();
            services.into_iter().find(|service| service["service"] == name)
        };
        let ours = of(&rendered, "ns/plain").context("ns/plain is not rendered")?;
        let live =
            success(stage, &["explain", "--live", "--from", POD, "--to", "10.96.0.10:80", "-o", "json"])?;
        ensure!(live["kernel"]["objects"] == ours["objects"], "{live:#} is not {ours:#}");
        Ok(())
    })
}

/// Front, list and Services in each form; where a Service's page sends a packet, `explain` does.
fn page() -> Result<()> {
    Plan::new(RICH)?.hosts(&[POD])?.start()?.play(|stage| {
        let list = json_page(stage, "/debug/rules?q=10.96.0&format=json")?;
        conforms("services", &list)?;
        ensure!(list["list"]["matched"] == 4 && list["overview"]["synced"] == true, "{list:#}");
        let place = list["overview"]["place"].as_str().unwrap_or("?").to_owned();
        for path in ["/debug/rules?q=ns", "/debug/rules/ns/plain", "/debug/rules/ns/local"] {
            let join = if path.contains('?') { '&' } else { '?' };
            let html = stage.page(&format!("{path}{join}format=html"))?;
            ensure!(html.starts_with("<!DOCTYPE html>") && html.contains(&place), "{path}: {html}");
            let text = stage.page(&format!("{path}{join}format=text"))?;
            ensure!(text.contains(&place) && text.contains("10.96.0."), "{path}: {text}");
        }
        for (from, to) in PACKETS {
            agrees(stage, from, to).with_context(|| format!("{from} to {to}"))?;
        }
        Ok(())
    })
}

fn agrees(stage: &Stage, from: &str, to: &str) -> Result<()> {
    let told = success(stage, &["explain", "--live", "--from", from, "--to", to, "-o", "json"])?;
    // What is no Service's, or is kept out, has no page that says where it goes.
    let Some(name) = told["service"].as_str().filter(|_| told["excluded"] != json!([])) else {
        return Ok(());
    };
    let name = name.split(':').next().unwrap_or(name);
    let page = json_page(stage, &format!("/debug/rules/{name}?format=json&diff=1"))?;
    conforms("service", &page)?;
    ensure!(page["difference"]["total"] == 0 && page["difference"]["error"].is_null(), "{page:#}");
    let objects = page["rules"]["objects"].as_u64().unwrap_or(0);
    ensure!(objects == told["kernel"]["objects"].as_array().map_or(0, Vec::len) as u64, "{objects} objects");
    let (address, protocol) = to.split_once('/').context("a protocol")?;
    let number = address.rsplit(':').next();
    let is_its = |at: &Value| {
        at["address"] == address || (at["kind"] == "nodePort" && at["address"].as_str() == number)
    };
    let ports = page["ports"].as_array().context("ports")?;
    let found = ports.iter().filter(|port| port["protocol"] == protocol).find_map(|port| {
        let at = port["frontends"].as_array()?.iter().find(|at| is_its(at))?;
        Some((port, at["kind"] == "clusterIP"))
    });
    let (port, internal) = found.with_context(|| format!("no frontend in {page:#}"))?;
    let way = if internal { &port["internal"] } else { &port["external"] };
    ensure!(way["verdict"] == told["verdict"], "{way:#} is not {told:#}");
    let shares = way["shares"].as_array().into_iter().flatten().map(|share| share["endpoint"].clone());
    ensure!(told["endpoints"] == Value::Array(shares.collect()), "{way:#} is not {told:#}");
    let by_scheduler = told["reason"].as_str().is_some_and(|reason| reason.contains("scheduler"));
    let chosen = way["chosen"].as_str().unwrap_or_default();
    ensure!(
        chosen.contains("scheduler") == by_scheduler || told["endpoints"] == json!([]),
        "{chosen} {told:#}"
    );
    Ok(())
}

fn json_page(stage: &Stage, path: &str) -> Result<Value> {
    let text = stage.page(path)?;
    serde_json::from_str(&text).with_context(|| format!("{path}: {text}"))
}

/// The arguments of a command that reads the manifests of this stage, with the flags that say what Services mean.
fn offline(stage: &Stage, args: &[&str]) -> Result<Vec<String>> {
    let directory = stage.directory().to_str().context("the directory's name")?;
    let addresses = addresses(stage)?.join(",");
    let own = ["--manifests", directory, "--node", NODE_NAME, "--node-addresses", &addresses];
    let meaning = stage.flags().iter().map(String::as_str);
    // The variant is no flag of these commands: they find the one that is there.
    let meaning = meaning.filter(|flag| !["--iptables-variant", "legacy", "nft"].contains(flag));
    Ok(args.iter().copied().chain(own).chain(meaning).map(str::to_owned).collect())
}

/// All that the node has, beside those of the scene: in mode ipvs each is a frontend of every nodePort.
fn addresses(stage: &Stage) -> Result<Vec<String>> {
    let links: Value = serde_json::from_str(&stage.node().command("ip", &["-json", "address", "show"])?)?;
    let links = links.as_array().context("a list of links")?;
    let each = links.iter().flat_map(|link| link["addr_info"].as_array().into_iter().flatten());
    Ok(each.filter_map(|address| address["local"].as_str().map(str::to_owned)).collect())
}

fn as_text(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

/// The JSON that a command prints which succeeds.
fn success(stage: &Stage, args: &[impl AsRef<str>]) -> Result<Value> {
    let args: Vec<&str> = args.iter().map(AsRef::as_ref).collect();
    let output = stage.run_program(&args)?;
    serde_json::from_str(&text(&output)?).with_context(|| format!("{args:?}: {output:?}"))
}

fn text(output: &Output) -> Result<String> {
    ensure!(output.status.success(), "{output:?}");
    Ok(String::from_utf8(output.stdout.clone())?)
}
