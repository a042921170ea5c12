//! Random worlds: changes to a handful of Services, slices and node facts, configurations, and packets.
//!
//! Everything is drawn from small pools, so that Services contest frontends, slices change owners, and packets hit.
//! Two things stay apart, as they do in a cluster: ClusterIPs from every other address, and the node's own addresses
//! from those of endpoints. An endpoint's node follows from its address.

mod objects;
mod packets;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use model::{Change, IpFamily, NamespacedName, Node, Scheduler, parse_net};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use resolve::{DetectLocal, NodePortSelector, ProxyConfig};

pub use objects::{REMOTE, balance, service, slice, slice_of};
pub use packets::{Draft, packet};

/// This node.
pub const NODE: &str = "this-node";

/// A sequence of changes, some of which undo others.
pub fn changes(most: usize) -> impl Strategy<Value = Vec<Change>> {
    (vec(change(), 4..most), node(), kernel_addresses()).prop_map(|(rest, node, addresses)| {
        let cidr = Change::ServiceCidr {
            name: "kubernetes".into(),
            cidrs: nets(&["172.30.0.0/16", "fd00:172:30::/112"]),
        };
        [node, addresses, cidr].into_iter().chain(rest).collect()
    })
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        8 => service().prop_map(|service| Change::Service(Arc::new(service))),
        2 => objects::service_name().prop_map(Change::ServiceGone),
        14 => slice().prop_map(|slice| Change::Slice(Arc::new(slice))),
        2 => objects::slice_name().prop_map(Change::SliceGone),
        1 => node(),
        1 => kernel_addresses(),
        1 => Just(Change::NodeGone(NODE.into())),
        1 => service_cidr(),
    ]
}

/// The last change of each object: the same world, without its history. Objects that are gone leave nothing.
pub fn last_of_each(changes: &[Change]) -> Vec<Change> {
    let last: BTreeMap<String, &Change> = changes.iter().map(|change| (identity(change), change)).collect();
    let there = |change: &&Change| {
        !matches!(
            change,
            Change::ServiceGone(_) | Change::SliceGone(_) | Change::NodeGone(_) | Change::ServiceCidrGone(_)
        )
    };
    last.into_values().filter(there).cloned().collect()
}

fn identity(change: &Change) -> String {
    let service = |name: &NamespacedName| format!("service {name}");
    let slice = |name: &NamespacedName| format!("slice {name}");
    match change {
        Change::Service(object) => service(&object.name),
        Change::ServiceGone(name) => service(name),
        Change::Slice(object) => slice(&object.name),
        Change::SliceGone(name) => slice(name),
        Change::Node(_) | Change::NodeGone(_) => "node".to_owned(),
        Change::ServiceCidr { name, .. } | Change::ServiceCidrGone(name) => format!("cidr {name}"),
        Change::KernelAddresses(_) => "addresses".to_owned(),
        other => unreachable!("{other:?} is never drawn"),
    }
}

/// A configuration of the nftables mode; of any mode, once that is set.
pub fn config() -> impl Strategy<Value = ProxyConfig> {
    let scheduler = select(vec![Scheduler::Rr, Scheduler::Rr, Scheduler::Lc, Scheduler::Mh]);
    (detect_local(), any::<bool>(), nodeport_addresses(), any::<bool>(), scheduler).prop_map(
        |(detect_local, masquerade_all, nodeport_addresses, node_hints, scheduler)| ProxyConfig {
            detect_local,
            masquerade_all,
            nodeport_addresses,
            node_hints,
            scheduler,
            ..ProxyConfig::default()
        },
    )
}

fn detect_local() -> impl Strategy<Value = DetectLocal> {
    let cidrs = |texts: &[&str]| DetectLocal::ClusterCidr(nets(texts));
    select(vec![
        cidrs(&["10.0.0.0/8", "fd00:10::/32"]),
        cidrs(&["10.180.0.0/13"]),
        cidrs(&["10.180.0.0/30", "fd00:10:180::/126"]),
        cidrs(&["0.0.0.0/0", "::/0"]),
        cidrs(&[]),
        DetectLocal::NodeCidr,
        DetectLocal::BridgeInterface(packets::BRIDGE.into()),
        DetectLocal::InterfaceNamePrefix("veth".into()),
    ])
}

fn nodeport_addresses() -> impl Strategy<Value = Vec<NodePortSelector>> {
    let of = |texts: &[&str]| nets(texts).into_iter().map(NodePortSelector::Net).collect::<Vec<_>>();
    select(vec![
        of(&[]),
        vec![NodePortSelector::Primary],
        of(&["192.168.0.0/24"]),
        of(&["192.168.0.0/16", "2001:db8::/32"]),
        of(&["0.0.0.0/0", "::/0"]),
        of(&["127.0.0.0/8", "2001:db8:1::/64"]),
    ])
}

fn node() -> impl Strategy<Value = Change> {
    let addresses = select(vec![
        &["192.168.0.2", "2001:db8::1"][..],
        &["192.168.1.2"],
        &["2001:db8:1::2", "192.168.0.2"],
    ]);
    let zone = select(vec![None, Some("a"), Some("b")]);
    let pod_cidrs = select(vec![&[][..], &["10.180.0.0/30"], &["10.180.0.0/24", "fd00:10:180::/64"]]);
    (addresses, zone, pod_cidrs).prop_map(|(addresses, zone, pod_cidrs)| {
        Change::Node(Box::new(Node {
            name: NODE.into(),
            addresses: addresses.iter().map(|text| ip(text)).collect(),
            pod_cidrs: nets(pod_cidrs),
            zone: zone.map(Arc::from),
            ..Node::default()
        }))
    })
}

/// Always all that a Node object may name, since a kernel has what its Node object says.
fn kernel_addresses() -> impl Strategy<Value = Change> {
    any::<bool>().prop_map(|more| {
        let always = packets::NODE_ADDRESSES.iter().chain(&packets::LOOPBACK);
        let some = packets::OWN_VIPS.iter().filter(|_| more);
        Change::KernelAddresses(always.chain(some).map(|text| ip(text)).collect())
    })
}

fn service_cidr() -> impl Strategy<Value = Change> {
    let cidrs = |texts: &[&str]| Change::ServiceCidr { name: "kubernetes".into(), cidrs: nets(texts) };
    select(vec![
        cidrs(&["172.30.0.0/16"]),
        cidrs(&["172.30.0.0/20", "fd00:172:30::/108"]),
        Change::ServiceCidrGone("kubernetes".into()),
    ])
}

/// The n-th address of a pool, in a family.
pub fn pooled(family: IpFamily, pool: [&str; 2], n: u8) -> IpAddr {
    match family {
        IpFamily::V4 => ip(&format!("{}{n}", pool[0])),
        IpFamily::V6 => ip(&format!("{}{n:x}", pool[1])),
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn nets(texts: &[&str]) -> Vec<IpNet> {
    texts.iter().map(|text| parse_net(text).unwrap()).collect()
}
