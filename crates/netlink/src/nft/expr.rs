//! Expressions: the instructions of a rule.

use crate::attr::{Attr, Attrs, Buffer};

const NAME: u16 = 1;
const DATA: u16 = 2;
const VALUE: u16 = 1;
const VERDICT: u16 = 2;

/// The register that holds the n-th 4-byte word (n from 0 to 15), in the kernel's numbering: registers at a
/// multiple of 16 bytes go by their old names 1 to 4, the others by 8 + n.
pub fn register(word: u32) -> u32 {
    if word.is_multiple_of(4) { 1 + word / 4 } else { 8 + word }
}

/// Where a packet goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Discard silently.
    Drop,
    /// End the evaluation of this base chain.
    Accept,
    /// Back to the calling chain.
    Return,
    /// Continue there and come back.
    Jump(String),
    /// Continue there, do not come back.
    Goto(String),
    /// One that this project never writes, by its number in `include/uapi/linux/netfilter.h` and `nf_tables.h`.
    Other(i32),
}

impl Verdict {
    fn code(&self) -> i32 {
        match self {
            Verdict::Drop => 0,
            Verdict::Accept => 1,
            Verdict::Jump(_) => -3,
            Verdict::Goto(_) => -4,
            Verdict::Return => -5,
            Verdict::Other(code) => *code,
        }
    }

    /// Writes the attribute pair of a verdict (inside `NFTA_DATA_VERDICT`).
    pub(super) fn encode(&self, buffer: &mut Buffer) {
        buffer.nested(VERDICT, |b| {
            b.put_be32(1, self.code() as u32);
            if let Verdict::Jump(chain) | Verdict::Goto(chain) = self {
                b.put_str(2, chain);
            }
        });
    }

    pub(super) fn decode(data: Attrs<'_>) -> Option<Self> {
        let verdict = data.find(VERDICT)?.nested();
        let chain = || verdict.text(2).map(str::to_owned);
        match verdict.number(1)? as i32 {
            0 => Some(Verdict::Drop),
            1 => Some(Verdict::Accept),
            -3 => Some(Verdict::Jump(chain()?)),
            -4 => Some(Verdict::Goto(chain()?)),
            -5 => Some(Verdict::Return),
            code => Some(Verdict::Other(code)),
        }
    }
}

/// One expression. Fields are the kernel's; `Other` is one that this project never writes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "fields carry the kernel's names")]
pub enum Expr {
    /// Load bytes of a header: base 1 = network, 2 = transport.
    Payload { dreg: u32, base: u32, offset: u32, len: u32 },
    /// Load a property of the packet: 3 = mark, 6 = iifname, 16 = l4proto.
    Meta { dreg: u32, key: u32 },
    /// Store the packet mark (key 3).
    MetaSet { sreg: u32, key: u32 },
    /// Compare: op 0 = equal, 1 = not equal.
    Cmp { sreg: u32, op: u32, value: Vec<u8> },
    /// `dreg = (sreg & mask) ^ xor`.
    Bitwise { sreg: u32, dreg: u32, mask: Vec<u8>, xor: Vec<u8> },
    /// Look a key up in a set, a map (`dreg`) or a verdict map (`dreg` 0).
    Lookup { set: String, sreg: u32, dreg: Option<u32>, invert: bool },
    /// An unconditional verdict.
    Immediate { verdict: Verdict },
    /// Load a property of the connection: 0 = state, 2 = status, 11/12 = proto-src/dst, 19..22 = addresses.
    Ct { dreg: u32, key: u32, direction: Option<u8> },
    /// Route lookup: result 3 = address type; flags 1 = source, 2 = destination.
    Fib { dreg: u32, result: u32, flags: u32 },
    /// A random number below the modulus.
    NumgenRandom { dreg: u32, modulus: u32 },
    /// Destination NAT to address and port in registers.
    Dnat { family: u32, address: u32, port: u32 },
    /// Source NAT to an address of the outgoing link; flags 0x10 = fully random ports.
    Masquerade { flags: u32 },
    /// ICMP error (type 0) of this code.
    Reject { kind: u32, code: u8 },
    /// Add an element to a set or map, or restart its timer (`op` 1 = update), or delete one (`op` 2, kernel 5.4). Timeout in milliseconds.
    Dynset { set: String, op: u32, key: u32, data: Option<u32>, timeout: u64 },
    /// No connection tracking for this packet, so no NAT either. Only before conntrack's own hook (priority -200).
    Notrack,
    /// Load a property of the local socket that the packet is for; the rule ends where there is none: 0 = transparent.
    Socket { dreg: u32, key: u32 },
    /// Any expression that is not ours, by name.
    Other(String),
}

