//! What lets the program in at the API server is shown nowhere: on no page, in no line of the log however talkative, in no
//! error, in no file that it writes.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::scratch::Scratch;

use crate::Test;
use crate::agent::program;
use crate::cluster::TOKEN;
use crate::http;
use crate::plan::Plan;
use crate::scenes::RICH;
use crate::stage::{Stage, socket};

pub(crate) const TESTS: &[Test] = &[
    Test::new("the_token_is_shown_nowhere", token).only_nftables(),
    Test::new("a_broken_kubeconfig_is_told_without_what_is_in_it", broken_kubeconfigs).only_nftables(),
];

/// A token that the API server refuses.
const STRANGE: &str = "eyJhbGciOi.a-token-that-was-replaced.c2lnbmF0dXJl";
/// In the environment of the program.
const ENVIRONMENT: &str = "hunter2-in-the-environment";

/// Every page that there is, in each form.
fn paths(stage: &Stage) -> Result<Vec<String>> {
    let index = stage.page("/")?;
    let given = [
        ("NAMESPACE/NAME", "ns/plain"),
        ("ADDRESS:PORT/PROTOCOL", "10.96.0.10:80/tcp"),
        ("ADDRESS:PORT", "10.244.0.1:8080"),
        ("ADDRESS", "10.244.0.1"),
        ("NAME", "plain.ns.svc.cluster.local"),
        ("limit=N", "limit=10000"),
        ("new|live|bytes", "live"),
    ];
    let named =
        index.lines().map(|line| given.iter().fold(line.to_owned(), |line, (a, b)| line.replace(a, b)));
    let more =
        ["/", "/nothing", "/debug/pprof/", "/debug/flags/v", "/debug/rules?diff=1", "/debug/rules?q=ns"];
    let all: Vec<String> = named.chain(more.map(str::to_owned)).collect();
    ensure!(all.len() > 20, "the index names {all:?}");
    let in_form = |path: &String, form: &str| {
        let join = if path.contains('?') { '&' } else { '?' };
        format!("{path}{join}format={form}")
    };
    let forms = all.iter().flat_map(|path| ["html", "json", "text"].map(|form| in_form(path, form)));
    Ok(all.iter().cloned().chain(forms).collect())
}

/// Fails if a text has what nobody may see.
fn hides(what: &str, text: &str) -> Result<()> {
    for word in [TOKEN, STRANGE, ENVIRONMENT, "Bearer ", "PRIVATE KEY"] {
        let line = || text.lines().find(|line| line.contains(word)).unwrap_or_default().to_owned();
        ensure!(!text.contains(word), "{what} shows {word:?}: {}", line());
    }
    Ok(())
}

fn scan(stage: &Stage) -> Result<()> {
    let (mut answered, paths) = (0, paths(stage)?);
    for at in ["127.0.0.1:10249", "127.0.0.1:10256"] {
        for path in paths.iter().map(String::as_str).chain(["/healthz", "/livez", "/readyz"]) {
            let page = http::get(stage.node(), socket(at)?, path)?;
            let Some(page) = page else { continue };
            answered += usize::from(page.status == 200);
            hides(path, &page.body)?;
        }
    }
    ensure!(answered > 40, "only {answered} pages answered");
    hides("the log", &stage.log()?)
}

fn token() -> Result<()> {
    let mut stage = Plan::new(RICH)?.flags(&["--v=9"]).through_api().build()?;
    stage.surroundings.environment.insert("TOWPATH_TEST_PASSWORD".into(), ENVIRONMENT.into());
    stage.surroundings.environment.insert("TOWPATH_LOG".into(), "trace".into());
    stage.start()?;
    stage.play(|stage| {
        scan(stage)?;
        let status = stage.run_program(&["status"])?;
        hides("towpath status", &format!("{status:?}"))?;
        // Now it is refused, again and again.
        stage.cluster()?.write_token(STRANGE)?;
        stage.cluster()?.server.faults().drop_connections();
        stage.soon("a refusal in the log", |stage| {
            ensure!(stage.log()?.contains("401"), "nothing was refused");
            Ok(())
        })?;
        scan(stage)?;
        written(stage)
    })
}

