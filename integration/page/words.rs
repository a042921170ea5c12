//! Words of others on a terminal: whatever objects, files and requests hold, no page for terminals, no command and no line of the
//! log moves a cursor, changes a colour or makes a line of its own.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use testkit::wait;

use crate::Test;
use crate::cluster::{endpoint, service, shop, slice};
use crate::place::{PAGES, PATIENCE, Place};
use crate::secrets::paths;

pub(crate) const TESTS: &[Test] = &[("words_of_others_do_nothing_to_a_terminal", words)];

/// Clears the screen, sets the title, turns the direction of writing, and begins a line that looks like one of the log.
const EVIL: &str =
    "x\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}\r\n2026-11-22T00:00:00.000000Z  INFO forged\u{7f}";

/// Objects with such words wherever somebody may write them.
fn objects() -> Vec<Value> {
    let mut all = shop();
    let mut evil = service("words", "10.96.0.66", &json!({}));
    evil["metadata"]["annotations"] = json!({
        "towpath.dev/weights": EVIL, "towpath.dev/scheduler": EVIL, "towpath.dev/prefer-local": EVIL,
        "towpath.dev/no-local": EVIL, "towpath.dev/drain-deadline": EVIL, "towpath.dev/strict-source-ranges": EVIL,
    });
    evil["spec"]["loadBalancerSourceRanges"] = json!([EVIL]);
    evil["spec"]["externalIPs"] = json!([EVIL]);
    evil["status"] = json!({ "loadBalancer": { "ingress": [{ "ip": EVIL, "hostname": EVIL }] } });
    all.push(evil);
    let mut good = endpoint("10.244.6.1", EVIL, true);
    good["zone"] = json!(EVIL);
    good["hints"] = json!({ "forZones": [{ "name": EVIL }], "forNodes": [{ "name": EVIL }] });
    let mut bad = endpoint(EVIL, EVIL, true);
    bad["zone"] = json!(EVIL);
    all.push(slice("words", &[good, bad]));
    let mut typed = service("typed", "10.96.0.67", &json!({ "type": EVIL }));
    typed["spec"]["ports"][0]["name"] = json!(EVIL);
    all.push(typed);
    for name in [EVIL, "<script>alert(1)</script>", "a\"b", "../../etc"] {
        all.push(service(name, "10.96.0.68", &json!({})));
    }
    all
}

/// Fails if a terminal would do anything but show it.
fn is_plain(what: &str, bytes: &[u8]) -> Result<()> {
    let text = String::from_utf8_lossy(bytes);
    let acts = |c: &char| c.is_control() && !"\n\t".contains(*c) || "\u{202e}\u{2028}".contains(*c);
    if let Some(at) = text.char_indices().find(|(_, c)| acts(c)).map(|(at, _)| at) {
        let from = text[..at].rfind('\n').unwrap_or(0);
        anyhow::bail!("{what} has {:?}", text[from..].chars().take(300).collect::<String>());
    }
    let forged = text.lines().find(|line| line.starts_with("2026-11-22T00:00:00.000000Z"));
    ensure!(forged.is_none(), "{what} has a line that others wrote: {forged:?}");
    Ok(())
}

fn words() -> Result<()> {
    let mut place = Place::start(&objects())?;
    place.set(
        "evil\u{1b}[2J\r\n2026-11-22T00:00:00.000000Z  INFO name",
        &[service("file", EVIL, &json!({}))],
    )?;
    wait::until("a word of the file in the log", PATIENCE, || {
        let log = String::from_utf8_lossy(&place.log()?).into_owned();
        Ok(log.contains("INFO name").then_some(()))
    })?;
    let asked = [
        "/debug/rules/shop/words",
        "/debug/rules/shop/words?diff=1&flows=1",
        "/debug/explain?from=10.244.1.5&to=10.96.0.66:80/tcp",
    ];
    for path in paths(&place)?.iter().map(String::as_str).chain(asked) {
        let answer = place.ask(PAGES, path, "*/*")?;
        if answer.head.to_lowercase().contains("content-type: text/plain; charset") {
            is_plain(path, answer.body.as_bytes())?;
        }
        if answer.head.to_lowercase().contains("content-type: application/json") {
            let read: Result<Value, _> = serde_json::from_str(&answer.body);
            ensure!(read.is_ok(), "{path} is no JSON: {read:?}");
        }
    }
    let directory = place.directory().to_string_lossy().into_owned();
    for args in [
        &["status"][..],
        &["flows"],
        &["top", "--once"],
        &["diff"],
        &["explain", "--live", "--from", "10.244.1.5", "--to", "10.96.0.66:80/tcp"],
        &[
            "explain",
            "--manifests",
            &directory,
            "--node",
            "worker-1",
            "--from",
            "10.244.1.5",
            "--to",
            "10.96.0.66:80/tcp",
        ],
        &["render", "--manifests", &directory, "--node", "worker-1"],
        &["diff", "--manifests", &directory, "--node", "worker-1"],
        &["flows", "--service", EVIL],
        &["diff", "--service", EVIL],
        &["dns", "explain", "--manifests", &directory, EVIL],
        &["status", "--agent", "127.0.0.1:1"],
    ] {
        let output = place.run(args)?;
        ensure!(!output.stdout.is_empty() || !output.stderr.is_empty(), "{args:?} says nothing");
        is_plain(&format!("{args:?} on stdout"), &output.stdout)?;
        is_plain(&format!("{args:?} on stderr"), &output.stderr)?;
    }
    is_plain("the log", &place.log()?)?;
    place.still_runs()
}
