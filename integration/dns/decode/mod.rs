//! A reply, read twice: by `domain` and by `hickory-proto`, which must agree on every record.

mod by_domain;
mod by_hickory;
mod text;

use anyhow::{Context, Result, ensure};

use crate::wire;

/// What the sections hold, as lines `OWNER TTL CLASS TYPE RDATA`. The serial of a SOA is `*`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sections {
    pub(crate) answer: Vec<String>,
    pub(crate) authority: Vec<String>,
    /// Without OPT.
    pub(crate) additional: Vec<String>,
    pub(crate) opt: Option<Opt>,
}

/// What an OPT record says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Opt {
    /// The upper eight bits of the response code.
    pub(crate) rcode: u8,
    pub(crate) version: u8,
    pub(crate) payload: u16,
    pub(crate) dnssec_ok: bool,
}

/// A message that both have read.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) id: u16,
    pub(crate) flags: u16,
    /// With the bits of the OPT.
    pub(crate) rcode: String,
    /// In wire form, all of them.
    pub(crate) question: Vec<u8>,
    pub(crate) sections: Sections,
    /// Code and value of the options.
    pub(crate) options: Vec<(u16, Vec<u8>)>,
    /// The serials of the SOA records, in order.
    pub(crate) serials: Vec<u32>,
    /// In octets.
    pub(crate) size: usize,
}

/// Reads a message; an error where it is broken or the two disagree.
pub(crate) fn read(message: &[u8]) -> Result<Reply> {
    ensure!(message.len() >= 12, "a message of {} octets", message.len());
    let by_domain = by_domain::read(message).context("domain cannot read it")?;
    let by_hickory = by_hickory::read(message).context("hickory-proto cannot read it")?;
    let sections = by_domain.sections;
    ensure!(sections == by_hickory, "two decoders disagree:\n{sections:?}\n{by_hickory:?}");
    let (id, flags) = (number(message, 0), number(message, 2));
    let upper = sections.opt.as_ref().map_or(0, |opt| u16::from(opt.rcode) << 4);
    let rcode = wire::code_name(flags & 15 | upper);
    let (options, serials, size) = (by_domain.options, by_domain.serials, message.len());
    Ok(Reply { id, flags, rcode, question: question(message)?, sections, options, serials, size })
}

impl Reply {
    pub(crate) fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    /// The answer section.
    pub(crate) fn answer(&self) -> &[String] {
        &self.sections.answer
    }

    /// The least TTL of the answer section.
    pub(crate) fn ttl(&self) -> Option<u32> {
        self.answer().iter().filter_map(|line| line.split(' ').nth(1)?.parse().ok()).min()
    }

    /// The code of the extended error (RFC 8914), if there is one.
    pub(crate) fn extended_error(&self) -> Option<u16> {
        let (_, value) = self.options.iter().find(|(code, _)| *code == 15)?;
        Some(u16::from_be_bytes([*value.first()?, *value.get(1)?]))
    }
}

fn number(message: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([message[at], message[at + 1]])
}

fn question(message: &[u8]) -> Result<Vec<u8>> {
    let mut at = 12;
    for _ in 0..number(message, 4) {
        let (_, end) = wire::read_name(message, at).context("a compressed or broken question")?;
        at = end + 4;
    }
    Ok(message.get(12..at).context("the question is cut off")?.to_vec())
}
