//! Reading and writing the table of one family.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use model::IpFamily;
use netlink::nft::{self, Element, ElementData, Expr, Family, Hook, SetSpec, Transaction};
use netlink::{NetlinkError, Socket};

use crate::layout::{Set, chains};
use crate::rule::{TCP, UDP};

/// The name of our tables, in the families `ip` and `ip6`.
pub const TABLE: &str = "towpath-dns";

/// What the sets of one family hold: keys as the kernel has them. `alive` is the kernel's own.
pub type Contents = BTreeMap<Set, BTreeSet<Vec<u8>>>;

/// A table as the kernel has it.
#[derive(Debug, Default)]
pub struct Found {
    /// Whether there is a table with anything in it.
    pub exists: bool,
    /// Whether chains, rules and sets are ours of this version.
    pub fits: bool,
    /// What the sets hold; empty unless it fits.
    pub contents: Contents,
}

/// The kernel's number of a family.
pub fn kernel(family: IpFamily) -> Family {
    match family {
        IpFamily::V4 => Family::Ip,
        IpFamily::V6 => Family::Ip6,
    }
}

/// The table of a family, as people call it.
pub fn described(family: IpFamily) -> &'static str {
    match family {
        IpFamily::V4 => "the table ip towpath-dns",
        IpFamily::V6 => "the table ip6 towpath-dns",
    }
}

