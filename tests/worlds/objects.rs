//! Services and slices.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use model::{
    Balance, Conditions, Endpoint, Hints, IpFamily, NamespacedName, NoLocal, Protocol, Scheduler, Service,
    ServicePort, ServiceType, Slice, SlicePort, TrafficPolicy,
};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::packets::{CLUSTER, ENDPOINTS, EXTERNAL, OWN_VIPS};
use super::{NODE, ip, nets, pooled};

/// Endpoints with numbers up to this one are on this node.
const LOCAL: u8 = 4;
/// Those with one of these, on another.
pub const REMOTE: RangeInclusive<u8> = LOCAL + 1..=8;
const MOST_ENDPOINTS: u8 = 9;
const SERVICES: u8 = 3;
const PROTOCOLS: [Protocol; 3] = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];
const PORT_NAMES: [&str; 2] = ["", "b"];

pub(super) fn service_name() -> impl Strategy<Value = NamespacedName> {
    (0..SERVICES).prop_map(|i| NamespacedName::new("ns", format!("svc-{i}")))
}

pub(super) fn slice_name() -> impl Strategy<Value = NamespacedName> {
    (0..6u8).prop_map(|i| NamespacedName::new("ns", format!("slice-{i}")))
}

/// A Service of any shape. Some fields are drawn that its type would not allow: they must do no harm.
pub fn service() -> impl Strategy<Value = Service> {
    let names = (service_name(), select(vec![None, Some(1), Some(2)]), 0..12u8);
    let addresses = (cluster_ips(), externals(), externals());
    let policies = (policy(), policy(), select(vec![None, None, Some(10), Some(10_800)]), source_ranges());
    let parts = (names, addresses, policies, balance(), wishes(), ports());
    parts.prop_map(|(names, addresses, policies, balance, wishes, ports)| {
        let (prefer_local, no_local, strict_source_ranges) = wishes;
        let (name, created, oddity) = names;
        let (cluster_ips, external_ips, load_balancer_ips) = addresses;
        let (internal_policy, external_policy, affinity_seconds, source_ranges) = policies;
        Service {
            name,
            created,
            kind: if oddity == 0 { ServiceType::ExternalName } else { ServiceType::LoadBalancer },
            cluster_ips: if oddity == 1 { Vec::new() } else { cluster_ips },
            external_ips,
            load_balancer_ips,
            source_ranges,
            internal_policy,
            external_policy,
            affinity_seconds,
            other_proxy: oddity == 2,
            balance,
            prefer_local,
            no_local,
            strict_source_ranges,
            ports,
            ..Service::default()
        }
    })
}

/// The annotations that ask for one thing or its opposite.
fn wishes() -> impl Strategy<Value = (bool, NoLocal, bool)> {
    let no_local = select(vec![NoLocal::Drop, NoLocal::Drop, NoLocal::Reject]);
    (prop::bool::weighted(0.3), no_local, prop::bool::weighted(0.3))
}

fn families() -> impl Strategy<Value = Vec<IpFamily>> {
    subsequence(IpFamily::ALL.to_vec(), 1..=2)
}

fn cluster_ips() -> impl Strategy<Value = Vec<IpAddr>> {
    (families(), 1..6u8)
        .prop_map(|(families, n)| families.into_iter().map(|f| pooled(f, CLUSTER, n)).collect())
}

fn externals() -> impl Strategy<Value = Vec<IpAddr>> {
    let own = OWN_VIPS.iter().map(|text| ip(text));
    let pool = IpFamily::ALL.into_iter().flat_map(|f| (1..3).map(move |n| pooled(f, EXTERNAL, n)));
    let pool: Vec<IpAddr> = pool.chain(own).collect();
    prop_oneof![2 => Just(Vec::new()), 3 => subsequence(pool, 1..4)]
}

/// A scheduler, and weights of prefixes that meet endpoints, also one within another.
pub fn balance() -> impl Strategy<Value = Balance> {
    let prefixes =
        nets(&["10.180.0.0/29", "10.180.0.2/32", "10.180.0.8/31", "fd00:10:180::/125", "fd00:10:180::3/128"]);
    let weight = select(vec![1, 2, 3, 12]);
    let weights = btree_map(select(prefixes), weight, 0..4);
    (weighted(0.3, select(Scheduler::ALL.to_vec())), weights)
        .prop_map(|(scheduler, weights)| Balance { scheduler, weights: weights.into_iter().collect() })
}

