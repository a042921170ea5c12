//! The canary: a Service with this agent as its only endpoint.

use std::net::IpAddr;
use std::sync::Arc;

use config::SelfProbeConfiguration;
use model::{
    Change, Endpoint, IpFamily, NamespacedName, NodeFacts, Protocol, Service, ServicePort, Slice, SlicePort,
    is_link_local,
};

use super::{Path, Place, Shared};

/// No namespace of Kubernetes has a dot.
const NAMESPACE: &str = "towpath.dev";
const NAME: &str = "self-probe";

/// Whether a name is the canary's.
pub(crate) fn is_canary(name: &NamespacedName) -> bool {
    &*name.namespace == NAMESPACE && &*name.name == NAME
}

/// Whether a change is about the canary: it belongs to this process, not to the cluster's state.
pub(crate) fn is_canarys(change: &Change) -> bool {
    match change {
        Change::Service(service) => is_canary(&service.name),
        Change::Slice(slice) => is_canary(&slice.service),
        _ => false,
    }
}

/// Held by the sync thread.
#[derive(Debug)]
pub(crate) struct Canary {
    settings: SelfProbeConfiguration,
    shared: Shared,
    /// The paths that the store has.
    placed: Vec<Path>,
}

impl Canary {
    /// Nothing is placed yet.
    pub(crate) fn new(settings: SelfProbeConfiguration, shared: Shared) -> Self {
        Self { settings, shared, placed: Vec::new() }
    }

    /// What the store has to be told, now that this is known of the node. Nothing, most often.
    pub(crate) fn place(&mut self, facts: &NodeFacts) -> Vec<Change> {
        let place = place(&self.settings, facts);
        let before = std::mem::replace(&mut self.placed, place.paths.clone());
        let changes = if before == place.paths { Vec::new() } else { self.changes(&before) };
        self.shared.set(place);
        changes
    }

    fn changes(&self, before: &[Path]) -> Vec<Change> {
        let mut changes = vec![Change::BatchBegins];
        if self.placed.is_empty() {
            changes.push(Change::ServiceGone(name()));
        } else {
            changes.push(Change::Service(Arc::new(service(&self.placed, self.settings.port))));
        }
        let family = |path: &Path| IpFamily::of(path.own);
        let gone = before.iter().filter(|old| !self.placed.iter().any(|new| family(new) == family(old)));
        changes.extend(gone.map(|path| Change::SliceGone(slice_name(family(path)))));
        let slices = self.placed.iter().map(|path| slice(*path, self.settings.port));
        changes.extend(slices.map(|slice| Change::Slice(Arc::new(slice))));
        changes.push(Change::BatchEnds);
        changes
    }
}

/// A path for each family of which the node has an address that the kernel knows.
fn place(settings: &SelfProbeConfiguration, facts: &NodeFacts) -> Place {
    let paths =
        [IpAddr::V4(settings.address), IpAddr::V6(settings.address_v6)].into_iter().filter_map(|frontend| {
            let own = own_address(facts, IpFamily::of(frontend))?;
            Some(Path { frontend, own })
        });
    Place { paths: paths.collect(), own: facts.kernel_or_node_addresses() }
}

/// The primary address, unless the kernel does not have it (a router translates it); then the first that others can use.
fn own_address(facts: &NodeFacts, family: IpFamily) -> Option<IpAddr> {
    let known = |ip: &IpAddr| facts.kernel_addresses.contains(ip);
    let usable = |ip: &&IpAddr| IpFamily::of(**ip) == family && !ip.is_loopback() && !is_link_local(ip);
    facts.primary(family).filter(known).or_else(|| facts.kernel_addresses.iter().find(usable).copied())
}

fn name() -> NamespacedName {
    NamespacedName::new(NAMESPACE, NAME)
}

fn slice_name(family: IpFamily) -> NamespacedName {
    NamespacedName::new(NAMESPACE, format!("{NAME}-{}", family.as_str().to_lowercase()))
}

fn service(paths: &[Path], port: u16) -> Service {
    Service {
        name: name(),
        // It is the youngest: a Service that has its address goes before it.
        created: Some(i64::MAX),
        cluster_ips: paths.iter().map(|path| path.frontend).collect(),
        ports: vec![ServicePort { name: Arc::from(""), protocol: Protocol::Tcp, port, node_port: 0 }],
        ..Service::default()
    }
}

fn slice(path: Path, port: u16) -> Slice {
    let family = IpFamily::of(path.own);
    Slice {
        ports: vec![SlicePort { name: Arc::from(""), protocol: Protocol::Tcp, port }],
        endpoints: vec![Endpoint::new(path.own)],
        ..Slice::new(slice_name(family), name(), family)
    }
}

#[cfg(test)]
mod tests {
    use model::{Node, Store, Touched};

    use super::*;

    fn facts(node: &[&str], kernel: &[&str]) -> NodeFacts {
        let all = |list: &[&str]| list.iter().map(|ip| ip.parse().unwrap()).collect();
        let node = Node { addresses: all(node), ..Node::default() };
        NodeFacts { node: Some(node), kernel_addresses: all(kernel), ..NodeFacts::default() }
    }

    #[test]
    fn it_is_on_the_node_s_own_address_of_each_family() {
        for (node, kernel, expected) in [
            (&["192.0.2.1"][..], &["127.0.0.1", "192.0.2.9", "192.0.2.1"][..], &["192.0.2.1"][..]),
            (&["192.0.2.1", "fd00::1"], &["192.0.2.1", "fd00::1", "fe80::1"], &["192.0.2.1", "fd00::1"]),
            // The Node's address is a router's.
            (&["203.0.113.1"], &["127.0.0.1", "192.0.2.9"], &["192.0.2.9"]),
            (&["192.0.2.1"], &["127.0.0.1", "::1", "fe80::1"], &[]),
            (&[], &["fd00::1"], &["fd00::1"]),
        ] {
            let place = place(&SelfProbeConfiguration::default(), &facts(node, kernel));
            let own: Vec<String> = place.paths.iter().map(|path| path.own.to_string()).collect();
            assert_eq!(own, expected, "{node:?} {kernel:?}");
        }
    }

    #[test]
    fn the_store_is_told_of_what_changes_only() {
        let shared = Shared::default();
        let mut canary = Canary::new(SelfProbeConfiguration::default(), shared.clone());
        let (mut store, mut touched) = (Store::new("n"), Touched::default());
        let both = facts(&[], &["192.0.2.1", "fd00::1"]);
        let mut tell = |facts: &NodeFacts| {
            let changes = canary.place(facts);
            let count = changes.len();
            changes.into_iter().for_each(|change| store.apply(change, &mut touched));
            let entry = store.entry(&name()).map(|entry| (entry.service.is_some(), entry.slices.len()));
            (count, entry, shared.get().paths.len())
        };
        assert_eq!(tell(&NodeFacts::default()), (0, None, 0));
        assert_eq!(tell(&both), (5, Some((true, 2)), 2));
        assert_eq!(tell(&facts(&[], &["192.0.2.1", "192.0.2.2", "fd00::1"])), (0, Some((true, 2)), 2));
        assert_eq!(tell(&facts(&[], &["192.0.2.1"])), (5, Some((true, 1)), 1));
        assert_eq!(tell(&facts(&[], &[])), (4, None, 0));
        assert_eq!(tell(&both).1, Some((true, 2)));
        assert!(store.changes().all(|change| is_canarys(&change) || matches!(change, Change::Node(_))));
    }
}
