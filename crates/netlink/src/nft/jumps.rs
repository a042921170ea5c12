//! Rules that lead from chain to chain, in tables of other programs.

use super::dump::collect;
use super::expr::{Expr, Verdict};
use super::{Family, Message};
use crate::attr::{Attr, Attrs, Buffer};
use crate::{NetlinkError, Socket};

/// A comment among the entries of a rule's user data, as `nft` writes it.
const COMMENT: u8 = 0;

/// A rule that jumps or goes to a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jump {
    /// The chain it is in.
    pub chain: String,
    /// By which the kernel knows it.
    pub handle: u64,
    /// The chain it leads to.
    pub target: String,
    /// Its comment: nft's, or that of the iptables tools (the match `comment`).
    pub comment: Option<String>,
}

/// The jumps of one chain, in their order; none if there is no such chain. The kernel finds the chain at once; a list of
/// all rules of a table takes it time that grows with the square of their number.
/// Errors: the kernel refused, or the rules changed all the time.
pub fn jumps(
    socket: &mut Socket,
    family: Family,
    table: &str,
    chain: &str,
) -> Result<Vec<Jump>, NetlinkError> {
    let request = |b: &mut Buffer| {
        b.put_str(1, table);
        b.put_str(2, chain);
    };
    collect(socket, Message::GetRule, family, request, |attrs| {
        // An old kernel does not know the filter.
        let is_asked = attrs.text(1) == Some(table) && attrs.text(2) == Some(chain);
        let expressions = attrs.find(4).filter(|_| is_asked)?.nested();
        let target = expressions.filter_map(target).last()?;
        let comment = expressions.filter_map(match_comment).next().or_else(|| user_comment(attrs));
        Some(Jump { chain: chain.to_owned(), handle: attrs.find(3)?.be()?, target, comment })
    })
}

/// The comments of one chain's rules, in their order; none if there is no such chain.
/// Errors: as [`jumps`].
pub fn comments(
    socket: &mut Socket,
    family: Family,
    table: &str,
    chain: &str,
) -> Result<Vec<String>, NetlinkError> {
    let request = |b: &mut Buffer| {
        b.put_str(1, table);
        b.put_str(2, chain);
    };
    collect(socket, Message::GetRule, family, request, |attrs| {
        let is_asked = attrs.text(1) == Some(table) && attrs.text(2) == Some(chain);
        let expressions = attrs.find(4).filter(|_| is_asked)?.nested();
        expressions.filter_map(match_comment).next().or_else(|| user_comment(attrs))
    })
}

/// The chain that an expression jumps or goes to.
pub(super) fn target(expression: Attr<'_>) -> Option<String> {
    if expression.nested().text(1)? != "immediate" {
        return None;
    }
    match Expr::decode(expression)? {
        Expr::Immediate { verdict: Verdict::Jump(target) | Verdict::Goto(target) } => Some(target),
        _ => None,
    }
}

/// `struct xt_comment_info`: 256 bytes, ended by a NUL.
fn match_comment(expression: Attr<'_>) -> Option<String> {
    let attrs = expression.nested();
    let data = attrs.find(2).filter(|_| attrs.text(1) == Some("match"))?.nested();
    let info = data.find(3).filter(|_| data.text(1) == Some("comment"))?;
    Some(until_nul(info.payload))
}

/// User data is a list of entries: kind, length, bytes.
fn user_comment(rule: Attrs<'_>) -> Option<String> {
    let mut data = rule.find(7)?.payload;
    while let [kind, length, rest @ ..] = data {
        let value = rest.get(..usize::from(*length))?;
        if *kind == COMMENT {
            return Some(until_nul(value));
        }
        data = &rest[value.len()..];
    }
    None
}

fn until_nul(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_of_both_kinds() {
        let mut rule = Buffer::default();
        rule.put(7, b"\x01\x01x\0\x05nice\0");
        assert_eq!(user_comment(Attrs(rule.bytes())).as_deref(), Some("nice"));
        for damaged in [&b"\0\x09b\0"[..], b"\0", b""] {
            let mut rule = Buffer::default();
            rule.put(7, damaged);
            assert_eq!(user_comment(Attrs(rule.bytes())), None);
        }
        let mut rule = Buffer::default();
        rule.nested(1, |b| {
            b.put_str(1, "match");
            b.nested(2, |b| {
                b.put_str(1, "comment");
                b.put(3, b"portals\0\0\0");
            });
        });
        let expression = Attrs(rule.bytes()).find(1).unwrap();
        assert_eq!((match_comment(expression).as_deref(), target(expression)), (Some("portals"), None));
    }

    #[test]
    fn jumps_and_gotos_lead_somewhere_and_verdicts_nowhere() {
        for (verdict, expected) in [
            (Verdict::Jump("a".into()), Some("a")),
            (Verdict::Goto("b".into()), Some("b")),
            (Verdict::Accept, None),
        ] {
            let mut rule = Buffer::default();
            Expr::Immediate { verdict }.encode(&mut rule);
            let expression = Attrs(rule.bytes()).find(1).unwrap();
            assert_eq!(target(expression).as_deref(), expected);
        }
    }
}
