//! Endpoints are replaced one by one while clients make requests without a pause.

use anyhow::{Context, Result, ensure};
use model::Protocol::{Tcp, Udp};
use testkit::cases::EndpointSpec;
use testkit::scene::{Scene, part};

use super::held::{self, HELD, Held, Holders};
use super::{BALANCER, CLIENTS, NODE_PORT, POD6, SCHEDULER, VIP, VIP6, annotate, plan, tally};
use crate::Test;
use crate::lifecycle::POD;
use crate::modes::traffic::{self, Stream};
use crate::stage::{Stage, ip};

pub(crate) const TESTS: &[Test] = &[
    Test::new("a_rolling_update_loses_no_request", || rolling("rr")),
    Test::new("a_rolling_update_with_sh_loses_no_request", || rolling("sh")),
    Test::new("restarts_in_the_middle_of_an_update_lose_no_request", with_restarts),
];

const STREAMS: &[Stream] = &[
    Stream(POD, VIP, Tcp),
    Stream(POD, "10.96.0.10:53", Udp),
    Stream(CLIENTS[0], NODE_PORT, Tcp),
    Stream(CLIENTS[1], BALANCER, Tcp),
    Stream(POD6, VIP6, Tcp),
];

/// The endpoints that take the place of the first ones, one for one.
const OLD: [[&str; 2]; 3] =
    [["10.244.1.1", "fd00:244:0:1::1"], ["10.244.1.2", "fd00:244:0:1::2"], ["10.244.1.3", "fd00:244:0:1::3"]];
const NEW: [[&str; 2]; 3] =
    [["10.244.1.4", "fd00:244:0:1::4"], ["10.244.1.5", "fd00:244:0:1::5"], ["10.244.1.6", "fd00:244:0:1::6"]];

/// An endpoint that is gone takes no new connections, and no datagrams.
const GONE: &str = "
table inet gone {
    chain input { type filter hook input priority 0; tcp flags syn drop; meta l4proto udp drop; }
}
";

/// The stage with servers at the new endpoints too.
fn stage(scheduler: &str) -> Result<Stage> {
    let new = NEW.iter().flatten().copied().collect::<Vec<_>>();
    let ports = |ip: &str| if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
    let servers: Vec<String> =
        new.iter().flat_map(|ip| [8080, 5353].map(|port| format!("{}:{port}", ports(ip)))).collect();
    let servers: Vec<&str> = servers.iter().map(String::as_str).collect();
    let plan = plan()?.hosts(&new)?.serve(&servers)?;
    held::plan(plan.with(|scene| annotate(scene, "ns/web", SCHEDULER, Some(scheduler))))?.start()
}

fn play(scheduler: &str, act: impl FnOnce(&mut Stage) -> Result<()>) -> Result<()> {
    let stage = stage(scheduler)?;
    traffic::set_ports_apart(&stage, STREAMS)?;
    let holders = Holders::listen(&stage)?;
    let mut held = holders.open_many(&stage, POD, HELD, 3)?;
    stage.play(|stage| {
        traffic::during(stage, STREAMS, act)?;
        held.iter_mut().try_for_each(Held::talk)?;
        let tally = tally(stage, POD, VIP, Tcp, 12)?;
        let new = |at: &&std::net::SocketAddr| NEW.iter().flatten().any(|new| at.ip().to_string() == *new);
        ensure!(tally.keys().filter(new).count() == tally.len(), "old ones are served: {tally:?}");
        Ok(())
    })
}

fn rolling(scheduler: &'static str) -> Result<()> {
    play(scheduler, |stage| {
        (0..OLD.len()).try_for_each(|i| replace(stage, i).with_context(|| format!("the {i}th")))
    })
}

/// As a Deployment does it: a new one, the old one terminates, the old one is gone.
fn replace(stage: &mut Stage, i: usize) -> Result<()> {
    let new: Vec<EndpointSpec> =
        NEW[i].iter().map(|ip| part(&format!("{{ip: '{ip}'}}"))).collect::<Result<_>>()?;
    stage.change(|scene| {
        of_web(scene).zip(new).for_each(|(endpoints, new)| endpoints.push(new));
    })?;
    let old = [ip(OLD[i][0])?, ip(OLD[i][1])?];
    stage.change(|scene| {
        let leaving = of_web(scene).flatten().filter(|endpoint| old.contains(&endpoint.ip));
        leaving.for_each(|e| (e.ready, e.serving, e.terminating) = (Some(false), Some(true), Some(true)));
    })?;
    for host in OLD[i] {
        stage.world.namespace(ip(host)?).nft(GONE)?;
    }
    stage.change(|scene| old.into_iter().for_each(|ip| scene.remove_endpoint(ip)))
}

fn of_web(scene: &mut Scene) -> impl Iterator<Item = &mut Vec<EndpointSpec>> {
    let slices = scene.slices.iter_mut().filter(|slice| slice.service == "ns/web");
    slices.map(|slice| &mut slice.endpoints)
}

fn with_restarts() -> Result<()> {
    play("rr", |stage| {
        for i in 0..OLD.len() {
            if i == 1 {
                stage.kill()?
            } else {
                stage.stop()?
            }
            stage.start()?;
            replace(stage, i)?;
        }
        Ok(())
    })
}
