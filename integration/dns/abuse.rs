//! Rubbish for a bounded number of messages: the program lives, answers, and does not grow.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use libtest_mimic::Trial;

use crate::ask;
use crate::place::Place;
use crate::table::Table;
use crate::trial;
use crate::wire::{self, Query};

/// With every plugin that looks into queries.
pub(crate) const COREFILE: &str = ".:53 {
    kubernetes cluster.local clusterset.local in-addr.arpa ip6.arpa {
        pods verified
        multicluster clusterset.local
        zonal
        fallthrough in-addr.arpa
    }
    k8s_external ext.example
    autopath @kubernetes
    rewrite name suffix .old.example .example.net answer auto
    rewrite name regex (.*)\\.re\\.example {1}.shop.svc.cluster.local answer auto
    hosts {
        192.0.2.5 printer.example
        fallthrough
    }
    acl {
        block type TXT net 192.0.2.200/32
        filter type AAAA net 192.0.2.200/32
    }
    dns64
    nsid node-a
    any
    local
    loadbalance
    forward . 198.18.0.53
    cache 30
}";

/// By which the memory may grow from the first thousand messages to the last, in KiB.
const GROWTH: u64 = 12 * 1024;
const MESSAGES: u32 = 20_000;
const CONNECTIONS: u32 = 600;

type Attack = (&'static str, fn(&Place, &mut Random) -> Result<()>);

const ATTACKS: &[Attack] = &[
    ("random_octets", random_octets),
    ("mutated_queries", mutated_queries),
    ("mutated_replies_of_the_upstream", mutated_replies),
    ("tcp_lengths", tcp_lengths),
    ("random_names", random_names),
];

/// All of them.
pub(crate) fn trials(table: &Arc<Table>, obstacle: Option<&String>) -> Vec<Trial> {
    let one = |(name, attack): &'static Attack| {
        let table = Arc::clone(table);
        trial(format!("abuse::{name}"), obstacle.cloned(), move || {
            let mut place = Place::start(&table, COREFILE)?;
            survive(&mut place, *attack).with_context(|| place.evidence())
        })
    };
    ATTACKS.iter().map(one).collect()
}

/// Once to warm up, once more in full; the first numbers of both are the same each time.
fn survive(place: &mut Place, attack: fn(&Place, &mut Random) -> Result<()>) -> Result<()> {
    attack(place, &mut Random(1))?;
    let before = place.memory()?;
    attack(place, &mut Random(2))?;
    place.alive()?;
    let grown = place.memory()?.saturating_sub(before);
    ensure!(grown < GROWTH, "{grown} KiB more");
    let reply = place.ask("kubernetes.default.svc.cluster.local.", "A")?;
    ensure!(reply.answer().len() == 1, "{reply:?}");
    ensure!(!place.log().contains("panick"), "the program panicked");
    Ok(())
}

/// Numbers that are the same in each run (xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap_or(0) % limit.max(1)
    }

    fn octet(&mut self) -> u8 {
        self.next().to_be_bytes()[1]
    }

    fn octets(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.octet()).collect()
    }

    /// A few octets changed, cut, or added.
    fn mutate(&mut self, message: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            let at = self.below(message.len());
            match self.below(4) {
                0 if message.len() > 1 => message.truncate(at.max(1)),
                1 => message.extend(self.octets(at % 40)),
                _ => message[at] = self.octet(),
            }
        }
    }
}

/// Sends what `make` gives, never faster than the server reads: now and then a true query must be answered.
fn flood(place: &Place, mut make: impl FnMut(u32) -> Result<Vec<u8>>) -> Result<()> {
    let socket = ask::udp(&place.ns, place.server, None)?;
    socket.set_nonblocking(true).context("a socket that does not block")?;
    for i in 0..MESSAGES {
        let message = make(i)?;
        // A full buffer is as good as a lost message.
        let _ = socket.send(&message);
        while socket.recv(&mut [0; 2048]).is_ok() {}
        if i % 200 == 0 {
            let reply = place
                .ask("web.shop.svc.cluster.local.", "A")
                .with_context(|| format!("after message {i}"))?;
            ensure!(reply.answer().len() == 1, "after message {i}: {reply:?}");
        }
    }
    Ok(())
}

fn random_octets(place: &Place, random: &mut Random) -> Result<()> {
    flood(place, |_| {
        let len = random.below(600);
        Ok(random.octets(len))
    })
}