/// The files that it writes.
fn written(stage: &mut Stage) -> Result<()> {
    let path = stage.directory().join("written.yaml");
    let mut args = stage.configure()?;
    args.push(format!("--write-config-to={}", path.display()));
    let args: Vec<&str> = ["run"].into_iter().chain(args.iter().map(String::as_str)).collect();
    let output = stage.run_program(&args)?;
    ensure!(output.status.success(), "{output:?}");
    hides("--write-config-to", &fs::read_to_string(&path)?)?;
    stage.stop()?;
    let snapshot = fs::read(stage.cluster()?.snapshot()).context("the snapshot")?;
    hides("the snapshot", &String::from_utf8_lossy(&snapshot))?;
    hides("the log", &stage.log()?)
}

/// A kubeconfig with this user, and with this server.
fn kubeconfig(user: &Value, server: &str) -> String {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "u" } }],
        "clusters": [{ "name": "c", "cluster": { "server": server } }],
        "users": [{ "name": "u", "user": user }],
    })
    .to_string()
}

fn broken_kubeconfigs() -> Result<()> {
    const SERVER: &str = "https://127.0.0.1:1";
    let stage = Plan::new(RICH)?.build()?;
    let scratch = Scratch::new()?;
    let key = format!("-----BEGIN PRIVATE KEY-----\n{STRANGE}\n-----END PRIVATE KEY-----");
    let number = "8675309867530986";
    for (what, text) in [
        ("not YAML", format!("users:\n- user: {{token: {STRANGE}\n  ]: x")),
        ("a token that is a list", kubeconfig(&json!({ "token": [STRANGE] }), SERVER)),
        ("a token that is a map", kubeconfig(&json!({ "token": { STRANGE: STRANGE } }), SERVER)),
        ("a token of two lines", kubeconfig(&json!({ "token": format!("{STRANGE}\nx") }), SERVER)),
        ("a token that is a number", kubeconfig(&json!({ "token": [8_675_309_867_530_986_u64] }), SERVER)),
        (
            "a key that is no base64",
            kubeconfig(&json!({ "client-key-data": STRANGE, "client-certificate-data": STRANGE }), SERVER),
        ),
        (
            "a key that is no key",
            kubeconfig(&json!({ "client-key-data": key, "client-certificate-data": "eA==" }), SERVER),
        ),
        (
            "a password of two lines",
            kubeconfig(&json!({ "username": "u", "password": format!("{STRANGE}\n:") }), SERVER),
        ),
        ("a password in the URL", kubeconfig(&json!({}), &format!("https://user:{STRANGE}@[::1"))),
        ("a password in a good URL", kubeconfig(&json!({}), &format!("https://user:{STRANGE}@127.0.0.1:1"))),
        (
            "a plugin that says too much",
            kubeconfig(
                &json!({ "exec": {
            "apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "interactiveMode": "Never",
            "args": ["-c", format!("echo {STRANGE}; echo {STRANGE} >&2; exit 3")],
            "env": [{ "name": "P", "value": STRANGE }],
        } }),
                SERVER,
            ),
        ),
    ] {
        let path = scratch.path().join("kubeconfig");
        fs::write(&path, text)?;
        let mut command = Command::new("timeout");
        command.arg("--kill-after=2").arg("5").arg(program()?);
        command.args([
            "run",
            "--hostname-override=n",
            "--conntrack-max-per-core=0",
            "--v=9",
            "--snapshot=false",
        ]);
        command.arg(format!("--kubeconfig={}", path.display())).env("TOWPATH_LOG", "trace");
        let output = stage.node().run(|| command.output())??;
        let told =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(!told.is_empty(), "{what}: not a word");
        hides(what, &told)?;
        ensure!(!told.contains(number), "{what}: {told}");
    }
    Ok(())
}