impl Expr {
    /// The kernel's name of the expression.
    pub fn name(&self) -> &str {
        match self {
            Expr::Payload { .. } => "payload",
            Expr::Meta { .. } | Expr::MetaSet { .. } => "meta",
            Expr::Cmp { .. } => "cmp",
            Expr::Bitwise { .. } => "bitwise",
            Expr::Lookup { .. } => "lookup",
            Expr::Immediate { .. } => "immediate",
            Expr::Ct { .. } => "ct",
            Expr::Fib { .. } => "fib",
            Expr::NumgenRandom { .. } => "numgen",
            Expr::Dnat { .. } => "nat",
            Expr::Masquerade { .. } => "masq",
            Expr::Reject { .. } => "reject",
            Expr::Dynset { .. } => "dynset",
            Expr::Notrack => "notrack",
            Expr::Socket { .. } => "socket",
            Expr::Other(name) => name,
        }
    }

    /// Writes the expression as one list element.
    pub(super) fn encode(&self, buffer: &mut Buffer) {
        buffer.nested(1, |b| {
            b.put_str(NAME, self.name());
            b.nested(DATA, |b| self.encode_data(b));
        });
    }

    fn encode_data(&self, b: &mut Buffer) {
        match self {
            Expr::Payload { dreg, base, offset, len } => {
                numbers(b, &[(1, *dreg), (2, *base), (3, *offset), (4, *len)])
            }
            Expr::Meta { dreg, key } => numbers(b, &[(1, *dreg), (2, *key)]),
            Expr::MetaSet { sreg, key } => numbers(b, &[(2, *key), (3, *sreg)]),
            Expr::Cmp { sreg, op, value } => {
                numbers(b, &[(1, *sreg), (2, *op)]);
                bytes(b, 3, value);
            }
            Expr::Bitwise { sreg, dreg, mask, xor } => {
                numbers(b, &[(1, *sreg), (2, *dreg), (3, mask.len() as u32)]);
                bytes(b, 4, mask);
                bytes(b, 5, xor);
            }
            Expr::Lookup { set, sreg, dreg, invert } => encode_lookup(b, set, *sreg, *dreg, *invert),
            Expr::Immediate { verdict } => {
                b.put_be32(1, 0);
                b.nested(2, |b| verdict.encode(b));
            }
            Expr::Ct { dreg, key, direction } => {
                numbers(b, &[(1, *dreg), (2, *key)]);
                if let Some(direction) = direction {
                    b.put(3, &[*direction]);
                }
            }
            Expr::Fib { dreg, result, flags } => numbers(b, &[(1, *dreg), (2, *result), (3, *flags)]),
            Expr::NumgenRandom { dreg, modulus } => numbers(b, &[(1, *dreg), (2, *modulus), (3, 1), (4, 0)]),
            Expr::Dnat { family, address, port } => {
                numbers(b, &[(1, 1), (2, *family), (3, *address), (5, *port)])
            }
            Expr::Masquerade { flags } => b.put_be32(1, *flags),
            Expr::Reject { kind, code } => {
                b.put_be32(1, *kind);
                b.put(2, &[*code]);
            }
            Expr::Dynset { set, op, key, data, timeout } => {
                b.put_str(1, set);
                numbers(b, &[(3, *op), (4, *key)]);
                if let Some(data) = data {
                    b.put_be32(5, *data);
                }
                b.put_be64(6, *timeout);
            }
            Expr::Socket { dreg, key } => numbers(b, &[(1, *key), (2, *dreg)]),
            Expr::Notrack | Expr::Other(_) => {}
        }
    }

    /// Reads one list element; an expression that this project never writes becomes [`Expr::Other`].
    pub(super) fn decode(element: Attr<'_>) -> Option<Self> {
        let name = element.nested().text(NAME)?;
        let data = element.nested().find(DATA).map_or(Attrs(&[]), |a| a.nested());
        Some(Self::decode_data(name, data).unwrap_or_else(|| Expr::Other(name.to_owned())))
    }

