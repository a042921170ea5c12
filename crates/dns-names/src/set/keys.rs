//! Entries of an index over endpoints: found by hash, many of one hash.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::label::hash;

/// A hash, and where the endpoint is: 12 octets, since there are as many as endpoints.
pub(super) type Key = (u32, u32, u32);

pub(super) fn address_hash(ip: IpAddr) -> u32 {
    match ip {
        IpAddr::V4(ip) => hash(&ip.octets()),
        IpAddr::V6(ip) => hash(&ip.octets()),
    }
}

pub(super) fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

pub(super) fn range(index: &BTreeSet<Key>, hash: u32) -> impl Iterator<Item = &Key> {
    index.range((hash, 0, 0)..=(hash, u32::MAX, u32::MAX))
}

/// 1 if there was an entry with this hash already.
pub(super) fn insert(index: &mut BTreeSet<Key>, hash: u32, place: (u32, u32)) -> usize {
    let twin = range(index, hash).next().is_some();
    index.insert((hash, place.0, place.1));
    usize::from(twin)
}

/// 1 if there still is an entry with this hash.
pub(super) fn remove(index: &mut BTreeSet<Key>, hash: u32, place: (u32, u32)) -> usize {
    index.remove(&(hash, place.0, place.1));
    usize::from(range(index, hash).next().is_some())
}
