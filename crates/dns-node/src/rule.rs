//! Rules of the table, expression by expression, as `nft` writes them.

use model::IpFamily;
use netlink::nft::{Expr, Verdict, register};

use crate::layout::{LIFE, PORT, Set};

/// TCP's number.
pub const TCP: u8 = 6;
/// UDP's number.
pub const UDP: u8 = 17;
/// SCTP's number.
pub const SCTP: u8 = 132;
const NETWORK: u32 = 1;
const TRANSPORT: u32 = 2;
const L4PROTO: u32 = 16;
const EQUAL: u32 = 0;
const UNEQUAL: u32 = 1;
const UPDATE: u32 = 1;
/// Offset of the flags in TCP's header, and the flag of data that a process has written.
const TCP_FLAGS: u32 = 13;
const PSH: u8 = 8;

/// Which end of the packet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Where it comes from.
    Source,
    /// Where it goes.
    Destination,
}

/// How a packet is refused.
pub enum Refusal {
    /// By a TCP reset.
    Reset,
    /// By ICMP port unreachable.
    Unreachable,
}

/// A rule being written: matches first, then what it does.
pub struct Rule {
    /// The family of its table.
    pub family: IpFamily,
    /// What it has so far.
    pub exprs: Vec<Expr>,
}

impl Rule {
    fn push(mut self, expr: Expr) -> Self {
        self.exprs.push(expr);
        self
    }

    fn equal(self, op: u32, value: &[u8]) -> Self {
        self.push(Expr::Cmp { sreg: 1, op, value: value.to_vec() })
    }

    /// `meta l4proto NUMBER`
    pub fn protocol(self, number: u8) -> Self {
        self.push(Expr::Meta { dreg: 1, key: L4PROTO }).equal(EQUAL, &[number])
    }

    /// `th dport 53` or `th sport 53`
    pub fn port(self, side: Side) -> Self {
        self.push(port_of(side, 1)).equal(EQUAL, &PORT.to_be_bytes())
    }

    /// `address . protocol . port @set`
    pub fn socket(self, side: Side, set: Set) -> Self {
        self.load_socket(side).lookup(set)
    }

    fn load_socket(self, side: Side) -> Self {
        let next = u32::from(self.family.bits()) / 32;
        let address = address_of(self.family, side);
        self.push(address)
            .push(Expr::Meta { dreg: register(next), key: L4PROTO })
            .push(port_of(side, register(next + 1)))
    }

    /// `address @set`
    pub fn address(self, side: Side, set: Set) -> Self {
        let address = address_of(self.family, side);
        self.push(address).lookup(set)
    }

    fn lookup(self, set: Set) -> Self {
        self.push(Expr::Lookup { set: set.name().to_owned(), sreg: 1, dreg: None, invert: false })
    }

    /// `socket transparent 0`: there is a socket on this node, in any state.
    pub fn has_socket(self) -> Self {
        self.push(Expr::Socket { dreg: 1, key: 0 }).equal(EQUAL, &[0])
    }

    /// `tcp flags psh`: the kernel alone opens and closes connections, but it sends no data of its own.
    pub fn tcp_data(self) -> Self {
        self.protocol(TCP)
            .push(Expr::Payload { dreg: 1, base: TRANSPORT, offset: TCP_FLAGS, len: 1 })
            .push(Expr::Bitwise { sreg: 1, dreg: 1, mask: vec![PSH], xor: vec![0] })
            .equal(UNEQUAL, &[0])
    }

    /// Sent to our prober: the frontend is alive.
    pub fn heard(self) -> Vec<Expr> {
        let timeout = LIFE.as_millis() as u64;
        let set = Set::Alive.name().to_owned();
        self.socket(Side::Destination, Set::Probes)
            .load_socket(Side::Source)
            .push(Expr::Dynset { set, op: UPDATE, key: 1, data: None, timeout })
            .exprs
    }

    /// No connection tracking from here on.
    pub fn notrack(self) -> Self {
        self.push(Expr::Notrack)
    }

    /// Ends the rule.
    pub fn then(self, verdict: Verdict) -> Vec<Expr> {
        self.push(Expr::Immediate { verdict }).exprs
    }

    /// Ends the rule with a refusal.
    pub fn reject(self, refusal: Refusal) -> Vec<Expr> {
        let (kind, code) = match (refusal, self.family) {
            (Refusal::Reset, _) => (1, 0),
            (Refusal::Unreachable, IpFamily::V4) => (0, 3),
            (Refusal::Unreachable, IpFamily::V6) => (0, 4),
        };
        self.push(Expr::Reject { kind, code }).exprs
    }
}

fn address_of(family: IpFamily, side: Side) -> Expr {
    let (source, len) = match family {
        IpFamily::V4 => (12, 4),
        IpFamily::V6 => (8, 16),
    };
    let offset = if side == Side::Source { source } else { source + len };
    Expr::Payload { dreg: 1, base: NETWORK, offset, len }
}

fn port_of(side: Side, dreg: u32) -> Expr {
    let offset = if side == Side::Source { 0 } else { 2 };
    Expr::Payload { dreg, base: TRANSPORT, offset, len: 2 }
}
