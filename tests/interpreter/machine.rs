//! Runs the expressions of one base chain on one packet, as the kernel's nf_tables does.

use std::net::IpAddr;

use model::{EndpointAddr, IpFamily, Protocol};
use netlink::nft::{Element, ElementData, Expr, Verdict};

use super::registers::{Registers, distance};
use super::skb::{Remembered, Skb, address, bytes};
use super::{Host, Table};

/// How a chain ended for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// On to the next base chain.
    Accept,
    /// Discarded.
    Drop,
    /// Discarded, and the sender is told.
    Reject,
}

/// Why a packet does not reach an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// A number below this one has to be drawn first.
    Draw(u32),
    /// A rule that the kernel would not take, or that makes no sense.
    Nonsense(String),
}

impl Stop {
    fn in_chain(self, name: &str) -> Self {
        match self {
            Stop::Draw(modulus) => Stop::Draw(modulus),
            Stop::Nonsense(message) => Stop::Nonsense(format!("chain {name}: {message}")),
        }
    }
}

impl From<String> for Stop {
    fn from(message: String) -> Self {
        Stop::Nonsense(message)
    }
}

/// What one expression, or one rule, comes to.
enum Then {
    /// The next expression.
    Go,
    /// No match: the next rule.
    NextRule,
    /// Another chain, or the end of this one.
    Verdict(Verdict),
    /// The end.
    End(End),
}

/// Deeper than any chain of ours: there is no way round in circles.
const MOST_JUMPS: usize = 16;

/// A packet in a table.
pub struct Machine<'a> {
    /// The table.
    pub table: &'a Table,
    /// The node.
    pub host: &'a dyn Host,
    /// The packet.
    pub skb: &'a mut Skb,
}

