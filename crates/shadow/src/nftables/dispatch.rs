//! From the maps of kube-proxy's table to the dispatch of its frontends.

use std::collections::BTreeMap;

use model::{FrontendKey, IpFamily, Protocol, ServicePortName};
use netlink::nft::{ElementData, ForeignElement, Verdict};

use super::bytes::address;
use super::rule::chain_of;
use super::table::{FIREWALLS, IDLE_NODE_PORTS, IDLE_SERVICES, NODE_PORTS, SERVICES, Table};
use crate::assemble::{Dispatch, name_in_comment, service_port};
use crate::walk::{Chains, Sender};
use crate::{Outcome, Sources};

/// Every frontend that a map names.
pub(super) fn dispatch(table: &Table, family: IpFamily, chains: &Chains) -> BTreeMap<FrontendKey, Dispatch> {
    let mut all: BTreeMap<FrontendKey, Dispatch> = BTreeMap::new();
    for map in [SERVICES, NODE_PORTS] {
        for (key, element) in keyed(table, family, map) {
            let chain = chain_of(&element.element.data).map(str::to_owned);
            let name = name(element, chain.as_deref(), key.protocol());
            all.insert(key, Dispatch { name, chain, ..Dispatch::default() });
        }
    }
    for map in [IDLE_SERVICES, IDLE_NODE_PORTS] {
        for (key, element) in keyed(table, family, map) {
            let entry = all.entry(key).or_default();
            entry.idle = idle(element, chains);
            entry.name = entry.name.take().or_else(|| name(element, None, key.protocol()));
        }
    }
    add_sources(table, family, chains, &mut all);
    all
}

/// A VIP that is in no firewall is open to anybody.
fn add_sources(table: &Table, family: IpFamily, chains: &Chains, all: &mut BTreeMap<FrontendKey, Dispatch>) {
    all.values_mut().for_each(|entry| entry.sources = Some(Sources::Anybody));
    for (key, element) in keyed(table, family, FIREWALLS) {
        let gate = chain_of(&element.element.data).and_then(|chain| chains.gate(chain));
        if let Some(entry) = all.get_mut(&key) {
            entry.sources = gate.map(|(sources, _)| sources);
        }
    }
}

fn keyed<'a>(
    table: &'a Table,
    family: IpFamily,
    map: &str,
) -> impl Iterator<Item = (FrontendKey, &'a ForeignElement)> {
    table.elements(map).iter().filter_map(move |e| Some((frontend_key(family, &e.element.key)?, e)))
}

/// `addr . proto . port`, or `proto . port`, each part padded to four bytes.
fn frontend_key(family: IpFamily, key: &[u8]) -> Option<FrontendKey> {
    let (ip, rest) = key.split_at_checked(key.len().checked_sub(8)?)?;
    let protocol = Protocol::from_number(*rest.first()?)?;
    let port = u16::from_be_bytes([*rest.get(4)?, *rest.get(5)?]);
    Some(match ip {
        [] => FrontendKey::NodePort { family, protocol, port },
        ip => FrontendKey::Vip { ip: address(family, ip)?, protocol, port },
    })
}

fn idle(element: &ForeignElement, chains: &Chains) -> Option<Outcome> {
    match &element.element.data {
        ElementData::Verdict(Verdict::Drop) => Some(Outcome::Drop),
        data => chains.walk(chain_of(data)?, Sender::Outside).outcome(),
    }
}

fn name(element: &ForeignElement, chain: Option<&str>, protocol: Protocol) -> Option<ServicePortName> {
    let comment = || element.comment.as_deref().and_then(|comment| name_in_comment(comment, protocol));
    chain.and_then(|chain| name_in_chain(chain, protocol)).or_else(comment)
}

/// `service-HASH-ns/name/proto/port`; the port's name may be empty. Names that are too long end early, and give none.
fn name_in_chain(chain: &str, protocol: Protocol) -> Option<ServicePortName> {
    let (_, rest) = chain.split_once('-')?;
    let (_, path) = rest.split_once('-')?;
    let mut parts = path.split('/');
    let (namespace, service, proto) = (parts.next()?, parts.next()?, parts.next()?);
    let port = parts.next()?;
    (parts.next().is_none() && Protocol::parse(proto) == Some(protocol))
        .then(|| service_port(namespace, service, port, protocol))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_chains() {
        for (chain, want) in [
            ("service-ULMVA6XW-ns1/svc1/tcp/p80", Some("ns1/svc1:p80")),
            ("external-42NFTM6N-ns/svc/tcp/", Some("ns/svc")),
            ("service-ULMVA6XW-my-ns/my-svc/tcp/p-80", Some("my-ns/my-svc:p-80")),
            ("service-ULMVA6XW-ns1/svc1/udp/p80", None),
            ("endpoint-5OJB2KTY-ns1/svc1/tcp/p80__10.180.0.1/80", None),
            ("reject-chain", None),
        ] {
            let found = name_in_chain(chain, Protocol::Tcp).map(|name| name.to_string());
            assert_eq!(found.as_deref(), want, "{chain}");
        }
    }
}
