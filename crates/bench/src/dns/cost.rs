//! CPU per reply and latency, beside the echo.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use testkit::netns::NetNs;

use crate::dns::Plan;
use crate::dns::perf::{Load, Outcome, median};
use crate::dns::server::Server;
use crate::dns::upstream;
use crate::dns::world::World;

const UPSTREAM: u16 = 5301;
/// Queries a second at which the CPU per reply is taken.
const RATES: [u32; 2] = [500, 5000];
const LATENCY_RATE: u32 = 10_000;

/// Measures both servers in turns, so that both see the same machine.
pub(crate) fn measure(namespace: &NetNs, world: &World, plan: Plan) -> Result<()> {
    upstream::answering(namespace, UPSTREAM, Duration::from_millis(1))?;
    let echo = Server::echo(namespace)?;
    let corefile = world.corefile(&[UPSTREAM])?;
    let ours = Server::towpath(namespace, &world.manifests(), &corefile, &world.known())?;
    let mix = world.queries("mix");
    for rate in RATES {
        let load = Load { rate: Some(rate), ..Load::of(&mix, plan.seconds) };
        compare(
            &format!("CPU per reply at {rate} queries a second"),
            &[&echo, &ours],
            plan,
            &[load],
            micros,
        )?;
    }
    for what in ["mix", "hit", "search"] {
        let queries = world.queries(what);
        let load = Load::of(&queries, plan.seconds);
        compare(
            &format!("replies per CPU second, saturated, {what}"),
            &[&echo, &ours],
            plan,
            &[load],
            per_second,
        )?;
    }
    // The echo has no TCP: no ratio.
    let load = Load { tcp: true, ..Load::of(&mix, plan.seconds) };
    compare("replies per CPU second, saturated, mix over TCP", &[&ours], plan, &[load], per_second)?;
    latency(&[&echo, &ours], plan, &mix)
}

fn micros(outcome: &Outcome, cpu: f64) -> f64 {
    cpu / outcome.completed * 1e6
}

fn per_second(outcome: &Outcome, cpu: f64) -> f64 {
    outcome.completed / cpu
}

/// Prints the median of each server, and the last's share of the first.
fn compare(
    title: &str,
    servers: &[&Server<'_>],
    plan: Plan,
    loads: &[Load<'_>],
    figure: fn(&Outcome, f64) -> f64,
) -> Result<()> {
    let mut figures = vec![Vec::new(); servers.len()];
    for _ in 0..plan.repetitions {
        for (server, figures) in servers.iter().zip(&mut figures) {
            for load in loads {
                let (outcome, cpu) = server.load(*load)?;
                figures.push(figure(&outcome, cpu));
            }
        }
    }
    print(&format!("dns: {title}"), servers, figures);
    Ok(())
}

fn print(title: &str, servers: &[&Server<'_>], figures: Vec<Vec<f64>>) {
    let medians: Vec<f64> = figures.into_iter().map(median).collect();
    let words: Vec<String> = servers
        .iter()
        .zip(&medians)
        .map(|(server, median)| format!("{} {median:.1}", server.title))
        .collect();
    let ratio = match medians[..] {
        [floor, ours] => format!(", ratio {:.2}", ours / floor),
        _ => String::new(),
    };
    println!("{title}: {}{ratio}", words.join(", "));
}

fn latency(servers: &[&Server<'_>], plan: Plan, mix: &Path) -> Result<()> {
    let load = Load { rate: Some(LATENCY_RATE), latencies: true, ..Load::of(mix, plan.seconds) };
    let shares = [0.5, 0.99, 0.999];
    let mut figures = vec![vec![Vec::new(); servers.len()]; shares.len()];
    for _ in 0..plan.repetitions {
        for (number, server) in servers.iter().enumerate() {
            let (outcome, _) = server.load(load)?;
            for (share, figures) in shares.iter().zip(&mut figures) {
                figures[number].push(outcome.latency(*share).as_secs_f64() * 1e6);
            }
        }
    }
    for (share, figures) in shares.iter().zip(figures) {
        let title = format!("dns: latency in us at {LATENCY_RATE} queries a second, p{}", share * 100.0);
        print(&title, servers, figures);
    }
    Ok(())
}