impl Machine<'_> {
    /// Runs a base chain; without a verdict, its policy accepts.
    pub fn base(&mut self, chain: &str) -> Result<End, Stop> {
        Ok(self.chain(chain, 0)?.unwrap_or(End::Accept))
    }

    fn chain(&mut self, name: &str, depth: usize) -> Result<Option<End>, Stop> {
        let chain =
            self.table.chains.get(name).ok_or_else(|| format!("leads to {name}, which is not there"))?;
        if depth > MOST_JUMPS {
            return Err(format!("too many jumps, at last to {name}").into());
        }
        for rule in &chain.rules {
            match self.rule(rule).map_err(|stop| stop.in_chain(name))? {
                Then::Go | Then::NextRule => {}
                Then::End(end) => return Ok(Some(end)),
                Then::Verdict(Verdict::Accept) => return Ok(Some(End::Accept)),
                Then::Verdict(Verdict::Drop) => return Ok(Some(End::Drop)),
                Then::Verdict(Verdict::Return) => return Ok(None),
                Then::Verdict(Verdict::Other(code)) => {
                    return Err(format!("verdict {code} is nothing that a rule of ours has").into());
                }
                Then::Verdict(Verdict::Goto(next)) => return self.chain(&next, depth + 1),
                Then::Verdict(Verdict::Jump(next)) => {
                    if let Some(end) = self.chain(&next, depth + 1)? {
                        return Ok(Some(end));
                    }
                }
            }
        }
        Ok(None)
    }

    fn rule(&mut self, rule: &[Expr]) -> Result<Then, Stop> {
        let mut registers = Registers::default();
        for expr in rule {
            match self.expr(expr, &mut registers)? {
                Then::Go => {}
                other => return Ok(other),
            }
        }
        Ok(Then::Go)
    }

    fn expr(&mut self, expr: &Expr, r: &mut Registers) -> Result<Then, Stop> {
        match expr {
            Expr::Payload { dreg, base, offset, len } => {
                r.store(*dreg, self.payload(*base, *offset, *len)?)?
            }
            Expr::Meta { dreg, key } => r.store(*dreg, &self.meta(*key)?)?,
            Expr::Ct { dreg, key, direction } => r.store(*dreg, &self.conntrack(*key, *direction)?)?,
            Expr::Fib { dreg, result: 3, flags } => r.store(*dreg, &self.address_type(*flags)?)?,
            Expr::NumgenRandom { dreg, modulus } => {
                r.store(*dreg, &self.skb.draw(*modulus)?.to_ne_bytes())?
            }
            Expr::Bitwise { sreg, dreg, mask, xor } => {
                let value = r.load(*sreg, mask.len())?;
                let mixed: Vec<u8> = value.iter().zip(mask).zip(xor).map(|((v, m), x)| (v & m) ^ x).collect();
                r.store(*dreg, &mixed)?;
            }
            Expr::Cmp { sreg, op, value } => return Ok(compare(r, *sreg, *op, value)?),
            Expr::Lookup { set, sreg, dreg, invert } => {
                return Ok(self.lookup(r, set, *sreg, *dreg, *invert)?);
            }
            Expr::MetaSet { sreg, key: 3 } => self.skb.mark = number(&r.load(*sreg, 4)?)?,
            Expr::Immediate { verdict } => return Ok(Then::Verdict(verdict.clone())),
            Expr::Dnat { family, address, port } => return Ok(self.dnat(r, *family, *address, *port)?),
            Expr::Masquerade { flags: 0x10 } => {
                self.skb.masqueraded = true;
                return Ok(Then::End(End::Accept));
            }
            Expr::Reject { kind, code } => return Ok(self.reject(*kind, *code)?),
            Expr::Dynset { set, op: 1, key, data: Some(data), timeout } => {
                self.remember(r, set, *key, *data, *timeout)?;
            }
            other => return Err(format!("{other:?} is nothing that a rule of ours has").into()),
        }
        Ok(Then::Go)
    }

    fn payload(&self, base: u32, offset: u32, len: u32) -> Result<&[u8], String> {
        let header = match base {
            1 => &self.skb.headers.network,
            2 => &self.skb.headers.transport,
            _ => return Err(format!("there is no header {base}")),
        };
        let range = offset as usize..(offset + len) as usize;
        header.get(range).ok_or_else(|| "reads beyond the header".to_owned())
    }

    fn meta(&self, key: u32) -> Result<Vec<u8>, String> {
        match key {
            3 => Ok(self.skb.mark.to_ne_bytes().to_vec()),
            6 => {
                let mut name = self.skb.interface.clone().into_bytes();
                name.resize(16, 0);
                Ok(name)
            }
            16 => Ok(vec![self.skb.protocol]),
            _ => Err(format!("meta key {key}")),
        }
    }

    /// State NEW is bit 3; status "destination translated" is bit 5; the rest is the original direction's.
    fn conntrack(&self, key: u32, direction: Option<u8>) -> Result<Vec<u8>, String> {
        let original = &self.skb.original;
        let (v4, v6) = (self.skb.family == IpFamily::V4, self.skb.family == IpFamily::V6);
        match (key, direction) {
            (0, None) => Ok(8u32.to_ne_bytes().to_vec()),
            (2, None) => Ok(u32::from(self.skb.by_rule).wrapping_mul(0x20).to_ne_bytes().to_vec()),
            (12, Some(0)) => Ok(original.destination_port().to_vec()),
            (19, Some(0)) if v4 => Ok(bytes(original.address(IpFamily::V4, false))),
            (20, Some(0)) if v4 => Ok(bytes(original.address(IpFamily::V4, true))),
            (21, Some(0)) if v6 => Ok(bytes(original.address(IpFamily::V6, false))),
            (22, Some(0)) if v6 => Ok(bytes(original.address(IpFamily::V6, true))),
            _ => Err(format!("ct key {key}, direction {direction:?}")),
        }
    }

    /// RTN_LOCAL is 2; for all others RTN_UNICAST, 1, will do.
    fn address_type(&self, flags: u32) -> Result<[u8; 4], String> {
        let destination = match flags {
            1 => false,
            2 => true,
            _ => return Err(format!("fib flags {flags}")),
        };
        let address = self.skb.headers.address(self.skb.family, destination);
        Ok(if self.host.owns(address) { 2u32 } else { 1 }.to_ne_bytes())
    }

    fn lookup(
        &mut self,
        r: &mut Registers,
        set: &str,
        sreg: u32,
        dreg: Option<u32>,
        invert: bool,
    ) -> Result<Then, String> {
        let elements =
            self.table.sets.get(set).ok_or_else(|| format!("asks set {set}, which is not there"))?;
        let Some(first) = elements.first() else { return Ok(matched(invert)) };
        let key = r.load(sreg, first.key.len())?;
        let found = elements.iter().find(|element| holds(element, &key, self.skb.family));
        match (found.map(|element| &element.data), dreg) {
            (None, _) => return Ok(matched(invert)),
            (Some(ElementData::None), None) => return Ok(matched(!invert)),
            (Some(ElementData::Verdict(verdict)), Some(0)) => return Ok(Then::Verdict(verdict.clone())),
            (Some(ElementData::Value(data)), Some(dreg)) if dreg > 0 => r.store(dreg, data)?,
            (Some(data), dreg) => return Err(format!("{set} has {data:?}, asked with register {dreg:?}")),
        }
        Ok(Then::Go)
    }

    fn dnat(&mut self, r: &Registers, family: u32, ip: u32, port: u32) -> Result<Then, String> {
        let (number, size) = if self.skb.family == IpFamily::V4 { (2, 4) } else { (10, 16) };
        if family != number {
            return Err(format!("translates to family {family}"));
        }
        let ip: IpAddr = address(&r.load(ip, size)?);
        let port = r.load(port, 2)?;
        self.skb.by_rule = true;
        self.skb.translate(EndpointAddr { ip, port: u16::from_be_bytes([port[0], port[1]]) });
        Ok(Then::End(End::Accept))
    }

    /// TCP is reset (type 1); else ICMP "port unreachable" (type 0), which has another number in each family.
    fn reject(&self, kind: u32, code: u8) -> Result<Then, String> {
        let unreachable = if self.skb.family == IpFamily::V4 { 3 } else { 4 };
        match (kind, code) {
            (0, code) if code == unreachable => Ok(Then::End(End::Reject)),
            (1, 0) if self.skb.protocol == Protocol::Tcp.number() => Ok(Then::End(End::Reject)),
            _ => Err(format!("rejects protocol {} with type {kind}, code {code}", self.skb.protocol)),
        }
    }

    fn remember(
        &mut self,
        r: &Registers,
        set: &str,
        key: u32,
        data: u32,
        timeout: u64,
    ) -> Result<(), String> {
        if !self.table.sets.contains_key(set) {
            return Err(format!("writes into {set}, which is not there"));
        }
        let (bytes, key_len) = (r.tail(key)?, distance(key, data)?);
        self.skb.remembered.push(Remembered { set: set.to_owned(), bytes, key_len, timeout });
        Ok(())
    }
}

fn compare(r: &Registers, sreg: u32, op: u32, value: &[u8]) -> Result<Then, String> {
    let equal = r.load(sreg, value.len())? == value;
    match op {
        0 => Ok(matched(equal)),
        1 => Ok(matched(!equal)),
        _ => Err(format!("comparison {op}")),
    }
}

fn matched(matches: bool) -> Then {
    if matches { Then::Go } else { Then::NextRule }
}

fn number(bytes: &[u8]) -> Result<u32, String> {
    let word = bytes.try_into().map_err(|_| "not a word".to_owned())?;
    Ok(u32::from_ne_bytes(word))
}

/// Whether an element is the key, or an interval in its last component, an address, around it.
pub fn holds(element: &Element, key: &[u8], family: IpFamily) -> bool {
    let Some(end) = &element.key_end else { return element.key == key };
    let at = key.len() - usize::from(family.bits() / 8);
    let (fixed, address) = key.split_at(at);
    element.key[..at] == *fixed && end[..at] == *fixed && (&element.key[at..]..=&end[at..]).contains(&address)
}
