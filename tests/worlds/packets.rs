//! Packets, and the pools of addresses that everything is drawn from.

use std::collections::BTreeSet;
use std::net::IpAddr;

use model::{EndpointAddr, FrontendKey, IpFamily, Protocol, Store};
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use resolve::Packet;

use super::{ip, pooled};

/// ClusterIPs, by number.
pub const CLUSTER: [&str; 2] = ["172.30.0.", "fd00:172:30::"];
/// Addresses of load balancers and other addresses outside, by number.
pub const EXTERNAL: [&str; 2] = ["1.2.3.", "2001:db8:f::"];
/// Endpoints, by number.
pub const ENDPOINTS: [&str; 2] = ["10.180.0.", "fd00:10:180::"];
/// External addresses that are the node's own at times.
pub const OWN_VIPS: [&str; 2] = ["192.168.99.11", "2001:db8:99::11"];
/// Addresses that are always the node's own.
pub const NODE_ADDRESSES: [&str; 4] = ["192.168.0.2", "192.168.1.2", "2001:db8::1", "2001:db8:1::2"];
/// Loopback.
pub const LOOPBACK: [&str; 2] = ["127.0.0.1", "::1"];
/// The link of the pods' bridge.
pub const BRIDGE: &str = "cni0";

const STRANGERS: [&str; 4] = ["203.0.113.2", "203.0.113.130", "2600:5200::1", "2001:db8:5::5"];

/// A packet that has yet to meet a world.
#[derive(Clone, Debug)]
pub struct Draft {
    /// For each family, from where and to where.
    ways: [(IpAddr, EndpointAddr); 2],
    /// Of what family, when it is not aimed.
    v6: bool,
    protocol: Protocol,
    link: &'static str,
    /// To one of the world's frontends, not to just anything.
    aim: Option<Index>,
    /// From one of the world's endpoints.
    talks_to_itself: Option<Index>,
}

impl Draft {
    /// The packet, for a world.
    pub fn packet(&self, store: &Store) -> Packet {
        let target = self.aim.and_then(|index| frontend(store, index));
        let family = target.map_or(if self.v6 { IpFamily::V6 } else { IpFamily::V4 }, |key| key.family());
        let (from, to) = self.ways[usize::from(family == IpFamily::V6)];
        let from = self.talks_to_itself.and_then(|index| endpoint(store, index, family)).unwrap_or(from);
        let (to, protocol) = target.map_or((to, self.protocol), |key| (aimed_at(key, to), key.protocol()));
        Packet { from, interface: arrives(from).then(|| self.link.to_owned()), to, protocol }
    }
}

/// One of all frontends that Services ask for.
fn frontend(store: &Store, index: Index) -> Option<FrontendKey> {
    let services = store.entries().filter_map(|(_, entry)| entry.service.as_ref());
    let mut all: Vec<FrontendKey> = services.flat_map(|service| service.frontend_keys()).collect();
    all.sort_unstable();
    (!all.is_empty()).then(|| *index.get(&all))
}

/// One of all endpoints of a family.
fn endpoint(store: &Store, index: Index, family: IpFamily) -> Option<IpAddr> {
    let slices = store.entries().flat_map(|(_, entry)| entry.slices.values());
    let endpoints = slices.filter(|slice| slice.family == family).flat_map(|slice| &slice.endpoints);
    let all: BTreeSet<IpAddr> = endpoints.map(|endpoint| endpoint.ip).collect();
    (!all.is_empty()).then(|| *index.get(&all.into_iter().collect::<Vec<_>>()))
}

/// A NodePort is asked at an address of the node, chosen by the way that the packet would have gone.
fn aimed_at(key: FrontendKey, otherwise: EndpointAddr) -> EndpointAddr {
    let own = of(key.family(), &NODE_ADDRESSES);
    match key {
        FrontendKey::Vip { ip, port, .. } => EndpointAddr { ip, port },
        FrontendKey::NodePort { port, .. } => {
            EndpointAddr { ip: own[usize::from(otherwise.port) % own.len()], port }
        }
    }
}

/// A packet from anywhere to anywhere, mostly to something that a Service has.
pub fn packet() -> impl Strategy<Value = Draft> {
    let way = |family| (source(family), destination(family));
    let protocol = select(vec![Protocol::Tcp, Protocol::Tcp, Protocol::Udp, Protocol::Sctp]);
    let link = select(vec![BRIDGE, "cni01", "veth7", "eth0"]);
    let aims = (weighted(0.75, any::<Index>()), weighted(0.3, any::<Index>()));
    (way(IpFamily::V4), way(IpFamily::V6), any::<bool>(), protocol, link, aims).prop_map(
        |(v4, v6, is_v6, protocol, link, (aim, talks_to_itself))| Draft {
            ways: [v4, v6],
            v6: is_v6,
            protocol,
            link,
            aim,
            talks_to_itself,
        },
    )
}

/// Whether a packet from there came by a link at all. Addresses that are the node's only at times are left out of the
/// sources, so that this does not depend on the world.
fn arrives(from: IpAddr) -> bool {
    !NODE_ADDRESSES.iter().chain(&LOOPBACK).any(|text| ip(text) == from)
}

fn source(family: IpFamily) -> impl Strategy<Value = IpAddr> {
    let endpoints = (1..=9).map(|n| pooled(family, ENDPOINTS, n)).collect::<Vec<_>>();
    prop_oneof![
        3 => select(endpoints),
        2 => select(of(family, &NODE_ADDRESSES)),
        1 => select(of(family, &LOOPBACK)),
        2 => select(of(family, &STRANGERS)),
        1 => (1..3u8).prop_map(move |n| pooled(family, EXTERNAL, n)),
    ]
}

fn destination(family: IpFamily) -> impl Strategy<Value = EndpointAddr> {
    prop_oneof![
        6 => ((1..7u8).prop_map(move |n| pooled(family, CLUSTER, n)), select(vec![80, 81, 80, 81, 82])),
        6 => (select(externals(family)), select(vec![80, 81, 80, 81, 82])),
        5 => (select(of(family, &NODE_ADDRESSES)), select(vec![30_001, 30_002, 80])),
        1 => (select(of(family, &LOOPBACK)), Just(30_001)),
        1 => ((1..=9u8).prop_map(move |n| pooled(family, ENDPOINTS, n)), Just(8080)),
    ]
    .prop_map(|(ip, port)| EndpointAddr { ip, port })
}

fn externals(family: IpFamily) -> Vec<IpAddr> {
    (1..4).map(|n| pooled(family, EXTERNAL, n)).chain(of(family, &OWN_VIPS)).collect()
}

fn of(family: IpFamily, texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| ip(text)).filter(|ip| IpFamily::of(*ip) == family).collect()
}
