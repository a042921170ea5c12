//! Rules as values: encoded for the kernel here, as text in `text`.

use std::net::IpAddr;

use ipnet::IpNet;
use model::IpFamily;
use netlink::nft::{Expr, Verdict, register};

use crate::ids::{ChainId, SetId};

/// A component of a lookup key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as in nft's syntax")]
pub enum Field {
    Saddr,
    Daddr,
    L4Proto,
    Dport,
    OriginalSaddr,
    OriginalDaddr,
    OriginalDport,
    /// A random number below this one.
    Random(u16),
}

/// Which address of the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The source.
    Source,
    /// The destination.
    Destination,
}

/// One match or statement of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The address is in the prefix, or is not.
    Addr(Side, bool, IpNet),
    /// The packet arrived on the link (`true`: whose name begins so), or did not.
    Interface(String, bool, bool),
    /// The address is one of this node's.
    Local(Side),
    /// The address is none of this node's.
    Foreign(Side),
    /// An echo request of ICMP or ICMPv6 ("ping").
    Echo,
    /// `ct state new`.
    New,
    /// `ct status dnat`.
    Translated,
    /// The key is in the set, or is not.
    In(Vec<Field>, SetId, bool),
    /// Sets a bit of the packet mark.
    Mark(u32),
    /// The bit of the packet mark is set.
    Marked(u32),
    /// Clears a bit of the packet mark that is set.
    Unmark(u32),
    /// Looks the verdict up.
    VerdictMap(Vec<Field>, SetId),
    /// Translates the destination to what the map says.
    Dnat(Vec<Field>, SetId),
    /// Writes key and data into a map, or restarts the timer of the key. Seconds.
    Remember(Vec<Field>, Vec<Field>, SetId, u32),
    /// `jump`.
    Jump(ChainId),
    /// `goto`.
    Goto(ChainId),
    /// `masquerade fully-random`.
    Masquerade,
    /// Answers with ICMP port unreachable.
    Reject,
    /// Answers TCP with a reset; other protocols go on.
    Reset,
    /// Ends the base chain; the packet goes on.
    Accept,
    /// Discards.
    Drop,
}

/// A rule.
pub type Rule = Vec<Part>;

const NEW: u32 = 8;
const DNAT_DONE: u32 = 0x20;
const NETWORK: u32 = 1;
const TRANSPORT: u32 = 2;

/// Encodes one rule.
pub fn encode(rule: &[Part], family: IpFamily) -> Vec<Expr> {
    let mut out = Vec::new();
    rule.iter().for_each(|part| encode_part(part, family, &mut out));
    out
}

fn encode_part(part: &Part, family: IpFamily, out: &mut Vec<Expr>) {
    match part {
        Part::Addr(side, inside, net) => prefix(*side, *inside, net, out),
        Part::Interface(name, is_prefix, matches) => interface(name, *is_prefix, *matches, out),
        Part::Local(side) => local(*side, true, out),
        Part::Foreign(side) => local(*side, false, out),
        Part::Echo => echo(family, out),
        Part::New => bit(Expr::Ct { dreg: 1, key: 0, direction: None }, NEW, out),
        Part::Translated => bit(Expr::Ct { dreg: 1, key: 2, direction: None }, DNAT_DONE, out),
        Part::In(fields, set, inside) => {
            load(fields, 0, family, out);
            out.push(Expr::Lookup { set: set.to_string(), sreg: 1, dreg: None, invert: !inside });
        }
        Part::Mark(mask) => set_mark(!mask, *mask, out),
        Part::Marked(mask) => bit(Expr::Meta { dreg: 1, key: 3 }, *mask, out),
        Part::Unmark(mask) => set_mark(!0, *mask, out),
        Part::VerdictMap(fields, map) => {
            load(fields, 0, family, out);
            out.push(Expr::Lookup { set: map.to_string(), sreg: 1, dreg: Some(0), invert: false });
        }
        Part::Dnat(fields, map) => {
            load(fields, 0, family, out);
            out.push(Expr::Lookup { set: map.to_string(), sreg: 1, dreg: Some(1), invert: false });
            let (number, port) = if family == IpFamily::V4 { (2, register(1)) } else { (10, register(4)) };
            out.push(Expr::Dnat { family: number, address: 1, port });
        }
        Part::Remember(key, data, map, seconds) => {
            let next = load(key, 0, family, out);
            load(data, next, family, out);
            out.push(Expr::Dynset {
                set: map.to_string(),
                op: 1,
                key: 1,
                data: Some(register(next)),
                timeout: u64::from(*seconds) * 1000,
            });
        }
        Part::Jump(chain) => verdict(Verdict::Jump(chain.to_string()), out),
        Part::Goto(chain) => verdict(Verdict::Goto(chain.to_string()), out),
        Part::Masquerade => out.push(Expr::Masquerade { flags: 0x10 }),
        Part::Reject => out.push(Expr::Reject { kind: 0, code: if family == IpFamily::V4 { 3 } else { 4 } }),
        Part::Reset => {
            out.push(Expr::Meta { dreg: 1, key: 16 });
            out.push(Expr::Cmp { sreg: 1, op: 0, value: vec![6] });
            out.push(Expr::Reject { kind: 1, code: 0 });
        }
        Part::Accept => verdict(Verdict::Accept, out),
        Part::Drop => verdict(Verdict::Drop, out),
    }
}

