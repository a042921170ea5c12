//! The start, as long as the API server is away.

use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use model::Protocol::Udp;

use crate::Test;
use crate::dns::ask::Reply;
use crate::dns::program::{INTERCEPT, asked, await_intercepted, build, by_node, line, not_intercepted, soon};
use crate::dns::{LISTEN, POD, plan};
use crate::stage::Stage;

pub(crate) const TESTS: &[Test] = &[
    Test::new("before_the_first_sync_nothing_is_intercepted", without_state),
    Test::new("without_an_api_server_names_of_the_last_run_are_answered", with_state),
];

/// How long nothing may happen.
const WHILE: Duration = Duration::from_millis(1200);

/// A stage whose program has been ended, and whose API server is away.
fn alone(snapshot: bool) -> Result<Stage> {
    let listen = format!("--dns-listen={LISTEN}");
    let mut stage = build(plan()?.through_api(), &[INTERCEPT, &listen, "--snapshot-after=1s"])?;
    stage.start()?;
    await_intercepted(&stage)?;
    stage.stop()?;
    let path = stage.cluster()?.snapshot();
    ensure!(path.is_file(), "no snapshot");
    if !snapshot {
        fs::remove_file(path)?;
    }
    stage.cluster()?.server.faults().refuse(true);
    Ok(stage)
}

fn stays_with_coredns(stage: &Stage) -> Result<()> {
    for _ in 0..6 {
        not_intercepted(stage)?;
        thread::sleep(WHILE / 6);
    }
    ensure!(line(stage, "intercepted:")?.is_empty(), "the page says otherwise");
    Ok(())
}

fn come_back(stage: &Stage) -> Result<()> {
    stage.cluster()?.server.faults().refuse(false);
    soon(stage, "all names", |stage| {
        let names = line(stage, "names:")?;
        ensure!(names.starts_with("complete;"), "{names}");
        Ok(())
    })?;
    await_intercepted(stage)
}

fn without_state() -> Result<()> {
    alone(false)?.play(|stage| {
        stage.launch()?;
        let at = format!("{LISTEN}:53");
        soon(stage, "the server to listen", |stage| {
            let reply = asked(stage, POD, &at, Udp)?;
            ensure!(reply == Reply::Node(2, Vec::new()), "{reply:?}");
            Ok(())
        })?;
        stays_with_coredns(stage)?;
        ensure!(line(stage, "names:")?.starts_with("not complete yet"));
        come_back(stage)
    })
}

fn with_state() -> Result<()> {
    alone(true)?.play(|stage| {
        let output = stage.run_program(&["cleanup"])?;
        ensure!(output.status.success(), "cleanup: {output:?}");
        stage.launch()?;
        let at = format!("{LISTEN}:53");
        soon(stage, "the server to listen", |stage| by_node(stage, POD, &at))?;
        soon(stage, "rules from the snapshot", not_intercepted)?;
        stays_with_coredns(stage)?;
        by_node(stage, POD, &at)?;
        let names = line(stage, "names:")?;
        ensure!(names.contains("of the last run"), "{names}");
        come_back(stage)
    })
}
