//! Other programs' hands in what the node has for DNS: found and repaired within about a second.

use std::cell::RefCell;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::dns::node::{DAMAGE, network, sorted};
use crate::dns::program::{INTERCEPT, await_alive, build, intercepted};
use crate::dns::{LISTEN, LISTEN6, plan};
use crate::stage::Stage;
use crate::tamper::in_time;

/// Repair is due within a second; the look at the result takes a while too.
const DEADLINE: Duration = Duration::from_millis(2500);
const TOLD: &str = "had changed what the node has for DNS";

pub(super) fn repaired() -> Result<()> {
    let listen = format!("--dns-listen={LISTEN},{LISTEN6}");
    let mut stage = build(plan()?, &[INTERCEPT, &listen])?;
    stage.start()?;
    stage.play(|stage| {
        await_alive(stage)?;
        let good = sorted(&network(stage.node())?);
        for (program, args) in DAMAGE {
            let what = format!("{program} {}", args.join(" "));
            one(stage, program, args, &good).with_context(|| format!("after {what}"))?;
        }
        intercepted(stage)
    })
}

fn one(stage: &mut Stage, program: &str, args: &[&str], good: &[String]) -> Result<()> {
    let told = count(stage)?;
    stage.node().command(program, args)?;
    let last = RefCell::new(Vec::new());
    let done = in_time(stage, DEADLINE, |stage| {
        *last.borrow_mut() = sorted(&network(stage.node())?);
        Ok(*last.borrow() == good)
    });
    let differ = || {
        let last = last.borrow();
        let lines = last.iter().filter(|line| !good.contains(line));
        format!("there is {:#?}", lines.collect::<Vec<_>>())
    };
    done.with_context(differ)?;
    // The log is written by a thread of its own.
    stage.soon("a word of it in the log", |stage| {
        let now = count(stage)?;
        ensure!(now > told, "no word of it in the log");
        let counted = stage.metric("towpath_repairs_total{of=\"dns\"}")?;
        ensure!(counted == now as f64, "{counted} repairs are counted, {now} told");
        Ok(())
    })?;
    await_alive(stage)
}

fn count(stage: &Stage) -> Result<usize> {
    Ok(stage.log()?.matches(TOLD).count())
}
