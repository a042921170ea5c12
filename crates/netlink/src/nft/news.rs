//! What the kernel tells of a commit (`NFNLGRP_NFTABLES`), message by message. Pure: bytes in, values out.
//!
//! A commit is told as one message for each object that it made, changed or deleted, then one that ends it and names its
//! generation and the process (`nf_tables_commit`, `nf_tables_gen_notify` in the kernel's nf_tables_api.c).

use super::jumps::target;
use super::set::Element;
use super::{Message, SUBSYSTEM};
use crate::Reply;
use crate::attr::Attrs;

const NEW_GENERATION: u16 = 15;

/// One message.
#[derive(Clone, Copy, Debug)]
pub enum News<'a> {
    /// A commit has made, changed or deleted an object.
    Object(ObjectNews<'a>),
    /// All of a commit's objects were told.
    Commit(Commit<'a>),
}

/// An object that a commit has changed.
#[derive(Clone, Copy, Debug)]
pub struct ObjectNews<'a> {
    /// The family's number: 2 `ip`, 10 `ip6`, 1 `inet`, 5 `netdev` and so on ([`super::Family`] holds the two of ours).
    pub family: u8,
    /// The socket that asked for the commit.
    pub port: u32,
    /// Its table; of a table, the table itself.
    pub table: &'a str,
    /// What it is.
    pub kind: ObjectKind,
    /// The chain, or the set of an element; of a rule the chain it is in. Empty for a table.
    pub name: &'a str,
    /// It is gone.
    pub is_gone: bool,
    attrs: Attrs<'a>,
}

/// What kind of object it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectKind {
    /// A table.
    Table,
    /// A chain.
    Chain,
    /// A rule.
    Rule,
    /// A set or map.
    Set,
    /// Elements of a set or map.
    Elements,
    /// A named counter, quota, flowtable or the like.
    Other,
}

/// The end of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commit<'a> {
    /// The ruleset's generation since then.
    pub generation: u32,
    /// The socket that asked for it.
    pub port: u32,
    /// The process, in the first PID namespace; 0 if it is not told (kernels before 4.20).
    pub pid: u32,
    /// The process's name, at most 15 bytes; empty if it is not told.
    pub process: &'a str,
}

impl<'a> News<'a> {
    /// Reads one message; `None`: it is none that this is about, or it is damaged.
    pub fn parse(reply: &Reply<'a>) -> Option<Self> {
        if reply.kind >> 8 != SUBSYSTEM {
            return None;
        }
        let family = *reply.payload.first()?;
        let attrs = Attrs(reply.payload.get(4..)?);
        if reply.kind & 0xff == NEW_GENERATION {
            return commit(reply.port, attrs).map(News::Commit);
        }
        let (kind, is_gone) = object(reply.kind & 0xff)?;
        let table = attrs.text(1)?;
        let name = attrs.text(name_of(kind)).filter(|_| kind != ObjectKind::Table).unwrap_or_default();
        Some(News::Object(ObjectNews { family, port: reply.port, table, kind, name, is_gone, attrs }))
    }
}

impl<'a> ObjectNews<'a> {
    /// Of a rule: the chain it jumps or goes to.
    pub fn target(&self) -> Option<String> {
        self.list(ObjectKind::Rule, 4).filter_map(target).last()
    }

    /// Of elements: those of them that can be read.
    pub fn elements(&self) -> impl Iterator<Item = Element> + 'a {
        self.list(ObjectKind::Elements, 3).filter_map(|element| Element::decode(element.nested()))
    }

    fn list(&self, kind: ObjectKind, attribute: u16) -> Attrs<'a> {
        let list = (self.kind == kind).then(|| self.attrs.find(attribute)).flatten();
        list.map_or(Attrs(&[]), |list| list.nested())
    }
}

