//! Whose a place is, and how the endpoints of a Service are. The sync thread looks up; all else is done elsewhere.

use std::cell::RefCell;
use std::sync::Arc;

use flows::{Owner, Place};
use model::{
    Conditions, EndpointAddr, FrontendKey, IpFamily, NamespacedName, Service, ServiceEntry, ServicePort,
    Store,
};
use resolve::{NodePortScope, ProxyConfig, localhost_nodeport_nets};
use rustc_hash::FxHashMap;

use crate::ask::{Asker, NoAnswer};

/// Places that are looked up at a time: a tenth of a millisecond of the sync thread's.
const AT_A_TIME: usize = 512;

/// Owners of places, and their Services as they are known now.
#[derive(Default)]
pub(crate) struct Owners {
    owners: FxHashMap<Place, Owner>,
    entries: FxHashMap<NamespacedName, Arc<ServiceEntry>>,
    states: RefCell<FxHashMap<NamespacedName, FxHashMap<EndpointAddr, &'static str>>>,
}

impl Owners {
    /// Asks for the owners of these places.
    pub(crate) fn of(asker: &Asker, places: Vec<Place>) -> Result<Self, NoAnswer> {
        let mut owners = Self::default();
        for some in places.chunks(AT_A_TIME) {
            let places = some.to_vec();
            let found = asker.ask(move |seen| look_up(seen.engine.store(), seen.engine.config(), &places))?;
            found.into_iter().for_each(|(place, key, entry)| owners.add(place, key, entry));
        }
        Ok(owners)
    }

    /// Whose a place is.
    pub(crate) fn owner(&self, place: &Place) -> Option<&Owner> {
        self.owners.get(place)
    }

    /// How an endpoint of a Service is.
    pub(crate) fn state(&self, service: &NamespacedName, endpoint: &EndpointAddr) -> &'static str {
        let mut states = self.states.borrow_mut();
        let of_service = states.entry(service.clone()).or_insert_with(|| {
            self.entries.get(service).map_or_else(FxHashMap::default, |entry| states_of(entry))
        });
        of_service.get(endpoint).copied().unwrap_or("gone")
    }

    fn add(&mut self, place: Place, key: FrontendKey, entry: Arc<ServiceEntry>) {
        let Some(service) = &entry.service else { return };
        self.owners.insert(place, owner(service, &key));
        self.entries.insert(service.name.clone(), entry);
    }
}

type Found = (Place, FrontendKey, Arc<ServiceEntry>);

/// Runs on the sync thread.
fn look_up(store: &Store, config: &ProxyConfig, places: &[Place]) -> Vec<Found> {
    let facts = store.facts();
    let scopes = IpFamily::ALL.map(|family| NodePortScope::new(config, facts, family));
    let loopback = localhost_nodeport_nets(config);
    let is_node = |place: &Place| {
        let ip = place.at.ip;
        scopes[usize::from(ip.is_ipv6())].accepts(facts, ip) || loopback.iter().any(|net| net.contains(&ip))
    };
    let find = |place: &Place| {
        let [vip, node_port] = place.keys();
        let by_port = || store.winner(&node_port).filter(|_| is_node(place)).map(|name| (node_port, name));
        let (key, name) = store.winner(&vip).map(|name| (vip, name)).or_else(by_port)?;
        Some((*place, key, Arc::clone(store.entry(name)?)))
    };
    places.iter().filter_map(find).collect()
}

fn owner(service: &Service, key: &FrontendKey) -> Owner {
    let is_port = |port: &&ServicePort| {
        let number = if matches!(key, FrontendKey::Vip { .. }) { port.port } else { port.node_port };
        port.protocol == key.protocol() && number == key.port()
    };
    let port = service.ports.iter().find(is_port).map_or_else(|| "".into(), |port| Arc::clone(&port.name));
    let kind = match key {
        FrontendKey::NodePort { .. } => "nodePort",
        FrontendKey::Vip { ip, .. } if service.cluster_ips.contains(ip) => "clusterIP",
        FrontendKey::Vip { ip, .. } if service.load_balancer_ips.contains(ip) => "loadBalancer",
        FrontendKey::Vip { .. } => "externalIP",
    };
    Owner { service: service.name.clone(), port, kind }
}

fn states_of(entry: &ServiceEntry) -> FxHashMap<EndpointAddr, &'static str> {
    let mut states = FxHashMap::default();
    for slice in entry.slices.values() {
        for (port, endpoint) in slice.ports.iter().flat_map(|p| slice.endpoints.iter().map(move |e| (p, e))) {
            let addr = EndpointAddr { ip: endpoint.ip, port: port.port };
            let state = state(&endpoint.conditions);
            let known = states.entry(addr).or_insert(state);
            // In two slices for a moment: the better one counts.
            if state == "ready" {
                *known = state;
            }
        }
    }
    states
}