fn source_ranges() -> impl Strategy<Value = Vec<ipnet::IpNet>> {
    let pool = nets(&[
        "203.0.113.0/25",
        "203.0.113.2/32",
        "192.168.0.0/24",
        "10.180.0.0/29",
        "2001:db8::/64",
        "2600:5200::/32",
        "::/0",
    ]);
    prop_oneof![Just(Vec::new()), subsequence(pool, 1..5)]
}

fn policy() -> impl Strategy<Value = TrafficPolicy> {
    select(vec![TrafficPolicy::Cluster, TrafficPolicy::Local])
}

fn protocol() -> impl Strategy<Value = Protocol> {
    select(vec![Protocol::Tcp, Protocol::Tcp, Protocol::Udp, Protocol::Sctp])
}

fn ports() -> impl Strategy<Value = Vec<ServicePort>> {
    let port = (protocol(), select(vec![80, 81]), select(vec![0, 30_001, 30_002]));
    btree_map(select(PORT_NAMES.to_vec()), port, 1..=2).prop_map(|ports| {
        let port = |(name, (protocol, port, node_port)): (&str, _)| ServicePort {
            name: name.into(),
            protocol,
            port,
            node_port,
        };
        ports.into_iter().map(port).collect()
    })
}

/// A slice of any shape.
pub fn slice() -> impl Strategy<Value = Slice> {
    let endpoints = btree_set(1..=MOST_ENDPOINTS, 0..6)
        .prop_flat_map(|ids| ids.into_iter().map(|n| (Just(n), conditions(), hints())).collect::<Vec<_>>());
    (slice_name(), service_name(), select(IpFamily::ALL.to_vec()), slice_ports(), endpoints).prop_map(
        |(name, service, family, ports, endpoints)| Slice {
            ports,
            endpoints: endpoints
                .into_iter()
                .map(|(n, conditions, hints)| endpoint(family, n, conditions, hints))
                .collect(),
            ..Slice::new(name, service, family)
        },
    )
}

/// A slice of plain endpoints of one Service, for every name and protocol that its ports can have.
pub fn slice_of(
    service: &NamespacedName,
    name: &str,
    family: IpFamily,
    endpoints: impl Iterator<Item = u8>,
) -> Slice {
    let ports = PORT_NAMES.iter().flat_map(|name| PROTOCOLS.map(|protocol| slice_port(name, protocol, 8080)));
    Slice {
        ports: ports.collect(),
        endpoints: endpoints.map(|n| endpoint(family, n, Conditions::default(), None)).collect(),
        ..Slice::new(NamespacedName::new("ns", name), service.clone(), family)
    }
}

/// Mostly a port for every name and protocol that a Service's port can have, so that they meet.
fn slice_ports() -> impl Strategy<Value = Vec<SlicePort>> {
    let all = || PORT_NAMES.iter().flat_map(|name| PROTOCOLS.map(|protocol| (*name, protocol)));
    let some =
        prop_oneof![4 => Just(all().collect::<Vec<_>>()), 1 => subsequence(all().collect::<Vec<_>>(), 1..4)];
    (some, select(vec![8080, 8080, 8081])).prop_map(|(some, port)| {
        some.into_iter().map(|(name, protocol)| slice_port(name, protocol, port)).collect()
    })
}

fn slice_port(name: &str, protocol: Protocol, port: u16) -> SlicePort {
    SlicePort { name: name.into(), protocol, port }
}

/// An endpoint: of this node, of another, or of nobody knows which.
fn endpoint(family: IpFamily, n: u8, conditions: Conditions, hints: Option<Box<Hints>>) -> Endpoint {
    let node = match n {
        _ if n <= LOCAL => Some(NODE),
        _ if REMOTE.contains(&n) => Some("other-node"),
        _ => None,
    };
    Endpoint { conditions, node: node.map(Arc::from), hints, ..Endpoint::new(pooled(family, ENDPOINTS, n)) }
}

fn conditions() -> impl Strategy<Value = Conditions> {
    let of = |ready, serving, terminating| Conditions { ready, serving, terminating };
    select(vec![
        of(true, true, false),
        of(true, true, false),
        of(true, true, false),
        of(true, true, false),
        of(false, true, true),
        of(false, false, true),
        of(false, true, false),
        of(false, false, false),
    ])
}

fn hints() -> impl Strategy<Value = Option<Box<Hints>>> {
    let names = |pool: &[&'static str]| {
        let pool: Vec<Arc<str>> = pool.iter().map(|name| Arc::from(*name)).collect();
        vec(select(pool), 0..3)
    };
    let hints = (names(&["a", "b", "c"]), names(&[NODE, "other-node"]));
    let hints = hints.prop_map(|(zones, nodes)| Some(Box::new(Hints { zones, nodes })));
    prop_oneof![1 => Just(None), 3 => hints]
}
