//! From the expressions of a rule to one [`Step`] of [`crate::walk`].

use model::IpFamily;
use netlink::nft::{ElementData, Expr, ForeignRule, Step as Read, Verdict};
use rustc_hash::FxHashMap;

use super::bytes::{endpoint, prefix, ranges};
use super::table::Table;
use crate::walk::{Chains, Step, Then, When};

/// `enum nft_payload_bases`: the network header.
const NETWORK_HEADER: u32 = 1;
/// `enum nft_meta_keys`: the name of the link that a packet came in on.
const META_IIFNAME: u32 = 6;
/// `enum nft_meta_keys`: the protocol.
const META_L4PROTO: u32 = 16;
/// `enum nft_cmp_ops`: not equal.
const NOT_EQUAL: u32 = 1;

/// What a register holds.
#[derive(Clone, Debug)]
enum Value {
    /// The first bytes of the source address.
    Source { mask: Option<Vec<u8>> },
    /// The kind of the source address.
    SourceType,
    /// The link.
    Interface,
    /// The protocol.
    Protocol,
    /// A random number.
    Random,
    /// What this map has.
    Mapped(String),
    /// Bytes of the rule itself.
    Bytes(Vec<u8>),
}

/// Every chain of a table, reduced.
pub(super) fn chains(table: &Table, family: IpFamily) -> Chains {
    let mut chains = Chains::default();
    for rule in &table.rules {
        let steps = chains.0.entry(rule.chain.clone()).or_default();
        steps.extend(Reading::new(table, family).read(rule));
    }
    chains
}

struct Reading<'a> {
    table: &'a Table,
    family: IpFamily,
    registers: FxHashMap<u32, Value>,
    when: When,
    /// It also asks for something that is not followed here.
    strange: bool,
}

impl<'a> Reading<'a> {
    fn new(table: &'a Table, family: IpFamily) -> Self {
        Self { table, family, registers: FxHashMap::default(), when: When::Always, strange: false }
    }

    fn read(mut self, rule: &ForeignRule) -> Option<Step> {
        for step in &rule.steps {
            let then = match step {
                Read::Load { dreg, value } => self.put(*dreg, Value::Bytes(value.clone())),
                Read::Expr(expr) => self.expression(expr),
            };
            if let Some(then) = then {
                return self.finish(then);
            }
        }
        None
    }

    /// A mark under conditions that are not followed is one of ClusterIPs: not compared. Any other step under such
    /// conditions may be taken or not.
    fn finish(self, then: Then) -> Option<Step> {
        match (self.strange, &then) {
            (true, Then::Mark | Then::Drop | Then::Reject) => None,
            (true, _) => Some(Step { when: When::Sometimes { affinity_seconds: None }, then }),
            (false, _) => Some(Step { when: self.when, then }),
        }
    }

    /// Runs one expression; what it gives is the end of the rule.
    fn expression(&mut self, expr: &Expr) -> Option<Then> {
        match expr {
            Expr::Payload { dreg, base, offset, len } => {
                let source = *base == NETWORK_HEADER && *offset == source_offset(self.family);
                match source && *len <= u32::from(self.family.bits() / 8) {
                    true => self.put(*dreg, Value::Source { mask: None }),
                    false => self.forget(*dreg),
                }
            }
            Expr::Meta { dreg, key: META_IIFNAME } => self.put(*dreg, Value::Interface),
            Expr::Meta { dreg, key: META_L4PROTO } => self.put(*dreg, Value::Protocol),
            Expr::Meta { dreg, .. } | Expr::Ct { dreg, .. } => self.forget(*dreg),
            Expr::Fib { dreg, flags: 1, .. } => self.put(*dreg, Value::SourceType),
            Expr::Fib { dreg, .. } => self.forget(*dreg),
            Expr::NumgenRandom { dreg, .. } => self.put(*dreg, Value::Random),
            Expr::Bitwise { sreg, dreg, mask, .. } => self.bitwise(*sreg, *dreg, mask),
            Expr::Cmp { sreg, op, value } => self.compare(*sreg, *op == NOT_EQUAL, value),
            Expr::Lookup { set, sreg, dreg, invert } => self.lookup(set, *sreg, *dreg, *invert),
            Expr::MetaSet { key: 3, .. } => Some(Then::Mark),
            Expr::Immediate { verdict } => verdict_of(verdict),
            Expr::Dnat { address, port, .. } => self.dnat(*address, *port),
            Expr::Reject { .. } => Some(Then::Reject),
            Expr::Dynset { .. } | Expr::MetaSet { .. } | Expr::Masquerade { .. } => None,
            // A counter changes nothing.
            Expr::Other(name) if name == "counter" => None,
            Expr::Other(_) | Expr::Notrack | Expr::Socket { .. } => {
                self.strange = true;
                None
            }
        }
    }

