//! Messages, written octet by octet: what the tests send must owe nothing to the code under test.

use anyhow::{Context, Result, bail};

/// Types by name.
const TYPES: &[(&str, u16)] = &[
    ("A", 1),
    ("NS", 2),
    ("CNAME", 5),
    ("SOA", 6),
    ("PTR", 12),
    ("HINFO", 13),
    ("MX", 15),
    ("TXT", 16),
    ("AAAA", 28),
    ("SRV", 33),
    ("OPT", 41),
    ("DS", 43),
    ("RRSIG", 46),
    ("SVCB", 64),
    ("HTTPS", 65),
    ("TSIG", 250),
    ("ANY", 255),
    ("CAA", 257),
];

/// Codes by name.
const CODES: &[(&str, u16)] = &[
    ("NOERROR", 0),
    ("FORMERR", 1),
    ("SERVFAIL", 2),
    ("NXDOMAIN", 3),
    ("NOTIMP", 4),
    ("REFUSED", 5),
    ("BADVERS", 16),
];

pub(crate) const QR: u16 = 0x8000;
pub(crate) const AA: u16 = 0x0400;
pub(crate) const TC: u16 = 0x0200;
pub(crate) const RD: u16 = 0x0100;
pub(crate) const RA: u16 = 0x0080;
pub(crate) const AD: u16 = 0x0020;
pub(crate) const CD: u16 = 0x0010;

/// The number of a type; `TYPE123` is understood.
pub(crate) fn type_number(name: &str) -> Result<u16> {
    if let Some((_, number)) = TYPES.iter().find(|(known, _)| *known == name) {
        return Ok(*number);
    }
    let number = name.strip_prefix("TYPE").and_then(|number| number.parse().ok());
    number.with_context(|| format!("unknown type {name}"))
}

/// The name of a type.
pub(crate) fn type_name(number: u16) -> String {
    let known = TYPES.iter().find(|(_, known)| *known == number);
    known.map_or_else(|| format!("TYPE{number}"), |(name, _)| (*name).to_owned())
}

/// The number of a response code.
pub(crate) fn code_number(name: &str) -> Result<u16> {
    CODES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, number)| *number)
        .with_context(|| format!("unknown code {name}"))
}

/// The name of a response code.
pub(crate) fn code_name(number: u16) -> String {
    let known = CODES.iter().find(|(_, known)| *known == number);
    known.map_or_else(|| format!("RCODE{number}"), |(name, _)| (*name).to_owned())
}

/// A name in wire form; the labels may have `\DDD`.
pub(crate) fn name(text: &str) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    for label in text.trim_end_matches('.').split('.').filter(|label| !label.is_empty()) {
        let octets = unescape(label)?;
        out.push(
            u8::try_from(octets.len())
                .ok()
                .filter(|len| *len < 64)
                .context("a label has at most 63 octets")?,
        );
        out.extend(octets);
    }
    out.push(0);
    Ok(out)
}

fn unescape(label: &str) -> Result<Vec<u8>> {
    let (mut out, mut rest) = (Vec::new(), label);
    while let Some(first) = rest.bytes().next() {
        let taken = if first == b'\\' { 4 } else { 1 };
        let octet = if first == b'\\' { rest.get(1..4).context("\\DDD")?.parse()? } else { first };
        out.push(octet);
        rest = &rest[taken..];
    }
    Ok(out)
}

/// The name that begins here, as text in lower case, and where it ends. No compression, as in a question.
pub(crate) fn read_name(message: &[u8], mut at: usize) -> Option<(String, usize)> {
    let mut text = String::new();
    loop {
        let len = usize::from(*message.get(at)?);
        at += 1;
        match len {
            0 => break,
            1..64 => text.push_str(&String::from_utf8_lossy(message.get(at..at + len)?).to_ascii_lowercase()),
            _ => return None,
        }
        text.push('.');
        at += len;
    }
    if text.is_empty() {
        text.push('.');
    }
    Some((text, at))
}

/// A query. `bytes` writes it.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    pub(crate) id: u16,
    pub(crate) flags: u16,
    /// In wire form.
    pub(crate) name: Vec<u8>,
    pub(crate) kind: u16,
    pub(crate) class: u16,
    /// The OPT record, in wire form.
    pub(crate) opt: Option<Vec<u8>>,
}

impl Query {
    /// RD=1, class IN, no OPT, and an ID that differs from the last.
    pub(crate) fn new(text: &str, kind: &str) -> Result<Self> {
        let (name, kind) = (name(text)?, type_number(kind)?);
        Ok(Self { id: next_id(), flags: RD, name, kind, class: 1, opt: None })
    }

