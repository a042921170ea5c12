//! Reading tables of other programs: more than this project writes itself, and nothing is ever written.

use super::dump::{body, collect};
use super::expr::Expr;
use super::set::Element;
use super::{Family, Message, begin};
use crate::attr::{Attr, Attrs, Buffer};
use crate::{NetlinkError, Socket};

/// The element is the first key after an interval, not a key (`NFT_SET_ELEM_INTERVAL_END`).
const INTERVAL_END: u32 = 1;
/// A comment among the entries of an element's user data, as `nft` writes it.
const COMMENT: u8 = 0;

/// One step of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// An expression that this project knows; [`Expr::Other`] is one that it does not.
    Expr(Expr),
    /// Bytes that the rule itself holds are put into a register.
    Load {
        /// The first register written.
        dreg: u32,
        /// The bytes, components padded to four.
        value: Vec<u8>,
    },
}

/// A rule of another program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignRule {
    /// The chain it is in.
    pub chain: String,
    /// What it does, one after the other.
    pub steps: Vec<Step>,
}

/// An element of another program's set or map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignElement {
    /// Key and data.
    pub element: Element,
    /// The key ends an interval: it is the first one that is not inside. Only in sets of intervals.
    pub ends_interval: bool,
    /// The comment, if it has one.
    pub comment: Option<String>,
}

/// A set or map of another program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignSet {
    /// Its name. An anonymous one gets a name that was another's before.
    pub name: String,
    /// Its handle, which no other set of the table ever gets.
    pub handle: u64,
    /// Milliseconds after which elements expire that say nothing else.
    pub timeout_ms: Option<u64>,
}

/// Rules of one table, in their order within each chain; none if there is no such table.
pub fn foreign_rules(
    socket: &mut Socket,
    family: Family,
    table: &str,
) -> Result<Vec<ForeignRule>, NetlinkError> {
    let request = |b: &mut Buffer| b.put_str(1, table);
    collect(socket, Message::GetRule, family, request, |attrs| {
        let chain = attrs.text(2).filter(|_| attrs.text(1) == Some(table))?.to_owned();
        let list = attrs.find(4).map_or(Attrs(&[]), |a| a.nested());
        Some(ForeignRule { chain, steps: list.filter_map(step).collect() })
    })
}

/// Elements of one set or map with their comments; none if there is no such set.
pub fn foreign_elements(
    socket: &mut Socket,
    family: Family,
    table: &str,
    set: &str,
) -> Result<Vec<ForeignElement>, NetlinkError> {
    let request = |b: &mut Buffer| {
        b.put_str(1, table);
        b.put_str(2, set);
    };
    let lists = collect(socket, Message::GetElement, family, request, |attrs| {
        Some(listed(attrs).collect::<Vec<_>>())
    })?;
    Ok(lists.into_iter().flatten().collect())
}

/// The elements of one set or map with these keys, which must all be there: an ENOENT is the error otherwise. Answers are
/// small messages of their own, so up to a few tens of keys; then it costs half of [`foreign_elements`], as the kernel
/// looks for the set, among all sets of the table, once and not three times.
pub fn foreign_elements_at(
    socket: &mut Socket,
    family: Family,
    table: &str,
    set: &str,
    keys: &[Vec<u8>],
) -> Result<Vec<ForeignElement>, NetlinkError> {
    let sequence = socket.sequences(1);
    let mut buffer = Buffer::default();
    let mark = begin(&mut buffer, Message::GetElement, family as u8, libc::NLM_F_ACK as u16, sequence);
    buffer.put_str(1, table);
    buffer.put_str(2, set);
    buffer.nested(3, |b| keys.iter().for_each(|key| b.nested(1, |b| b.nested(1, |b| b.put(1, key)))));
    buffer.end_message(mark);
    let mut found = Vec::with_capacity(keys.len());
    socket.request(buffer.bytes(), sequence, |reply| found.extend(listed(body(&reply))))?;
    Ok(found)
}

/// The handle of a table, which no other table gets while the kernel runs; `None`: there is no such table.
pub fn table_handle(socket: &mut Socket, family: Family, table: &str) -> Result<Option<u64>, NetlinkError> {
    let found = collect(
        socket,
        Message::GetTable,
        family,
        |_| {},
        |attrs| (attrs.text(1) == Some(table)).then(|| attrs.find(4)?.be()).flatten(),
    )?;
    Ok(found.first().copied())
}

/// Sets and maps of one table, anonymous ones too.
pub fn foreign_sets(
    socket: &mut Socket,
    family: Family,
    table: &str,
) -> Result<Vec<ForeignSet>, NetlinkError> {
    let request = |b: &mut Buffer| b.put_str(1, table);
    collect(socket, Message::GetSet, family, request, |attrs| {
        let name = attrs.text(2).filter(|_| attrs.text(1) == Some(table))?.to_owned();
        let timeout_ms = attrs.find(11).and_then(|timeout| timeout.be());
        Some(ForeignSet { name, handle: attrs.find(16)?.be()?, timeout_ms })
    })
}

fn step(element: Attr<'_>) -> Option<Step> {
    load(element).or_else(|| Expr::decode(element).map(Step::Expr))
}

/// An `immediate` with a value in the place of a verdict.
fn load(element: Attr<'_>) -> Option<Step> {
    let attrs = element.nested();
    if attrs.text(1)? != "immediate" {
        return None;
    }
    let data = attrs.find(2)?.nested();
    let value = data.find(2)?.nested().find(1)?.payload.to_vec();
    Some(Step::Load { dreg: data.number(1)?, value })
}

fn listed(attrs: Attrs<'_>) -> impl Iterator<Item = ForeignElement> {
    let list = attrs.find(3).map_or(Attrs(&[]), |list| list.nested());
    list.filter_map(|e| element(e.nested()))
}

fn element(attrs: Attrs<'_>) -> Option<ForeignElement> {
    let ends_interval = attrs.number(3).unwrap_or(0) & INTERVAL_END != 0;
    let comment = attrs.find(6).and_then(|data| comment(data.payload));
    let element = Element::decode(attrs).filter(|element| !element.key.is_empty())?;
    Some(ForeignElement { element, ends_interval, comment })
}

/// User data is a list of entries: kind, length, bytes. Texts end with a NUL.
fn comment(mut data: &[u8]) -> Option<String> {
    while let [kind, length, rest @ ..] = data {
        let value = rest.get(..usize::from(*length))?;
        if *kind == COMMENT {
            return Some(String::from_utf8_lossy(value.strip_suffix(b"\0").unwrap_or(value)).into_owned());
        }
        data = &rest[value.len()..];
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_found_and_damage_ends_the_reading() {
        for (data, want) in [
            (&b"\0\x03a/\0"[..], Some("a/")),
            (b"\x01\x01x\0\x02b\0", Some("b")),
            (b"\0\x09b\0", None),
            (b"\0", None),
            (b"", None),
        ] {
            assert_eq!(comment(data).as_deref(), want, "{data:?}");
        }
    }

    #[test]
    fn a_load_is_no_verdict() {
        let mut buffer = Buffer::default();
        buffer.nested(1, |b| {
            b.put_str(1, "immediate");
            b.nested(2, |b| {
                b.put_be32(1, 1);
                b.nested(2, |b| b.put(1, &[10, 0, 0, 1]));
            });
        });
        let attr = Attrs(buffer.bytes()).find(1).unwrap();
        assert_eq!(step(attr), Some(Step::Load { dreg: 1, value: vec![10, 0, 0, 1] }));
    }
}
