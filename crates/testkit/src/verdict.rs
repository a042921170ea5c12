//! Real packets against what a table expects of a flow.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::cases::{Flow, FlowCase, Mode, Verdict};
use crate::probe::Outcome;
use crate::world::World;

/// Long enough for a busy machine, shorter than TCP's first retransmission: a lost packet is a failure.
const ANSWER: Duration = Duration::from_millis(900);
/// A TCP client over IPv6 hears of an ICMP refusal only at its second try, a second later, when the whole path
/// is on this host (Linux 6.18): the first arrives while connect() still holds the socket, and is counted in
/// LockDroppedIcmps. A RST, and ICMP over IPv4, are heard at once.
const REFUSAL: Duration = Duration::from_secs(3);
/// How long silence must last to count as a drop.
const SILENCE: Duration = Duration::from_millis(300);
/// Tries for each expected endpoint: so many that one endpoint too many shows itself
/// (chance to miss it 1 in 4,000 or less).
const TRIES: usize = 12;
/// Tries for each expected endpoint until all must have been seen.
const MOST_TRIES: usize = 40;
/// How often an answer without any choice in it is asked for.
const REPEATS: usize = 2;

/// Tries every flow of a list that the dataplane has to honour; the error names all that failed.
pub fn check_flows(world: &World, case: &FlowCase, flows: &[Flow], mode: Mode) -> Result<()> {
    let mut failures = Vec::new();
    for flow in flows.iter().filter(|f| f.applies(mode)) {
        if let Err(error) = check(world, case, flow, mode) {
            failures.push(format!("{error:#}"));
        }
    }
    ensure!(failures.is_empty(), "{} flow(s) went wrong:\n  {}", failures.len(), failures.join("\n  "));
    Ok(())
}

/// Tries one flow.
pub fn check(world: &World, case: &FlowCase, flow: &Flow, mode: Mode) -> Result<()> {
    let health = case.is_health_port(flow.port);
    let checked = match flow.expected(mode).result {
        Verdict::Dnat => check_dnat(world, flow, mode),
        Verdict::Reject => repeat(world, flow, REFUSAL, |o| *o == Outcome::Refused),
        Verdict::Drop => repeat(world, flow, SILENCE, |o| *o == Outcome::TimedOut),
        // The program may listen there itself, or not: what counts is that the packet got through.
        Verdict::Accept => repeat(world, flow, ANSWER, |o| *o != Outcome::TimedOut),
        Verdict::None if health => {
            repeat(world, flow, ANSWER, |o| matches!(o, Outcome::Other(_) | Outcome::Refused))
        }
        Verdict::None => repeat(world, flow, ANSWER, |o| is_untouched(flow, o)),
    };
    let (proto, destination) = (flow.proto.0, flow.destination());
    checked.with_context(|| format!("{:?} ({proto} {} -> {destination})", flow.name, flow.src))
}

fn send(world: &World, flow: &Flow, timeout: Duration) -> Result<Outcome> {
    world.probe(flow.src, flow.destination(), flow.proto.0, timeout)
}

/// The destination itself answered, to the very client.
fn is_untouched(flow: &Flow, outcome: &Outcome) -> bool {
    let Outcome::Answered { endpoint, seen_source } = outcome else {
        return false;
    };
    *endpoint == flow.destination() && seen_source.ip() == flow.src
}

fn repeat(world: &World, flow: &Flow, timeout: Duration, good: impl Fn(&Outcome) -> bool) -> Result<()> {
    for _ in 0..REPEATS {
        let outcome = send(world, flow, timeout)?;
        ensure!(good(&outcome), "got {outcome:?}");
    }
    Ok(())
}

/// All expected endpoints, and no other, each with the source rewritten or not.
fn check_dnat(world: &World, flow: &Flow, mode: Mode) -> Result<()> {
    let wanted: BTreeSet<SocketAddr> = flow.expected(mode).endpoints.iter().copied().collect();
    let mut seen = BTreeSet::new();
    for tries in 1.. {
        seen.insert(check_answer(world, flow, mode, &wanted)?);
        if seen == wanted && tries >= TRIES * wanted.len() {
            break;
        }
        if tries >= MOST_TRIES * wanted.len() {
            bail!("after {tries} tries only {seen:?} of {wanted:?}");
        }
    }
    Ok(())
}

fn check_answer(world: &World, flow: &Flow, mode: Mode, wanted: &BTreeSet<SocketAddr>) -> Result<SocketAddr> {
    let outcome = send(world, flow, ANSWER)?;
    let Outcome::Answered { endpoint, seen_source } = outcome else {
        bail!("got {outcome:?}, want {wanted:?}")
    };
    ensure!(wanted.contains(&endpoint), "went to {endpoint}, want {wanted:?}");
    let source = seen_source.ip();
    if flow.masquerades(mode, endpoint) {
        let rewritten = source != flow.src && world.is_node_address(source);
        ensure!(rewritten, "{endpoint} saw source {source}, want another address of the node");
    } else {
        ensure!(source == flow.src, "{endpoint} saw source {source}, want it as it was");
    }
    Ok(endpoint)
}