    /// With an OPT: its size, flags (DO = 0x8000) and options.
    pub(crate) fn edns(mut self, payload: u16, flags: u16, options: &[(u16, &[u8])]) -> Self {
        self.opt = Some(opt(payload, 0, flags, options));
        self
    }

    /// With more flags.
    pub(crate) fn flagged(mut self, flags: u16) -> Self {
        self.flags |= flags;
        self
    }

    /// In wire form.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = header(self.id, self.flags, [1, 0, 0, u16::from(self.opt.is_some())]);
        out.extend(self.question());
        out.extend(self.opt.iter().flatten());
        out
    }

    /// The question in wire form.
    pub(crate) fn question(&self) -> Vec<u8> {
        let mut out = self.name.clone();
        out.extend(self.kind.to_be_bytes());
        out.extend(self.class.to_be_bytes());
        out
    }
}

/// IDs need not be secret here, but no two queries shall have the same by chance.
pub(crate) fn next_id() -> u16 {
    use std::sync::atomic::{AtomicU16, Ordering};
    static NEXT: AtomicU16 = AtomicU16::new(1000);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The first twelve octets.
pub(crate) fn header(id: u16, flags: u16, counts: [u16; 4]) -> Vec<u8> {
    [id, flags].into_iter().chain(counts).flat_map(u16::to_be_bytes).collect()
}

/// An OPT record.
pub(crate) fn opt(payload: u16, version: u8, flags: u16, options: &[(u16, &[u8])]) -> Vec<u8> {
    let mut data = Vec::new();
    for (code, value) in options {
        data.extend(code.to_be_bytes());
        data.extend(length(value));
        data.extend(*value);
    }
    let mut out = vec![0, 0, 41];
    out.extend(payload.to_be_bytes());
    out.extend([0, version]);
    out.extend(flags.to_be_bytes());
    out.extend(length(&data));
    out.extend(data);
    out
}

/// Its length in two octets, as TCP and RDATA have it.
pub(crate) fn length(data: &[u8]) -> [u8; 2] {
    u16::try_from(data.len()).unwrap_or(u16::MAX).to_be_bytes()
}

/// With its length before it, as TCP wants.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    [&length(message), message].concat()
}

/// A record of `OWNER TTL IN TYPE RDATA`.
pub(crate) fn record(line: &str) -> Result<Vec<u8>> {
    let fields: Vec<_> = line.split_whitespace().collect();
    let [owner, ttl, "IN", kind, data @ ..] = &fields[..] else { bail!("no record: {line}") };
    let data = rdata(kind, data).with_context(|| format!("in {line}"))?;
    let mut out = name(owner)?;
    out.extend(type_number(kind)?.to_be_bytes());
    out.extend([0, 1]);
    out.extend(ttl.parse::<u32>()?.to_be_bytes());
    out.extend(length(&data));
    out.extend(data);
    Ok(out)
}

fn rdata(kind: &str, fields: &[&str]) -> Result<Vec<u8>> {
    Ok(match (kind, fields) {
        ("A", [address]) => address.parse::<std::net::Ipv4Addr>()?.octets().to_vec(),
        ("AAAA", [address]) => address.parse::<std::net::Ipv6Addr>()?.octets().to_vec(),
        ("CNAME" | "NS" | "PTR", [target]) => name(target)?,
        ("SRV", [priority, weight, port, target]) => srv([priority, weight, port], target)?,
        ("SOA", [mname, rname, numbers @ ..]) => soa(mname, rname, numbers)?,
        ("TXT", texts) => texts.iter().flat_map(|text| charstr(text.trim_matches('"'))).collect(),
        _ => bail!("cannot write a {kind}"),
    })
}

fn soa(mname: &str, rname: &str, numbers: &[&str]) -> Result<Vec<u8>> {
    let mut out = [name(mname)?, name(rname)?].concat();
    for number in numbers {
        out.extend(number.parse::<u32>()?.to_be_bytes());
    }
    Ok(out)
}

fn charstr(text: &str) -> Vec<u8> {
    [&[u8::try_from(text.len()).unwrap_or(u8::MAX)], text.as_bytes()].concat()
}

fn srv(numbers: [&&str; 3], target: &str) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    for number in numbers {
        out.extend(number.parse::<u16>()?.to_be_bytes());
    }
    out.extend(name(target)?);
    Ok(out)
}
