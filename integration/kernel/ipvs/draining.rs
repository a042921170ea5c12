//! An endpoint that goes while clients are connected to it: no new ones, and the old ones to their end.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use model::Protocol::{Tcp, Udp};
use testkit::probe::UdpFlow;
use testkit::wait;

use super::held::{self, HELD, HOLDERS, Held, Holders, set_holders};
use super::{plan, tally};
use crate::Test;
use crate::lifecycle::POD;
use crate::packets::{ANSWER, answer};
use crate::stage::{Stage, ip, socket};

pub(crate) const TESTS: &[Test] = &[
    Test::new("an_endpoint_that_goes_keeps_its_connections_until_they_end", to_the_end),
    Test::new("an_endpoint_that_comes_back_has_its_weight_again", comes_back),
    Test::new("after_the_deadline_it_goes_whoever_is_connected", deadline),
    Test::new("without_connections_it_goes_at_once", without_connections),
    Test::new("with_udp_it_goes_at_once_and_clients_are_sent_elsewhere", udp),
];

/// IPVS forgets a connection that was reset after 10 seconds; then somebody has to look.
const FORGOTTEN: Duration = Duration::from_secs(30);

/// A stage with one connection to each endpoint of ns/held.
fn connected(flags: &[&str]) -> Result<(Stage, Holders, Vec<Held>)> {
    let mut stage = held::plan(plan()?)?.build()?;
    stage.add_flags(flags);
    stage.start()?;
    let holders = Holders::listen(&stage)?;
    let held = holders.open_many(&stage, POD, HELD, 3)?;
    ensure!(held::counts(&held).len() == 3, "{:?}", held::counts(&held));
    Ok((stage, holders, held))
}

const WITHOUT_FIRST: [(&str, u32); 3] = [(HOLDERS[0], 0), (HOLDERS[1], 1), (HOLDERS[2], 1)];

/// The first endpoint drains: weight 0, its connection lives, new ones go elsewhere.
fn drains(stage: &Stage, holders: &Holders, held: &mut [Held]) -> Result<()> {
    stage.has_weights(HELD, Tcp, &WITHOUT_FIRST)?;
    held.iter_mut().try_for_each(Held::talk)?;
    let first = socket(HOLDERS[0])?;
    for held in holders.open_many(stage, POD, HELD, 4)? {
        ensure!(held.endpoint != first, "a new connection went to {first}");
        held.reset()?;
    }
    Ok(())
}

fn to_the_end() -> Result<()> {
    let (stage, holders, mut held) = connected(&[])?;
    stage.play(|stage| {
        set_holders(stage, &HOLDERS[1..])?;
        drains(stage, &holders, &mut held)?;
        // What drains is known from the kernel: a restart goes on with it.
        stage.stop()?;
        stage.start()?;
        drains(stage, &holders, &mut held).context("after a restart")?;
        stage.kill()?;
        stage.start()?;
        drains(stage, &holders, &mut held).context("after it was killed")?;
        let first = socket(HOLDERS[0])?;
        let (leaving, mut staying): (Vec<Held>, Vec<Held>) =
            held.into_iter().partition(|held| held.endpoint == first);
        leaving.into_iter().try_for_each(Held::reset)?;
        gone(stage, FORGOTTEN)?;
        staying.iter_mut().try_for_each(Held::talk)
    })
}

/// The first endpoint is no real server any more.
fn gone(stage: &Stage, patience: Duration) -> Result<()> {
    wait::until("the real server to go", patience, || {
        Ok((!stage.reals(HELD, Tcp)?.contains_key(&socket(HOLDERS[0])?)).then_some(()))
    })
}

fn comes_back() -> Result<()> {
    let (stage, holders, mut held) = connected(&[])?;
    stage.play(|stage| {
        set_holders(stage, &HOLDERS[1..])?;
        drains(stage, &holders, &mut held)?;
        set_holders(stage, &HOLDERS)?;
        stage.has_weights(HELD, Tcp, &HOLDERS.map(|holder| (holder, 1)))?;
        held.iter_mut().try_for_each(Held::talk)?;
        let mut again = holders.open_many(stage, POD, HELD, 3)?;
        ensure!(held::counts(&again).len() == 3, "{:?}", held::counts(&again));
        // All of them go at once: nobody is left for new connections, and the old ones live on.
        stage.change(|scene| scene.slices.retain(|slice| slice.service != "ns/held"))?;
        held.iter_mut().chain(&mut again).try_for_each(Held::talk)?;
        stage.refused(POD, HELD, Tcp)?;
        stage.refused(crate::stage::NODE, HELD, Tcp)
    })
}

fn deadline() -> Result<()> {
    let (stage, _holders, mut held) = connected(&["--ipvs-drain-timeout", "2s"])?;
    stage.play(|stage| {
        let start = Instant::now();
        set_holders(stage, &HOLDERS[1..])?;
        gone(stage, Duration::from_secs(15))?;
        ensure!(start.elapsed() >= Duration::from_secs(2), "gone after {:?} already", start.elapsed());
        // Those of the others are none of its business.
        let first = socket(HOLDERS[0])?;
        held.iter_mut().filter(|held| held.endpoint != first).try_for_each(Held::talk)
    })
}

fn without_connections() -> Result<()> {
    held::plan(plan()?)?.start()?.play(|stage| {
        set_holders(stage, &HOLDERS[1..])?;
        gone(stage, Duration::from_secs(5))?;
        stage.has_weights(HELD, Tcp, &WITHOUT_FIRST[1..])
    })
}

fn udp() -> Result<()> {
    const TO: &str = "10.96.0.10:53";
    plan()?.start()?.play(|stage| {
        let open = || {
            let flow = UdpFlow::open(stage.world.namespace(ip(POD)?), ip(POD)?, socket(TO)?)?;
            let endpoint = answer(&flow.ask(ANSWER)?)?.endpoint;
            Ok((flow, endpoint))
        };
        let flows = (0..6).map(|_| open()).collect::<Result<Vec<_>>>()?;
        let dead = ip("10.244.1.1")?;
        ensure!(flows.iter().filter(|(_, at)| at.ip() == dead).count() == 2, "not by turns");
        stage.change(|scene| scene.remove_endpoint(dead))?;
        ensure!(!stage.reals(TO, Udp)?.keys().any(|real| real.ip() == dead), "it is still a real server");
        for (flow, before) in &flows {
            let now =
                answer(&flow.ask(ANSWER)?).with_context(|| format!("{} at {before}", flow.source))?.endpoint;
            let right = if before.ip() == dead { now.ip() != dead } else { now == *before };
            ensure!(right, "{} was at {before}, is at {now}", flow.source);
        }
        let tally = tally(stage, POD, TO, Udp, 4)?;
        ensure!(tally.len() == 2, "{tally:?}");
        Ok(())
    })
}