fn commit(port: u32, attrs: Attrs<'_>) -> Option<Commit<'_>> {
    Some(Commit {
        generation: attrs.number(1)?,
        port,
        pid: attrs.number(2).unwrap_or(0),
        process: attrs.text(3).unwrap_or_default(),
    })
}

/// Kinds 26 to 32 are "destroy": to delete what need not be there (kernel 6.3).
fn object(message: u16) -> Option<(ObjectKind, bool)> {
    const NEW_OBJECT: u16 = 18;
    const DELETE_OBJECT: u16 = 20;
    const NEW_FLOWTABLE: u16 = 22;
    const DELETE_FLOWTABLE: u16 = 24;
    let kinds = [
        (ObjectKind::Table, Message::NewTable, Message::DelTable),
        (ObjectKind::Chain, Message::NewChain, Message::DelChain),
        (ObjectKind::Rule, Message::NewRule, Message::DelRule),
        (ObjectKind::Set, Message::NewSet, Message::DelSet),
        (ObjectKind::Elements, Message::NewElement, Message::DelElement),
    ];
    for (index, (kind, new, delete)) in kinds.into_iter().enumerate() {
        let is_gone = message == delete as u16 || message == 26 + index as u16;
        if is_gone || message == new as u16 {
            return Some((kind, is_gone));
        }
    }
    match message {
        NEW_OBJECT | NEW_FLOWTABLE => Some((ObjectKind::Other, false)),
        DELETE_OBJECT | DELETE_FLOWTABLE | 31 | 32 => Some((ObjectKind::Other, true)),
        _ => None,
    }
}

/// The attribute that names it.
fn name_of(kind: ObjectKind) -> u16 {
    if kind == ObjectKind::Chain { 3 } else { 2 }
}

#[cfg(test)]
mod tests {
    use super::super::expr::{Expr, Verdict};
    use super::super::set::ElementData;
    use super::*;
    use crate::attr::Buffer;

    fn parse(kind: u16, payload: &Buffer) -> Option<(ObjectKind, bool, String, String)> {
        let bytes = [&[2, 0, 0, 0], payload.bytes()].concat();
        let reply = Reply { kind: SUBSYSTEM << 8 | kind, flags: 0, sequence: 0, port: 7, payload: &bytes };
        match News::parse(&reply)? {
            News::Object(o) => {
                assert_eq!(o.family, 2);
                Some((o.kind, o.is_gone, o.table.to_owned(), o.name.to_owned()))
            }
            News::Commit(_) => None,
        }
    }

    #[test]
    fn every_kind_is_told_with_its_table_and_name() {
        let mut named = Buffer::default();
        named.put_str(1, "t");
        named.put_str(2, "second");
        named.put_str(3, "third");
        let cases = [
            ([0, 2, 26], ObjectKind::Table, ""),
            ([3, 5, 27], ObjectKind::Chain, "third"),
            ([6, 8, 28], ObjectKind::Rule, "second"),
            ([9, 11, 29], ObjectKind::Set, "second"),
            ([12, 14, 30], ObjectKind::Elements, "second"),
            ([18, 20, 31], ObjectKind::Other, "second"),
            ([22, 24, 32], ObjectKind::Other, "second"),
        ];
        for ([new, deleted, destroyed], kind, name) in cases {
            for (message, is_gone) in [(new, false), (deleted, true), (destroyed, true)] {
                let expected = Some((kind, is_gone, "t".to_owned(), name.to_owned()));
                assert_eq!(parse(message, &named), expected, "{message}");
            }
        }
        // What asks for something is no news.
        [1, 4, 7, 10, 13, 16, 33].iter().for_each(|message| assert_eq!(parse(*message, &named), None));
    }

    #[test]
    fn the_end_of_a_commit_names_the_process() {
        let mut told = Buffer::default();
        told.raw(&[0; 4]);
        told.put_be32(1, 42);
        let old = told.bytes().to_vec();
        told.put_be32(2, 4711);
        told.put_str(3, "nft");
        for (payload, pid, process) in [(old.as_slice(), 0, ""), (told.bytes(), 4711, "nft")] {
            let reply = Reply { kind: SUBSYSTEM << 8 | 15, flags: 0, sequence: 0, port: 7, payload };
            let Some(News::Commit(commit)) = News::parse(&reply) else { panic!("no end") };
            assert_eq!(commit, Commit { generation: 42, port: 7, pid, process });
        }
    }

    #[test]
    fn what_is_damaged_or_of_others_is_no_news() {
        for (kind, payload) in
            [(SUBSYSTEM << 8, &[2, 0, 0][..]), (SUBSYSTEM << 8, &[2, 0, 0, 0]), (0x100, &[0; 20])]
        {
            assert!(News::parse(&Reply { kind, flags: 0, sequence: 0, port: 0, payload }).is_none());
        }
    }

    #[test]
    fn a_rule_tells_its_target_and_elements_their_keys() {
        let mut rule = Buffer::default();
        rule.raw(&[2, 0, 0, 0]);
        rule.put_str(1, "nat");
        rule.put_str(2, "PREROUTING");
        rule.nested(4, |b| Expr::Immediate { verdict: Verdict::Jump("TOWPATH".into()) }.encode(b));
        let reply = Reply { kind: SUBSYSTEM << 8 | 6, flags: 0, sequence: 0, port: 0, payload: rule.bytes() };
        let Some(News::Object(rule)) = News::parse(&reply) else { panic!("no rule") };
        assert_eq!((rule.target().as_deref(), rule.elements().count()), (Some("TOWPATH"), 0));

        let element = Element { key: vec![1, 2, 3, 4], key_end: None, data: ElementData::None };
        let mut list = Buffer::default();
        list.raw(&[10, 0, 0, 0]);
        list.put_str(1, "t");
        list.put_str(2, "s");
        list.nested(3, |b| element.encode(b));
        let reply =
            Reply { kind: SUBSYSTEM << 8 | 14, flags: 0, sequence: 0, port: 0, payload: list.bytes() };
        let Some(News::Object(list)) = News::parse(&reply) else { panic!("no elements") };
        assert_eq!((list.target(), list.elements().collect::<Vec<_>>()), (None, vec![element]));
    }
}
