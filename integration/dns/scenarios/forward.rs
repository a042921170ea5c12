//! Upstreams that are slow, dead or dishonest.

use std::net::{IpAddr, Ipv4Addr};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::{Knows, Scenario};
use crate::ask;
use crate::compare::Transport::{Tcp, Udp};
use crate::decode;
use crate::place::Place;
use crate::stub::{Play, Seen};
use crate::wire::{Query, TC};

const ONE: &str = ".:53 {
    kubernetes cluster.local
    forward . 198.18.0.53
    cache 30
}";
const TWO: &str = ".:53 {
    kubernetes cluster.local
    forward . 198.18.0.53 198.18.0.54 {
        policy sequential
    }
}";

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario { knows: Knows::All, id: "scen-17", corefile: TWO, run: first_drops },
    Scenario { knows: Knows::All, id: "scen-19", corefile: ONE, run: coalesced },
    Scenario { knows: Knows::All, id: "scen-21", corefile: ONE, run: truncated_upstream },
    Scenario { knows: Knows::All, id: "scen-22", corefile: ONE, run: spoofed },
    Scenario { knows: Knows::All, id: "scen-38", corefile: ONE, run: slow },
];

const COLD: &str = "cold.example.net.";
/// What a pod may wait for the first answer after an upstream died.
const HEDGED: Duration = Duration::from_millis(500);
/// And once that is known.
const AT_ONCE: Duration = Duration::from_millis(150);

/// A source address of its own for the i-th client.
fn source(i: u8) -> IpAddr {
    Ipv4Addr::new(10, 245, 1, i).into()
}

fn first_drops(place: &mut Place) -> Result<()> {
    place.stub.silence();
    for i in 0..20 {
        let begun = Instant::now();
        let reply = place.ask(&format!("n{i}.example.net."), "A")?;
        ensure!(reply.rcode == "NXDOMAIN", "{reply:?}");
        let (took, limit) = (begun.elapsed(), if i == 0 { HEDGED } else { AT_ONCE });
        ensure!(took < limit, "query {i} took {took:?}, at most {limit:?} is wanted");
    }
    ensure!(place.second.seen().len() >= 20, "not all went to the second upstream");
    Ok(())
}

/// A thousand clients, one query to the upstream.
fn coalesced(place: &mut Place) -> Result<()> {
    place.stub.play(|seen| late(seen, Duration::from_millis(150)));
    let socket = |i: u16| ask::udp(&place.ns, place.server, Some(source(u8::try_from(i % 250 + 1)?)));
    let sockets: Vec<_> = (0..1000).map(socket).collect::<Result<_>>()?;
    let queries: Vec<_> = sockets.iter().map(|_| Query::new(COLD, "A")).collect::<Result<_>>()?;
    for (socket, query) in sockets.iter().zip(&queries) {
        socket.send(&query.bytes()).context("sending")?;
    }
    for (i, (socket, query)) in sockets.iter().zip(&queries).enumerate() {
        let reply = decode::read(&ask::receive(socket).with_context(|| format!("client {i}"))?)?;
        ensure!(reply.id == query.id && reply.answer().len() == 1, "client {i}: {reply:?}");
    }
    let asked = place.stub.asked(COLD);
    ensure!(asked == 1, "{asked} queries to the upstream");
    Ok(())
}

fn late(seen: &Seen, after: Duration) -> Option<Vec<Play>> {
    let record = format!("{} 60 IN A 198.51.100.1", seen.name);
    Some(vec![Play::after(after, seen.reply("NOERROR", 0, &[&record], &[]).ok()?)])
}

/// The whole answer is fetched once over TCP and cut for each client.
fn truncated_upstream(place: &mut Place) -> Result<()> {
    place.stub.play(|seen| {
        let records: Vec<_> = (1..51).map(|i| format!("{COLD} 60 IN A 198.51.100.{i}")).collect();
        let records: Vec<_> = records.iter().map(String::as_str).collect();
        let (flags, answer) = if seen.tcp { (0, &records[..]) } else { (TC, &[][..]) };
        Some(vec![Play::now(seen.reply("NOERROR", flags, answer, &[]).ok()?)])
    });
    let small = place.send(&Query::new(COLD, "A")?, Udp)?;
    ensure!(small.size <= 512 && small.has(TC), "{} octets, flags {:#06x}", small.size, small.flags);
    let large = place.send(&Query::new(COLD, "A")?.edns(1232, 0, &[]), Udp)?;
    ensure!(large.answer().len() == 50 && !large.has(TC), "{} of 50 in 1232 octets", large.answer().len());
    let whole = place.send(&Query::new(COLD, "A")?, Tcp)?;
    ensure!(whole.answer().len() == 50, "{} of 50 over TCP", whole.answer().len());
    let seen = place.stub.seen();
    let (tcp, udp): (Vec<_>, Vec<_>) =
        seen.iter().filter(|seen| seen.name == COLD).partition(|seen| seen.tcp);
    ensure!((udp.len(), tcp.len()) == (1, 1), "asked {} times by UDP, {} by TCP", udp.len(), tcp.len());
    Ok(())
}