    fn decode_data(name: &str, a: Attrs<'_>) -> Option<Self> {
        let n = |kind| a.number(kind);
        Some(match name {
            "payload" if n(1).is_some() => {
                Expr::Payload { dreg: n(1)?, base: n(2)?, offset: n(3)?, len: n(4)? }
            }
            "meta" if n(1).is_some() => Expr::Meta { dreg: n(1)?, key: n(2)? },
            "meta" => Expr::MetaSet { sreg: n(3)?, key: n(2)? },
            "cmp" => Expr::Cmp { sreg: n(1)?, op: n(2)?, value: value(a, 3)? },
            "bitwise" => Expr::Bitwise { sreg: n(1)?, dreg: n(2)?, mask: value(a, 4)?, xor: value(a, 5)? },
            "lookup" => Expr::Lookup {
                set: a.text(1)?.to_owned(),
                sreg: n(2)?,
                dreg: n(3),
                invert: n(5).unwrap_or(0) & 1 != 0,
            },
            "immediate" => Expr::Immediate { verdict: Verdict::decode(a.find(2)?.nested())? },
            "ct" if n(1).is_some() => Expr::Ct { dreg: n(1)?, key: n(2)?, direction: n(3).map(|d| d as u8) },
            "fib" => Expr::Fib { dreg: n(1)?, result: n(2)?, flags: n(3)? },
            "numgen" if n(3)? == 1 && n(4).unwrap_or(0) == 0 => {
                Expr::NumgenRandom { dreg: n(1)?, modulus: n(2)? }
            }
            // Flags beyond "an address and a port are given": another way to choose.
            "nat" if n(1)? == 1 && n(7).unwrap_or(0) & !3 == 0 => {
                Expr::Dnat { family: n(2)?, address: n(3)?, port: n(5)? }
            }
            "masq" if n(2).is_none() => Expr::Masquerade { flags: n(1).unwrap_or(0) },
            // The kernel names no code for a TCP reset.
            "reject" => Expr::Reject { kind: n(1)?, code: n(2).unwrap_or(0) as u8 },
            "dynset" => Expr::Dynset {
                set: a.text(1)?.to_owned(),
                op: n(3)?,
                key: n(4)?,
                data: n(5),
                timeout: a.find(6).and_then(|t| t.be()).unwrap_or(0),
            },
            "notrack" => Expr::Notrack,
            "socket" => Expr::Socket { dreg: n(2)?, key: n(1)? },
            _ => return None,
        })
    }
}

fn encode_lookup(b: &mut Buffer, set: &str, sreg: u32, dreg: Option<u32>, invert: bool) {
    b.put_str(1, set);
    b.put_be32(2, sreg);
    if let Some(dreg) = dreg {
        b.put_be32(3, dreg);
    }
    if invert {
        b.put_be32(5, 1);
    }
}

fn numbers(buffer: &mut Buffer, pairs: &[(u16, u32)]) {
    for (kind, number) in pairs {
        buffer.put_be32(*kind, *number);
    }
}

fn bytes(buffer: &mut Buffer, kind: u16, payload: &[u8]) {
    buffer.nested(kind, |b| b.put(VALUE, payload));
}

fn value(attrs: Attrs<'_>, kind: u16) -> Option<Vec<u8>> {
    Some(attrs.find(kind)?.nested().find(VALUE)?.payload.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_expression_reads_back_as_written() {
        let set = || "ep-00".to_owned();
        let all = [
            Expr::Payload { dreg: 1, base: 1, offset: 16, len: 4 },
            Expr::Meta { dreg: 9, key: 16 },
            Expr::MetaSet { sreg: 1, key: 3 },
            Expr::Cmp { sreg: 1, op: 1, value: vec![0, 0, 0, 0] },
            Expr::Bitwise { sreg: 1, dreg: 1, mask: vec![1; 4], xor: vec![2; 4] },
            Expr::Lookup { set: set(), sreg: 1, dreg: Some(0), invert: false },
            Expr::Lookup { set: set(), sreg: 1, dreg: None, invert: true },
            Expr::Immediate { verdict: Verdict::Goto("reject".into()) },
            Expr::Immediate { verdict: Verdict::Drop },
            Expr::Ct { dreg: 1, key: 12, direction: Some(0) },
            Expr::Ct { dreg: 1, key: 0, direction: None },
            Expr::Fib { dreg: 1, result: 3, flags: 1 },
            Expr::NumgenRandom { dreg: 11, modulus: 3 },
            Expr::Dnat { family: 2, address: 1, port: 9 },
            Expr::Masquerade { flags: 16 },
            Expr::Reject { kind: 0, code: 3 },
            Expr::Dynset { set: set(), op: 1, key: 1, data: Some(2), timeout: 10_800_000 },
            Expr::Notrack,
            Expr::Socket { dreg: 1, key: 0 },
        ];
        for expr in all {
            let mut buffer = Buffer::default();
            expr.encode(&mut buffer);
            let element = Attrs(buffer.bytes()).next().unwrap();
            assert_eq!(Expr::decode(element), Some(expr));
        }
    }

    #[test]
    fn registers_follow_the_kernels_numbering() {
        assert_eq!([0, 1, 3, 4, 5, 8].map(register), [1, 9, 11, 2, 13, 3]);
    }
}
