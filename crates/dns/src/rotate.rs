//! `loadbalance` for what upstreams said: the addresses of an answer in another order each time.
//!
//! Our own answers come in their order from the index. A reply of an upstream is a copy of what is kept, so its records are turned
//! where they lie: those of one set have the same octets in front and the same length.

use std::ops::Range;

use dns_wire::rtype;

const HEADER: usize = 12;

/// Rotates each run of A or AAAA records of the same owner in the answer section of a reply with one question. What cannot be read
/// stays as it is.
pub(crate) fn rotate(reply: &mut [u8], turn: u32) {
    let mut left = answers(reply);
    let mut at = end_of_name(reply, HEADER).map(|end| end + 4);
    while let (Some(begin), 2..) = (at, left) {
        let Some(first) = Address::at(reply, begin) else { return };
        let count = run(reply, &first, left);
        let end = begin + first.length * count;
        if let Some(run) = reply.get_mut(begin..end).filter(|_| count > 1 && first.is_address) {
            run.rotate_left(first.length * (spread(turn) % count));
        }
        (at, left) = (Some(end), left - count);
    }
}

/// Clients ask in pairs, A and AAAA: a plain count would give all A the same order.
fn spread(turn: u32) -> usize {
    (turn.wrapping_mul(0x9e37_79b9) >> 16) as usize
}

fn answers(reply: &[u8]) -> usize {
    reply.get(6..8).map_or(0, |count| usize::from(u16::from_be_bytes([count[0], count[1]])))
}

/// How many records from this one on, of at most `left`, differ in TTL and data only.
fn run(reply: &[u8], first: &Address, left: usize) -> usize {
    let others = (1..left).map(|number| first.begin + first.length * number);
    1 + others
        .take_while(|begin| Address::at(reply, *begin).is_some_and(|other| first.goes_with(&other, reply)))
        .count()
}

/// A record, an address or not.
struct Address {
    begin: usize,
    /// Octets from its owner to the end of its data.
    length: usize,
    /// Owner, type and class.
    front: Range<usize>,
    is_address: bool,
}

impl Address {
    fn at(reply: &[u8], begin: usize) -> Option<Self> {
        let name = end_of_name(reply, begin)?;
        let fixed = reply.get(name..name + 10)?;
        let data = usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
        let end = name + 10 + data;
        let kind = u16::from_be_bytes([fixed[0], fixed[1]]);
        let is_address = matches!((kind, data), (rtype::A, 4) | (rtype::AAAA, 16));
        (end <= reply.len()).then_some(Self {
            begin,
            length: end - begin,
            front: begin..name + 4,
            is_address,
        })
    }

    fn goes_with(&self, other: &Self, reply: &[u8]) -> bool {
        self.is_address
            && self.length == other.length
            && reply.get(self.front.clone()) == reply.get(other.front.clone())
    }
}

/// Behind a name: after its last label, or after a pointer.
fn end_of_name(reply: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match usize::from(*reply.get(at)?) {
            0 => return Some(at + 1),
            label @ 1..64 => at += 1 + label,
            _ => return Some(at + 2),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use dns_wire::{Asked, Data, Name, Reply, Section, parse_query, store};

    use super::*;

    /// An alias, so many addresses of two kinds, and an address beside the answer.
    fn reply(addresses: u8) -> (Vec<u8>, Vec<u8>) {
        let name = |text: &str| text.parse::<Name>().unwrap();
        let (asked, target) = (name("www.example.net."), name("a.b.example.org."));
        let mut query = Vec::new();
        dns_wire::ask(&mut query, 7, asked.as_ref(), rtype::ANY, 1, false, false, false, 1232);
        let (parsed, mut out) = (parse_query(&query).unwrap(), Vec::new());
        let mut reply = Reply::new(&mut out, &parsed, 1232);
        let (alias, owner) = (Data::Name(target.as_ref()), target.as_ref());
        reply.push(Section::Answer, asked.as_ref(), rtype::CNAME, 9, alias);
        for last in 0..addresses {
            reply.push(Section::Answer, owner, rtype::A, 9, Data::A([192, 0, 2, last].into()));
        }
        for last in 0..addresses {
            let six = [0x2001, 0xdb8, 0, 0, 0, 0, 0, last.into()];
            reply.push(Section::Answer, owner, rtype::AAAA, 9, Data::Aaaa(six.into()));
        }
        for section in [Section::Authority, Section::Additional] {
            reply.push(section, asked.as_ref(), rtype::A, 9, Data::A([192, 0, 2, 99].into()));
        }
        reply.finish();
        let question = parsed.question.to_vec();
        (out, question)
    }

    /// The records, and the last octets of the IPv4 answers in their order.
    fn read(octets: &[u8], question: &[u8]) -> (BTreeSet<String>, Vec<u8>) {
        let stored = store(octets, &Asked { id: 7, question }).unwrap();
        let four = stored.answers().filter(|record| record.rtype == rtype::A);
        let order = four.map(|record| record.data[3]).collect();
        (stored.records().map(|record| format!("{record:?}")).collect(), order)
    }

    #[test]
    fn every_address_comes_first_and_none_is_lost() {
        for addresses in [0, 1, 2, 3, 7] {
            let (before, question) = reply(addresses);
            let (records, _) = read(&before, &question);
            // Every second turn: the other ones are those of AAAA.
            let firsts = (0..200).step_by(2).map(|turn| {
                let mut turned = before.clone();
                rotate(&mut turned, turn);
                let (same, order) = read(&turned, &question);
                assert_eq!(same, records);
                order.first().copied()
            });
            let firsts: BTreeSet<Option<u8>> = firsts.collect();
            assert_eq!(firsts.len(), usize::from(addresses.max(1)), "{firsts:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_stays() {
        let (whole, _) = reply(3);
        for end in 0..whole.len() {
            let mut cut = whole[..end].to_vec();
            rotate(&mut cut, 5);
            assert_eq!(cut.len(), end);
        }
        rotate(&mut [0xff; 600], 3);
    }
}
