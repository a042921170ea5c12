//! What the kernel has.

use super::expr::Expr;
use super::set::{Element, SetSpec};
use super::{Family, Message, begin};
use crate::attr::{Attrs, Buffer};
use crate::{NetlinkError, Reply, Socket};

/// Times that a dump disturbed by other commits is tried again.
const ATTEMPTS: u32 = 8;
const DUMP: u16 = libc::NLM_F_DUMP as u16;

/// A chain as the kernel lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainInfo {
    /// Its name.
    pub name: String,
    /// Hook number, priority and type, for a base chain.
    pub hook: Option<(u32, i32, String)>,
    /// Of a base chain: it discards what no rule decides about (policy drop).
    pub drops: bool,
}

/// Flags of a table: what somebody else may have made of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableFlags(pub u32);

impl TableFlags {
    /// Its base chains are out of force.
    pub fn is_dormant(self) -> bool {
        self.0 & 1 != 0
    }

    /// It belongs to a socket (`flags owner`, kernel 5.12), or outlives the one that it belonged to (`flags persist`, 6.9): the kernel
    /// lets nobody change its flags.
    pub fn is_owned(self) -> bool {
        self.0 & (2 | 4) != 0
    }
}

/// A rule as the kernel lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleInfo {
    /// The chain it is in.
    pub chain: String,
    /// Its expressions.
    pub exprs: Vec<Expr>,
}

/// The generation of the whole ruleset: it grows by one with each commit of anybody. Costs about 3 us.
pub fn generation(socket: &mut Socket) -> Result<u32, NetlinkError> {
    let sequence = socket.sequences(1);
    let mut buffer = Buffer::default();
    let mark = begin(&mut buffer, Message::GetGeneration, 0, libc::NLM_F_ACK as u16, sequence);
    buffer.end_message(mark);
    let mut found = None;
    socket.request(buffer.bytes(), sequence, |reply| found = body(&reply).number(1).or(found))?;
    found.ok_or(NetlinkError::Malformed("no generation"))
}

/// Chains of one table; none if there is no such table.
pub fn chains(socket: &mut Socket, family: Family, table: &str) -> Result<Vec<ChainInfo>, NetlinkError> {
    collect(
        socket,
        Message::GetChain,
        family,
        |b| b.put_str(1, table),
        |attrs| (attrs.text(1) == Some(table)).then(|| decode_chain(attrs)).flatten(),
    )
}

/// Rules of one table, in their order within each chain.
pub fn rules(socket: &mut Socket, family: Family, table: &str) -> Result<Vec<RuleInfo>, NetlinkError> {
    collect(socket, Message::GetRule, family, |b| b.put_str(1, table), |attrs| decode_rule(attrs, table))
}

/// Rules of one chain, in their order; none if there is no such chain. The kernel finds the chain at once.
pub fn rules_of(
    socket: &mut Socket,
    family: Family,
    table: &str,
    chain: &str,
) -> Result<Vec<RuleInfo>, NetlinkError> {
    let request = |b: &mut Buffer| {
        b.put_str(1, table);
        b.put_str(2, chain);
    };
    // An old kernel does not know the filter.
    let of_chain = |attrs: Attrs<'_>| decode_rule(attrs, table).filter(|rule| rule.chain == chain);
    collect(socket, Message::GetRule, family, request, of_chain)
}

/// Named sets and maps of one table.
pub fn sets(socket: &mut Socket, family: Family, table: &str) -> Result<Vec<SetSpec>, NetlinkError> {
    collect(
        socket,
        Message::GetSet,
        family,
        |b| b.put_str(1, table),
        |attrs| SetSpec::decode(attrs).filter(|(owner, _)| owner == table).map(|(_, spec)| spec),
    )
}

/// Elements of one set.
pub fn elements(
    socket: &mut Socket,
    family: Family,
    table: &str,
    set: &str,
) -> Result<Vec<Element>, NetlinkError> {
    let request = |b: &mut Buffer| {
        b.put_str(1, table);
        b.put_str(2, set);
    };
    let lists = collect(socket, Message::GetElement, family, request, |attrs| {
        let list = attrs.find(3)?.nested();
        Some(list.filter_map(|e| Element::decode(e.nested())).collect::<Vec<_>>())
    })?;
    Ok(lists.into_iter().flatten().collect())
}

fn decode_rule(attrs: Attrs<'_>, table: &str) -> Option<RuleInfo> {
    let chain = attrs.text(2).filter(|_| attrs.text(1) == Some(table))?.to_owned();
    let exprs = attrs.find(4).map_or(Attrs(&[]), |a| a.nested());
    Some(RuleInfo { chain, exprs: exprs.filter_map(Expr::decode).collect() })
}

pub(super) fn decode_chain(attrs: Attrs<'_>) -> Option<ChainInfo> {
    let hook = attrs.find(4).and_then(|hook| {
        let hook = hook.nested();
        Some((hook.number(1)?, hook.number(2)? as i32, attrs.text(7)?.to_owned()))
    });
    let drops = hook.is_some() && attrs.number(5) == Some(0);
    Some(ChainInfo { name: attrs.text(3)?.to_owned(), hook, drops })
}

pub(super) fn collect<T>(
    socket: &mut Socket,
    message: Message,
    family: Family,
    fill: impl Fn(&mut Buffer),
    decode: impl Fn(Attrs<'_>) -> Option<T>,
) -> Result<Vec<T>, NetlinkError> {
    for _ in 0..ATTEMPTS {
        let sequence = socket.sequences(1);
        let mut buffer = Buffer::default();
        let mark = begin(&mut buffer, message, family as u8, DUMP, sequence);
        fill(&mut buffer);
        buffer.end_message(mark);
        let mut found = Vec::new();
        match socket.dump(buffer.bytes(), sequence, |reply| found.extend(decode(body(&reply)))) {
            Ok(true) => return Ok(found),
            Ok(false) => {}
            Err(error) if error.errno() == Some(libc::ENOENT) => return Ok(Vec::new()),
            Err(error) if error.errno() == Some(libc::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
    Err(NetlinkError::Interrupted(ATTEMPTS))
}

pub(super) fn body<'a>(reply: &Reply<'a>) -> Attrs<'a> {
    Attrs(reply.payload.get(4..).unwrap_or(&[]))
}
