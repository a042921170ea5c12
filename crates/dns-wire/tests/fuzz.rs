//! Random and broken messages: nothing panics, nothing loops, nothing that is sent is malformed.
//!
//! A seeded run of a fixed number of messages; `TOWPATH_FUZZ_SECONDS=60` makes it as long as said, from a seed of the clock.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::{Duration, Instant, SystemTime};

use support::query;
use towpath_dns_wire::{Asked, Bad, Name, Relay, Ttls, parse_query, refuse, rtype, store};

/// Messages of an ordinary run.
const MESSAGES: u64 = 60_000;
/// One message must not take longer, whatever it is: a loop would.
const AT_MOST: Duration = Duration::from_secs(2);

/// xorshift64*: the same numbers on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next()).unwrap() % end.max(1)
    }

    fn octet(&mut self) -> u8 {
        // Octets that mean something in a message are frequent.
        const KNOWN: [u8; 12] = [0, 1, 3, 12, 0xc0, 0xc1, 0xff, 0x3f, 0x40, 0x80, 41, 6];
        if self.below(2) == 0 { KNOWN[self.below(KNOWN.len())] } else { self.next().to_le_bytes()[0] }
    }
}

/// Replies with pointers, an SOA, an OPT record with an option, and types with names inside.
fn seeds() -> Vec<Vec<u8>> {
    let mut reply = query("www.example.org.", 1, None);
    reply[2..4].copy_from_slice(&[0x81, 0x80]);
    reply[6..12].copy_from_slice(&[0, 3, 0, 1, 0, 2]);
    reply.extend_from_slice(&[0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 6, 3, b'c', b'd', b'n', 0xc0, 16]);
    reply.extend_from_slice(&[0xc0, 45, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1]);
    reply.extend_from_slice(&[
        0xc0, 45, 0, 33, 0, 1, 0, 0, 0, 60, 0, 10, 0, 0, 0, 0, 0, 80, 1, b'x', 0xc0, 16,
    ]);
    reply.extend_from_slice(&[0xc0, 16, 0, 6, 0, 1, 0, 0, 0, 60, 0, 24, 0xc0, 16, 0xc0, 16]);
    reply.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5]);
    reply.extend_from_slice(&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 6, 0, 15, 0, 2, 0, 3]);
    reply.extend_from_slice(&[0xc0, 12, 0, 28, 0, 1, 0, 0, 0, 60, 0, 16]);
    reply.extend_from_slice(&[1; 16]);
    let client = query("www.example.org.", 1, Some(4096));
    let mut with_option = query("a.b.", rtype::ANY, Some(512));
    let length = with_option.len();
    with_option[length - 1] = 8;
    with_option.extend_from_slice(&[0, 10, 0, 4, 1, 2, 3, 4]);
    vec![reply, client, with_option, query(".", 65535, None)]
}

fn mutated(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    if random.below(8) == 0 {
        let length = random.below(600);
        return (0..length).map(|_| random.octet()).collect();
    }
    let mut message = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(4) {
        let at = random.below(message.len());
        match random.below(5) {
            0 => message.truncate(at),
            1 => message.insert(at, random.octet()),
            2 => message.extend_from_within(at..),
            _ => message.iter_mut().skip(at).take(1).for_each(|octet| *octet = random.octet()),
        }
    }
    message
}

/// All that is done with a message that came in, as a query and as a reply.
fn feed(message: &[u8], random: &mut Random) {
    let client = query("wWw.example.org.", 1, (random.below(2) == 0).then_some(1232));
    let client = parse_query(&client).unwrap();
    let mut out = vec![];
    match parse_query(message) {
        Ok(query) => assert_eq!(query.name.to_string().parse::<Name>().unwrap().wire(), query.name.wire()),
        Err(Bad::Refuse(refusal)) => refuse(&refusal, &mut out),
        Err(Bad::Drop) => {}
    }
    assert!(out.is_empty() || support::by_domain(&out).id == u16::from_be_bytes([message[0], message[1]]));
    let asked = Asked {
        id: message.get(..2).map_or(0, |id| u16::from_be_bytes([id[0], id[1]])),
        question: client.question,
    };
    let Ok(stored) = store(message, &asked) else { return };
    let limit = random.below(2000);
    let how = Relay { ttls: Ttls { age: 7, ..Ttls::KEEP }, limit, prefix: &[], options: &[] };
    stored.write(&client, &how, &mut out);
    out.clear();
    stored.write(&client, &Relay { limit: 65535, ..how }, &mut out);
    // What we sent can be stored again, and says the same.
    let again = store(&out, &Asked { id: client.id, question: client.question }).unwrap();
    assert!(
        again
            .records()
            .map(|record| (record.rtype, record.data))
            .eq(stored.records().map(|record| (record.rtype, record.data)))
    );
}

#[test]
fn nothing_panics_or_loops() {
    let seconds = std::env::var("TOWPATH_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let end = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let seed = end.map_or(0x7077_7061_7468, |_| clock | 1);
    let (mut random, seeds) = (Random(seed), seeds());
    let mut fed = 0;
    while end.map_or(fed < MESSAGES, |end| Instant::now() < end) {
        let message = mutated(&mut random, &seeds);
        let began = Instant::now();
        let fine = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| feed(&message, &mut random)));
        assert!(fine.is_ok(), "seed {seed}, message {fed}: {message:?}");
        assert!(
            began.elapsed() < AT_MOST,
            "seed {seed}, message {fed} took {:?}: {message:?}",
            began.elapsed()
        );
        fed += 1;
    }
    println!("{fed} messages from seed {seed}");
}

#[test]
fn the_worst_messages_are_read_in_bounded_time() {
    // As many names as fit, each a chain of pointers as long as possible.
    let mut chain = query("www.example.org.", 1, None);
    chain[2] = 0x81;
    chain[6..8].copy_from_slice(&4000_u16.to_be_bytes());
    let mut last = 12_u16;
    for _ in 0..4000 {
        let here = u16::try_from(chain.len()).unwrap();
        chain.extend_from_slice(&(0xc000 | last).to_be_bytes());
        chain.extend_from_slice(&[0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 1, 2, 3, 4]);
        last = if here < 0x3fff { here } else { last };
    }
    // The longest names that compress worst: all different, all of one length.
    let mut names = query("www.example.org.", 1, None);
    names[2] = 0x81;
    let count = 250_u16;
    names[6..8].copy_from_slice(&count.to_be_bytes());
    for number in 0..count {
        for position in 0..126_u16 {
            names.extend_from_slice(&[1, u8::try_from((number + position) % 251).unwrap()]);
        }
        names.extend_from_slice(&[0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 1, 2, 3, 4]);
    }
    for message in [chain, names] {
        let began = Instant::now();
        let question = query("www.example.org.", 1, None)[12..].to_vec();
        let _ = store(&message, &Asked { id: 0x1234, question: &question });
        assert!(began.elapsed() < AT_MOST, "{:?}", began.elapsed());
    }
}