/// RTN_LOCAL is 2.
fn local(side: Side, matches: bool, out: &mut Vec<Expr>) {
    let flags = if side == Side::Source { 1 } else { 2 };
    out.push(Expr::Fib { dreg: 1, result: 3, flags });
    out.push(Expr::Cmp { sreg: 1, op: u32::from(!matches), value: 2u32.to_ne_bytes().to_vec() });
}

/// As nft does it: the protocol first, then the type, the first byte of the header.
fn echo(family: IpFamily, out: &mut Vec<Expr>) {
    let (protocol, request) = if family == IpFamily::V4 { (1, 8) } else { (58, 128) };
    out.push(Expr::Meta { dreg: 1, key: 16 });
    out.push(Expr::Cmp { sreg: 1, op: 0, value: vec![protocol] });
    out.push(Expr::Payload { dreg: 1, base: TRANSPORT, offset: 0, len: 1 });
    out.push(Expr::Cmp { sreg: 1, op: 0, value: vec![request] });
}

fn verdict(verdict: Verdict, out: &mut Vec<Expr>) {
    out.push(Expr::Immediate { verdict });
}

/// Loads the fields into registers from the given word on; returns the next free word.
fn load(fields: &[Field], from: u32, family: IpFamily, out: &mut Vec<Expr>) -> u32 {
    let mut word = from;
    for field in fields {
        let dreg = register(word);
        out.push(load_field(*field, dreg, family));
        word += width(*field, family);
    }
    word
}

/// Width of a field in 4-byte words.
fn width(field: Field, family: IpFamily) -> u32 {
    match field {
        Field::Saddr | Field::Daddr | Field::OriginalSaddr | Field::OriginalDaddr => {
            u32::from(family.bits() / 32)
        }
        Field::L4Proto | Field::Dport | Field::OriginalDport | Field::Random(_) => 1,
    }
}

fn load_field(field: Field, dreg: u32, family: IpFamily) -> Expr {
    let v4 = family == IpFamily::V4;
    let ct = |key| Expr::Ct { dreg, key, direction: Some(0) };
    match field {
        Field::Saddr => address(Side::Source, dreg, family, family.bits() / 8),
        Field::Daddr => address(Side::Destination, dreg, family, family.bits() / 8),
        Field::L4Proto => Expr::Meta { dreg, key: 16 },
        Field::Dport => Expr::Payload { dreg, base: TRANSPORT, offset: 2, len: 2 },
        Field::OriginalSaddr => ct(if v4 { 19 } else { 21 }),
        Field::OriginalDaddr => ct(if v4 { 20 } else { 22 }),
        Field::OriginalDport => ct(12),
        Field::Random(modulus) => Expr::NumgenRandom { dreg, modulus: modulus.into() },
    }
}

fn address(side: Side, dreg: u32, family: IpFamily, len: u8) -> Expr {
    let offset = match (family, side) {
        (IpFamily::V4, Side::Source) => 12,
        (IpFamily::V4, Side::Destination) => 16,
        (IpFamily::V6, Side::Source) => 8,
        (IpFamily::V6, Side::Destination) => 24,
    };
    Expr::Payload { dreg, base: NETWORK, offset, len: len.into() }
}

/// As nft does it: whole bytes are compared directly, other lengths through a mask.
fn prefix(side: Side, inside: bool, net: &IpNet, out: &mut Vec<Expr>) {
    let family = IpFamily::of(net.addr());
    let op = u32::from(!inside);
    let network = octets(net.network());
    let whole = net.prefix_len() / 8;
    if net.prefix_len().is_multiple_of(8) {
        out.push(address(side, 1, family, whole));
        out.push(Expr::Cmp { sreg: 1, op, value: network[..usize::from(whole)].to_vec() });
        return;
    }
    let len = usize::from(family.bits() / 8);
    out.push(address(side, 1, family, len as u8));
    out.push(Expr::Bitwise { sreg: 1, dreg: 1, mask: octets(net.netmask()), xor: vec![0; len] });
    out.push(Expr::Cmp { sreg: 1, op, value: network });
}

/// The bytes of an address, in network order.
pub fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

fn interface(name: &str, is_prefix: bool, matches: bool, out: &mut Vec<Expr>) {
    let mut value = name.as_bytes().to_vec();
    if !is_prefix {
        value.resize(16, 0);
    }
    out.push(Expr::Meta { dreg: 1, key: 6 });
    out.push(Expr::Cmp { sreg: 1, op: u32::from(!matches), value });
}

fn bit(source: Expr, mask: u32, out: &mut Vec<Expr>) {
    let mask = mask.to_ne_bytes().to_vec();
    out.push(source);
    out.push(Expr::Bitwise { sreg: 1, dreg: 1, mask, xor: vec![0; 4] });
    out.push(Expr::Cmp { sreg: 1, op: 1, value: vec![0; 4] });
}

fn set_mark(mask: u32, xor: u32, out: &mut Vec<Expr>) {
    let (mask, xor) = (mask.to_ne_bytes().to_vec(), xor.to_ne_bytes().to_vec());
    out.push(Expr::Meta { dreg: 1, key: 3 });
    out.push(Expr::Bitwise { sreg: 1, dreg: 1, mask, xor });
    out.push(Expr::MetaSet { sreg: 1, key: 3 });
}
