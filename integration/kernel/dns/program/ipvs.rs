//! Mode ipvs: IPVS takes packets to VIPs before any socket, so the CoreDNS pods answer.

use anyhow::{Result, ensure};

use crate::Test;
use crate::dns::program::{INTERCEPT, build, by_node, line, not_intercepted, soon};
use crate::dns::{LISTEN, POD, plan};

pub(crate) const TESTS: &[Test] = &[Test::new("nothing_is_intercepted_and_the_page_says_why", not_here)];

fn not_here() -> Result<()> {
    let listen = format!("--dns-listen={LISTEN}");
    let mut stage = build(plan()?, &[INTERCEPT, &listen])?;
    stage.start()?;
    stage.play(|stage| {
        soon(stage, "the server to listen", |stage| by_node(stage, POD, &format!("{LISTEN}:53")))?;
        let why = line(stage, "not intercepted:")?;
        ensure!(why.contains("mode ipvs"), "{why}");
        ensure!(line(stage, "intercepted:")?.is_empty(), "the page says otherwise");
        not_intercepted(stage)
    })
}
