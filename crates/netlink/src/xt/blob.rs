//! The entries of a legacy table as the kernel hands them out, walked without changing them.
//!
//! ```text
//! entry: ip (84 bytes, IPv6 136) | nfcache 4 | target_offset 2 | next_offset 2 | comefrom 4 | counters 16 | matches | target
//! ```
//!
//! A user-defined chain begins with an entry whose target `ERROR` has its name; a built-in one begins where its hook says.
//! A jump is the place of the first rule of its chain, so it moves when others change theirs: it is read as that chain's name.

use super::hash::Hash;
use crate::NetlinkError;

/// Bytes of `struct xt_entry_target` before its data.
const TARGET: usize = 32;
/// Bytes of an extension's name (`XT_EXTENSION_MAXNAMELEN`).
const NAME: usize = 29;
/// Names of the built-in chains by hook.
const BUILT_IN: [&str; 5] = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"];
const BROKEN: NetlinkError =
    NetlinkError::Malformed("the entries of an iptables table do not follow each other");

/// One chain, or what a chain without the prefix has of jumps to those with it, in 24 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChainDigest {
    /// Stands for its name: [`name_digest`].
    pub name: u64,
    /// Stands for its rules and their order, without their counters.
    pub rules: u64,
    /// Number of its rules; a chain with the prefix has one more, its end.
    pub count: u32,
}

/// What stands for a chain's name in a [`ChainDigest`].
pub fn name_digest(name: &str) -> u64 {
    Hash::default().bytes(name.as_bytes()).end()
}

/// Where the parts of an entry are, which depends on the family.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// Bytes of what is matched in the IP header.
    ip: usize,
    /// Bytes before the matches.
    pub(super) head: usize,
}

impl Shape {
    pub(super) const V4: Shape = Shape { ip: 84, head: 112 };
    pub(super) const V6: Shape = Shape { ip: 136, head: 168 };

    fn target_offset(&self, entry: &[u8]) -> usize {
        number(entry, self.ip + 4)
    }

    fn next_offset(&self, entry: &[u8]) -> usize {
        number(entry, self.ip + 6)
    }
}

/// An entry, cut out of the blob.
#[derive(Clone, Copy)]
struct Entry<'a> {
    at: usize,
    bytes: &'a [u8],
    /// From the target on.
    target: &'a [u8],
}

impl<'a> Entry<'a> {
    fn is_target(&self, name: &str) -> bool {
        text(&self.target[2..2 + NAME]) == name.as_bytes()
    }

    /// The user-defined chain that begins here.
    fn chain(&self) -> Option<&'a [u8]> {
        self.is_target("ERROR").then(|| text(self.target.get(TARGET..).unwrap_or_default()))
    }

    /// Where it jumps to: the place of another entry.
    fn jump(&self) -> Option<usize> {
        let verdict: [u8; 4] = self.target.get(TARGET..TARGET + 4)?.try_into().ok()?;
        let place = usize::try_from(i32::from_ne_bytes(verdict)).ok()?;
        // A rule without a target leads to the next one.
        (self.is_target("") && place != self.at + self.bytes.len()).then_some(place)
    }
}

/// A digest of each chain whose name begins with `prefix`, and of the jumps to such chains in each other chain that has one,
/// sorted. `hooks`: where the built-in chains begin. Errors: the entries are none.
pub(super) fn digest(
    blob: &[u8],
    shape: Shape,
    hooks: &[Option<u32>; 5],
    prefix: &str,
) -> Result<Vec<ChainDigest>, NetlinkError> {
    let heads = heads(blob, shape)?;
    let mut walk = Walk { shape, heads: &heads, prefix: prefix.as_bytes(), found: Vec::new(), now: None };
    each(blob, shape, |entry| {
        let hook = hooks.iter().position(|at| *at == Some(entry.at as u32));
        match (hook, entry.chain()) {
            (None, Some(name)) => walk.chain(name),
            (Some(hook), _) => {
                walk.chain(BUILT_IN[hook].as_bytes());
                walk.rule(&entry);
            }
            (None, None) => walk.rule(&entry),
        }
    })?;
    walk.end();
    let mut found = walk.found;
    found.sort_unstable();
    Ok(found)
}