const NAMES: &[(&str, &str)] = &[
    ("kubernetes.default.svc.cluster.local.", "A"),
    ("_http._tcp.web.shop.svc.cluster.local.", "SRV"),
    ("1.0.96.10.in-addr.arpa.", "PTR"),
    ("10-244-1-1.shop.pod.cluster.local.", "AAAA"),
    ("www.example.net.", "A"),
    ("cluster.local.", "ANY"),
    ("www.old.example.", "AAAA"),
    ("web.re.example.", "A"),
    ("lb.shop.ext.example.", "A"),
    ("printer.example.", "A"),
    ("orders.mcs.svc.clusterset.local.", "SRV"),
    ("kubernetes.default.shop.svc.cluster.local.", "A"),
    ("foo.localhost.", "AAAA"),
];

fn mutated_queries(place: &Place, random: &mut Random) -> Result<()> {
    let queries: Vec<_> = NAMES.iter().map(|(name, kind)| Query::new(name, kind)).collect::<Result<_>>()?;
    flood(place, |i| {
        let query = queries[random.below(queries.len())].clone();
        let query = if i % 2 == 0 { query.edns(1232, 0x8000, &[(3, &[]), (10, &[1; 8])]) } else { query };
        let mut message = query.bytes();
        random.mutate(&mut message);
        Ok(message)
    })
}

/// The upstream sends broken replies: nothing of them is told, nothing is kept, and the true one still counts.
fn mutated_replies(place: &Place, random: &mut Random) -> Result<()> {
    let seed = random.next();
    place.stub.play(move |seen| {
        let mut random = Random(seed ^ u64::from(seen.id()));
        let record = format!("{} 60 IN A 198.51.100.1", seen.name);
        let soa = "example. 60 IN SOA ns.example. h.example. 1 2 3 4 5";
        let reply = seen.reply("NOERROR", 0, &[&record], &[soa]).ok()?;
        let mut broken: Vec<_> = (0..6).map(|_| reply.clone()).collect();
        broken.iter_mut().for_each(|message| {
            random.mutate(message);
            // Not by chance a reply that is fine, but for its contents.
            message[0] ^= 0xff;
        });
        let mut plays: Vec<_> = broken.into_iter().map(crate::stub::Play::now).collect();
        plays.push(crate::stub::Play::now(reply));
        Some(plays)
    });
    for i in 0..1_000 {
        let name = format!("n{i}-{}.example.", random.below(1 << 20));
        let reply = place.ask(&name, "A")?;
        // `cache 30` caps the TTL.
        ensure!(reply.answer() == [format!("{name} 30 IN A 198.51.100.1")], "{reply:?}");
    }
    Ok(())
}

/// Lengths that lie: too long, too short, none, and connections that end in the midst.
fn tcp_lengths(place: &Place, random: &mut Random) -> Result<()> {
    let query = Query::new("kubernetes.default.svc.cluster.local.", "A")?.bytes();
    let mut kept = Vec::new();
    for i in 0..CONNECTIONS {
        let mut stream = ask::tcp(&place.ns, place.server, None)?;
        let length = match i % 6 {
            0 => 0,
            1 => 11,
            2 => u16::MAX,
            3 => u16::try_from(query.len() - 1)?,
            4 => u16::try_from(query.len() + 1)?,
            _ => u16::try_from(random.below(65_536))?,
        };
        // The server may have closed it already, which is fine.
        let _ = stream.write_all(&[&length.to_be_bytes()[..], &query].concat());
        if i % 3 == 0 {
            kept.push(stream);
        }
    }
    let mut stream = ask::tcp(&place.ns, place.server, None)?;
    stream.write_all(&wire::framed(&query)).context("sending")?;
    ensure!(!ask::read_framed(&mut stream)?.is_empty());
    // Every one of them ends by itself.
    for mut stream in kept {
        stream.set_read_timeout(Some(Duration::from_secs(15))).context("a timeout")?;
        let ended = stream.read_to_end(&mut Vec::new());
        let reset = |error: &std::io::Error| error.kind() == std::io::ErrorKind::ConnectionReset;
        if ended.as_ref().is_err_and(|error| !reset(error)) {
            bail!("a connection with a wrong length is still open: {ended:?}");
        }
    }
    Ok(())
}

/// A pod that asks names that nobody has: cluster names die here, others at the upstream.
fn random_names(place: &Place, random: &mut Random) -> Result<()> {
    flood(place, |i| {
        let zone = if i % 2 == 0 { "example.org." } else { "shop.svc.cluster.local." };
        let name = format!("x{}.{zone}", random.below(1 << 30));
        Ok(Query::new(&name, "A")?.bytes())
    })
}
