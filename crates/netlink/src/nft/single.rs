//! Single objects by their names, without a list of all.

use super::dump::{ChainInfo, TableFlags, body, decode_chain};
use super::set::{Element, SetSpec};
use super::{Family, Message, begin};
use crate::attr::{Attrs, Buffer};
use crate::{NetlinkError, Reply, Socket};

/// Keys asked for in one request. Each answer is a message of its own, so this bounds what waits in the socket.
const AT_ONCE: usize = 32;

/// A key: its first and, in a set of intervals, its last bytes.
pub type KeyRange = (Vec<u8>, Option<Vec<u8>>);

/// A table's flags; `None`: there is no such table. Errors: the kernel refused.
pub fn table(socket: &mut Socket, family: Family, table: &str) -> Result<Option<TableFlags>, NetlinkError> {
    let mut found = TableFlags::default();
    let name = |b: &mut Buffer| b.put_str(1, table);
    let take = |attrs: Attrs<'_>| found = TableFlags(attrs.number(2).unwrap_or(0));
    let there = get(socket, Message::GetTable, family, name, take)?;
    Ok(there.then_some(found))
}

/// One chain; `None`: there is no such chain, or no such table. Errors: the kernel refused.
pub fn chain(
    socket: &mut Socket,
    family: Family,
    table: &str,
    chain: &str,
) -> Result<Option<ChainInfo>, NetlinkError> {
    let name = |b: &mut Buffer| {
        b.put_str(1, table);
        b.put_str(3, chain);
    };
    let mut found = None;
    let there = get(socket, Message::GetChain, family, name, |attrs| found = decode_chain(attrs))?;
    Ok(found.filter(|_| there))
}

/// One set or map; `None`: there is no such set, or no such table. Errors: the kernel refused.
pub fn set(
    socket: &mut Socket,
    family: Family,
    table: &str,
    set: &str,
) -> Result<Option<SetSpec>, NetlinkError> {
    let name = |b: &mut Buffer| {
        b.put_str(1, table);
        b.put_str(2, set);
    };
    let mut found = None;
    let take = |attrs: Attrs<'_>| found = SetSpec::decode(attrs).map(|(_, spec)| spec);
    let there = get(socket, Message::GetSet, family, name, take)?;
    Ok(found.filter(|_| there))
}

/// Those elements of one set or map that have these keys; keys that it does not have are left out. Costs about what a list of
/// as many elements costs while all are there. Errors: the kernel refused.
pub fn elements_at(
    socket: &mut Socket,
    family: Family,
    table: &str,
    set: &str,
    keys: &[KeyRange],
) -> Result<Vec<Element>, NetlinkError> {
    let mut all = Vec::with_capacity(keys.len());
    for some in keys.chunks(AT_ONCE) {
        some_elements(socket, family, (table, set), some, &mut all)?;
    }
    Ok(all)
}

/// The kernel stops at the first key that is not there, so then each half is asked for.
fn some_elements(
    socket: &mut Socket,
    family: Family,
    (table, set): (&str, &str),
    keys: &[KeyRange],
    all: &mut Vec<Element>,
) -> Result<(), NetlinkError> {
    let list = |b: &mut Buffer| {
        b.put_str(1, table);
        b.put_str(2, set);
        b.nested(3, |b| keys.iter().for_each(|key| b.nested(1, |b| put_key(b, key))));
    };
    let mut found = Vec::with_capacity(keys.len());
    let there = get(socket, Message::GetElement, family, list, |attrs| {
        let list = attrs.find(3).map_or(Attrs(&[]), |list| list.nested());
        found.extend(list.filter_map(|element| Element::decode(element.nested())));
    })?;
    if there {
        all.append(&mut found);
    } else if keys.len() > 1 {
        let (first, second) = keys.split_at(keys.len() / 2);
        some_elements(socket, family, (table, set), first, all)?;
        some_elements(socket, family, (table, set), second, all)?;
    }
    Ok(())
}

fn put_key(buffer: &mut Buffer, (first, last): &KeyRange) {
    buffer.nested(1, |b| b.put(1, first));
    if let Some(last) = last {
        buffer.nested(10, |b| b.put(1, last));
    }
}

/// Whether all that was asked for is there.
fn get(
    socket: &mut Socket,
    message: Message,
    family: Family,
    fill: impl FnOnce(&mut Buffer),
    mut take: impl FnMut(Attrs<'_>),
) -> Result<bool, NetlinkError> {
    let sequence = socket.sequences(1);
    let mut buffer = Buffer::default();
    let mark = begin(&mut buffer, message, family as u8, libc::NLM_F_ACK as u16, sequence);
    fill(&mut buffer);
    buffer.end_message(mark);
    match socket.request(buffer.bytes(), sequence, |reply: Reply<'_>| take(body(&reply))) {
        Ok(()) => Ok(true),
        Err(error) if error.errno() == Some(libc::ENOENT) => Ok(false),
        Err(error) => Err(error),
    }
}