    fn bitwise(&mut self, sreg: u32, dreg: u32, mask: &[u8]) -> Option<Then> {
        match self.get(sreg) {
            Some(Value::Source { .. }) => self.put(dreg, Value::Source { mask: Some(mask.to_vec()) }),
            _ => self.forget(dreg),
        }
    }

    fn compare(&mut self, sreg: u32, not: bool, value: &[u8]) -> Option<Then> {
        let found = match self.get(sreg) {
            Some(Value::Source { mask }) => {
                prefix(self.family, value, mask.as_deref()).map(|net| match not {
                    true => When::NotFrom(vec![net]),
                    false => When::From(vec![net]),
                })
            }
            Some(Value::SourceType) if !not => Some(When::Node),
            Some(Value::Interface) if !not => Some(When::Pods),
            Some(Value::Protocol) => return None,
            _ => None,
        };
        self.narrow(found)
    }

    fn lookup(&mut self, set: &str, sreg: u32, dreg: Option<u32>, invert: bool) -> Option<Then> {
        match (self.get(sreg), dreg) {
            (Some(Value::Random), Some(0)) => return Some(Then::Any(self.chains_of(set))),
            (Some(Value::Random), Some(dreg)) => return self.put(dreg, Value::Mapped(set.to_owned())),
            (Some(Value::Source { mask: None }), None) => {
                let found = self.source_set(set, invert);
                return self.narrow(found);
            }
            (_, Some(dreg)) => drop(self.forget(dreg)),
            (_, None) => {}
        }
        self.narrow(None)
    }

    /// A set of sources: ranges that the rule holds, or the clients of an endpoint.
    fn source_set(&self, set: &str, invert: bool) -> Option<When> {
        if let Some(seconds) = self.table.seconds(set) {
            return (!invert).then_some(When::Sometimes { affinity_seconds: Some(seconds) });
        }
        let nets = ranges(self.family, self.table.elements(set));
        Some(if invert { When::NotFrom(nets) } else { When::From(nets) })
    }

    /// Of several conditions the last one that is known counts; kube-proxy has one to a rule.
    fn narrow(&mut self, found: Option<When>) -> Option<Then> {
        match found {
            Some(when) => self.when = when,
            None => self.strange = true,
        }
        None
    }

    fn dnat(&self, address: u32, port: u32) -> Option<Then> {
        let endpoint = |bytes: &[u8]| endpoint(self.family, bytes);
        let found = match (self.get(address)?, self.get(port)) {
            (Value::Mapped(map), _) => {
                let elements = self.table.elements(map).iter();
                elements.filter_map(|e| value(&e.element.data).and_then(endpoint)).collect()
            }
            (Value::Bytes(ip), Some(Value::Bytes(port))) => vec![endpoint(&[&ip[..], &port[..]].concat())?],
            _ => return None,
        };
        Some(Then::Dnat(found))
    }

    fn chains_of(&self, map: &str) -> Vec<String> {
        let elements = self.table.elements(map).iter();
        elements.filter_map(|e| chain_of(&e.element.data)).map(str::to_owned).collect()
    }

    fn get(&self, register: u32) -> Option<&Value> {
        self.registers.get(&word(register))
    }

    fn put(&mut self, register: u32, value: Value) -> Option<Then> {
        self.registers.insert(word(register), value);
        None
    }

    fn forget(&mut self, register: u32) -> Option<Then> {
        self.registers.remove(&word(register));
        None
    }
}

/// The chain that an element leads to.
pub(super) fn chain_of(data: &ElementData) -> Option<&str> {
    match data {
        ElementData::Verdict(Verdict::Goto(chain) | Verdict::Jump(chain)) => Some(chain),
        _ => None,
    }
}

fn value(data: &ElementData) -> Option<&[u8]> {
    match data {
        ElementData::Value(bytes) => Some(bytes),
        _ => None,
    }
}

fn verdict_of(verdict: &Verdict) -> Option<Then> {
    match verdict {
        Verdict::Drop => Some(Then::Drop),
        Verdict::Jump(chain) => Some(Then::Go { chain: chain.clone(), back: true }),
        Verdict::Goto(chain) => Some(Then::Go { chain: chain.clone(), back: false }),
        Verdict::Accept | Verdict::Return | Verdict::Other(_) => None,
    }
}

/// Where the source address is in the network header.
fn source_offset(family: IpFamily) -> u32 {
    match family {
        IpFamily::V4 => 12,
        IpFamily::V6 => 8,
    }
}

/// The 4-byte word where a register begins: see [`netlink::nft::register`].
fn word(register: u32) -> u32 {
    if register < 8 { register.saturating_sub(1) * 4 } else { register - 8 }
}