/// The key of an address.
pub fn address_key(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

/// The keys of an address and port, for both protocols.
pub fn socket_keys(socket: SocketAddr) -> [Vec<u8>; 2] {
    [TCP, UDP].map(|protocol| {
        let mut key = address_key(socket.ip());
        key.extend([protocol, 0, 0, 0]);
        key.extend(socket.port().to_be_bytes());
        key.extend([0, 0]);
        key
    })
}

/// Protocol and port of a key that [`socket_keys`] made; `None` for others.
pub fn socket_of(key: &[u8]) -> Option<(IpAddr, u8, u16)> {
    let (ip, rest) = match key.len() {
        12 => (IpAddr::from(<[u8; 4]>::try_from(&key[..4]).ok()?), &key[4..]),
        24 => (IpAddr::from(<[u8; 16]>::try_from(&key[..16]).ok()?), &key[16..]),
        _ => return None,
    };
    Some((ip, rest[0], u16::from_be_bytes([rest[4], rest[5]])))
}

/// Reads the table. Errors: the socket failed.
pub fn observe(socket: &mut Socket, family: IpFamily, sockets: bool) -> Result<Found, NetlinkError> {
    let found_chains = nft::chains(socket, kernel(family), TABLE)?;
    let mut specs = nft::sets(socket, kernel(family), TABLE)?;
    let mut found = Found { exists: !found_chains.is_empty() || !specs.is_empty(), ..Found::default() };
    if !found.exists {
        return Ok(found);
    }
    // What `nft` leaves there for itself is no difference.
    specs.iter_mut().for_each(|spec| spec.userdata.clear());
    let plain = nft::table(socket, kernel(family), TABLE)? == Some(nft::TableFlags::default());
    found.fits = plain && same_sets(&specs, family) && same_chains(socket, family, sockets, &found_chains)?;
    if found.fits {
        for set in Set::ALL.into_iter().filter(|set| *set != Set::Alive) {
            let elements = nft::elements(socket, kernel(family), TABLE, set.name())?;
            found.contents.insert(set, elements.into_iter().map(|e| e.key).collect());
        }
    }
    Ok(found)
}

fn same_sets(specs: &[SetSpec], family: IpFamily) -> bool {
    let wanted: BTreeMap<String, SetSpec> =
        Set::ALL.map(|set| (set.name().to_owned(), set.spec(family))).into();
    let found: BTreeMap<String, SetSpec> = specs.iter().map(|s| (s.name.clone(), s.clone())).collect();
    wanted == found
}

/// By name: its hook, whether it discards what no rule decides about, its rules.
type Chains<'a> = BTreeMap<&'a str, (Option<(u32, i32, &'a str)>, bool, Vec<&'a [Expr]>)>;

fn same_chains(
    socket: &mut Socket,
    family: IpFamily,
    sockets: bool,
    chains_found: &[nft::ChainInfo],
) -> Result<bool, NetlinkError> {
    let rules = nft::rules(socket, kernel(family), TABLE)?;
    let mut found: Chains<'_> = BTreeMap::new();
    for chain in chains_found {
        let hook = chain.hook.as_ref().map(|(number, priority, kind)| (*number, *priority, kind.as_str()));
        let of_chain = rules.iter().filter(|rule| rule.chain == chain.name);
        found.insert(&chain.name, (hook, chain.drops, of_chain.map(|rule| rule.exprs.as_slice()).collect()));
    }
    let ours = chains(family, sockets);
    let hook = |hook: Hook| (hook.number, hook.priority, hook.kind);
    let wanted: Chains<'_> = ours
        .iter()
        .map(|c| (c.name, (c.hook.map(hook), false, c.rules.iter().map(Vec::as_slice).collect())))
        .collect();
    Ok(wanted == found)
}

/// Writes what differs, in one transaction, and says whether there was anything. Errors: the kernel refused; nothing has
/// changed then.
pub fn converge(
    socket: &mut Socket,
    family: IpFamily,
    sockets: bool,
    found: &Found,
    wanted: &Contents,
) -> Result<bool, NetlinkError> {
    let mut transaction = Transaction::new(socket, kernel(family), TABLE, None);
    if !found.fits {
        if found.exists {
            transaction.delete_table();
        }
        create(&mut transaction, family, sockets);
    }
    let none = BTreeSet::new();
    let gone =
        |set| found.contents.get(&set).is_some_and(|is| !is.is_subset(wanted.get(&set).unwrap_or(&none)));
    if gone(Set::Frontends) {
        // A VIP that goes is not local any more. Those that stay are alive again at the next probe.
        transaction.flush_set(Set::Alive.name());
    }
    for set in Set::ALL {
        let of = |contents: &Contents| contents.get(&set).unwrap_or(&none).clone();
        let (is, should) = (of(&found.contents), of(wanted));
        is.difference(&should).for_each(|key| transaction.delete_element(set.name(), &element(key)));
        should.difference(&is).for_each(|key| transaction.add_element(set.name(), &element(key)));
    }
    let differs = !transaction.is_empty();
    transaction.commit(socket).map(|()| differs)
}

fn create(transaction: &mut Transaction, family: IpFamily, sockets: bool) {
    transaction.add_table();
    Set::ALL.into_iter().for_each(|set| transaction.add_set(&set.spec(family)));
    let chains = chains(family, sockets);
    chains.iter().for_each(|chain| transaction.add_chain(chain.name, chain.hook));
    for chain in &chains {
        chain.rules.iter().for_each(|rule| transaction.add_rule(chain.name, rule));
    }
}

/// An element without data.
fn element(key: &[u8]) -> Element {
    Element { key: key.to_vec(), key_end: None, data: ElementData::None }
}

/// Deletes the table, and says whether there was one. Errors: the kernel refused.
pub fn remove(socket: &mut Socket, family: IpFamily) -> Result<bool, NetlinkError> {
    let mut transaction = Transaction::new(socket, kernel(family), TABLE, None);
    transaction.delete_table();
    match transaction.commit(socket) {
        Err(error) if error.errno() == Some(ENOENT) => Ok(false),
        answer => answer.map(|()| true),
    }
}

/// From now on no reply renews `alive`, and nothing is in it. Errors: the kernel refused.
pub fn let_go(socket: &mut Socket, family: IpFamily) -> Result<(), NetlinkError> {
    let mut transaction = Transaction::new(socket, kernel(family), TABLE, None);
    [Set::Probes, Set::Alive].into_iter().for_each(|set| transaction.flush_set(set.name()));
    match transaction.commit(socket) {
        Err(error) if error.errno() == Some(ENOENT) => Ok(()),
        answer => answer,
    }
}

/// Keys of `alive`. Errors: the socket failed.
pub fn alive(socket: &mut Socket, family: IpFamily) -> Result<Vec<Vec<u8>>, NetlinkError> {
    let elements = nft::elements(socket, kernel(family), TABLE, Set::Alive.name())?;
    Ok(elements.into_iter().map(|element| element.key).collect())
}

/// Whether the kernel takes the table, without writing anything. Errors: what it refuses.
pub fn rehearse(socket: &mut Socket, family: IpFamily, sockets: bool) -> Result<(), NetlinkError> {
    let mut transaction = Transaction::new(socket, kernel(family), "towpath-dns-probe", None);
    create(&mut transaction, family, sockets);
    transaction.rehearse(socket)
}

const ENOENT: i32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_back() {
        for text in ["10.96.0.10:53", "[fd00:96::a]:10053"] {
            let Ok(socket) = text.parse::<SocketAddr>() else { panic!("{text}") };
            let found = socket_keys(socket).map(|key| socket_of(&key));
            let wanted = [TCP, UDP].map(|protocol| Some((socket.ip(), protocol, socket.port())));
            assert_eq!(found, wanted);
        }
        assert_eq!(socket_of(&[0; 4]), None);
        assert_eq!(socket_of(&[]), None);
    }

    #[test]
    fn a_key_is_padded_by_component() {
        let [tcp, udp] = socket_keys(SocketAddr::from(([10, 96, 0, 10], 53)));
        assert_eq!(tcp, [10, 96, 0, 10, 6, 0, 0, 0, 0, 53, 0, 0]);
        assert_eq!(udp, [10, 96, 0, 10, 17, 0, 0, 0, 0, 53, 0, 0]);
    }
}
