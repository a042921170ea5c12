//! nf_tables by netlink: what this project needs of it, and only shapes that `nft` itself emits, so that
//! `nft list ruleset` can always print our tables.
//!
//! Numbers are from the kernel's `include/uapi/linux/netfilter/nf_tables.h`.

mod dump;
mod expr;
mod foreign;
mod jumps;
mod listener;
mod news;
mod sentry;
mod set;
mod single;
mod transaction;

pub use dump::{ChainInfo, RuleInfo, TableFlags, chains, elements, generation, rules, rules_of, sets};
pub use expr::{Expr, Verdict, register};
pub use foreign::{
    ForeignElement, ForeignRule, ForeignSet, Step, foreign_elements, foreign_elements_at, foreign_rules,
    foreign_sets, table_handle,
};
pub use jumps::{Jump, comments, jumps};
pub use listener::{Heard, Listener};
pub use news::{Commit, News, ObjectKind, ObjectNews};
pub use sentry::{Culprit, Sentry, Writing};
pub use set::{Element, ElementData, SetData, SetFlags, SetSpec, data_type};
pub use single::{KeyRange, chain, elements_at, set, table};
pub use transaction::{Hook, Transaction};

use crate::attr::{Buffer, Mark};

/// The netlink protocol of nf_tables and conntrack.
pub const NETLINK_NETFILTER: i32 = libc::NETLINK_NETFILTER;

const SUBSYSTEM: u16 = 10;

/// The families that this project programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Family {
    /// `ip`.
    Ip = 2,
    /// `ip6`.
    Ip6 = 10,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
enum Message {
    NewTable = 0,
    GetTable = 1,
    DelTable = 2,
    NewChain = 3,
    GetChain = 4,
    DelChain = 5,
    NewRule = 6,
    GetRule = 7,
    DelRule = 8,
    NewSet = 9,
    GetSet = 10,
    DelSet = 11,
    NewElement = 12,
    GetElement = 13,
    DelElement = 14,
    GetGeneration = 16,
}

impl Message {
    fn kind(self) -> u16 {
        SUBSYSTEM << 8 | self as u16
    }
}

/// Opens a message of the subsystem with its `nfgenmsg` header.
fn begin(buffer: &mut Buffer, message: Message, family: u8, flags: u16, sequence: u32) -> Mark {
    let mark = buffer.begin_message(message.kind(), libc::NLM_F_REQUEST as u16 | flags, sequence);
    buffer.raw(&[family, 0, 0, 0]);
    mark
}
