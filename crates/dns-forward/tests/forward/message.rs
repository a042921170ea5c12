//! Messages of upstreams, made by hand.

use dns_wire::{Name, rtype};

/// A record: owner, type, TTL, data.
pub struct Record(pub &'static str, pub u16, pub u32, pub Vec<u8>);

pub fn a(owner: &'static str, ttl: u32, last: u8) -> Record {
    Record(owner, rtype::A, ttl, vec![192, 0, 2, last])
}

pub fn soa(owner: &'static str, ttl: u32, minimum: u32) -> Record {
    let mut data = [name("ns.test."), name("root.test.")].concat();
    [1, 7200, 1800, 86_400, minimum].iter().for_each(|number: &u32| data.extend(number.to_be_bytes()));
    Record(owner, rtype::SOA, ttl, data)
}

pub fn name(text: &str) -> Vec<u8> {
    text.parse::<Name>().unwrap().wire().to_vec()
}

/// What an upstream sees of a question.
#[derive(Clone, Debug)]
pub struct Asked {
    pub message: Vec<u8>,
    pub name: String,
    pub qtype: u16,
    pub edns: bool,
    pub tcp: bool,
    /// Number of this question at this upstream, from 0; health and loop probes are not counted.
    pub number: usize,
}

impl Asked {
    pub fn read(message: &[u8], tcp: bool, number: usize) -> Self {
        let query = dns_wire::parse_query(message).ok().unwrap();
        let (name, qtype, edns) = (query.name.to_string(), query.qtype, query.edns.is_some());
        Self { message: message.to_vec(), name, qtype, edns, tcp, number }
    }

    pub fn is_probe(&self) -> bool {
        self.name == "." || self.qtype == 13
    }

    /// A reply with these records.
    pub fn reply(&self, rcode: u8, answer: &[Record], authority: &[Record]) -> Vec<u8> {
        let query = dns_wire::parse_query(&self.message).ok().unwrap();
        let mut out = self.message[..2].to_vec();
        out.extend([0x81, 0x80 | rcode, 0, 1]);
        for records in [answer, authority] {
            out.extend(u16::try_from(records.len()).unwrap().to_be_bytes());
        }
        out.extend([0, 0]);
        out.extend(query.question);
        for Record(owner, rtype, ttl, data) in answer.iter().chain(authority) {
            out.extend(name(owner));
            out.extend(rtype.to_be_bytes());
            out.extend([0, 1]);
            out.extend(ttl.to_be_bytes());
            out.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
            out.extend(data);
        }
        out
    }

    /// The usual reply: one address with TTL 300, at the name asked.
    pub fn good(&self, last: u8) -> Vec<u8> {
        let owner: &'static str = Box::leak(self.name.clone().into());
        self.reply(0, &[a(owner, 300, last)], &[])
    }

    pub fn truncated(&self) -> Vec<u8> {
        let mut out = self.reply(0, &[], &[]);
        out[2] |= 0x02;
        out
    }
}