/// Replies that do not fit are passed over, and the wait goes on.
fn spoofed(place: &mut Place) -> Result<()> {
    place.stub.play(|seen| forged(seen).ok());
    for (i, transport) in [Udp, Tcp, Udp, Udp].into_iter().enumerate() {
        let name = format!("n{i}.example.net.");
        let reply = place.send(&Query::new(&name, "A")?, transport)?;
        // `cache 30` caps the TTL.
        ensure!(reply.answer() == [format!("{name} 30 IN A 198.51.100.1")], "{reply:?}");
        // And nothing of them is in the cache.
        let again = place.ask(&name, "A")?;
        ensure!(again.answer().iter().all(|line| line.ends_with("198.51.100.1")), "{again:?}");
        ensure!(place.ask(&format!("other-{name}"), "A")?.answer().iter().all(|line| !line.ends_with(".66")));
    }
    Ok(())
}

/// Before the true reply: another ID, another question, a query, another type, another sender, and rubbish.
fn forged(seen: &Seen) -> Result<Vec<Play>> {
    let wrong = format!("{} 60 IN A 198.51.100.66", seen.name);
    let reply = seen.reply("NOERROR", 0, &[&wrong], &[])?;
    let changed = |at: usize, by: u8| {
        let mut message = reply.clone();
        message[at] ^= by;
        Play::now(message)
    };
    let last = 12 + seen.name.len();
    let forgeries = vec![
        changed(0, 0x55),
        changed(13, 1),
        changed(2, 0x80),
        changed(last + 2, 3),
        Play::from_elsewhere(reply.clone()),
        Play::now(reply[..20].to_vec()),
        Play::now(vec![0; 3]),
    ];
    let right = format!("{} 60 IN A 198.51.100.1", seen.name);
    let right = Play::after(Duration::from_millis(60), seen.reply("NOERROR", 0, &[&right], &[])?);
    Ok(if seen.tcp { vec![right] } else { forgeries.into_iter().chain([right]).collect() })
}

const RATE: u16 = 2_000;
const SECONDS: u16 = 3;
/// By which the memory may grow meanwhile, in KiB.
const GROWTH: u64 = 24 * 1024;

/// Cold names at a high rate, each answered after two seconds: memory is bounded, local names are not delayed, and no
/// client is left without any reply.
fn slow(place: &mut Place) -> Result<()> {
    place.stub.play(|seen| late(seen, Duration::from_secs(2)));
    let sockets: Vec<_> =
        (1..101).map(|i| ask::udp(&place.ns, place.server, Some(source(i)))).collect::<Result<_>>()?;
    let (before, begun) = (place.memory()?, Instant::now());
    let mut worst = Duration::ZERO;
    for i in 0..RATE * SECONDS {
        let query = Query::new(&format!("n{i}.example.net."), "A")?;
        sockets[usize::from(i) % sockets.len()].send(&query.bytes()).context("sending")?;
        if i % 500 == 0 {
            let asked = Instant::now();
            let reply = place.ask("kubernetes.default.svc.cluster.local.", "A")?;
            ensure!(reply.answer().len() == 1, "{reply:?}");
            worst = worst.max(asked.elapsed());
        }
        let due = begun + Duration::from_secs(1) * u32::from(i) / u32::from(RATE);
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    let grown = place.memory()?.saturating_sub(before);
    ensure!(grown < GROWTH, "{grown} KiB more");
    ensure!(worst < Duration::from_millis(250), "a local name took {worst:?}");
    let replies: usize = sockets.iter().map(drained).sum();
    ensure!(
        replies > usize::from(RATE * SECONDS) * 9 / 10,
        "{replies} replies to {} queries",
        RATE * SECONDS
    );
    Ok(())
}

/// Replies that come until there is none for a while.
fn drained(socket: &std::net::UdpSocket) -> usize {
    let quiet = Duration::from_millis(if socket.peek(&mut [0; 1]).is_ok() { 50 } else { 1 });
    let _ = socket.set_read_timeout(Some(quiet));
    std::iter::from_fn(|| ask::receive(socket).ok()).count()
}