fn state(conditions: &Conditions) -> &'static str {
    match conditions {
        Conditions { ready: true, .. } => "ready",
        Conditions { terminating: true, serving: true, .. } => "serving",
        Conditions { terminating: true, .. } => "terminating",
        _ => "notReady",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Change, Endpoint, Protocol, Slice, SlicePort, Touched};

    fn entry() -> Service {
        let port = |name: &str, port, node_port, protocol| ServicePort {
            name: name.into(),
            protocol,
            port,
            node_port,
        };
        Service {
            name: NamespacedName::new("ns", "web"),
            cluster_ips: vec!["10.96.0.1".parse().unwrap(), "fd00:96::1".parse().unwrap()],
            external_ips: vec!["198.51.100.1".parse().unwrap()],
            load_balancer_ips: vec!["198.51.100.2".parse().unwrap()],
            ports: vec![port("a", 80, 30_080, Protocol::Tcp), port("b", 80, 30_081, Protocol::Udp)],
            ..Service::default()
        }
    }

    fn slice() -> Slice {
        let mut slice = Slice::new(NamespacedName::new("ns", "web-1"), entry().name, IpFamily::V4);
        slice.ports = vec![SlicePort { name: "a".into(), protocol: Protocol::Tcp, port: 8080 }];
        let conditions = |ready, serving, terminating| Conditions { ready, serving, terminating };
        let states = [(true, true, false), (false, true, true), (false, false, true), (false, false, false)];
        for (number, (ready, serving, terminating)) in states.into_iter().enumerate() {
            let mut endpoint = Endpoint::new(std::net::Ipv4Addr::new(10, 1, 1, number as u8).into());
            endpoint.conditions = conditions(ready, serving, terminating);
            slice.endpoints.push(endpoint);
        }
        slice
    }

    fn store() -> Store {
        let (mut store, mut touched) = (Store::new("n"), Touched::default());
        store.apply(Change::Service(Arc::new(entry())), &mut touched);
        store.apply(Change::Slice(Arc::new(slice())), &mut touched);
        store.apply(
            Change::KernelAddresses(vec!["192.168.0.2".parse().unwrap()].into_iter().collect()),
            &mut touched,
        );
        store
    }

    #[test]
    fn every_kind_of_frontend_has_its_owner() {
        let mut owners = Owners::default();
        let place = |protocol, at: &str| {
            let at: std::net::SocketAddr = at.parse().unwrap();
            Place { protocol, at: EndpointAddr { ip: at.ip(), port: at.port() } }
        };
        let cases = [
            (place(Protocol::Tcp, "10.96.0.1:80"), Some(("a", "clusterIP"))),
            (place(Protocol::Tcp, "[fd00:96::1]:80"), Some(("a", "clusterIP"))),
            (place(Protocol::Udp, "198.51.100.1:80"), Some(("b", "externalIP"))),
            (place(Protocol::Tcp, "198.51.100.2:80"), Some(("a", "loadBalancer"))),
            (place(Protocol::Udp, "192.168.0.2:30081"), Some(("b", "nodePort"))),
            (place(Protocol::Tcp, "192.168.0.2:30081"), None),
            (place(Protocol::Tcp, "192.168.0.3:30080"), None),
            (place(Protocol::Tcp, "10.96.0.1:81"), None),
        ];
        let places: Vec<Place> = cases.iter().map(|(place, _)| *place).collect();
        let config = ProxyConfig { mode: resolve::Mode::Iptables, ..ProxyConfig::default() };
        look_up(&store(), &config, &places).into_iter().for_each(|(p, k, e)| owners.add(p, k, e));
        for (place, expected) in cases {
            let owner = owners.owner(&place).map(|owner| (&*owner.port, owner.kind));
            assert_eq!(owner, expected, "{place:?}");
        }
    }

    #[test]
    fn endpoints_are_as_their_slices_say() {
        let mut owners = Owners::default();
        owners.entries.insert(entry().name, Arc::clone(store().entry(&entry().name).unwrap()));
        let expected = ["ready", "serving", "terminating", "notReady", "gone"];
        for (number, expected) in expected.into_iter().enumerate() {
            let ip = std::net::Ipv4Addr::new(10, 1, 1, number as u8).into();
            assert_eq!(owners.state(&entry().name, &EndpointAddr { ip, port: 8080 }), expected);
            assert_eq!(owners.state(&entry().name, &EndpointAddr { ip, port: 80 }), "gone");
        }
        assert_eq!(
            owners
                .state(&NamespacedName::new("a", "b"), &EndpointAddr { ip: "::".parse().unwrap(), port: 1 }),
            "gone"
        );
    }
}