/// The place of the first rule of each user-defined chain, in order, with its name.
fn heads(blob: &[u8], shape: Shape) -> Result<Vec<(usize, &[u8])>, NetlinkError> {
    let mut heads = Vec::new();
    each(blob, shape, |entry| heads.extend(entry.chain().map(|name| (entry.at + entry.bytes.len(), name))))?;
    Ok(heads)
}

/// What is read of the chain that the walk is in.
struct Reading {
    name: u64,
    rules: Hash,
    count: u32,
    /// Only jumps to chains with the prefix count.
    foreign: bool,
    counts: bool,
}

struct Walk<'a> {
    shape: Shape,
    heads: &'a [(usize, &'a [u8])],
    prefix: &'a [u8],
    found: Vec<ChainDigest>,
    now: Option<Reading>,
}

impl Walk<'_> {
    fn chain(&mut self, name: &[u8]) {
        self.end();
        let foreign = !name.starts_with(self.prefix);
        let name = Hash::default().bytes(name).end();
        self.now = Some(Reading { name, rules: Hash::default(), count: 0, foreign, counts: !foreign });
    }

    fn end(&mut self) {
        if let Some(done) = self.now.take().filter(|done| done.counts) {
            self.found.push(ChainDigest { name: done.name, rules: done.rules.end(), count: done.count });
        }
    }

    fn rule(&mut self, entry: &Entry<'_>) {
        let Some(now) = &mut self.now else { return };
        let target = entry.jump().map(|place| {
            let found = self.heads.binary_search_by_key(&place, |(at, _)| *at);
            found.map_or(&b""[..], |found| self.heads[found].1)
        });
        if now.foreign && !target.is_some_and(|name| name.starts_with(self.prefix)) {
            return;
        }
        now.counts = true;
        now.count += 1;
        let matches = &entry.bytes[self.shape.head..entry.bytes.len() - entry.target.len()];
        now.rules.bytes(&entry.bytes[..self.shape.ip]).bytes(matches);
        match target {
            Some(name) => now.rules.bytes(name),
            None if entry.is_target("") => now.rules.bytes(verdict(entry)),
            None => now.rules.bytes(entry.target),
        };
    }
}

/// The verdict of a rule that jumps nowhere: an own one (negative), or none.
fn verdict<'a>(entry: &Entry<'a>) -> &'a [u8] {
    let bytes = entry.target.get(TARGET..TARGET + 4).unwrap_or_default();
    let number = bytes.try_into().map_or(0, i32::from_ne_bytes);
    if number < 0 { bytes } else { b"next" }
}

/// Calls for each entry, in order. Every length is checked before it is used.
fn each<'a>(blob: &'a [u8], shape: Shape, mut take: impl FnMut(Entry<'a>)) -> Result<(), NetlinkError> {
    let mut at = 0;
    while at < blob.len() {
        let rest = &blob[at..];
        if rest.len() < shape.head {
            return Err(BROKEN);
        }
        let (target, next) = (shape.target_offset(rest), shape.next_offset(rest));
        if target < shape.head || next < target + TARGET || next > rest.len() {
            return Err(BROKEN);
        }
        take(Entry { at, bytes: &rest[..next], target: &rest[target..next] });
        at += next;
    }
    Ok(())
}

fn number(bytes: &[u8], at: usize) -> usize {
    usize::from(u16::from_ne_bytes([bytes[at], bytes[at + 1]]))
}

/// What is before the first zero.
fn text(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    &bytes[..end]
}

#[cfg(test)]
#[path = "blob_tests.rs"]
mod tests;
